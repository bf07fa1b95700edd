# cython: language_level=3
"""The floor: what the interpreter takes for an `await` and a switch when no work is done in them.

`Point` completes at once, `Pause` suspends once; `resume_all` steps suspended coroutines from C.
Nothing that runs Python coroutines can be faster than this. How a value comes out of `await`
depends on the interpreter: 3.11 and 3.15 ask the `am_send` slot, 3.12 to 3.14 `tp_iternext`, where
NULL without an exception means `None` and any other value travels in a `StopIteration`. Both slots
are filled, and the one exception is reused while nobody else holds it. Cython has no name for
`am_send`, so the slots of the three types are set at import.
"""

from cpython.object cimport PyObject

cdef extern from "Python.h":
    ctypedef enum PySendResult:
        PYGEN_RETURN
        PYGEN_ERROR
        PYGEN_NEXT
    ctypedef PySendResult (*sendfunc)(object, object, PyObject **)
    ctypedef PyObject *(*iternextfunc)(object)
    PySendResult PyIter_Send(object iterator, object value, PyObject **result) except PYGEN_ERROR
    PyObject *Py_NewRef(object value)
    void Py_DECREF(PyObject *value)

cdef extern from *:
    """
    static void floor_fill(PyObject *type, sendfunc send, iternextfunc next) {
        ((PyTypeObject *)type)->tp_as_async->am_send = send;
        ((PyTypeObject *)type)->tp_iternext = next;
        PyType_Modified((PyTypeObject *)type);
    }

    /* Raise StopIteration(answer) with the exception of the last time where that is ours alone. */
    static PyObject *floor_stop(PyObject *answer) {
        static PyObject *stop = NULL;
        if (stop == NULL || Py_REFCNT(stop) != 1) {
            Py_XDECREF(stop);
            stop = PyObject_CallOneArg(PyExc_StopIteration, answer);
            if (stop == NULL)
                return NULL;
        }
        else
            Py_XSETREF(((PyStopIterationObject *)stop)->value, Py_NewRef(answer));
    #if PY_VERSION_HEX >= 0x030C0000
        PyErr_SetRaisedException(Py_NewRef(stop));
    #else
        PyErr_SetObject(PyExc_StopIteration, stop);
    #endif
        return NULL;
    }
    """
    void floor_fill(type filled, sendfunc send, iternextfunc next)
    PyObject *floor_stop(object answer) noexcept

cdef object ANSWER = 12345


cdef class _Sent:
    """An operation that is complete already and gives `None`."""

    def __await__(self):
        return self

    def __next__(self):
        """Replaced below, as in the other types: a class without it gets no slots to fill."""


cdef class _Received:
    """An operation that is complete already and gives an int."""

    def __await__(self):
        return self

    def __next__(self):
        """Replaced below."""


cdef class Point:
    """A channel with the channel taken out: `await poke(value)` and `await poke0()`."""

    cdef _Sent sent
    cdef _Received received

    def __cinit__(self):
        self.sent = _Sent()
        self.received = _Received()

    def poke(self, value, /):
        """An awaitable that takes a value and is complete already."""
        return self.sent

    def poke0(self):
        """An awaitable that is complete already and gives an int."""
        return self.received


cdef class Pause:
    """`await pause.once()` suspends its coroutine once."""

    cdef bint suspended

    def once(self):
        """An awaitable that suspends once."""
        return self

    def __await__(self):
        return self

    def __next__(self):
        """Replaced below."""


cdef PySendResult send_sent(object self, object value, PyObject **result) noexcept:
    result[0] = Py_NewRef(None)
    return PYGEN_RETURN


cdef PyObject *next_sent(object self) noexcept:
    return NULL


cdef PySendResult send_received(object self, object value, PyObject **result) noexcept:
    result[0] = Py_NewRef(ANSWER)
    return PYGEN_RETURN


cdef PyObject *next_received(object self) noexcept:
    return floor_stop(ANSWER)


cdef PySendResult send_pause(object self, object value, PyObject **result) noexcept:
    pause = <Pause>self
    pause.suspended = not pause.suspended
    result[0] = Py_NewRef(self if pause.suspended else None)
    return PYGEN_NEXT if pause.suspended else PYGEN_RETURN


cdef PyObject *next_pause(object self) noexcept:
    pause = <Pause>self
    pause.suspended = not pause.suspended
    return Py_NewRef(self) if pause.suspended else NULL


floor_fill(_Sent, send_sent, next_sent)
floor_fill(_Received, send_received, next_received)
floor_fill(Pause, send_pause, next_pause)


def resume_all(list coroutines):
    """Step each coroutine in turn until all of them have ended."""
    cdef PyObject *result
    cdef list suspended
    while coroutines:
        suspended = []
        for coroutine in coroutines:
            if PyIter_Send(coroutine, None, &result) == PYGEN_NEXT:
                suspended.append(coroutine)
            Py_DECREF(result)
        coroutines = suspended
