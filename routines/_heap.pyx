# cython: language_level=3, binding=False, embedsignature=True, embedsignature.format=clinic
"""A binary heap of timers with lazy deletion.

Most timers never fire: a timeout guards an operation that is in time. So cancelling only marks the entry, at O(1), and the heap
is rebuilt without the marked ones when they are more than half of it, which is O(1) per cancellation over time and bounds the
memory at twice what lives. A timer that was started last and is cancelled first, the commonest of all, leaves at once.

The list is filled up with None and grown by doubling: one that shrinks with every item, as a list does, would be
resized with every timeout of a program that has few.

Invariants: ``entries[(i - 1) // 2]`` is never later than ``entries[i]``; ``cancelled`` counts the entries without a target.
An entry is out of the list, or its target is None, or it is live. Used by the thread of its scheduler alone.
"""

cimport cython
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject

from ._ring cimport routines_slot_put, routines_slot_take


cdef extern from *:
    """
    /* Two slots of one list change places: no reference count moves. */
    static inline void routines_swap(PyObject *list, Py_ssize_t a, Py_ssize_t b)
    {
        PyObject *item = PyList_GET_ITEM(list, a);
        PyList_SET_ITEM(list, a, PyList_GET_ITEM(list, b));
        PyList_SET_ITEM(list, b, item);
    }
    """
    void routines_swap(list items, Py_ssize_t a, Py_ssize_t b) noexcept


# Below this many cancelled entries a rebuild is not worth its call.
cdef enum:
    COMPACT_AT_LEAST = 64


cdef inline bint earlier(TimerEntry a, TimerEntry b) noexcept:
    if a.deadline != b.deadline:
        return a.deadline < b.deadline
    return a.order < b.order


cdef void sift_up(list entries, Py_ssize_t index) noexcept:
    cdef Py_ssize_t parent
    while index > 0:
        parent = (index - 1) >> 1
        if not earlier(<TimerEntry>PyList_GET_ITEM(entries, index), <TimerEntry>PyList_GET_ITEM(entries, parent)):
            return
        routines_swap(entries, index, parent)
        index = parent


cdef void sift_down(list entries, Py_ssize_t size, Py_ssize_t index) noexcept:
    cdef Py_ssize_t child
    while True:
        child = 2 * index + 1
        if child >= size:
            return
        if child + 1 < size and earlier(
            <TimerEntry>PyList_GET_ITEM(entries, child + 1), <TimerEntry>PyList_GET_ITEM(entries, child)
        ):
            child += 1
        if not earlier(<TimerEntry>PyList_GET_ITEM(entries, child), <TimerEntry>PyList_GET_ITEM(entries, index)):
            return
        routines_swap(entries, index, child)
        index = child


@cython.final
@cython.freelist(64)
cdef class TimerEntry:
    """Not for users: `TimerHeap.add` makes these."""


@cython.final
cdef class TimerHeap:
    """Not for users: each scheduler owns one."""

    def __cinit__(self):
        self.entries = [None] * 8

    cdef int _grow(self) except -1:
        cdef list wider
        cdef Py_ssize_t index
        while self.used == PyList_GET_SIZE(self.entries):
            # Making the list may start a collection, and that code that uses this heap.
            wider = [None] * (2 * self.used)
            if PyList_GET_SIZE(wider) <= PyList_GET_SIZE(self.entries):
                continue
            for index in range(self.used):
                routines_slot_put(wider, index, routines_slot_take(self.entries, index))
            self.entries = wider
        return 0

    cdef TimerEntry add(self, long long deadline, object target):
        """A live entry; ``target`` is what `take_due` will return once ``deadline`` has come."""
        cdef TimerEntry entry = TimerEntry.__new__(TimerEntry)
        self.put(entry, deadline, target)
        return entry

    cdef int put(self, TimerEntry entry, long long deadline, object target) except -1:
        """The same with an entry that is in no heap."""
        entry.deadline = deadline
        entry.target = target
        if self.used == PyList_GET_SIZE(self.entries):
            self._grow()
        entry.order = self.next_order
        self.next_order += 1
        routines_slot_put(self.entries, self.used, entry)
        self.used += 1
        sift_up(self.entries, self.used - 1)
        return 0

    cdef int cancel(self, TimerEntry entry) except -1:
        """The entry's target will not be returned; nothing where it was returned or cancelled already."""
        cdef object target = entry.target     # dropped at return, when the heap is whole
        cdef object _last
        if target is None:
            return 0
        entry.target = None
        if PyList_GET_ITEM(self.entries, self.used - 1) == <PyObject *>entry:
            self.used -= 1
            _last = routines_slot_take(self.entries, self.used)
            return 0
        self.cancelled += 1
        if self.cancelled >= COMPACT_AT_LEAST and self.cancelled * 2 > self.used:
            self._compact()
        return 0

    cdef int _compact(self) except -1:
        """Drop the cancelled entries, which hold nothing any more; in place, so that nothing runs meanwhile but their freeing."""
        cdef Py_ssize_t index
        cdef Py_ssize_t kept = 0
        for index in range(self.used):
            if (<TimerEntry>PyList_GET_ITEM(self.entries, index)).target is not None:
                routines_swap(self.entries, kept, index)
                kept += 1
        while self.used > kept:
            self.used -= 1
            routines_slot_take(self.entries, self.used)
        self.cancelled = 0
        for index in range((kept >> 1) - 1, -1, -1):
            sift_down(self.entries, kept, index)
        if PyList_GET_SIZE(self.entries) > 4 * COMPACT_AT_LEAST and kept * 8 < PyList_GET_SIZE(self.entries):
            self._shrink()
        return 0

    cdef int _shrink(self) except -1:
        """Give memory back after a crowd of timers has gone."""
        cdef list narrower
        cdef Py_ssize_t index
        cdef Py_ssize_t size = PyList_GET_SIZE(self.entries) >> 1
        narrower = [None] * size
        if self.used > size or PyList_GET_SIZE(self.entries) <= size:
            return 0
        for index in range(self.used):
            routines_slot_put(narrower, index, routines_slot_take(self.entries, index))
        self.entries = narrower
        return 0

    cdef TimerEntry _remove_first(self):
        cdef TimerEntry entry
        self.used -= 1
        routines_swap(self.entries, 0, self.used)
        entry = routines_slot_take(self.entries, self.used)
        sift_down(self.entries, self.used, 0)
        return entry

    cdef TimerEntry earliest(self):
        """The live entry with the first deadline, or None; drops cancelled ones on the way."""
        cdef TimerEntry entry
        while self.used != 0:
            entry = <TimerEntry>PyList_GET_ITEM(self.entries, 0)
            if entry.target is not None:
                return entry
            self._remove_first()
            self.cancelled -= 1
        return None

    cdef object take_due(self, long long now):
        """The target of the earliest live entry, taken out, where its deadline is not after ``now``; else None."""
        cdef TimerEntry entry = self.earliest()
        cdef object target
        if entry is None or entry.deadline > now:
            return None
        self._remove_first()
        target = entry.target
        entry.target = None
        return target

    cdef Py_ssize_t live(self) noexcept:
        return self.used - self.cancelled
