# cython: language_level=3, binding=False, embedsignature=True, embedsignature.format=clinic
"""A growable FIFO of strong references, the storage of the ready queue and of channel buffers.

Invariants: ``len(slots) == mask + 1`` is a power of two; ``0 <= head <= mask``; ``0 <= used <= mask + 1``; the slots that hold no
item hold None. Not thread-safe by itself: no function here runs Python code, so under the GIL each is one step.
"""

cimport cython
from cpython.object cimport PyObject


@cython.no_gc_clear
cdef class Ring:
    """Not for users: the core makes these."""

    # The list of slots clears itself, so cycles through here are broken there.

    def __cinit__(self):
        self.slots = [None]

    cdef int reserve(self, Py_ssize_t items) except -1:
        """Make room for ``items`` in all; afterwards as many pushes cannot fail. Old contents keep their order.

        Making the larger list may start a collection, and that any code, on this ring as well, and let other threads
        run. So whoever has decided
        something from what the ring, or what is around it, looked like before has to look again.
        """
        cdef Py_ssize_t size
        cdef list slots
        while self.mask + 1 < items:
            size = self.mask + 1
            while size < items:
                size *= 2
            slots = [None] * size
            if size <= self.mask + 1:
                continue    # it was grown meanwhile
            # From here on no reference is made or dropped but None's, so nobody's code runs on a half-moved ring.
            routines_slots_move(<PyObject *>self.slots, self.head, self.used, <PyObject *>slots)
            self.slots = slots
            self.head = 0
            self.mask = size - 1
        return 0
