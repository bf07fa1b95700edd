# A method whose bound form is kept, as a structure. Imports nothing.

cdef class KeptMethod:
    cdef object method      # the method of the type, unbound
    cdef object owner       # the type
    cdef object bound       # the built-in method that was made last, or None

    cdef Py_ssize_t keeps(self, object instance) noexcept


cdef KeptMethod keep_method(type owner, str name)
