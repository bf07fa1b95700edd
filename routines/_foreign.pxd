# What a routine asks of the future of somebody else's that it awaits. Imports nothing.
#
# By name that is seven look-ups and two bound methods. Of asyncio's own futures the C functions behind these names are
# kept, and called directly; of any other future the names are asked, as asyncio's tasks do.

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
    #define routines_clear_blocking(future) \\
        (routines_future_blocking->set(future, Py_False, routines_future_blocking->closure))
    #define routines_get_loop(future) (routines_future_loop->get(future, routines_future_loop->closure))

    static inline PyObject *routines_add_callback(PyObject *future, PyObject *callback, PyObject *context)
    {
        PyObject *arguments[3] = {future, callback, context};
        return PyObject_Vectorcall(routines_future_add_callback, arguments, 2, routines_context_keyword);
    }

    /* The method of that descriptor, bound: asking the object for it looks through its types first. */
    static inline PyObject *routines_bind(PyObject *descriptor, PyObject *self)
    {
        return PyCFunction_New(((PyMethodDescrObject *)descriptor)->d_method, self);
    }
    """
    int routines_learn_futures(object future, object task) except -1
    bint routines_is_plain_future(object future) noexcept
    object routines_get_blocking(object future)
    int routines_clear_blocking(object future) except -1
    object routines_get_loop(object future)
    object routines_add_callback(object future, object callback, object context)
    object routines_bind(object descriptor, object self)


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
        routines_add_callback(future, callback, context)
    else:
        future._asyncio_future_blocking = False
        future.add_done_callback(callback, context=context)
    return 0
