# What a routine asks of the future of somebody else's that it awaits. Imports nothing.
#
# By name that is seven look-ups and two bound methods. Of asyncio's own futures the C functions behind these names are kept, and
# called directly, or the fields behind those are read, where they are known; any other future is asked by name, as tasks do it.

from cpython.object cimport PyObject


cdef extern from *:
    """
    /* All NULL where asyncio's futures are written in Python. */
    static PyTypeObject *routines_future_type = NULL;
    static PyTypeObject *routines_task_type = NULL;
    static PyGetSetDef *routines_future_blocking = NULL;
    static PyGetSetDef *routines_future_loop = NULL;
    static PyObject *routines_future_add_callback = NULL;
    static PyObject *routines_context_keyword = NULL;

    static int routines_learn_futures(PyObject *future, PyObject *task)
    {
        PyObject *blocking = PyObject_GetAttrString(future, "_asyncio_future_blocking");
        PyObject *loop = PyObject_GetAttrString(future, "_loop");
        PyObject *add_callback = PyObject_GetAttrString(future, "add_done_callback");
        /* Interned, so that it is found by its address. */
        routines_context_keyword = Py_BuildValue("(N)", PyUnicode_InternFromString("context"));
        if (blocking != NULL && loop != NULL && add_callback != NULL && routines_context_keyword != NULL
            && Py_IS_TYPE(blocking, &PyGetSetDescr_Type) && Py_IS_TYPE(loop, &PyGetSetDescr_Type)
            && Py_IS_TYPE(add_callback, &PyMethodDescr_Type)
            && PyType_IsSubtype((PyTypeObject *)task, (PyTypeObject *)future)) {
            /* Types and their descriptors live as long as the process. */
            routines_future_blocking = ((PyGetSetDescrObject *)Py_NewRef(blocking))->d_getset;
            routines_future_loop = ((PyGetSetDescrObject *)Py_NewRef(loop))->d_getset;
            routines_future_add_callback = Py_NewRef(add_callback);
            routines_future_type = (PyTypeObject *)Py_NewRef(future);
            routines_task_type = (PyTypeObject *)Py_NewRef(task);
        }
        PyErr_Clear();
        Py_XDECREF(blocking);
        Py_XDECREF(loop);
        Py_XDECREF(add_callback);
        return routines_context_keyword == NULL ? -1 : 0;
    }

    /* The very types: a type derived from them may have its own ideas. */
    #define routines_is_plain_future(future) (Py_IS_TYPE(future, routines_future_type) || Py_IS_TYPE(future, routines_task_type))
    #define routines_get_blocking(future) (routines_future_blocking->get(future, routines_future_blocking->closure))
    #define routines_get_loop(future) (routines_future_loop->get(future, routines_future_loop->closure))

    static inline PyObject *routines_add_callback(PyObject *future, PyObject *callback, PyObject *context)
    {
        PyObject *arguments[3] = {future, callback, context};
        return PyObject_Vectorcall(routines_future_add_callback, arguments, 2, routines_context_keyword);
    }

    /* The fields of a future, which are private to CPython. To go through its methods is two thirds of what parking on a future
       takes; so the callback is put where the method would, and the mark of an await read where it is, if that is where futures
       have them. */
    typedef struct {
        PyObject_HEAD
        PyObject *loop;
        PyObject *callback;
        PyObject *context;
        PyObject *callbacks;    /* those after the first one */
        PyObject *exception;
        PyObject *exception_traceback;
        PyObject *result;
        PyObject *source_traceback;
        PyObject *cancel_message;
    #if PY_VERSION_HEX >= 0x030C0000
        PyObject *cancelled_error;
    #endif
        int state;              /* 0: pending, 1: cancelled, 2: finished */
        int log_traceback;
        int blocking;           /* 1: it was awaited, and nobody has taken note yet */
    } routines_future;

    static int routines_future_layout_known = 0;
    static int routines_blocking_known = 0;     /* its last field too: some interpreters have bits there */

    /* Compare futures in each state, one of which has that callback alone and is awaited, with the layout above. */
    static void routines_learn_layout(PyObject *pending, PyObject *cancelled, PyObject *finished, PyObject *waited_for,
                                      PyObject *loop, PyObject *callback, PyObject *context)
    {
    #if PY_VERSION_HEX < 0x030E0000 && !defined(Py_GIL_DISABLED)
        routines_future *futures[4] = {
            (routines_future *)pending, (routines_future *)cancelled, (routines_future *)finished, (routines_future *)waited_for,
        };
        int states[4] = {0, 1, 2, 0};
        int index;
        int blocking_known = 1;
        if (!Py_IS_TYPE(pending, routines_future_type)
            || routines_future_type->tp_basicsize < (Py_ssize_t)sizeof(routines_future)) return;
        for (index = 0; index < 4; index++) {
            routines_future *future = futures[index];
            if (future->loop != loop || future->callbacks != NULL || future->state != states[index]
                || future->callback != (index == 3 ? callback : NULL) || future->context != (index == 3 ? context : NULL)) return;
            if (future->log_traceback != 0 || future->blocking != (index == 3)) blocking_known = 0;
        }
        routines_future_layout_known = 1;
        routines_blocking_known = blocking_known;
    #else
        (void)pending, (void)cancelled, (void)finished, (void)waited_for, (void)loop, (void)callback, (void)context;
    #endif
    }

    /* Whether it was left there: the future is pending, and has no other callback. */
    static inline int routines_leave_first_callback(PyObject *waited_for, PyObject *callback, PyObject *context)
    {
        routines_future *future = (routines_future *)waited_for;
        if (!routines_future_layout_known || future->state != 0) return 0;
        if (future->callback != NULL || future->callbacks != NULL) return 0;
        future->callback = Py_NewRef(callback);
        future->context = Py_NewRef(context);
        return 1;
    }

    /* Whether it is a future of asyncio's on that loop that was awaited just now; 0 where that takes a closer look. */
    static inline int routines_is_awaited_here(PyObject *candidate, PyObject *loop)
    {
        routines_future *future = (routines_future *)candidate;
        return routines_blocking_known && routines_is_plain_future(candidate) && future->blocking == 1 && future->loop == loop;
    }

    /* The await is noticed. */
    static inline int routines_clear_blocking(PyObject *future)
    {
        if (!routines_blocking_known)
            return routines_future_blocking->set(future, Py_False, routines_future_blocking->closure);
        ((routines_future *)future)->blocking = 0;
        return 0;
    }
    """
    int routines_learn_futures(object future, object task) except -1
    bint routines_is_plain_future(object future) noexcept
    object routines_get_blocking(object future)
    int routines_clear_blocking(object future) except -1
    object routines_get_loop(object future)
    object routines_add_callback(object future, object callback, object context)
    bint routines_is_awaited_here(PyObject *candidate, PyObject *loop) noexcept
    void routines_learn_layout(
        object pending, object cancelled, object finished, object waited_for, object loop, object callback, object context
    ) noexcept
    bint routines_leave_first_callback(object waited_for, object callback, object context) noexcept


cdef inline object future_blocking(object future):
    """Whether it was awaited just now; None of what is no future."""
    if routines_is_plain_future(future):
        return routines_get_blocking(future)
    return getattr(future, "_asyncio_future_blocking", None)


cdef inline object future_loop(object future):
    if routines_is_plain_future(future):
        return routines_get_loop(future)
    get_loop = getattr(future, "get_loop", None)
    if get_loop is not None:
        return get_loop()
    return future._loop


cdef inline int leave_callback(object future, object callback, object context) except -1:
    """Have it called in that context once the future is done, and say that the await is noticed."""
    if routines_is_plain_future(future):
        routines_clear_blocking(future)
        if not routines_leave_first_callback(future, callback, context):
            routines_add_callback(future, callback, context)
    else:
        future._asyncio_future_blocking = False
        future.add_done_callback(callback, context=context)
    return 0
