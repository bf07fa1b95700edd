"""Hypothesis drives the timer heap beside a sorted list.

The heap has no methods for Python, so its compiled ones are called through the table that other modules find them in.
"""

import ctypes
import gc
import random
import re
from pathlib import Path

import pytest
from helpers import collection_at
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import routines
from routines._heap import TimerHeap

heap_object = ctypes.py_object
SIGNATURES = {
    "add": ctypes.PYFUNCTYPE(heap_object, heap_object, ctypes.c_longlong, heap_object),
    "cancel": ctypes.PYFUNCTYPE(ctypes.c_int, heap_object, heap_object),
    "earliest": ctypes.PYFUNCTYPE(heap_object, heap_object),
    "take_due": ctypes.PYFUNCTYPE(heap_object, heap_object, ctypes.c_longlong),
    "live": ctypes.PYFUNCTYPE(ctypes.c_ssize_t, heap_object),
}


def compiled_methods():
    """By name: the functions of the heap's table, which stand in it in the order of their declaration."""
    declared = (
        (Path(routines.__file__).parent / "_heap.pxd").read_text().partition("cdef class TimerHeap:")[2]
    )
    names = re.findall(r"^    cdef .*?(\w+)\(self", declared, re.MULTILINE)
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    table = pointer(TimerHeap.__pyx_vtable__, None)
    places = ctypes.cast(table, ctypes.POINTER(ctypes.c_void_p))
    return {name: SIGNATURES[name](places[names.index(name)]) for name in SIGNATURES}


METHODS = compiled_methods()


class Heap:
    """The heap with methods, and the model beside it."""

    def __init__(self):
        self.heap = TimerHeap()
        self.model = []  # (deadline, order, entry, target), the live ones
        self.made = 0

    def add(self, deadline):
        target = ("target", self.made)
        entry = METHODS["add"](self.heap, deadline, target)
        self.model.append((deadline, self.made, entry, target))
        self.made += 1

    def cancel(self, place):
        _, _, entry, _ = self.model.pop(place)
        assert METHODS["cancel"](self.heap, entry) == 0
        assert METHODS["cancel"](self.heap, entry) == 0, "cancelling twice is nothing"

    def take_due(self, now):
        due = [each for each in self.model if each[0] <= now]
        taken = METHODS["take_due"](self.heap, now)
        if not due:
            assert taken is None
            return False
        first = min(due, key=lambda each: each[:2])
        self.model.remove(first)
        assert taken is first[3]
        return True

    def slots(self):
        (entries,) = [each for each in gc.get_referents(self.heap) if type(each) is list]
        return entries

    def check(self):
        assert METHODS["live"](self.heap) == len(self.model)
        first = min(self.model, key=lambda each: each[:2], default=None)
        assert METHODS["earliest"](self.heap) is (None if first is None else first[2])
        assert METHODS["live"](self.heap) == len(self.model)


deadlines = st.integers(0, 30)  # few, so that many are equal


class HeapMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.heap = Heap()

    @rule(times=st.lists(deadlines, min_size=1, max_size=90))
    def start(self, times):
        for each in times:
            self.heap.add(each)

    @precondition(lambda self: self.heap.model)
    @rule(data=st.data())
    def stop_one(self, data):
        self.heap.cancel(data.draw(st.integers(0, len(self.heap.model) - 1)))

    @precondition(lambda self: self.heap.model)
    @rule()
    def stop_the_last(self):
        self.heap.cancel(len(self.heap.model) - 1)

    @precondition(lambda self: len(self.heap.model) > 20)
    @rule(data=st.data())
    def stop_most(self, data):
        step = data.draw(st.integers(2, 5))
        for place in range(len(self.heap.model) - 1, -1, -1):
            if place % step:
                self.heap.cancel(place)

    @rule(now=deadlines)
    def expire(self, now):
        while self.heap.take_due(now):
            pass

    @invariant()
    def the_heap_is_as_the_model(self):
        self.heap.check()


def test_the_timer_heap_behaves_as_a_sorted_list():
    run_state_machine_as_test(
        HeapMachine,
        settings=settings(
            max_examples=60,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )


def test_cancelled_timers_take_no_more_room_than_the_live_ones():
    heap = Heap()
    for deadline in range(4000):
        heap.add(deadline * 7919 % 4001)
    while len(heap.model) > 100:
        heap.cancel(len(heap.model) // 2)
    kept = sum(each is not None for each in heap.slots())
    assert kept <= 2 * 100 + 64
    assert len(heap.slots()) <= 2048
    heap.check()
    while heap.take_due(4001):
        pass
    assert not heap.model


def test_timers_that_were_cancelled_and_then_dropped_are_no_longer_counted():
    heap = Heap()
    for _ in range(200):
        heap.add(1)
        heap.add(2)
        heap.cancel(0)
        assert heap.take_due(2)
        assert not heap.take_due(2)
        heap.check()
    assert len(heap.slots()) <= 16, "what has left needs no room"


def test_many_timers_leave_in_the_order_of_their_deadlines():
    for seed in range(20):
        heap = Heap()
        for deadline in random.Random(seed).sample(range(100), 100):
            heap.add(deadline)
        while heap.take_due(100):
            pass
        assert not heap.model


def test_the_first_timer_is_the_earliest_one_that_is_kept_when_those_cancelled_are_dropped():
    heap = Heap()
    for deadline in [0, 10, 2, *[100] * 200]:
        heap.add(deadline)
    heap.cancel(0)
    for _ in range(105):
        heap.cancel(2)
    heap.check()


@pytest.mark.parametrize("allocation", range(1, 9))
@pytest.mark.parametrize("many", [1, 20])
def test_timers_that_a_collection_starts_while_the_heap_grows(allocation, many):
    heap = Heap()
    for deadline in range(8):
        heap.add(deadline)

    def start():
        for deadline in range(many):
            heap.add(10 + deadline)  # which of them came first is not to be asked

    with collection_at(allocation, start):
        heap.add(9)
    heap.check()
    while heap.take_due(30):
        pass
    assert not heap.model


@pytest.mark.parametrize("allocation", range(1, 9))
def test_timers_that_a_collection_starts_while_the_heap_shrinks(allocation):
    heap = Heap()
    for deadline in range(512):
        heap.add(deadline)

    def start():
        for deadline in range(400):
            heap.add(deadline)

    while len(heap.model) > 64:
        heap.cancel(0)
    with collection_at(allocation, start):
        heap.cancel(0)
    heap.check()
    while heap.take_due(512):
        pass
    assert not heap.model
