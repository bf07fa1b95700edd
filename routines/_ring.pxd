# A growable FIFO of strong references. Imports nothing.
#
# Bodies are here so that each importer compiles them in: a push and a pop are a handful of instructions, less than
# a call through another module's method table.

from cpython.object cimport PyObject


cdef extern from *:
    """
    #include <assert.h>

    /* The slots of a ring are a list that is always full: an empty slot holds None. So the collector sees what a ring
       holds, and a curious debugger that finds the list by way of the collector finds nothing that could crash it. */
    static inline void routines_slot_put(PyObject *slots, Py_ssize_t index, PyObject *item)
    {
        assert(0 <= index && index < PyList_GET_SIZE(slots));
        assert(PyList_GET_ITEM(slots, index) == Py_None);
        Py_INCREF(item);
        PyList_SET_ITEM(slots, index, item);
        Py_DECREF(Py_None);
    }

    /* The slot's reference becomes the caller's, so that taking an item out runs no code of anybody's. */
    static inline PyObject *routines_slot_take(PyObject *slots, Py_ssize_t index)
    {
        PyObject *item;
        assert(0 <= index && index < PyList_GET_SIZE(slots));
        item = PyList_GET_ITEM(slots, index);
        Py_INCREF(Py_None);
        PyList_SET_ITEM(slots, index, Py_None);
        return item;
    }
    """
    void routines_slot_put(list slots, Py_ssize_t index, object item) noexcept
    object routines_slot_take(list slots, Py_ssize_t index)
    # The same over borrowed pointers: a count that goes up and down again for each argument is a quarter of a push.
    void slot_put "routines_slot_put"(PyObject *slots, Py_ssize_t index, PyObject *item) noexcept
    object slot_take "routines_slot_take"(PyObject *slots, Py_ssize_t index)


cdef class Ring:
    cdef list slots         # a power of two of them; those outside head … head + used - 1 hold None
    cdef Py_ssize_t head    # where the oldest item is
    cdef Py_ssize_t used    # how many items there are
    cdef Py_ssize_t mask    # len(slots) - 1

    cdef int reserve(self, Py_ssize_t items) except -1


cdef inline bint ring_is_full(Ring ring) noexcept:
    """Whether the next push needs `reserve` first."""
    return ring.used > ring.mask


cdef inline void ring_push_reserved(Ring ring, object item) noexcept:
    """Append; the caller has seen that there is room. Cannot fail and runs nothing, so it may stand inside a state change."""
    slot_put(<PyObject *>ring.slots, (ring.head + ring.used) & ring.mask, <PyObject *>item)
    ring.used += 1


cdef inline void ring_push_front_reserved(Ring ring, object item) noexcept:
    """Put an item back before the oldest one; the caller has seen that there is room."""
    ring.head = (ring.head - 1) & ring.mask
    slot_put(<PyObject *>ring.slots, ring.head, <PyObject *>item)
    ring.used += 1


cdef inline object ring_pop(Ring ring):
    """Take the oldest item; the caller has seen that ``ring.used`` is not zero."""
    cdef Py_ssize_t index = ring.head
    ring.head = (index + 1) & ring.mask
    ring.used -= 1
    return slot_take(<PyObject *>ring.slots, index)
