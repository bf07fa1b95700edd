# cython: language_level=3, binding=False, embedsignature=True, embedsignature.format=clinic, always_allow_keywords=False
"""A method whose bound form is kept, and used again.

``async with`` looks up ``__aenter__`` and ``__aexit__`` for each block, and each look-up makes a built-in method and frees it: of
entering a block and leaving it in time this was a fifth. So the built-in method that was made last is bound anew where nobody
else has it. Until then it keeps what it was bound to.
"""

cimport cython
from cpython.object cimport PyObject


cdef extern from *:
    """
    #define routines_bound_to(method) (((PyCFunctionObject *)(method))->m_self)

    /* Nobody may see a method change what it is bound to: it has these references of our own, and not even a weak one. */
    #ifdef Py_GIL_DISABLED
    #  define routines_may_rebind(method, references) 0
    #else
    #  define routines_may_rebind(method, references) \\
         (Py_REFCNT(method) == (references) && ((PyCFunctionObject *)(method))->m_weakreflist == NULL)
    #endif

    static inline void routines_rebind(PyObject *method, PyObject *instance)
    {
        PyObject *before = routines_bound_to(method);
        routines_bound_to(method) = Py_NewRef(instance);
        Py_XDECREF(before);
    }

    #define routines_is_builtin(method) PyCFunction_CheckExact(method)

    /* A compiled type refuses setattr(); this is what that would do. */
    static inline int routines_replace(PyObject *type, PyObject *name, PyObject *descriptor)
    {
        if (PyDict_SetItem(((PyTypeObject *)type)->tp_dict, name, descriptor) < 0) return -1;
        PyType_Modified((PyTypeObject *)type);
        return 0;
    }
    """
    PyObject *routines_bound_to(PyObject *method) noexcept
    bint routines_may_rebind(PyObject *method, Py_ssize_t references) noexcept
    void routines_rebind(PyObject *method, PyObject *instance) noexcept
    bint routines_is_builtin(PyObject *method) noexcept
    int routines_replace(PyObject *owner, PyObject *name, PyObject *descriptor) except -1


@cython.final
cdef class KeptMethod:
    """Not for users: stands in a compiled type in the place of a method."""

    def __get__(self, instance, owner):
        cdef object bound
        if instance is None:
            return self.method
        bound = self.bound
        if bound is not None and type(instance) is self.owner and routines_may_rebind(<PyObject *>bound, 2):
            routines_rebind(<PyObject *>bound, <PyObject *>instance)
            return bound
        bound = self.method.__get__(instance, owner)    # refuses what is no instance
        if routines_is_builtin(<PyObject *>bound):
            self.bound = bound
        return bound

    cdef Py_ssize_t keeps(self, object instance) noexcept:
        """How many references to ``instance`` there are only because it was what the kept one was bound to last."""
        return (
            self.bound is not None
            and routines_bound_to(<PyObject *>self.bound) == <PyObject *>instance
            and routines_may_rebind(<PyObject *>self.bound, 1)
        )


cdef KeptMethod keep_method(type owner, str name):
    """Keep the bound form of this method of a final compiled type."""
    cdef KeptMethod kept = KeptMethod.__new__(KeptMethod)
    kept.method = owner.__dict__[name]
    kept.owner = owner
    routines_replace(<PyObject *>owner, <PyObject *>name, <PyObject *>kept)
    return kept
