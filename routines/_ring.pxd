# A growable FIFO of strong references. Imports nothing.
#
# Bodies are here so that each importer compiles them in: a push and a pop are a handful of instructions, less than
# a call through another module's method table.

from cpython.object cimport PyObject


cdef extern from *:
    """
    #include <assert.h>
    #include <string.h>

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

    /* ``count`` references to None more, or fewer, in one write: it is immortal since 3.12. */
    static inline void routines_count_none(Py_ssize_t count)
    {
    #if PY_VERSION_HEX >= 0x030C0000
        (void)count;
    #elif defined(Py_REF_DEBUG)
        for (; count > 0; count--) Py_INCREF(Py_None);
        for (; count < 0; count++) Py_DECREF(Py_None);
    #else
        Py_SET_REFCNT(Py_None, Py_REFCNT(Py_None) + count);
    #endif
    }

    /* Items and the None of as many empty slots change places, whichever of the two lists has which, from ``place`` of one on. */
    static inline void routines_slots_exchange(PyObject *slots, Py_ssize_t first, Py_ssize_t mask,
                                               PyObject *items, Py_ssize_t place, Py_ssize_t count)
    {
        PyObject **ring = ((PyListObject *)slots)->ob_item;
        PyObject **list = ((PyListObject *)items)->ob_item + place;
        assert(0 <= place && place + count <= PyList_GET_SIZE(items) && count <= mask + 1);
        for (Py_ssize_t index = 0; index < count; index++) {
            PyObject *item = ring[(first + index) & mask];
            assert(item == Py_None || list[index] == Py_None);
            ring[(first + index) & mask] = list[index];
            list[index] = item;
        }
    }

    /* ``count`` items from ``first`` on, round the end, become the first of a longer list of nothing but None; what they leave
       is an empty list. Of the counts only None's changes: by those that were written over, and those in slots that held no
       item. */
    static inline void routines_slots_move(PyObject *slots, Py_ssize_t first, Py_ssize_t count, PyObject *longer)
    {
        PyObject **from = ((PyListObject *)slots)->ob_item;
        PyObject **to = ((PyListObject *)longer)->ob_item;
        Py_ssize_t size = PyList_GET_SIZE(slots);
        Py_ssize_t straight = count < size - first ? count : size - first;
        assert(0 <= first && first < size && 0 <= count && count <= size && size <= PyList_GET_SIZE(longer));
        memcpy(to, from + first, (size_t)straight * sizeof(PyObject *));
        memcpy(to + straight, from, (size_t)(count - straight) * sizeof(PyObject *));
        routines_count_none(-size);
        Py_SET_SIZE((PyVarObject *)slots, 0);
    }

    /* Items become those of a list that was made for them, and is not filled yet. */
    static inline void routines_slots_fill(PyObject *slots, Py_ssize_t first, Py_ssize_t mask, PyObject *items, Py_ssize_t count)
    {
        PyObject **ring = ((PyListObject *)slots)->ob_item;
        assert(count <= PyList_GET_SIZE(items) && count <= mask + 1);
        routines_count_none(count);
        for (Py_ssize_t index = 0; index < count; index++) {
            PyList_SET_ITEM(items, index, ring[(first + index) & mask]);
            ring[(first + index) & mask] = Py_None;
        }
    }
    """
    void routines_slot_put(list slots, Py_ssize_t index, object item) noexcept
    object routines_slot_take(list slots, Py_ssize_t index)
    # The same over borrowed pointers: a count that goes up and down again for each argument is a quarter of a push.
    void slot_put "routines_slot_put"(PyObject *slots, Py_ssize_t index, PyObject *item) noexcept
    object slot_take "routines_slot_take"(PyObject *slots, Py_ssize_t index)
    void routines_slots_exchange(
        PyObject *slots, Py_ssize_t first, Py_ssize_t mask, PyObject *items, Py_ssize_t place, Py_ssize_t count
    ) noexcept
    void routines_slots_move(PyObject *slots, Py_ssize_t first, Py_ssize_t count, PyObject *longer) noexcept
    void routines_slots_fill(PyObject *slots, Py_ssize_t first, Py_ssize_t mask, PyObject *items, Py_ssize_t count) noexcept


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


cdef inline Py_ssize_t ring_push_many(Ring ring, list items, Py_ssize_t place, Py_ssize_t at_most) noexcept:
    """Append items of a list from ``place`` on, as many as there is room for: how many. The list has None in their place."""
    cdef Py_ssize_t count = min(at_most, ring.mask + 1 - ring.used)
    routines_slots_exchange(
        <PyObject *>ring.slots, (ring.head + ring.used) & ring.mask, ring.mask, <PyObject *>items, place, count
    )
    ring.used += count
    return count


cdef inline void ring_pop_many(Ring ring, PyObject *items, Py_ssize_t count) noexcept:
    """Take the ``count`` oldest items, no more than there are, into a list that was made for them and is not filled yet."""
    routines_slots_fill(<PyObject *>ring.slots, ring.head, ring.mask, items, count)
    ring.head = (ring.head + count) & ring.mask
    ring.used -= count
