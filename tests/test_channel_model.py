"""Hypothesis drives a channel beside the model of `model.py` and compares after every step."""

import asyncio
import math

import pytest
from helpers import new_loop, settle
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from model import Closed, Empty, Full, ModelChannel

from routines import ChannelClosed, RecvError, SendError, channel, spawn

capacities = st.sampled_from([0, 1, 2, 3, 64, math.inf])


async def awaited(operation):
    return await operation


class ChannelMachine(RuleBasedStateMachine):
    """Operations run as routines and plain tasks by turns, all on one loop that turns only between steps."""

    bodies = "both"

    def __init__(self):
        super().__init__()
        self.loop = new_loop("stock")
        self.pairs = []  # (the model's operation, the task that awaits ours)
        self.next_value = 0
        self.started = 0
        self.reports = []
        self.loop.set_exception_handler(lambda _, context: self.reports.append(context))

    @initialize(capacity=capacities)
    def make(self, capacity):
        self.model = ModelChannel(capacity)
        self.tx, self.rx = channel(capacity)
        self.view = self.tx.channel
        self.senders, self.receivers = [self.tx], [self.rx]

    # -- running

    def turn(self):
        self.loop.run_until_complete(settle(3))
        self.model.resume()

    def begin(self, model_operation, make):
        async def main():
            self.started += 1
            if self.bodies == "routine" or (self.bodies == "both" and self.started % 2):
                task = spawn(awaited(make()))
            else:
                task = asyncio.Task(awaited(make()))
            return task

        self.pairs.append((model_operation, self.loop.run_until_complete(main())))
        self.turn()

    def value(self):
        self.next_value += 1
        return self.next_value

    @property
    def sender(self):
        return self.senders[-1] if self.senders else None

    @property
    def receiver(self):
        return self.receivers[-1] if self.receivers else None

    # -- rules

    @precondition(lambda self: self.senders)
    @rule()
    def try_send(self):
        value = self.value()
        expected = got = None
        try:
            self.model.try_send(value)
        except (Full, Closed) as error:
            expected = type(error)
        try:
            self.sender.try_send(value)
        except SendError:
            got = Full
        except ChannelClosed:
            got = Closed
        assert got is expected
        self.turn()

    @precondition(lambda self: self.receivers)
    @rule()
    def try_recv(self):
        expected = got = None
        try:
            expected = self.model.try_recv()
        except (Empty, Closed) as error:
            expected = type(error)
        try:
            got = self.receiver.try_recv()
        except RecvError:
            got = Empty
        except ChannelClosed:
            got = Closed
        assert got == expected
        self.turn()

    @precondition(lambda self: self.senders)
    @rule()
    def send(self):
        value = self.value()
        sender = self.sender
        self.begin(self.model.send(value), lambda: sender.send(value))

    @precondition(lambda self: self.senders)
    @rule(count=st.integers(0, 6))
    def send_many(self, count):
        values = [self.value() for _ in range(count)]
        sender = self.sender
        if self.model.closed and not values:
            return  # whether sending nothing on a closed channel fails is not promised
        self.begin(self.model.send_many(values), lambda: sender.send_many(values))

    @precondition(lambda self: self.receivers)
    @rule(kind=st.sampled_from(["recv", "recv_ok"]))
    def receive(self, kind):
        receiver = self.receiver
        self.begin(self.model.receive(kind), lambda: getattr(receiver, kind)())

    @precondition(lambda self: self.receivers)
    @rule(most=st.integers(1, 6))
    def receive_many(self, most):
        receiver = self.receiver
        self.begin(self.model.receive("recv_many", most), lambda: receiver.recv_many(most))

    @precondition(lambda self: self.pairs)
    @rule(data=st.data())
    def cancel_a_waiting_one(self, data):
        waiting = [pair for pair in self.pairs if not pair[0].settled]
        if not waiting:
            return
        operation, task = data.draw(st.sampled_from(waiting))
        assert self.model.cancel(operation)
        assert task.cancel()
        self.turn()

    @precondition(lambda self: self.pairs and self.senders and not self.model.closed)
    @rule()
    def hand_over_and_cancel_in_one_turn(self):
        """The cancellation comes too late: the value is the receiver's."""
        if not self.model.receivers:
            return
        first = self.model.receivers[0]
        (task,) = (task for operation, task in self.pairs if operation is first)
        value = self.value()
        self.model.try_send(value)
        self.sender.try_send(value)
        task.cancel()
        self.turn()
        # Nothing suspends after it, so the result survives.
        assert not task.cancelled()

    @precondition(lambda self: self.pairs and self.receivers)
    @rule()
    def take_and_cancel_in_one_turn(self):
        if not self.model.senders:
            return
        first = self.model.senders[0]
        if first.kind != "send":
            return
        (task,) = (task for operation, task in self.pairs if operation is first)
        expected = self.model.try_recv()
        assert self.receiver.try_recv() == expected
        if first.settled:
            task.cancel()
        self.turn()
        if first.settled:
            assert not task.cancelled()

    @rule()
    def wait_a_turn(self):
        self.turn()

    @precondition(lambda self: self.senders and not self.model.closed)
    @rule()
    def clone_sender(self):
        self.senders.append(self.sender.clone())
        self.model.open_senders += 1

    @precondition(lambda self: self.receivers and not (self.model.closed and not self.model.buffer))
    @rule()
    def clone_receiver(self):
        self.receivers.append(self.receiver.clone())
        self.model.open_receivers += 1

    @precondition(lambda self: len(self.senders) > 1)
    @rule(drop=st.booleans())
    def lose_a_clone_of_the_sender(self, drop):
        # The oldest: operations in flight were begun through the newest of their time, so none hangs on it alone
        # unless it was used before it was cloned; those hold it, and only an explicit close ends it.
        if any(not operation.settled for operation, _ in self.pairs):
            return
        end = self.senders.pop(0)
        if not drop:
            end.close()
        del end
        self.tx = None
        self.model.close_sender()
        self.turn()

    @precondition(lambda self: len(self.receivers) > 1)
    @rule(drop=st.booleans())
    def lose_a_clone_of_the_receiver(self, drop):
        if any(not operation.settled for operation, _ in self.pairs):
            return
        end = self.receivers.pop(0)
        if not drop:
            end.close()
        del end
        self.rx = None
        self.model.close_receiver()
        self.turn()

    @precondition(lambda self: self.senders)
    @rule()
    def close_all_senders(self):
        for end in self.senders:
            end.close()
            self.model.close_sender()
        self.senders, self.tx = [], None
        self.turn()

    @precondition(lambda self: self.receivers)
    @rule()
    def close_all_receivers(self):
        for end in self.receivers:
            end.close()
            self.model.close_receiver()
        self.receivers, self.rx = [], None
        self.turn()

    # -- comparing

    @invariant()
    def the_state_is_the_models(self):
        if not hasattr(self, "model"):
            return
        stats, model = self.view.stats(), self.model
        assert stats.buffered == len(self.view) == len(model.buffer)
        assert stats.waiting_senders == len(model.senders)
        assert stats.sent == model.sent
        assert stats.received == model.received
        assert stats.waiting_receivers == len(model.receivers)
        assert stats.closed == model.closed
        assert (stats.senders, stats.receivers) == (model.open_senders, model.open_receivers)
        assert stats.capacity == model.capacity
        for end in self.senders:
            assert end.closed == model.closed
        for end in self.receivers:
            assert end.closed == (model.closed and not model.has_value())

    @invariant()
    def every_operation_has_come_to_what_the_model_says(self):
        left = []
        if not hasattr(self, "model"):
            return
        for operation, task in self.pairs:
            if not operation.settled:
                assert not task.done()
                left.append((operation, task))
                continue
            assert task.done(), "it was completed, and its task did not go on"
            if isinstance(operation.error, TimeoutError):
                assert task.cancelled()
            elif operation.error is not None:
                error = task.exception()
                assert isinstance(error, ChannelClosed)
                if operation.kind == "send_many":
                    assert error.sent == operation.error.sent
            else:
                assert task.result() == operation.result
        self.pairs = left
        assert not self.reports

    def teardown(self):
        for _, task in self.pairs:
            task.cancel()
        self.loop.run_until_complete(settle(3))
        self.loop.close()


@pytest.mark.parametrize("bodies", ["routine", "task", "both"])
def test_a_channel_behaves_as_its_model(bodies):
    machine = type(f"Machine_{bodies}", (ChannelMachine,), {"bodies": bodies})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=100,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )
