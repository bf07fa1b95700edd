# The timer heap as a structure. Imports nothing.

cdef class TimerEntry:
    cdef long long deadline         # nanoseconds of the monotonic clock
    cdef unsigned long long order   # among equal deadlines the first made comes first
    cdef object target              # what to expire; None once cancelled or expired


cdef class TimerHeap:
    cdef list entries               # a binary heap by (deadline, order) in the first `used`; None in the others
    cdef Py_ssize_t used
    cdef Py_ssize_t cancelled       # entries whose target is None and which are still in the heap
    cdef unsigned long long next_order

    cdef TimerEntry add(self, long long deadline, object target)
    cdef int put(self, TimerEntry entry, long long deadline, object target) except -1
    cdef int cancel(self, TimerEntry entry) except -1
    cdef TimerEntry earliest(self)
    cdef object take_due(self, long long now)
    cdef Py_ssize_t live(self) noexcept
    cdef int _compact(self) except -1
    cdef int _grow(self) except -1
    cdef int _shrink(self) except -1
    cdef TimerEntry _remove_first(self)
