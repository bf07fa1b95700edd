# Time, as far as other rooms use it.

cdef class Immediate:
    # An awaitable that is complete.
    cdef object value


cdef Immediate nothing()
