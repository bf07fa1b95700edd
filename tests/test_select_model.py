"""Hypothesis drives selects, and a selector, over a few channels beside models that are obviously right.

Where several cases are ready the choice is the select's; the model says which ones it may be, and follows it.
"""

import asyncio
from collections import deque

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

from routines import Channel, ChannelClosed, RecvError, Selector, SendError, select, spawn
from routines._select import _seed_select

CHANNELS = 3


class Line:
    """A channel of the model: values, and who waits, as pairs of an operation and the number of its case."""

    def __init__(self, capacity):
        self.capacity = capacity
        self.values = deque()
        self.senders = []
        self.receivers = []
        self.closed = False


class Operation:
    """Cases are (way, line, value); of several one is done."""

    def __init__(self, cases):
        self.cases = cases
        self.outcome = None  # (index, value, ok) once it is settled; "cancelled"

    def ready(self):
        return [index for index, (way, line, _) in enumerate(self.cases) if is_ready(way, line)]

    def perform(self, index):
        way, line, value = self.cases[index]
        if way == "recv":
            if line.values or line.senders:
                self.settle(index, take(line), True)
            else:
                assert line.closed
                self.settle(index, None, False)
        elif line.closed:
            self.settle(index, None, False)
        else:
            assert put(line, value)
            self.settle(index, None, True)

    def wait(self):
        for index, (way, line, _) in enumerate(self.cases):
            (line.receivers if way == "recv" else line.senders).append((self, index))

    def settle(self, index, value, ok):
        assert self.outcome is None
        self.leave()
        self.outcome = (index, value, ok)

    def leave(self):
        for _, line, _ in self.cases:
            line.senders = [each for each in line.senders if each[0] is not self]
            line.receivers = [each for each in line.receivers if each[0] is not self]


def is_ready(way, line):
    if way == "recv":
        return bool(line.values or line.senders or line.closed)
    return bool(line.closed or line.receivers or len(line.values) < line.capacity)


def take(line):
    if not line.values:
        return from_sender(line)
    value = line.values.popleft()
    while line.senders and len(line.values) < line.capacity:
        line.values.append(from_sender(line))
    return value


def from_sender(line):
    operation, index = line.senders[0]
    operation.settle(index, None, True)
    return operation.cases[index][2]


def put(line, value):
    if line.receivers:
        operation, index = line.receivers[0]
        operation.settle(index, value, True)
    elif len(line.values) < line.capacity:
        line.values.append(value)
    else:
        return False
    return True


def close(line):
    line.closed = True
    while line.senders:
        operation, index = line.senders[0]
        operation.settle(index, None, False)
    while line.receivers:
        operation, index = line.receivers[0]
        operation.settle(index, None, False)


async def awaited(operation):
    return await operation


class Machine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.loop = new_loop("stock")
        self.reports = []
        self.loop.set_exception_handler(lambda _, context: self.reports.append(context))
        self.pairs = []  # (the model's operation, the task of ours)
        self.next_value = 0
        self.started = 0

    @initialize(
        capacities=st.lists(st.sampled_from([0, 0, 1, 2]), min_size=CHANNELS, max_size=CHANNELS),
        seed=st.integers(0, 2**32),
    )
    def make(self, capacities, seed):
        _seed_select(seed)  # an example that fails has to fail again
        self.lines = [Line(capacity) for capacity in capacities]
        self.channels = [Channel(capacity) for capacity in capacities]

    def turn(self):
        self.loop.run_until_complete(settle(3))

    def value(self):
        self.next_value += 1
        return self.next_value

    def begin(self, make):
        async def main():
            self.started += 1
            return spawn(awaited(make())) if self.started % 2 else asyncio.Task(awaited(make()))

        task = self.loop.run_until_complete(main())
        self.turn()
        return task

    @rule(place=st.integers(0, CHANNELS - 1))
    def try_send(self, place):
        value, line = self.value(), self.lines[place]
        expected = ChannelClosed if line.closed else None if put(line, value) else SendError
        assert kind_of_failure(lambda: self.channels[place].try_send(value)) is expected
        self.turn()

    @rule(place=st.integers(0, CHANNELS - 1))
    def try_recv(self, place):
        line = self.lines[place]
        if line.values or line.senders:
            assert self.channels[place].try_recv() == take(line)
        else:
            expected = ChannelClosed if line.closed else RecvError
            assert kind_of_failure(self.channels[place].try_recv) is expected
        self.turn()

    @rule(place=st.integers(0, CHANNELS - 1))
    def close(self, place):
        if not self.lines[place].closed:
            close(self.lines[place])
        self.channels[place].close()
        self.turn()

    def teardown(self):
        for _, task in self.pairs:
            task.cancel()
        self.turn()
        self.loop.close()


def kind_of_failure(call):
    try:
        call()
    except (ChannelClosed, RecvError, SendError) as error:
        return type(error)
    return None


class SelectMachine(Machine):
    @rule(
        cases=st.lists(
            st.tuples(st.sampled_from(["recv", "send"]), st.integers(0, CHANNELS - 1)), min_size=1, max_size=4
        ),
        mode=st.sampled_from(["wait", "wait", "wait", "default", "timeout", "biased"]),
        built=st.booleans(),
    )
    def begin_a_select(self, cases, mode, built):
        operation = Operation([(way, self.lines[place], self.value()) for way, place in cases])
        ready = operation.ready()
        task = self.begin(lambda: self.make_select(cases, operation, mode, built))
        if ready:
            assert task.done()
            index, outcome = self.read(operation, task)
            assert index in (ready[:1] if mode == "biased" else ready)
            operation.perform(index)
            assert outcome == operation.outcome
        elif mode == "default":
            assert task.result() == (-1, None, False)
        elif mode == "timeout":
            assert isinstance(task.exception(), TimeoutError)
        else:
            operation.wait()
            self.pairs.append((operation, task))

    async def make_select(self, cases, operation, mode, built):
        try:
            if not built:
                sources = [
                    self.channels[place] if way == "recv" else self.channels[place].case(value)
                    for (way, place), (_, _, value) in zip(cases, operation.cases, strict=True)
                ]
                options = {
                    "default": {"default": None},
                    "timeout": {"timeout": 0},
                    "biased": {"biased": True},
                }
                chosen = await select(*sources, **options.get(mode, {}))
                return chosen.index, chosen.value, chosen.ok
            builder = select()
            for index, ((way, place), (_, _, value)) in enumerate(zip(cases, operation.cases, strict=True)):
                channel = self.channels[place]
                if way == "recv":
                    builder.recv(
                        channel,
                        lambda got, i=index: (i, got, True),
                        on_close=lambda i=index: (i, None, False),
                    )
                else:
                    builder.send(channel, value, lambda i=index: (i, None, True))
            if mode == "default":
                builder.default(lambda: (-1, None, False))
            elif mode == "timeout":
                builder.timeout(0)
            elif mode == "biased":
                builder.biased()
            return await builder.run()
        except ChannelClosed as error:
            return error.channel, None, False

    def read(self, operation, task):
        """The index and the outcome of a task; a send to a closed channel says only which channel it was."""
        index, value, ok = task.result()
        if isinstance(index, Channel):
            fits = [
                place
                for place, (way, line, _) in enumerate(operation.cases)
                if way == "send" and line.closed and self.channels[self.lines.index(line)] == index
            ]
            assert fits
            index = fits[0] if operation.outcome is None else operation.outcome[0]
            assert index in fits
        return index, (index, value, ok)

    @precondition(lambda self: self.pairs)
    @rule(data=st.data())
    def cancel_one(self, data):
        place = data.draw(st.integers(0, len(self.pairs) - 1))
        operation, task = self.pairs.pop(place)
        operation.leave()
        assert task.cancel()
        self.turn()
        assert task.cancelled()

    @precondition(lambda self: self.pairs)
    @rule()
    def serve_and_cancel_in_one_turn(self):
        """The cancellation comes too late for the select that was claimed."""
        for line, channel in zip(self.lines, self.channels, strict=True):
            if line.receivers and not line.closed:
                operation, _ = line.receivers[0]
                (task,) = [task for each, task in self.pairs if each is operation]
                value = self.value()
                assert put(line, value)
                channel.try_send(value)
                task.cancel()
                self.turn()
                assert not task.cancelled()
                return

    @invariant()
    def what_the_model_settled_is_done_and_nothing_else(self):
        left = []
        for operation, task in self.pairs:
            if operation.outcome is None:
                assert not task.done()
                left.append((operation, task))
            else:
                assert task.done()
                assert self.read(operation, task)[1] == operation.outcome
        self.pairs = left
        for line, channel in zip(getattr(self, "lines", ()), getattr(self, "channels", ()), strict=True):
            stats = channel.stats()
            assert stats.buffered == len(line.values)
            assert stats.waiting_senders == len(line.senders)
            assert stats.waiting_receivers == len(line.receivers)
        assert not self.reports


class SelectorMachine(Machine):
    """One selector; a turn of it may wait. Plain receivers and senders are served before it."""

    def __init__(self):
        super().__init__()
        self.selector = Selector()
        self.cases = {}  # by key: (way, line, value)
        self.next = None  # the task of a turn that waits

    def turn(self):
        super().turn()
        self.look()

    def look(self):
        if self.next is None or not self.next.done():
            return
        task, self.next = self.next, None
        chosen = task.result()
        self.outcome = (chosen.index, chosen.value, chosen.ok)

    def put_to_selector(self, place, value):
        """What the model says of a value that comes while a turn waits: the first case that receives there gets it."""
        line = self.lines[place]
        return [key for key, (way, each, _) in self.cases.items() if way == "recv" and each is line]

    @rule(place=st.integers(0, CHANNELS - 1))
    def try_send(self, place):
        value, line = self.value(), self.lines[place]
        takers = self.put_to_selector(place, value) if self.next is not None else []
        if takers and not line.closed and not line.values:
            self.channels[place].try_send(value)
            self.turn()
            assert self.next is None, "a case was ready, and the turn waits on"
            assert self.outcome == (takers[0], value, True)
            return
        expected = ChannelClosed if line.closed else None if put(line, value) else SendError
        assert kind_of_failure(lambda: self.channels[place].try_send(value)) is expected
        self.turn()

    @rule(place=st.integers(0, CHANNELS - 1))
    def try_recv(self, place):
        line = self.lines[place]
        givers = [key for key, (way, each, _) in self.cases.items() if way == "send" and each is line]
        if line.values:
            expected = take(line)
            assert self.channels[place].try_recv() == expected
            super().turn()
            self.room_was_made()
        elif line.closed:
            assert kind_of_failure(self.channels[place].try_recv) is ChannelClosed
        elif self.next is not None and givers:
            key = givers[0]
            assert self.channels[place].try_recv() == self.cases[key][2]
            self.turn()
            assert self.next is None
            assert self.outcome == (key, None, True)
        else:
            assert kind_of_failure(self.channels[place].try_recv) is RecvError
            self.turn()

    def room_was_made(self):
        """A turn that waits has ended where something became ready, and then by a case that the model has ready as well."""
        if self.next is None:
            return
        ready = self.ready()
        self.look()
        if not ready:
            assert self.next is not None
            return
        assert self.next is None, "a case is ready, and the turn waits on"
        self.follow(ready)

    def ready(self):
        return [key for key, (way, line, _) in self.cases.items() if is_ready(way, line)]

    def follow(self, ready):
        key, value, ok = self.outcome
        assert key in ready
        way, line, sent = self.cases[key]
        if way == "recv" and line.values:
            assert (value, ok) == (take(line), True)
        elif line.closed:
            assert (value, ok) == (None, False)
        else:
            assert way == "send"
            assert put(line, sent)
            assert (value, ok) == (None, True)

    @rule(place=st.integers(0, CHANNELS - 1))
    def close(self, place):
        self.lines[place].closed = True
        self.channels[place].close()
        Machine.turn(self)
        self.room_was_made()

    @rule(place=st.integers(0, CHANNELS - 1), way=st.sampled_from(["recv", "send"]))
    def add(self, place, way):
        if len(self.cases) > 5:
            return
        value = self.value()
        channel = self.channels[place]
        key = self.selector.add(channel if way == "recv" else channel.case(value))
        assert key not in self.cases
        self.cases[key] = (way, self.lines[place], value)
        Machine.turn(self)
        self.room_was_made()

    @precondition(lambda self: self.cases)
    @rule(data=st.data())
    def remove(self, data):
        key = data.draw(st.sampled_from(sorted(self.cases)))
        del self.cases[key]
        self.selector.remove(key)
        with pytest.raises(KeyError):
            self.selector.remove(key)

    @precondition(lambda self: self.cases and self.next is None)
    @rule()
    def next_turn(self):
        ready = self.ready()
        self.outcome = None
        self.next = self.begin(self.selector.next)
        self.look()
        if ready:
            assert self.next is None
            self.follow(ready)
        else:
            assert self.next is not None

    @precondition(lambda self: self.next is not None)
    @rule()
    def cancel_the_turn(self):
        assert self.next.cancel()
        task, self.next = self.next, None
        Machine.turn(self)
        assert task.cancelled()

    @invariant()
    def the_channels_are_the_models(self):
        assert len(self.selector) == len(self.cases)
        for line, channel in zip(getattr(self, "lines", ()), getattr(self, "channels", ()), strict=True):
            stats = channel.stats()
            assert stats.buffered == len(line.values)
            assert (stats.waiting_senders, stats.waiting_receivers) == (0, 0)
        assert not self.reports

    def teardown(self):
        if self.next is not None:
            task, self.next = self.next, None
            task.cancel()
        super().teardown()


def examples(count, steps):
    return settings(
        max_examples=count,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )


def test_selects_behave_as_their_model():
    run_state_machine_as_test(SelectMachine, settings=examples(150, 25))


def test_a_selector_behaves_as_its_model():
    run_state_machine_as_test(SelectorMachine, settings=examples(150, 25))
