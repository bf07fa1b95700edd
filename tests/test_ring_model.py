"""Hypothesis drives the ring, as the buffer of an unbounded channel is one, beside a deque."""

import math
from collections import deque

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from routines import RecvError, channel


class RingMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.tx, self.rx = channel(math.inf)
        self.model = deque()
        self.pushed = 0

    def push_one(self):
        self.pushed += 1
        self.tx.try_send(self.pushed)
        self.model.append(self.pushed)

    @rule(count=st.integers(1, 40))
    def push(self, count):
        for _ in range(count):
            self.push_one()

    @rule(count=st.integers(1, 40))
    def pop(self, count):
        for _ in range(min(count, len(self.model))):
            assert self.rx.try_recv() == self.model.popleft()

    @rule()
    def pop_all(self):
        while self.model:
            assert self.rx.try_recv() == self.model.popleft()
        with pytest.raises(RecvError):
            self.rx.try_recv()

    @precondition(lambda self: not self.model)
    @rule(waiting=st.integers(1, 6), behind=st.integers(0, 20))
    def put_back(self, waiting, behind):
        """Receivers that were handed a value give up before they fetch it: it goes before what came after it."""
        operations = []
        for _ in range(waiting):
            operation = self.rx.recv()
            while operation.send(None) is None:  # it gave way: no scheduler refills the budget here
                pass
            operations.append(operation)
        for _ in range(waiting + behind):
            self.push_one()
        for operation in reversed(operations):
            operation.close()

    @invariant()
    def as_many_are_buffered(self):
        assert len(self.rx) == len(self.model)


def test_a_ring_behaves_as_a_deque():
    run_state_machine_as_test(
        RingMachine,
        settings=settings(
            max_examples=80,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )


@pytest.mark.parametrize("gone", range(9))
def test_a_buffer_that_has_wrapped_around_grows_in_order(gone):
    tx, rx = channel(math.inf)
    for value in range(8):
        tx.try_send(value)
    for value in range(gone):
        assert rx.try_recv() == value
    for value in range(8, 40):
        tx.try_send(value)
    assert [rx.try_recv() for _ in range(40 - gone)] == list(range(gone, 40))
