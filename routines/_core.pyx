# cython: language_level=3, binding=False, embedsignature=True, embedsignature.format=clinic, always_allow_keywords=False
"""Routines, the scheduler that steps them, and what an operation is.

An operation that cannot complete yields itself, a `Park`, to whoever drives the coroutine, and the driver binds itself to it: a
scheduler stores the `Routine`, an `asyncio.Task` finds a future-like object and leaves its wake-up callback (kept in a
`TaskDriver`). Whoever completes the operation asks the bound driver to wake. So nothing here asks who is running.

Invariants:

- A routine is in exactly one place: in the ready ring (``ROUTINE_READY``, once), being stepped (``ROUTINE_RUNNING``), bound to
a park or a
  foreign future (``ROUTINE_PARKED``), or done. It is in its scheduler's list of live routines until it is done.
- ``park.driver`` is set only while the park is open or was settled and its driver not yet stepped.
- An operation is settled once: ``state`` leaves ``PARK_OPEN`` in the same stretch that unlinks the park and decides its outcome,
  and no Python code runs in that stretch. Whoever finds ``PARK_OPEN`` has won.
- The ring has room for every live routine and every bound task, so making one ready cannot fail for want of memory.

Threads: a scheduler belongs to the thread that runs its loop. Other threads reach it through `Scheduler.make_ready` alone,
which goes
through the inbox and ``call_soon_threadsafe``.
"""

import asyncio
import asyncio.base_tasks
import asyncio.coroutines
import inspect
import os
import sys
import types
import weakref
from asyncio import CancelledError, InvalidStateError
from collections import deque
from collections.abc import Coroutine
from datetime import timedelta

from .errors import Aborted, SpawnError, Timeout

cimport cython
from cpython.exc cimport PyErr_WriteUnraisable
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF

from ._clock cimport routines_coarse_clock, routines_monotonic
from ._current cimport (
    ROUTINES_TASK_IN_DICT, routines_get_task, routines_learn_tasks, routines_no_task, routines_set_task,
)
from ._foreign cimport (
    future_blocking, future_loop, leave_callback, routines_is_awaited_here, routines_is_plain_future,
    routines_learn_futures, routines_learn_layout,
)
from ._heap cimport TimerEntry, TimerHeap
from ._linger cimport (
    routines_forget_lingerers, routines_has_let_go, routines_linger, routines_linger_among, routines_may_linger,
    routines_signal, routines_wakes_sleeper,
)
from ._ring cimport Ring, ring_pop, ring_push_front_reserved, ring_push_reserved
from ._stats cimport RuntimeStats, Traffic, increment, outside


cdef extern from *:
    """
    #if defined(_MSC_VER)
    #  define ROUTINES_THREAD_LOCAL __declspec(thread)
    #else
    #  define ROUTINES_THREAD_LOCAL __thread
    #endif

    /* The scheduler that is draining on this thread; borrowed, the drain holds it. */
    static ROUTINES_THREAD_LOCAL PyObject *routines_draining = NULL;

    /* Where it is: a library's thread-local variable takes a call to find, and the compiler would make one for each use. */
    static inline PyObject **routines_draining_place(void)
    {
        PyObject **place = &routines_draining;
    #if defined(__GNUC__)
        __asm__("" : "+r"(place));
    #endif
        return place;
    }

    /* 1: a native coroutine that has not started; 0: one that has; -1: error. */
    static inline int routines_coroutine_is_fresh(PyObject *coroutine)
    {
    #if PY_VERSION_HEX < 0x030D0000
        return ((PyCoroObject *)coroutine)->cr_frame_state == -2;
    #elif PY_VERSION_HEX < 0x030E0000
        return ((PyCoroObject *)coroutine)->cr_frame_state == -3;
    #else
        /* The frame's state is private here. A frame that exists, does not run and is not suspended has not started. */
        PyObject *flag = PyObject_GetAttrString(coroutine, "cr_suspended");
        int result;
        if (flag == NULL) return -1;
        result = (flag == Py_False);
        Py_DECREF(flag);
        if (!result) return 0;
        flag = PyObject_GetAttrString(coroutine, "cr_running");
        if (flag == NULL) return -1;
        result = (flag == Py_False);
        Py_DECREF(flag);
        if (!result) return 0;
        flag = PyObject_GetAttrString(coroutine, "cr_frame");
        if (flag == NULL) return -1;
        result = (flag != Py_None);
        Py_DECREF(flag);
        return result;
    #endif
    }

    static inline PyObject *routines_iternext_any(PyObject *self);

    /* tp_iternext for every operation: 3.12 to 3.14 await non-generators through it and never ask for am_send. */
    static PyObject *routines_iternext(PyObject *self)
    {
        return routines_iternext_any(self);
    }

    /* The same for what is awaited like an operation but never waits on anything: a slot of its own, see routines_is_park. */
    static PyObject *routines_iternext_simple(PyObject *self)
    {
        PyObject *result = routines_iternext_any(self);
        if (result == self) {
            Py_DECREF(result);
            PyErr_SetString(PyExc_SystemError, "an operation that never waits has yielded itself");
            return NULL;
        }
        return result;
    }

    static inline PyObject *routines_iternext_any(PyObject *self)
    {
        PyObject *result = NULL;
        switch (Py_TYPE(self)->tp_as_async->am_send(self, Py_None, &result)) {
        case PYGEN_NEXT:
            return result;
        case PYGEN_ERROR:
            return NULL;
        default:
            break;
        }
        if (result == Py_None) {
            /* No exception set means None to the interpreter. */
            Py_DECREF(result);
            return NULL;
        }
    #if PY_VERSION_HEX >= 0x030C0000 && ROUTINES_KEEPS_SPARES
        if (PyLong_CheckExact(result) || PyFloat_CheckExact(result) || PyBool_Check(result)) {
            /* One exception serves again and again while nobody else holds it. It keeps its value until the next time, so
               only values that own nothing travel in it: a user's object must not outlive its last use. */
            static PyStopIterationObject *reused = NULL;
            PyStopIterationObject *stop = reused;
            if (stop != NULL && Py_REFCNT(stop) == 1 && stop->traceback == NULL && stop->context == NULL
                && stop->cause == NULL && stop->dict == NULL) {
                PyObject *old = stop->value;
                stop->value = result;
                Py_XDECREF(old);
                PyErr_SetRaisedException(Py_NewRef((PyObject *)stop));
                return NULL;
            }
            stop = (PyStopIterationObject *)PyObject_CallOneArg(PyExc_StopIteration, result);
            Py_DECREF(result);
            if (stop == NULL) return NULL;
            Py_XSETREF(reused, (PyStopIterationObject *)Py_NewRef((PyObject *)stop));
            PyErr_SetRaisedException((PyObject *)stop);
            return NULL;
        }
    #endif
        {
            /* Not PyErr_SetObject: a tuple or an exception as the value would be taken for the arguments. */
            PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, result);
            Py_DECREF(result);
            if (stop != NULL) {
                PyErr_SetObject(PyExc_StopIteration, stop);
                Py_DECREF(stop);
            }
        }
        return NULL;
    }

    /* Every Park type, and no other, has that slot: cheaper than a walk along the base types. */
    #define routines_is_park(object) (Py_TYPE(object)->tp_iternext == routines_iternext)

    static PyObject *routines_call_next(PyObject *self, PyObject *Py_UNUSED(nothing))
    {
        PyObject *result = Py_TYPE(self)->tp_iternext(self);
        if (result == NULL && !PyErr_Occurred()) PyErr_SetNone(PyExc_StopIteration);
        return result;
    }

    static PyMethodDef routines_next_by_name = {"__next__", routines_call_next, METH_NOARGS, NULL};

    static int routines_install_send(PyObject *type, void *send, int is_park)
    {
        PyTypeObject *park = (PyTypeObject *)type;
        PyAsyncMethods *own;
        int result = 0;
        if (park->tp_as_async == NULL || park->tp_iternext == NULL) {
            PyErr_SetString(PyExc_SystemError, "an operation needs __await__ and __next__ before its am_send");
            return -1;
        }
        /* A type that defines no async method itself shares its base's table. One lives as long as its static type. */
        own = (PyAsyncMethods *)PyMem_Malloc(sizeof(*own));
        if (own == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        *own = *park->tp_as_async;
        own->am_send = (sendfunc)send;
        park->tp_as_async = own;
        park->tp_iternext = is_park ? routines_iternext : routines_iternext_simple;
        if (PyDict_GetItemString(park->tp_dict, "__next__") != NULL) {
            /* What is called by that name would be the one that the slot had before. */
            PyObject *by_name = PyDescr_NewMethod(park, &routines_next_by_name);
            if (by_name == NULL) return -1;
            result = PyDict_SetItemString(park->tp_dict, "__next__", by_name);
            Py_DECREF(by_name);
        }
        PyType_Modified(park);
        return result;
    }
    """
    PyObject *routines_draining
    PyObject **routines_draining_place() noexcept
    int routines_coroutine_is_fresh(object coroutine) except -1
    int routines_install_send(object park_type, void *send, bint is_park) except -1
    bint routines_is_park(object candidate) noexcept
    bint is_park_pointer "routines_is_park"(PyObject *candidate) noexcept
    PyObject *routines_iternext(PyObject *self) except? NULL

cdef extern from "Python.h":
    Py_ssize_t PY_SSIZE_T_MAX
    long long PY_TIMEOUT_MAX            # microseconds
    ctypedef void *PyThread_type_lock
    ctypedef enum PyLockStatus:
        PY_LOCK_FAILURE
        PY_LOCK_ACQUIRED
        PY_LOCK_INTR
    enum:
        NOWAIT_LOCK
    PyThread_type_lock PyThread_allocate_lock() noexcept
    void PyThread_free_lock(PyThread_type_lock lock) noexcept
    int PyThread_acquire_lock(PyThread_type_lock lock, int wait) noexcept
    PyLockStatus PyThread_acquire_lock_timed(PyThread_type_lock lock, long long microseconds, bint interrupted) noexcept nogil
    void PyThread_release_lock(PyThread_type_lock lock) noexcept
    PySendResult PyIter_Send(PyObject *iterator, object argument, PyObject **result)
    PySendResult drive "PyIter_Send"(PyObject *iterator, object argument, PyObject **result) except PYGEN_ERROR
    object PyContext_CopyCurrent()
    # Borrowed pointers, where what they point at cannot go meanwhile: no count moves for a call.
    int PyContext_Enter(PyObject *context) noexcept
    int PyContext_Exit(PyObject *context) except -1
    int enter "PyContext_Enter"(PyObject *context) except -1
    bint PyContext_CheckExact(object candidate)
    object PyObject_Vectorcall(object function, PyObject **arguments, size_t count, PyObject *names)
    bint PyCoro_CheckExact(object candidate)
    void PyObject_GC_Track(PyObject *tracked) noexcept
    void PyObject_GC_UnTrack(PyObject *tracked) noexcept
    PyObject *PyList_GET_ITEM(list items, Py_ssize_t index) noexcept
    Py_ssize_t Py_REFCNT(PyObject *candidate)
    Py_ssize_t Py_SIZE(object container)        # of a deque: its length
    int warn "PyErr_WarnEx"(object category, const char *message, Py_ssize_t stack_level) noexcept
    int enter_recursion "Py_EnterRecursiveCall"(const char *where) except 1
    void leave_recursion "Py_LeaveRecursiveCall"()
    int PyErr_CheckSignals() except -1
    int PyList_SetSlice(list items, Py_ssize_t low, Py_ssize_t high, PyObject *replacement) except -1

cdef extern from *:
    """
    #define routines_steal(pointer) (pointer)

    /* A module function that gets its arguments as they lie on the caller's stack: no tuple and no dictionary is
       made, and a keyword
       costs a comparison. Functions live as long as the process, and so do their descriptions. */
    static PyObject *routines_fast_function(PyObject *module, const char *name, void *call, const char *doc)
    {
        PyMethodDef *method = (PyMethodDef *)PyMem_Calloc(1, sizeof(*method));
        if (method == NULL) return PyErr_NoMemory();
        method->ml_name = name;
        method->ml_meth = (PyCFunction)call;
        method->ml_flags = METH_FASTCALL | METH_KEYWORDS;
        method->ml_doc = doc;
        return PyCFunction_NewEx(method, NULL, module);
    }

    /* Cython clears all of an object or nothing. */
    #define routines_install_clear(type, call) ((PyTypeObject *)(type))->tp_clear = (inquiry)(call)

    /* The same for a method of a compiled type. */
    static int routines_fast_method(PyObject *type, const char *name, void *call, const char *doc)
    {
        PyObject *descriptor;
        int result;
        PyMethodDef *method = (PyMethodDef *)PyMem_Calloc(1, sizeof(*method));
        if (method == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        method->ml_name = name;
        method->ml_meth = (PyCFunction)call;
        method->ml_flags = METH_FASTCALL | METH_KEYWORDS;
        method->ml_doc = doc;
        descriptor = PyDescr_NewMethod((PyTypeObject *)type, method);
        if (descriptor == NULL) return -1;
        result = PyDict_SetItemString(((PyTypeObject *)type)->tp_dict, name, descriptor);
        Py_DECREF(descriptor);
        PyType_Modified((PyTypeObject *)type);
        return result;
    }
    """
    object routines_fast_function(object module, const char *name, void *call, const char *doc)
    void routines_install_clear(object type, int (*clear)(PyObject *) noexcept) noexcept
    int routines_fast_method(object made_for, const char *name, void *call, const char *doc) except -1
    object steal "routines_steal"(PyObject *pointer)    # the reference becomes the caller's


cdef enum:
    ROUTINE_READY = 0       # the first two are also indices into STATE_NAMES
    ROUTINE_RUNNING = 1
    ROUTINE_PARKED = 2
    ROUTINE_RETURNED = 3    # this and all after it: done
    ROUTINE_FAILED = 4
    ROUTINE_CANCELLED = 5

cdef enum:
    CANCEL_NOTHING = 0
    CANCEL_AT_STEP = 1          # asked for while it ran or was ready: the next step throws, and returning counts as cancelled
    CANCEL_AT_SUSPENSION = 2    # met a completed operation: that one returns, the next suspension is cancelled
    CANCEL_THROW = 3            # outcome is an exception that the next step throws, no cancellation

cdef enum:
    # A drain steps this many routines at most, and for this long at most, before the loop may serve sockets and timers.
    # A turn of the loop costs 3 to 5 microseconds, so half a millisecond makes it a hundredth.
    DRAIN_BUDGET_STEPS = 20_000
    DRAIN_BUDGET_NS = 500_000
    # The clock is read every so many steps: often where steps are slow, seldom where they are quick.
    CLOCK_STEPS_MAX = 64
    CLOCK_SLICE_NS = 25_000
    # An explored drain lets the loop make so many calls first: what they wake is to be among those it picks from.
    DEFERRED_DRAINS = 64

cdef enum:
    # A loop sleeps for whole milliseconds, and the more of them are late the denser timers lie. One that is due sooner than this
    # is waited for turn by turn.
    TIMER_POLL_NS = 100_000

cdef enum:
    # A thread whose timeout is no longer than this goes to sleep at once.
    LINGER_TIMEOUT_NS = 1_000_000

cdef tuple STATE_NAMES = (
    "ready", "running", "sleep", "chan send", "chan receive", "select", "io wait", "join", "done"
)

cdef object get_running_loop = asyncio._get_running_loop
cdef object asyncio_current_task = asyncio.current_task
cdef object current_tasks = None
cdef object swap_current_task = None
if ROUTINES_TASK_IN_DICT:
    current_tasks = asyncio.tasks._current_tasks
else:
    swap_current_task = asyncio.tasks._swap_current_task    # not covered: from 3.14 on

# How many operations a step may do; fewer than usual where somebody explores. One for the process, as `operations_left` is.
cdef int step_budget = OPERATION_BUDGET

cdef unsigned long long last_id = 0
cdef object schedulers = weakref.WeakSet()
cdef object Context = type(PyContext_CopyCurrent())


cdef int learn_futures() except -1:
    cdef object loop = types.SimpleNamespace(get_debug=bool)    # all that a future asks of a loop whom nobody waits for
    cdef object context = PyContext_CopyCurrent()
    routines_learn_futures(asyncio.Future, asyncio.Task)
    pending = asyncio.Future(loop=loop)
    cancelled = asyncio.Future(loop=loop)
    cancelled.cancel()
    finished = asyncio.Future(loop=loop)
    finished.set_result(None)
    waited_for = asyncio.Future(loop=loop)
    waited_for.add_done_callback(print, context=context)
    waited_for._asyncio_future_blocking = True
    routines_learn_layout(pending, cancelled, finished, waited_for, loop, print, context)
    return 0


cdef int count_processors() except -1:
    cdef object processors = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        processors = len(os.sched_getaffinity(0))
    routines_linger_among(processors)
    return 0


learn_futures()
routines_learn_tasks()
count_processors()
operations_left = OPERATION_BUDGET
debug_enabled = False
governed = 0


def _forget_the_parent():
    # A step that forked goes on in the child, where the parent's loop and its threads do not run any more.
    routines_draining_set(NULL)
    routines_forget_lingerers()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_the_parent)

# The routine that awaits yield_now(), or an operation that it has no budget for, between that and the end of its step; never
# followed. The bare yield that comes out of it is then known to be ours, which gives way to routines, and not asyncio's, which
# gives way to the loop. Each step begins without: one that was driven by hand did not give way, and its routine may be gone, its
# place in memory another's.
cdef PyObject *yielded_now = NULL


cdef inline void yield_to_routines() noexcept:
    """The bare yield that comes next is ours."""
    global yielded_now
    if routines_draining != NULL:
        yielded_now = (<Scheduler>routines_draining).running


# ---------------------------------------------------------------------------------------------------------------------
# Operations


cdef long long monotonic() noexcept:
    """Nanoseconds of the clock that the deadlines of this thread's loop are on: the system's, or a virtual one."""
    cdef Scheduler scheduler
    if governed != 0 and (scheduler := running_scheduler()) is not None and scheduler.virtual_now >= 0:
        return scheduler.virtual_now
    return routines_monotonic()


cdef long long duration(object value, str what) except -1:
    """Nanoseconds from the seconds or the timedelta that a user passed; refuses what is no duration."""
    cdef double seconds
    if type(value) is float:
        seconds = value
    elif isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = value
    elif hasattr(type(value), "__float__") or hasattr(type(value), "__index__"):
        seconds = float(value)
    else:
        raise TypeError(f"{what} must be seconds as a number, or a timedelta, not {value!r}")
    if not seconds >= 0:
        raise ValueError(f"{what} must not be negative or NaN, but is {value!r}")
    if seconds >= 4.6e9:
        return 0x3fffffffffffffff   # a hundred and forty-six years, as good as never: with the clock added it still fits
    return <long long>(seconds * 1e9)


def duration_seconds(value, what, /):
    """The same in seconds, for Python."""
    return duration(value, what) / 1e9


cdef class Driver:
    """Not for users: whoever is bound to an open operation."""

    cdef int wake(self, Park park) except -1:   # not covered: every kind that is woken through here has its own
        raise RuntimeError("a driver cannot be made by hand")


cdef int give_way() except -1:
    """True where the running step has used up its operations: the operation then yields before it has done anything."""
    global operations_left
    cdef Scheduler scheduler
    if operations_left > 0:
        operations_left -= 1
        return 0
    scheduler = running_scheduler()
    if governed != 0 and scheduler is not None and scheduler.explorer is not None:
        if not scheduler.gives_way():
            return 0
    else:
        operations_left = OPERATION_BUDGET
        if scheduler is not None:
            increment(scheduler.counters.budget_yields)
    yield_to_routines()
    return 1


cdef PySendResult park_send(Park park, PyObject *argument, PyObject **result) except PYGEN_ERROR:
    """``am_send`` of an operation: its first step starts it, a later one fetches what came of it."""
    cdef object outcome
    result[0] = NULL    # what it is on an error
    if park.state == PARK_NEW:
        if give_way():
            Py_INCREF(None)
            result[0] = <PyObject *>None
            return PYGEN_NEXT
        if not park.start():
            return yield_park(park, result)
    elif park.state != PARK_COMPLETE:
        return resume_unsettled(park, result)
    outcome = park.finish()
    Py_INCREF(outcome)
    result[0] = <PyObject *>outcome
    return PYGEN_RETURN


cdef PySendResult resume_unsettled(Park park, PyObject **result) except PYGEN_ERROR:
    if park.state == PARK_OPEN:
        if park.driver is not None:
            raise RuntimeError(f"{park!r} is awaited already, by {park.driver!r}; make an operation for each await")
        return yield_park(park, result)     # driven by hand, and asked again too early
    if park.state == PARK_CANCELLED:
        park.state = PARK_DONE
        raise CancelledError()
    raise RuntimeError(f"cannot reuse already awaited {park!r}; make an operation for each await")


cdef int install_send(type park_type, void *send) except -1:
    """Give an operation type its ``am_send``, which Cython has no method for, and the ``tp_iternext`` that goes with it.

    ``send`` is a ``cdef PySendResult send(park, PyObject *argument, PyObject **result) except PYGEN_ERROR`` whose first
    argument has that type.
    """
    return routines_install_send(park_type, send, issubclass(park_type, Park))


cdef int wake(Park park) except -1:
    """Make the driver of a settled operation go on. Runs no Python code of a user's.

    Unbound means that the driver is just about to bind itself: it looks at the state when it does.
    """
    if wake_in_drain(park):
        return 0
    return wake_slowly(park)


cdef int wake_slowly(Park park) except -1:
    cdef Driver driver = park.driver
    if driver is None:
        return 0
    park.driver = None
    if type(driver) is Routine:
        (<Routine>driver).status = ROUTINE_READY
        return (<Routine>driver).scheduler.make_ready(driver)
    return driver.wake(park)


cdef int clear_result(PyObject *garbage) noexcept:
    """What the collector clears of a routine that is done: what it has returned, or was cancelled with, may be itself, or a tuple
    with it. Of all other cycles something else is cleared."""
    cdef object _result     # both are dropped at return
    cdef object _message
    if (<Routine>garbage).status == ROUTINE_RETURNED:
        _result = (<Routine>garbage).outcome
        (<Routine>garbage).outcome = None
    if (<Routine>garbage).status >= ROUTINE_RETURNED:
        _message = (<Routine>garbage).cancel_message
        (<Routine>garbage).cancel_message = None
    return 0


cdef class Park:
    """An operation that a coroutine awaits: the base of every awaitable of this package.

    It has effect only once it is awaited, and once. Outside a routine it looks like a coroutine that yields a future, so
    ``asyncio.create_task``, ``asyncio.wait_for`` and whatever drives coroutines can take it as it is.
    """

    def __cinit__(self):
        self.blocking = -1

    def __init__(self):
        self.state = PARK_DONE      # nobody need be warned that it was not awaited
        raise TypeError(f"{type(self).__name__} is an operation; it is made by the method that starts it")

    cdef int start(self) except -1:
        raise RuntimeError("an operation cannot be made by hand")

    cdef object finish(self):
        self.state = PARK_DONE
        return None

    cdef int unlink(self) except -1:    # not covered: whatever can be open has its own
        return 0

    cdef int give_back(self) except -1:
        return 0

    cdef int expire(self) except -1:    # not covered: whatever has a timer has its own
        return 0

    cdef int release(self) except -1:
        self.state = PARK_DONE
        return 0

    cdef bint committed(self) noexcept:
        return True

    cdef int cancel_through(self, object message) except -1:
        return 0

    cdef object subject(self):
        return None

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):     # not covered: install_send replaces it
        raise RuntimeError("an operation cannot be made by hand")

    def send(self, value, /):
        """The coroutine protocol: start or go on."""
        cdef PyObject *raw = routines_iternext(<PyObject *>self)
        if raw == NULL:
            raise StopIteration
        return steal(raw)

    def throw(self, kind, value=None, traceback=None, /):
        """The coroutine protocol: raise here, unless the operation is complete and the exception a cancellation of the
        running task.

        Then the operation returns, and the cancellation is handed back to the task for its next suspension.
        """
        cdef object error = kind
        cdef object task
        cdef object outcome
        if isinstance(kind, type):
            error = value if isinstance(value, kind) else kind() if value is None else kind(value)
        if traceback is not None:
            error = error.with_traceback(traceback)
        if self.state == PARK_COMPLETE:
            task = current_task() if isinstance(error, CancelledError) and self.committed() else None
            if task is None:
                self.give_back()
            else:
                asyncio.get_running_loop().call_soon(hand_back, task, error.args)
                outcome = self.finish()
                raise StopIteration(outcome)
        elif self.state == PARK_OPEN:
            self.driver = None
            self.unlink()
        self.release()
        raise error

    def close(self):
        """The coroutine protocol: give up. An open operation leaves its channel as it was; an unfetched value goes back."""
        cdef Driver driver = self.driver
        if self.state == PARK_OPEN:
            if type(driver) is Routine:
                # Its coroutine is being closed under it: by the collector, as nothing could wake it, or by hand.
                (<Routine>driver).leaked()
                (<Routine>driver).settle_leaked()
            self.driver = None
            self.unlink()
        elif self.state == PARK_COMPLETE:
            self.give_back()
        self.release()

    # What an asyncio.Task asks of a future that it is given.

    @property
    def _asyncio_future_blocking(self):
        # None before it is awaited: asyncio.isfuture() is to be false, so that gather() and others wrap it in a task.
        return None if self.blocking < 0 else self.blocking > 0

    @_asyncio_future_blocking.setter
    def _asyncio_future_blocking(self, value):
        self.blocking = -1 if value is None else 1 if value else 0

    def get_loop(self):
        """The running loop: an operation belongs to whoever awaits it."""
        return asyncio.get_running_loop()

    def add_done_callback(self, function, /, *, context=None):
        """Bind a plain task: ``function(self)`` runs in ``context`` once the operation is settled."""
        cdef TaskDriver driver
        if self.driver is not None:
            raise RuntimeError(f"{self!r} is awaited already, by {self.driver!r}; make an operation for each await")
        driver = bind_task(self, function, context)
        if self.state == PARK_OPEN:
            self.driver = driver
        else:
            driver.wake(self)       # another thread has settled it since it was yielded

    def remove_done_callback(self, function, /):
        """Unbind the plain task that left ``function``; how many were unbound."""
        cdef Driver driver = self.driver
        if type(driver) is TaskDriver and (<TaskDriver>driver).function == function:
            self.driver = None
            return 1
        return 0

    def cancel(self, msg=None):
        """Leave an open operation and wake its driver with a cancellation; False where it is complete already."""
        cdef Driver driver = self.driver
        if self.state != PARK_OPEN:
            return False
        if self.cancel_through(msg):
            return True
        self.unlink()
        self.state = PARK_CANCELLED
        if type(driver) is TaskDriver:
            (<TaskDriver>driver).cancel_arguments = () if msg is None else (msg,)
            (<TaskDriver>driver).cancelled = True
        wake(self)
        return True

    def done(self):
        return self.state >= PARK_COMPLETE

    def cancelled(self):
        return self.state == PARK_CANCELLED

    def result(self):
        """None: what came of the operation is fetched by going on, and not here."""
        if self.state < PARK_COMPLETE:
            raise InvalidStateError("Result is not set.")
        return None

    def exception(self):
        self.result()
        return None

    def __repr__(self):
        subject = self.subject()
        waits = STATE_NAMES[self.wait] if self.wait < len(STATE_NAMES) else "operation"
        progress = ("not awaited", "waiting", "complete", "cancelled", "done")[self.state]
        if subject is None:
            return f"<{waits} operation, {progress}>"
        return f"<{waits} operation on {subject!r}, {progress}>"


cdef object current_task():
    """What asyncio takes for the running task: an eager task started by a routine is not that routine. None without a loop."""
    cdef object loop = get_running_loop()
    if loop is None:
        return None
    if ROUTINES_TASK_IN_DICT:
        return (<dict>current_tasks).get(loop)
    return asyncio_current_task(loop)   # not covered: from 3.14 on


cdef object task_of(Scheduler scheduler):
    """The same for a scheduler whose loop is running."""
    cdef PyObject *found
    if not ROUTINES_TASK_IN_DICT:
        return asyncio_current_task(scheduler.loop)     # not covered: from 3.14 on
    found = routines_get_task(<PyObject *>current_tasks, <PyObject *>scheduler.loop, scheduler.loop_hash)
    return None if found == NULL else <object>found


cdef class TimerTarget:
    """Not for users: what a timer wakes that is no operation."""

    cdef int expire(self) except -1:    # not covered: whatever has a timer has its own
        raise RuntimeError("what a timer wakes cannot be made by hand")


def hand_back(task, arguments):
    # The count of cancellations is as it was when the operation swallowed this one: zero means that it was taken back.
    if not task.done() and task.cancelling() > 0:
        task.cancel(*arguments)
        task.uncancel()


cdef class WaitQueue:
    """Parks that wait for one thing, in FIFO order; leaving is O(1).

    Neighbours own one another both ways: a chain of a million that is owned one way overflows the C stack when it is dropped.
    """

    cdef int ended(self, Routine routine) except -1:    # not covered: asked of the kinds that have their own
        return 0

    cdef WaitQueue for_one(self):
        return None


cdef int wake_joiners(WaitQueue joiners) except -1:
    cdef Park joiner
    while joiners.first is not None:
        joiner = joiners.first
        queue_remove(<PyObject *>joiners, joiner)
        settle_park(joiner)
    return 0


cdef WaitQueue joiners_of(Routine target):
    """Where those who join ``target`` wait; made where there is none yet, and making it may let others run."""
    cdef WaitQueue found = target.joiners
    cdef WaitQueue made
    if found is None:
        made = WaitQueue.__new__(WaitQueue)
    elif type(found) is WaitQueue:
        return found
    else:
        made = found.for_one()
    # It may have ended meanwhile, and then nothing counts it any more; whoever joins looks at that next.
    if made is not None and (target.joiners is found or target.joiners is None):
        target.joiners = made
    return target.joiners


cdef TaskDriver bind_task(Park park, object function, object context):
    cdef Scheduler scheduler = running_scheduler()
    cdef TaskDriver driver
    if scheduler is None:
        raise RuntimeError("an operation of routines can be awaited only while an asyncio loop runs on this thread")
    driver = TaskDriver.__new__(TaskDriver)
    driver.scheduler = scheduler
    driver.function = function
    driver.run_context = context if context is not None else PyContext_CopyCurrent()
    driver.counted = True
    scheduler.bound_tasks += 1
    scheduler.reserve()
    return driver


@cython.final
@cython.no_gc_clear
cdef class TaskDriver(Driver):
    """Stands for the plain asyncio task that is bound to an operation.

    Its wake-up goes through the scheduler's ring, so a hand-over between plain tasks costs no turn of the loop.
    """
    # Not cleared by the collector: every cycle through here goes through the task, which clears itself.
    cdef Scheduler scheduler
    cdef object function            # the task's wake-up
    cdef object run_context
    cdef bint cancelled
    cdef bint counted               # among scheduler.bound_tasks, so the ring has room for it
    cdef tuple cancel_arguments

    cdef int wake(self, Park park) except -1:
        return self.scheduler.make_ready(self)

    def __del__(self):
        # The collector is about to clear the task that nothing could wake; but the channel that goes with it closes meanwhile,
        # and wakes whoever waits. What has been cleared may not run.
        self.function = None

    def __dealloc__(self):
        if self.counted:
            self.scheduler.bound_tasks -= 1

    cdef int fire(self) except -1:
        cdef object function = self.function
        self.counted = False
        self.scheduler.bound_tasks -= 1
        self.function = None
        if function is None:
            return 0
        enter(<PyObject *>self.run_context)
        try:
            function(self)
        finally:
            PyContext_Exit(<PyObject *>self.run_context)
        return 0

    # The task's wake-up asks the future it was given how things stand; it is given this.

    def result(self):
        if self.cancelled:
            raise CancelledError(*self.cancel_arguments)
        return None

    def __repr__(self):
        return f"<wake-up of {self.function!r}>"


@cython.final
@cython.no_gc_clear
cdef class ThreadDriver(Driver):
    """Stands for a plain thread that is blocked on an operation."""
    # Not cleared by the collector: an operation that still waits is owned by a stack, which no collector clears.
    cdef PyThread_type_lock lock    # held while there is nothing to go on with; NULL: the thread has not slept yet
    cdef long signal                # where it looks while it lingers

    cdef int wake(self, Park park) except -1:
        if self.lock == NULL:
            routines_signal(&self.signal)
        else:
            routines_wakes_sleeper()
            PyThread_release_lock(self.lock)
        return 0

    def __dealloc__(self):
        if self.lock != NULL:
            PyThread_acquire_lock(self.lock, NOWAIT_LOCK)
            PyThread_release_lock(self.lock)    # it may not be freed while it is held
            PyThread_free_lock(self.lock)

    def __repr__(self):
        return "<a blocked thread>"


cdef extern from *:
    """
    /* Up to 3.12 asyncio keeps the running loop in the thread's own dictionary: where that is empty, none has ever run there.
       Asking asyncio costs more than a message does. */
    #if PY_VERSION_HEX < 0x030D0000
    static inline int routines_never_in_loop(void)
    {
        PyObject *own = PyThreadState_GetDict();
        return own != NULL && PyDict_GET_SIZE(own) == 0;
    }
    #else
    #  define routines_never_in_loop() 0
    #endif
    """
    bint routines_never_in_loop() noexcept


cdef bint in_loop() except -1:
    """Whether an event loop runs on this thread."""
    return not routines_never_in_loop() and get_running_loop() is not None


cdef object block_on(Park park, object timeout, str caller):
    """Drive an operation from a thread that runs no loop: what it returns, or raises. Waiting releases the GIL.

    It is settled or unlinked before this returns, whatever ends the wait: the timeout, or a signal handler that raises.
    """
    cdef PyObject *raw = NULL
    cdef PySendResult status
    cdef object yielded
    cdef ThreadDriver driver = None
    cdef long long deadline = -1
    if in_loop():
        park.release()
        raise RuntimeError(f"{caller} was called on a thread that runs an event loop, which it would block; use 'await' there")
    if timeout is not None:
        try:
            deadline = routines_monotonic() + duration(timeout, "timeout")
        except BaseException:
            park.release()
            raise
    try:
        while True:
            status = drive(<PyObject *>park, None, &raw)
            yielded = steal(raw)
            if status == PYGEN_RETURN:
                return yielded
            if park.state != PARK_OPEN:
                continue        # it gave way, or another thread was quick
            if driver is None:
                driver = ThreadDriver.__new__(ThreadDriver)
            if park.state == PARK_OPEN:
                park.driver = driver
                wait_in_thread(driver, park, deadline)
            if park.state == PARK_OPEN:
                park.driver = None
                raise Timeout(f"{caller} was not done within {duration(timeout, 'timeout') / 1e9:g} s: {park!r}")
    except BaseException:
        if park.state == PARK_OPEN:
            park.driver = None
            park.unlink()
        elif park.state == PARK_COMPLETE:
            park.give_back()
        park.release()
        raise


cdef int wait_in_thread(ThreadDriver driver, Park park, long long deadline) except -1:
    """Until the driver is woken, or the deadline has come; a signal handler may raise."""
    cdef long long left = -1
    cdef PyLockStatus status
    if driver.lock == NULL:
        if (deadline < 0 or deadline - routines_monotonic() > LINGER_TIMEOUT_NS) and routines_may_linger():
            driver.signal = 0
            with nogil:
                routines_linger(&driver.signal)
            # What came meanwhile would not interrupt the sleep.
            PyErr_CheckSignals()
            if park.state != PARK_OPEN:
                return 0
        driver.lock = PyThread_allocate_lock()
        if driver.lock == NULL:
            raise MemoryError
        PyThread_acquire_lock(driver.lock, NOWAIT_LOCK)
    while True:
        if deadline >= 0:
            # Rounded up, so that what is left is not waited for again and again.
            left = min(max(deadline - routines_monotonic(), 0) // 1000 + 1, PY_TIMEOUT_MAX)
        with nogil:
            routines_has_let_go()
            status = PyThread_acquire_lock_timed(driver.lock, left, True)
        if status == PY_LOCK_ACQUIRED:
            return 0
        if status == PY_LOCK_INTR:
            PyErr_CheckSignals()
        elif deadline <= routines_monotonic():
            return 0


# ---------------------------------------------------------------------------------------------------------------------
# Routines


cdef object creation_site():
    """``file:line`` of the first frame outside this package, for messages; None where there is none."""
    cdef object code
    cdef object frame
    try:
        frame = sys._getframe(0)
    except ValueError:
        return None
    code = frame.f_code
    return None if code is None else f"{code.co_filename}:{frame.f_lineno}"     # None: from 3.15 on, in place of the error


cdef object spawn_site(Scheduler scheduler):
    """The stack, as asyncio's debug mode keeps it for a task; else ``file:line``."""
    return asyncio.format_helpers.extract_stack() if scheduler.debug else creation_site()


cdef str describe_callable(object candidate):
    return getattr(candidate, "__qualname__", None) or repr(candidate)


cdef int check_coroutine(object candidate) except -1:
    """Raise SpawnError where this cannot be run as a routine."""
    if PyCoro_CheckExact(candidate):
        if routines_coroutine_is_fresh(candidate):
            return 0
        raise SpawnError(
            f"{candidate!r} was started already; call {describe_callable(candidate)}() again for a coroutine of its own"
        )
    if isinstance(candidate, Coroutine):
        return 0
    if inspect.isgenerator(candidate) and candidate.gi_code.co_flags & inspect.CO_ITERABLE_COROUTINE:
        return 0
    if callable(candidate):
        if inspect.iscoroutinefunction(candidate):
            raise SpawnError(
                f"{candidate!r} is an async function, not a coroutine; pass {describe_callable(candidate)}(…), or use go()"
            )
        raise SpawnError(f"{candidate!r} is a function, not a coroutine; spawn() takes what calling an async function returns")
    raise SpawnError(f"{candidate!r} is not a coroutine; pass what calling an async function returns")


def close_quietly(coroutine, /):
    """So that no "never awaited" warning follows the error that the caller is about to raise."""
    close = getattr(coroutine, "close", None)
    if close is not None and (PyCoro_CheckExact(coroutine) or isinstance(coroutine, Coroutine)):
        close()


cdef list fast_texts = []


cdef object fast_function(object module, str name, void *call, str doc):
    """A module function of ``call(module, arguments, count, names)``, see routines_fast_function."""
    cdef bytes raw_name = name.encode()
    cdef bytes raw_doc = doc.encode()
    fast_texts.append((raw_name, raw_doc))      # the description points into them
    return routines_fast_function(module, raw_name, call, raw_doc)


cdef int fast_method(type made_for, str name, void *call, str doc) except -1:
    """A method of ``call(self, arguments, count, names)``, which finds ``self`` checked."""
    cdef bytes raw_name = name.encode()
    cdef bytes raw_doc = doc.encode()
    fast_texts.append((raw_name, raw_doc))
    return routines_fast_method(made_for, raw_name, call, raw_doc)


cdef inline Routine enlisted(Scheduler scheduler, object coroutine, object name, object context):
    """Make the routine: live and ready, but not in the ring yet."""
    cdef Routine routine = Routine.__new__(Routine)
    routine.coroutine = coroutine
    routine.run_context = PyContext_CopyCurrent() if context is None else context
    routine.name = name
    if debug_enabled or scheduler.debug:
        routine.spawn_site = spawn_site(scheduler)
    routine.scheduler = scheduler
    enlist(scheduler, routine)
    return routine


cdef Routine launch(Scheduler scheduler, object coroutine, object name, object context):
    """Make the routine and put it last in the ring. Everything that can fail comes first.

    While a drain runs, what waits for its first step cannot be garbage, so the collector need not look at it: of starting a
    thousand at once, that was an eighth. It is told of those whom the drain has stepped, and of those who are left at its end.
    """
    cdef Routine routine
    if not scheduler.holding and scheduler.drain_handle is None and scheduler.thread == routines_this_thread():
        scheduler.arm()
    routine = enlisted(scheduler, coroutine, name, context)
    if ROUTINES_KEEPS_SPARES and routines_draining == <PyObject *>scheduler and scheduler.explorer is None:
        PyObject_GC_UnTrack(<PyObject *>routine)
        routine.untracked = True
        scheduler.untracked += 1
    scheduler.make_ready(routine)
    return routine


cdef inline void track(Routine routine) noexcept:
    routine.untracked = False
    routine.scheduler.untracked -= 1
    PyObject_GC_Track(<PyObject *>routine)


cdef Routine hold(Scheduler scheduler, object coroutine, Park gate):
    """Make a routine that may not take its first step before `let_go` is called with ``gate``; meanwhile its state is "ready".

    It is parked like any other, so a cancellation unlinks the gate and ends it.
    """
    cdef Routine routine = enlisted(scheduler, coroutine, None, None)
    gate.wait = ROUTINE_READY       # the index of that name
    gate.state = PARK_OPEN
    gate.blocking = 0
    gate.driver = routine
    routine.waiter = gate
    routine.parked_at = routines_monotonic()
    routine.status = ROUTINE_PARKED
    return routine


cdef int let_go(Park gate) except -1:
    """Put what `hold` has made into the ring, as if it had been started now; the gate is unlinked already."""
    cdef Routine routine = <Routine>gate.driver
    gate.driver = None
    gate.state = PARK_DONE
    routine.waiter = None
    routine.status = ROUTINE_READY
    return routine.scheduler.make_ready(routine)


cdef int enlist(Scheduler scheduler, Routine routine) except -1:
    """From here on it is live and ready; the caller puts it into the ring or steps it."""
    global last_id
    scheduler.live_routines += 1
    try:
        scheduler.reserve()
    except BaseException:
        scheduler.live_routines -= 1
        raise
    routine.status = ROUTINE_READY
    last_id += 1
    routine.id = last_id
    routine.live_previous = NULL
    routine.live_next = scheduler.live
    if scheduler.live != NULL:
        (<Routine>scheduler.live).live_previous = <PyObject *>routine
    scheduler.live = <PyObject *>routine
    increment(scheduler.counters.spawned)
    if register_routine is not None:
        register_routine(routine)
    return 0


cdef void delist(Scheduler scheduler, Routine routine) noexcept:
    if routine.live_previous != NULL:
        (<Routine>routine.live_previous).live_next = routine.live_next
    else:
        scheduler.live = routine.live_next
    if routine.live_next != NULL:
        (<Routine>routine.live_next).live_previous = routine.live_previous
    routine.live_previous = NULL
    routine.live_next = NULL
    scheduler.live_routines -= 1


cdef int check_enterable(object context) except -1:
    enter(<PyObject *>context)
    PyContext_Exit(<PyObject *>context)
    return 0


cdef object check_context(object context):
    if context is not None and not PyContext_CheckExact(context):
        raise TypeError(f"context must be a contextvars.Context, not {context!r}")
    return context


def spawn(coro, *, name=None, context=None):
    """Start a coroutine as a routine on the running loop; it takes its first step at the next turn, in FIFO order.

    Nobody has to keep the handle: a routine that is ready, sleeping or waiting for anything outside channels is kept alive.

    Args:
        coro: what calling an async function returned.
        name: for messages; ``Routine-<id>`` where it is None.
        context: the ``contextvars.Context`` to run in; a copy of the caller's where it is None.

    Returns:
        The `Routine`.

    Raises:
        SpawnError: ``coro`` is no coroutine, was started already, or no loop is running. A coroutine passed without a running
            loop is closed, so that no warning follows.

    Example:
        >>> import routines
        >>> async def double(x):
        ...     return 2 * x
        >>> async def main():
        ...     return await routines.spawn(double(21)).join()
        >>> routines.run(main())
        42
    """
    cdef Scheduler scheduler = running_scheduler()
    if scheduler is None:
        close_quietly(coro)
        raise SpawnError(no_loop(coro))
    check_coroutine(coro)
    if context is not None:
        check_context(context)
    return launch(scheduler, coro, None if name is None else str(name), context)


cdef str no_loop(object candidate):
    return (
        f"no event loop is running on this thread, so {candidate!r} cannot be started; "
        "call this inside an async function, or start one with routines.run()"
    )


cdef object coroutine_to_go(Scheduler scheduler, PyObject **arguments, Py_ssize_t count, PyObject *names):
    """What a function such as go() is to start, from the arguments that it got."""
    cdef object function
    cdef object coroutine
    if count == 0:
        raise TypeError("go() takes an async function and its arguments")
    function = <object>arguments[0]
    if scheduler is None:
        if not callable(function):
            close_quietly(function)
        raise SpawnError(no_loop(function))
    if PyCoro_CheckExact(function) or not callable(function):
        if count > 1 or names != NULL:
            raise SpawnError(
                f"{function!r} is not a function, so it cannot be given arguments; pass the async function itself"
            )
        coroutine = function
        check_coroutine(coroutine)
    else:
        coroutine = PyObject_Vectorcall(function, arguments + 1, count - 1, names)
        if not PyCoro_CheckExact(coroutine):
            if not isinstance(coroutine, Coroutine):
                raise SpawnError(
                    f"{describe_callable(function)} is not an async function: calling it returned {coroutine!r}; "
                    "pass an async function"
                )
        elif not routines_coroutine_is_fresh(coroutine):
            check_coroutine(coroutine)
    return coroutine


cdef object call_go(PyObject *module, PyObject **arguments, Py_ssize_t count, PyObject *names):
    cdef Scheduler scheduler = running_scheduler()
    return launch(scheduler, coroutine_to_go(scheduler, arguments, count, names), None, None)


go = fast_function(__name__, "go", <void *>call_go, """go(fn, /, *args, **kwargs)
--

Go's ``go f(x)``: call an async function and start what it returns as a routine.

Args:
    fn: an async function, called at once with the other arguments; or a coroutine, as `spawn` takes it, and then
        nothing else.

Returns:
    The `Routine`.

Raises:
    SpawnError: ``fn`` is neither, or did not return a coroutine, or no loop is running. ``fn`` is not called without a loop.

Example:
    >>> import routines
    >>> async def double(x):
    ...     return 2 * x
    >>> async def main():
    ...     return await routines.go(double, 21).join()
    >>> routines.run(main())
    42
""")


def task_factory(loop, coro, **kwargs):
    """For ``loop.set_task_factory(routines.task_factory)``: ``asyncio.create_task`` then makes routines."""
    return Routine(coro, loop=loop, **kwargs)


def current():
    """The routine that is running here, or None in a plain task, in a callback, or in no loop at all."""
    cdef object task = current_task()
    return task if type(task) is Routine else None


def live_routines():
    """Every routine that is not done, over all loops, oldest first for each loop."""
    cdef Scheduler scheduler
    cdef PyObject *node
    cdef list found = []
    cdef list part
    for scheduler in list(schedulers):
        part = []
        node = scheduler.live
        while node != NULL:
            # Zero means that it is just being freed, and one of its weak reference callbacks asked.
            if Py_REFCNT(node) > 0:
                part.append(<object>node)
            node = (<Routine>node).live_next
        part.reverse()
        found += part
    return found


def describe_wait(Routine routine, /):
    """Its state, what it waits on, for how many seconds (below zero: it does not wait), and where it was spawned."""
    cdef object subject = None
    cdef double seconds = -1
    if routine.status == ROUTINE_PARKED:
        subject = (<Park>routine.waiter).subject() if routines_is_park(routine.waiter) else routine.waiter
        seconds = max(0, routine.scheduler.shown_now() - routine.parked_at) / 1e9
    return routine.wait_name(), subject, seconds, None if routine.spawn_site is None else routine.spawned_at()


cdef object register_routine = None


def register_each(function, /):
    """Have ``function`` called with every routine from now on; for an asyncio that cannot be told of them otherwise."""
    global register_routine
    register_routine = function


def set_debug(enabled, /):
    """Record where routines are spawned and channels are made, for `repr`, warnings and dumps; costs about a microsecond each."""
    global debug_enabled
    debug_enabled = bool(enabled)


@cython.final
@cython.no_gc_clear
cdef class Routine(Driver):
    """Routine(coro, *, loop=None, name=None, context=None, eager_start=False)
--

A running async function: what `go` and `spawn` return.

It does what ``asyncio.Task`` documents, so it can stand wherever asyncio and libraries take a task, and adds `join`, `abort`,
`id` and `state`.
`cancel` and `abort` stop it in the same way; they differ in what `join` raises (`Aborted`) and what awaiting the
routine itself raises (``asyncio.CancelledError``).

Args:
    coro: a coroutine.
    loop: the loop to run on; the running one where it is None.
    name: for messages.
    context: the ``contextvars.Context`` to run in; a copy of the current one where it is None.
    eager_start: whether its first step is made at once, where the loop is running, and not in its turn.

Raises:
    TypeError: ``coro`` is no coroutine.
    RuntimeError: no loop is given and none is running; or ``eager_start`` in a context that is entered already.
"""

    # Not cleared by the collector: __del__ ends a routine before anything is cleared, and closes its coroutine, which drops what
    # that held; every other cycle through here goes through an exception, a list or a context, which clear themselves.

    def __cinit__(self):
        self.status = ROUTINE_RETURNED      # of no scheduler yet: nothing may happen to it
        self._log_destroy_pending = True

    def __init__(self, coro, *, loop=None, name=None, context=None, eager_start=False):
        cdef Scheduler scheduler
        if self.scheduler is not None:
            raise RuntimeError(f"{self!r} was started already")
        if not asyncio.coroutines.iscoroutine(coro):
            raise TypeError(f"a coroutine was expected, got {coro!r}")
        if loop is None:
            scheduler = running_scheduler()
            if scheduler is None:
                close_quietly(coro)
                raise RuntimeError("no running event loop")
        else:
            scheduler = scheduler_of(loop)
        self.coroutine = coro
        self.run_context = PyContext_CopyCurrent() if context is None else check_context(context)
        self.name = None if name is None else str(name)
        scheduler.debug = scheduler.loop.get_debug()
        if debug_enabled or scheduler.debug:
            self.spawn_site = spawn_site(scheduler)
        if eager_start and scheduler is running_scheduler():
            check_enterable(self.run_context)
            self.scheduler = scheduler
            enlist(scheduler, self)
            scheduler.step_at_once(self)
        else:
            self.scheduler = scheduler
            enlist(scheduler, self)
            scheduler.make_ready(self)
            if scheduler.drain_handle is None:
                # So the loop knows of it, should a routine enter the loop again before its step is over.
                scheduler.arm()

    @property
    def __class__(self):
        # What libraries ask by isinstance() is whether they may use it as a task, and they may.
        return asyncio.Task

    @classmethod
    def __class_getitem__(cls, item, /):
        return types.GenericAlias(cls, item)

    # -- outcome

    cdef int settle(self, object outcome, bint is_error, unsigned char status) except -1:
        """The coroutine is finished: publish the outcome, wake who joins, schedule the callbacks."""
        cdef Scheduler scheduler = self.scheduler
        cdef object callbacks
        cdef WaitQueue joiners
        if self.status >= ROUTINE_RETURNED:
            return 0
        if self.untracked:
            track(self)
        self.outcome = outcome
        self.outcome_is_error = is_error
        self.waiter = None
        self.cancelling_step = CANCEL_NOTHING
        self.status = status
        delist(scheduler, self)
        if status == ROUTINE_RETURNED:
            increment(scheduler.counters.completed)
        elif status == ROUTINE_FAILED:
            increment(scheduler.counters.failed)
            self.log_traceback = True
        else:
            increment(scheduler.counters.aborted)
        joiners = self.joiners
        if joiners is not None:
            if type(joiners) is WaitQueue:
                wake_joiners(joiners)
            else:
                joiners.ended(self)     # somebody counts routines
        callbacks = self.callbacks
        if callbacks is not None:
            self.callbacks = None
            for function, context in callbacks:
                self.call_back(function, context)
        return 0

    cdef int call_back(self, object function, object context) except -1:
        """Have the loop call it; a routine may be collected on any thread, and after its loop was closed."""
        cdef object loop = self.get_loop()
        if self.scheduler.thread == routines_this_thread():
            schedule = loop.call_soon
        else:
            schedule = loop.call_soon_threadsafe
        try:
            schedule(function, self, context=context)
        except RuntimeError:
            if not loop.is_closed():
                raise
        return 0

    cdef object take_result(self):
        """The result, or the exception raised as it was: with the traceback it ended with, however often it is raised."""
        cdef object error
        if not self.outcome_is_error:
            return self.outcome
        self.log_traceback = False
        error, traceback = self.outcome
        raise error.with_traceback(traceback)

    cdef object joined_result(self):
        """The same for whoever joined: a cancelled routine raises Aborted."""
        cdef object error
        if self.status == ROUTINE_CANCELLED:
            error = self.outcome[0]
            raise Aborted(error.args[0] if error.args else None, routine=self) from error
        return self.take_result()

    def done(self):
        """Whether it has returned, raised or been cancelled."""
        return self.status >= ROUTINE_RETURNED

    def cancelled(self):
        """Whether it ended by a cancellation."""
        return self.status == ROUTINE_CANCELLED

    def result(self):
        """What the coroutine returned; raises what it raised, ``CancelledError`` where it was cancelled,
        ``InvalidStateError`` before it is done."""
        if self.status < ROUTINE_RETURNED:
            raise InvalidStateError("Result is not set.")
        return self.take_result()

    def exception(self):
        """The exception that ended it, or None; raises ``CancelledError`` where it was cancelled, ``InvalidStateError``
        before it is done."""
        if self.status < ROUTINE_RETURNED:
            raise InvalidStateError("Exception is not set.")
        if self.status == ROUTINE_CANCELLED:
            return self.take_result()
        self.log_traceback = False
        return self.outcome[0] if self.outcome_is_error else None

    def set_result(self, result, /):
        raise RuntimeError("Task does not support set_result operation")

    def set_exception(self, exception, /):
        raise RuntimeError("Task does not support set_exception operation")

    def add_done_callback(self, function, /, *, context=None):
        """Have the loop call ``function(routine)`` soon after it is done, in ``context`` or a copy of the current one."""
        if context is None:
            context = PyContext_CopyCurrent()
        if self.status >= ROUTINE_RETURNED:
            self.call_back(function, context)
        elif self.callbacks is None:
            self.callbacks = [(function, context)]
        else:
            self.callbacks.append((function, context))

    def remove_done_callback(self, function, /):
        """Take back every callback equal to ``function``; how many there were."""
        cdef list callbacks = self.callbacks
        cdef list kept
        if callbacks is None:
            return 0
        kept = []
        for pair in callbacks:
            if pair[0] != function:
                kept.append(pair)       # a comprehension drops its item twice where there is no memory (Cython 3.3.1)
        removed = len(callbacks) - len(kept)
        if self.callbacks is not None:      # a comparison is the user's code: it may have ended the routine
            self.callbacks = kept or None
        return removed

    def __await__(self):
        """The result, as awaiting a task gives it; cancelled: ``CancelledError``."""
        return join_operation(self, False, -1)

    __iter__ = __await__

    def join(self, timeout=None):
        """Wait for the end and return the result; any number may join, and each gets the outcome.

        A joiner that is cancelled leaves the routine alone.

        Args:
            timeout: seconds as a float, or a timedelta; None waits for ever.

        Returns:
            What the coroutine returned.

        Raises:
            Aborted: it was stopped, by `abort` or `cancel`; ``reason`` is what they were given.
            Timeout: it was not done in time; it goes on.
            ValueError: ``timeout`` is negative or NaN.
            BaseException: what the coroutine raised, as it was.
        """
        return join_operation(self, True, -1 if timeout is None else duration(timeout, "timeout"))

    def join_blocking(self, timeout=None):
        """`join` for a plain thread, which is blocked meanwhile.

        Args:
            timeout: seconds as a float, or a timedelta; None waits for ever.

        Returns:
            What the coroutine returned.

        Raises:
            Aborted: it was stopped, by `abort` or `cancel`; ``reason`` is what they were given.
            Timeout: it was not done in time; it goes on.
            ValueError: ``timeout`` is negative or NaN.
            RuntimeError: an event loop runs on this thread, and would be blocked.
            BaseException: what the coroutine raised, as it was.
        """
        return block_on(join_operation(self, True, -1), timeout, "join_blocking()")

    # -- cancellation

    cdef object cancelled_error(self):
        message = self.cancel_message
        return CancelledError() if message is None else CancelledError(message)

    cdef int cancel_now(self, object message) except -1:
        """Bring a requested cancellation as far as it goes now; the rest is up to the next step."""
        cdef Park park
        self.cancel_message = message
        if self.cancelling_step == CANCEL_THROW:
            self.outcome = None
        if self.status == ROUTINE_PARKED:
            if not routines_is_park(self.waiter):
                # A foreign future: it answers, and its callback brings the cancellation.
                if self.waiter.cancel(msg=message):
                    return 0
                self.cancelling_step = CANCEL_AT_STEP
                return 0
            park = <Park>self.waiter
            if park.state == PARK_OPEN:
                if park.cancel_through(message):
                    return 0
                park.unlink()
                park.state = PARK_CANCELLED
                return wake(park)
        if routines_is_park(self.waiter) and (<Park>self.waiter).state == PARK_COMPLETE:
            if self.cancelling_step == CANCEL_NOTHING:
                self.cancelling_step = CANCEL_AT_SUSPENSION
            return 0
        self.cancelling_step = CANCEL_AT_STEP
        return 0

    def cancel(self, msg=None):
        """Ask it to stop: ``CancelledError`` is raised at its current or next suspension; False where it is done.

        A cancellation that meets a completed operation lets that one return and is raised at the next suspension.
        """
        self.log_traceback = False
        if self.status >= ROUTINE_RETURNED:
            return False
        self.cancel_requests += 1
        self.cancel_now(msg)
        return True

    def abort(self, reason=None):
        """Stop it at its current suspension; its ``finally`` blocks run.

        Args:
            reason: what `join` is to say, as ``Aborted.reason``.

        Returns:
            False where it was done already.
        """
        if self.status >= ROUTINE_RETURNED:
            return False
        return self.cancel(reason)

    def cancelling(self):
        """How many cancellations were asked for and not taken back."""
        return self.cancel_requests

    def uncancel(self):
        """Take one cancellation back; the last one also stops one that was not raised yet. How many are left."""
        if self.cancel_requests > 0:
            self.cancel_requests -= 1
            if self.cancel_requests == 0 and self.cancelling_step in (CANCEL_AT_STEP, CANCEL_AT_SUSPENSION):
                self.cancelling_step = CANCEL_NOTHING
        return self.cancel_requests

    # -- what asyncio and libraries look at

    @property
    def _asyncio_future_blocking(self):
        return False

    @property
    def _must_cancel(self):
        return self.cancelling_step in (CANCEL_AT_STEP, CANCEL_AT_SUSPENSION)

    @property
    def _fut_waiter(self):
        return self.waiter

    @property
    def _loop(self):
        return self.scheduler.loop if self.scheduler is not None else None

    @property
    def _coro(self):
        return self.coroutine

    @property
    def _exception(self):
        return self.outcome[0] if self.status == ROUTINE_FAILED else None

    @property
    def _result(self):
        return self.outcome if self.status == ROUTINE_RETURNED else None

    @property
    def _cancel_message(self):
        return self.cancel_message

    @_cancel_message.setter
    def _cancel_message(self, value):
        self.cancel_message = value

    def _make_cancelled_error(self):
        return self.outcome[0] if self.status == ROUTINE_CANCELLED else self.cancelled_error()

    @property
    def _state(self):
        if self.status < ROUTINE_RETURNED:
            return "PENDING"
        return "CANCELLED" if self.status == ROUTINE_CANCELLED else "FINISHED"

    @property
    def _source_traceback(self):
        return self.spawn_site if isinstance(self.spawn_site, list) else None

    @property
    def _asyncio_awaited_by(self):
        # Since 3.14 asyncio.capture_call_graph() follows this.
        cdef Park joiner = joiners_of(self).first
        waiting = set()
        while joiner is not None:
            if type(joiner.driver) is Routine:
                waiting.add(joiner.driver)
            elif type(joiner.driver) is TaskDriver:
                waiting.add(getattr((<TaskDriver>joiner.driver).function, "__self__", None))
            joiner = joiner.next
        waiting.discard(None)
        return waiting or None

    @property
    def _callbacks(self):
        return list(self.callbacks) if self.callbacks is not None else []

    @property
    def _log_traceback(self):
        return self.log_traceback

    @_log_traceback.setter
    def _log_traceback(self, value):
        if value:
            raise ValueError("_log_traceback can only be set to False")
        self.log_traceback = False

    def get_loop(self):
        """The loop it runs on."""
        if self.scheduler is None:
            raise RuntimeError("Routine object is not initialized.")
        return self.scheduler.loop

    def get_coro(self):
        """The coroutine."""
        return self.coroutine

    def get_context(self):
        """The ``contextvars.Context`` it runs in."""
        return self.run_context

    def get_name(self):
        """Its name, ``Routine-<id>`` unless it was given one."""
        if self.name is None:
            self.name = f"Routine-{self.id}"
        return self.name

    def set_name(self, value, /):
        """Give it a name, for messages; None takes back the one it was given."""
        # The create_task of some 3.13 sets the name None where it was given none.
        self.name = None if value is None else str(value)

    def get_stack(self, *, limit=None):
        """The frames where it is suspended, or those of the traceback that ended it; at most ``limit``."""
        return asyncio.base_tasks._task_get_stack(self, limit)

    def print_stack(self, *, limit=None, file=None):
        """Print the frames of `get_stack` to ``file``, stderr where it is None."""
        asyncio.base_tasks._task_print_stack(self, limit, file)

    @property
    def state(self):
        """What it does: ``ready``, ``running``, ``sleep``, ``chan send``, ``chan receive``, ``select``, ``io wait``,
        ``join`` or ``done``."""
        return self.wait_name()

    cdef str wait_name(self):
        if self.status >= ROUTINE_RETURNED:
            return "done"
        if self.status != ROUTINE_PARKED:
            return STATE_NAMES[self.status]
        if routines_is_park(self.waiter):
            return STATE_NAMES[(<Park>self.waiter).wait]
        return "join" if isinstance(self.waiter, Routine) else "io wait"

    def __repr__(self):
        cdef str text = f"<Routine {self.get_name()!r} id={self.id} {self.wait_name()}"
        cdef object subject
        if self.cancel_requests > 0 and self.status < ROUTINE_RETURNED:
            text += " cancelling"
        if self.status == ROUTINE_PARKED:
            subject = (<Park>self.waiter).subject() if routines_is_park(self.waiter) else self.waiter
            if isinstance(subject, Routine):
                text += f" {(<Routine>subject).get_name()!r}"
            elif subject is not None:
                text += f" {subject!r}"
        elif self.status == ROUTINE_FAILED:
            text += f" raised={self.outcome[0]!r}"
        elif self.status == ROUTINE_CANCELLED:
            text += " cancelled"
        if self.coroutine is not None:
            text += f" coro=<{asyncio.coroutines._format_coroutine(self.coroutine)}>"
        if self.spawn_site is not None:
            text += f" spawned at {self.spawned_at()}"
        return text + ">"

    cdef object spawned_at(self):
        if isinstance(self.spawn_site, list):
            frame = self.spawn_site[-1]
            return f"{frame.filename}:{frame.lineno}"
        return self.spawn_site

    # -- foreign futures

    # -- the end of a routine that nobody ends

    cdef int leaked(self) except -1:
        """Nothing can wake it any more: say so, once. Called before its coroutine is closed."""
        cdef str site = "?"
        cdef object frame
        if self.status >= ROUTINE_RETURNED or self.status == ROUTINE_RUNNING:
            return 0
        if not self._log_destroy_pending:
            return 0
        self._log_destroy_pending = False       # once
        frame = getattr(self.coroutine, "cr_frame", None)
        if frame is not None:
            site = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        if self.status == ROUTINE_PARKED:
            why = "was blocked for ever and is collected: no living code could wake it"
        else:
            why = "never went on and is collected: its event loop stopped while it was ready"
        spawned = self.spawned_at()
        if spawned is None:
            spawned = "unknown; routines.set_debug(True) records it"
        emit_warning(
            ResourceWarning,
            f"{self!r} {why} (blocked at {site}, spawned at {spawned})",
            self,
        )
        return 0

    def __del__(self):
        cdef Scheduler scheduler = self.scheduler
        if scheduler is None:
            return
        if self.status < ROUTINE_RETURNED:
            self.leaked()
            self.settle_leaked()
            self.close_coroutine()
        if self.log_traceback:
            self.log_traceback = False
            report = {
                "message": f"{type(self).__name__} exception was never retrieved",
                "exception": self.outcome[0],
                "task": self,
                "future": self,
            }
            if self._source_traceback is not None:
                report["source_traceback"] = self._source_traceback
            scheduler.loop.call_exception_handler(report)

    cdef int settle_leaked(self) except -1:
        return self.settle((CancelledError("no living code could wake it"), None), True, ROUTINE_CANCELLED)

    cdef int close_coroutine(self) except -1:
        """Run its finally blocks, in its context."""
        cdef bint entered = False
        try:
            enter(<PyObject *>self.run_context)
            entered = True
        except RuntimeError:
            pass    # it is collected from inside its own context, so they run in that anyway
        try:
            self.coroutine.close()
        finally:
            if entered:
                PyContext_Exit(<PyObject *>self.run_context)
        return 0


cdef JoinPark join_operation(Routine target, bint with_aborted, long long timeout):
    cdef JoinPark park = JoinPark.__new__(JoinPark)
    park.wait = WAIT_JOIN
    park.target = target
    park.with_aborted = with_aborted
    park.timeout = timeout
    return park


@cython.final
cdef class JoinPark(Park):
    """Waiting for the end of a routine."""
    cdef Routine target
    cdef Scheduler scheduler    # whose timer it is
    cdef TimerEntry timer
    cdef long long timeout      # nanoseconds; below zero: none
    cdef bint with_aborted      # join(): a cancelled target raises Aborted, and not CancelledError
    cdef bint expired
    cdef bint cancelling        # is passing a cancellation on

    cdef int start(self) except -1:
        cdef Routine target = self.target
        cdef Scheduler scheduler
        if target is None:
            raise RuntimeError("an operation cannot be made by hand")
        # What has to be made is made before anything is decided: making it may let others run.
        scheduler = running_scheduler()
        joiners_of(target)
        if self.timeout > 0 and target.status < ROUTINE_RETURNED:
            if scheduler is None:
                self.release()
                raise RuntimeError("join() with a timeout needs a running event loop")
            self.scheduler = scheduler
            self.timer = scheduler.start_timer(monotonic() + self.timeout, self)
        if target.status >= ROUTINE_RETURNED:
            self.state = PARK_COMPLETE
            return 1
        if scheduler is not None and current_task() is target:
            self.stop_timer()
            self.release()
            raise RuntimeError(f"Task cannot await on itself: {target!r}")
        if self.timeout == 0:
            self.expired = True
            self.state = PARK_COMPLETE
            return 1
        self.state = PARK_OPEN
        queue_append(<PyObject *>target.joiners, self)
        return 0

    cdef object finish(self):
        cdef Routine target = self.target
        self.state = PARK_DONE
        self.target = None
        if self.timer is not None:
            self.stop_timer()
        if self.expired:
            raise Timeout(f"{target!r} was not done within {self.timeout / 1e9:g} s; it goes on")
        return target.joined_result() if self.with_aborted else target.take_result()

    cdef int stop_timer(self) except -1:
        cdef TimerEntry timer = self.timer
        self.timer = None
        return 0 if timer is None else self.scheduler.stop_timer(timer)

    cdef int unlink(self) except -1:
        if self.timer is not None:
            self.stop_timer()
        if self.target is not None:
            queue_remove(<PyObject *>self.target.joiners, self)
        return 0

    cdef int cancel_through(self, object message) except -1:
        # As with asyncio's tasks, cancelling one that awaits a routine cancels that routine, whose end then brings the
        # cancellation; join() leaves it alone. Two that await each other come back here.
        if self.with_aborted or self.cancelling:
            return self.cancelling
        enter_recursion(" while a cancellation is passed along a chain of routines that await each other")
        self.cancelling = True
        try:
            return self.target.cancel(message)
        finally:
            self.cancelling = False
            leave_recursion()

    cdef int expire(self) except -1:
        if self.state != PARK_OPEN:
            return 0
        queue_remove(<PyObject *>self.target.joiners, self)
        self.expired = True
        return settle_park(self)

    cdef int release(self) except -1:
        self.state = PARK_DONE
        self.target = None
        return 0

    cdef object subject(self):
        return self.target

    def __dealloc__(self):
        warn_if_new(self)


cdef int emit_warning(object category, str message, object about) except -1:
    """Warn from where nobody can catch: turned into an error, it goes to ``sys.unraisablehook``."""
    cdef bytes text = message.encode(errors="backslashreplace")
    if warn(category, text, 1) < 0:
        PyErr_WriteUnraisable(about)
    return 0


cdef int never_awaited(object operation) except -1:
    # The operation is being freed: nobody may be given a reference to it, only its text.
    return emit_warning(RuntimeWarning, f"{operation!r} was never awaited, so nothing has happened", None)


cdef void warn_if_new(Park park) noexcept:
    """An operation is being dropped: say so where it was never awaited, as for a coroutine."""
    if park.state == PARK_NEW:
        never_awaited(park)


# ---------------------------------------------------------------------------------------------------------------------
# The scheduler


cdef Scheduler running_scheduler():
    """The scheduler of the loop that runs on this thread, made where it has none; None without a loop."""
    cdef object loop
    cdef Scheduler scheduler
    if routines_draining != NULL:
        return <Scheduler>routines_draining
    loop = get_running_loop()
    if loop is None:
        return None
    scheduler = scheduler_of(loop)
    scheduler.thread = routines_this_thread()      # a loop may run on another thread than last time
    return scheduler


cdef int count_select() except -1:
    """A select has come to its outcome here."""
    cdef Scheduler scheduler
    if routines_draining != NULL:
        increment((<Scheduler>routines_draining).counters.selects)
        return 0
    scheduler = running_scheduler()
    if scheduler is not None:
        increment(scheduler.counters.selects)
    return 0


def read_stats(list known, /):
    """The `RuntimeStats` of a runtime with these schedulers, worker 0's first.

    All is made before the first look, and no Python code runs from there to the last one: so it is one instant.
    """
    cdef list made = [RuntimeStats.__new__(RuntimeStats) for _ in known]
    cdef RuntimeStats total = RuntimeStats.__new__(RuntimeStats)
    cdef tuple workers = tuple(made)
    cdef long long now = routines_monotonic()
    cdef RuntimeStats part
    cdef Scheduler scheduler
    cdef Py_ssize_t index
    total.workers = workers
    total.channels = outside.channels
    for index in range(len(known)):
        scheduler = known[index]
        part = <RuntimeStats>made[index]
        part.workers = ()
        part.uptime = (now - scheduler.started) * 1e-9
        if index == 0:
            total.uptime = part.uptime
            total.sends = outside.sends - scheduler.sent_before
            total.receives = outside.receives - scheduler.received_before
        part.routines_spawned = scheduler.counters.spawned
        part.routines_active = scheduler.live_routines
        part.routines_completed = scheduler.counters.completed
        part.routines_failed = scheduler.counters.failed
        part.routines_aborted = scheduler.counters.aborted
        part.switches = scheduler.counters.switches
        part.parks = scheduler.counters.parks
        part.budget_yields = scheduler.counters.budget_yields
        part.ready = scheduler.ready.used + len(scheduler.inbox) + scheduler.giving_way
        part.timers = scheduler.timers.live()
        part.channels = scheduler.traffic.channels
        part.sends = scheduler.traffic.sends
        part.receives = scheduler.traffic.receives
        part.selects = scheduler.counters.selects
        total.add(part)
    return total


cdef dict bare_loops = {}       # loops that take no attributes, and their schedulers


cdef Scheduler scheduler_of(object loop):
    cdef object found = getattr(loop, "_routines_scheduler", None)
    if type(found) is Scheduler:
        return <Scheduler>found
    found = bare_loops.get(loop)
    if found is not None:
        return <Scheduler>found
    found = new_scheduler(loop)
    try:
        # The loop owns its scheduler, so both go together, by the collector.
        loop._routines_scheduler = found
    except AttributeError:
        for other in [other for other in bare_loops if other.is_closed()]:
            del bare_loops[other]
        bare_loops[loop] = found
    return <Scheduler>found


def scheduler_for(loop, /):
    """The scheduler of a loop, which is made where there is none yet."""
    return scheduler_of(loop)


cdef Scheduler new_scheduler(object loop):
    cdef Scheduler scheduler = Scheduler.__new__(Scheduler)
    scheduler.loop = loop
    scheduler.loop_hash = hash(loop)
    scheduler.call_soon = loop.call_soon
    scheduler.loop_ready = getattr(loop, "_ready", None)
    if type(scheduler.loop_ready) is not deque:
        scheduler.loop_ready = None
    scheduler.read_wakeup = getattr(loop, "_read_from_self", None)
    scheduler.debug = loop.get_debug()
    scheduler.thread = routines_this_thread()
    scheduler.started = routines_monotonic()
    scheduler.sent_before = outside.sends
    scheduler.received_before = outside.receives
    schedulers.add(scheduler)
    return scheduler


@cython.final
@cython.no_gc_clear
cdef class Scheduler:
    """Not for users: one a loop, it steps the routines there."""

    # What ends late in a collection may still find its scheduler whole: every cycle through here goes through the loop, through
    # a list, a set or a handle, and these clear themselves.

    def __cinit__(self):
        self.ready = Ring.__new__(Ring)
        self.timers = TimerHeap.__new__(TimerHeap)
        self.traffic = Traffic.__new__(Traffic)
        self.foreign = [None] * 8       # a list that would be empty now and then gives its memory back every time
        self.inbox = []
        self.steps_to_clock = 1
        self.virtual_now = -1

    def __init__(self):
        raise TypeError("a scheduler is made by the first routine on a loop")

    def spawn(self, coro, /):
        """Start a coroutine here, from any thread."""
        check_coroutine(coro)
        return launch(self, coro, None, None)

    @property
    def load(self):
        """How many routines here are not done."""
        return self.live_routines

    @property
    def quiet(self):
        """Whether there is nobody to step and no timer; asked on the thread of its loop."""
        return (
            self.ready.used == 0 and not self.inbox and self.gave_way is None and self.drain_handle is None
            and self.timers.live() == 0
        )

    @property
    def activity(self):
        """A number that every step changes."""
        return self.counters.switches

    @property
    def thread_id(self):
        """The thread that ran its loop last."""
        return self.thread

    cdef int reserve(self) except -1:
        """Room in the ring for everybody who may be in it at once."""
        cdef Py_ssize_t everybody = self.live_routines + self.bound_tasks
        if everybody > self.ready.mask:
            self.ready.reserve(everybody + 1)
        return 0

    cdef int make_ready(self, Driver driver) except -1:
        """Put a woken driver last in the ring; from any thread."""
        if self.thread != routines_this_thread():
            self.inbox.append(driver)
            if self.lingering:
                routines_signal(&self.signal)
            elif not self.told:
                routines_wakes_sleeper()
                self.told = True        # before it is: it may collect before the call has returned
                try:
                    self.loop.call_soon_threadsafe(self._collect)
                except BaseException as error:
                    self.told = False
                    if isinstance(error, RuntimeError) and self.loop.is_closed():
                        # Nobody will ever step there again; what was woken keeps what it was given until it is collected.
                        return 0
                    # A signal handler, most likely, that has raised in the middle: who was woken is not to suffer from that.
                    self.told = True
                    try:
                        self.loop.call_soon_threadsafe(self._collect)
                    except BaseException:
                        self.told = False
                        self.woken_by_others = True     # so the next drain looks
                    raise
            return 0
        ring_push_reserved(self.ready, driver)
        if not self.holding and self.drain_handle is None:
            self.arm()
        return 0

    def _collect(self):
        self.thread = routines_this_thread()
        self.collect_woken()
        self.drain(None, None)

    cdef int collect_woken(self) except -1:
        """What other threads have woken goes to the ring, in the order they did it. Nothing is made, so all of it goes."""
        cdef Driver driver
        self.woken_by_others = True
        self.told = False
        for driver in self.inbox:
            ring_push_reserved(self.ready, driver)
        return PyList_SetSlice(self.inbox, 0, PY_SSIZE_T_MAX, NULL)

    cdef bint loop_is_idle(self) except -1:
        """Whether the loop has nothing to call; that something woke it, which it looks at next, is nothing."""
        scheduled = self.loop_ready
        if scheduled is None or Py_SIZE(scheduled) == 0:
            return True     # of a loop that does not let itself be looked into, nobody knows
        return (
            Py_SIZE(scheduled) == 1 and type(self.read_wakeup) is types.MethodType
            and type(callback := getattr(scheduled[0], "_callback", None)) is types.MethodType and callback == self.read_wakeup
        )

    cdef bint linger(self) except -1:
        """Whether another thread has woken somebody here, in the moment that this one looks for that before the loop's turn."""
        self.woken_by_others = False
        if self.inbox and not self.told:
            self.collect_woken()        # the loop could not be told
            return True
        if self.drain_handle is not None or self.inbox or not self.loop_is_idle() or not routines_may_linger():
            return False
        if self.published:
            self.unpublish()
        self.signal = 0
        self.lingering = True
        with nogil:
            routines_linger(&self.signal)
        self.lingering = False
        if not self.inbox:
            return False
        self.collect_woken()
        return True

    cdef int arm(self) except -1:
        """Have the loop call the drain."""
        cdef object handle
        cdef object asked
        try:
            if routines_draining != <PyObject *>self and get_running_loop() is not self.loop:
                # It does not run, or another thread has taken it over, which may be asleep over its selector. That thread may
                # have drained before the call returns, and the handle is none any more then.
                self.drain_handle = asked = object()
                try:
                    handle = self.loop.call_soon_threadsafe(self._drain)
                except BaseException:
                    self.drain_handle = None
                    raise
                if self.drain_handle is asked:
                    self.drain_handle = handle
            else:
                self.drain_handle = self.call_soon(self._drain)
        except BaseException:
            if self.loop.is_closed():
                # Nobody will ever step here again. What is in the ring keeps what it was given until it is collected.
                return 0
            raise
        return 0

    cdef int arm_at(self, Py_ssize_t place) except -1:
        """The same, before what was scheduled since the loop had ``place`` calls to make: nobody in the ring came after those."""
        self.arm()
        scheduled = self.loop_ready
        if scheduled is not None and place < len(scheduled) - 1 and scheduled[-1] is self.drain_handle:
            scheduled.insert(place, scheduled.pop())
        return 0

    cdef bint take_back(self, Py_ssize_t others) except -1:
        """Ask the loop no more for the drain that it was asked for last, where ``others`` calls at most come before it.

        It was asked in the drain that runs: what a turn of the loop has begun with may not be taken away from it.
        """
        scheduled = self.loop_ready
        if scheduled is None or not scheduled or len(scheduled) - 1 > others or scheduled[-1] is not self.drain_handle:
            return False
        scheduled.pop()
        self.drain_handle = None
        return True

    def _drain(self):
        self.drain_handle = None
        self.drain(None, None)

    cdef int give_way_to_loop(self, Routine routine) except -1:
        """Have the loop go on with it after all that it has to call by now, and before what comes later, as it does with tasks.

        Those that give way with nothing scheduled between them share a call.
        """
        cdef object scheduled = self.loop_ready
        if scheduled is not None and self.gave_way_handle is not None and scheduled and scheduled[-1] is self.gave_way_handle:
            self.gave_way.append(routine)
            self.giving_way += 1
            return 0
        self.gave_way = [routine]
        try:
            self.gave_way_handle = self.call_soon(self._next_turn, self.gave_way)
        except BaseException:
            self.gave_way = self.gave_way_handle = None
            ring_push_reserved(self.ready, routine)
            raise
        self.giving_way += 1
        return 0

    def _next_turn(self, list routines):
        self.giving_way -= len(routines)
        if routines is self.gave_way:
            self.gave_way_handle = None
            self.gave_way = None
        routines.reverse()
        self.drain(routines.pop(), routines)

    cdef int drain(self, Routine first, list others) except -1:
        """Step whoever is ready until nobody is, or the budget is spent; then the loop has its turn.

        Those that are in the ring now are stepped in any case, as a turn of the loop runs all that it begins with: what was
        scheduled after them may not overtake them. The budget is for those that they wake.

        ``first`` and ``others``, the last one next: routines that this call of the loop's is for, so they come before those in
        the ring. These go on at once only where that overtakes nothing that the loop has to call already; else in their turn,
        as asyncio's tasks do.
        """
        cdef PyObject *outer = routines_draining
        cdef object item = first
        cdef Routine routine
        cdef int steps = 0
        cdef int steps_left = self.steps_to_clock
        cdef long long started
        cdef long long looked
        cdef long long now
        cdef Py_ssize_t scheduled = 0 if self.loop_ready is None else Py_SIZE(self.loop_ready)
        cdef bint asked = self.drain_handle is not None
        cdef Py_ssize_t waiting = self.ready.used if first is None else 0
        if self.draining:
            return self.drain_inside(first, others)
        self.draining = True
        self.holding = first is None
        self.thread = routines_this_thread()
        routines_draining_set(<PyObject *>self)
        started = looked = self.clock = routines_monotonic() if first is None else routines_coarse_clock()
        try:
            if first is None and self.ready.used != 0:
                item = ring_pop(self.ready)
            while item is not None:
                if type(item) is Routine:
                    self.step(<Routine>item)
                else:
                    if self.published:
                        self.unpublish()
                    reset_operations()
                    (<TaskDriver>item).fire()
                if others:
                    item = others.pop()
                    continue
                if self.ready.used == 0:
                    if not self.woken_by_others or not self.holding:
                        break
                    item = None         # nobody is kept who is done; what goes with it may wake others
                    if self.ready.used == 0 and not self.linger():
                        break
                    now = routines_monotonic()
                    if now - started > DRAIN_BUDGET_NS:
                        break
                    looked = self.clock = now
                    steps_left = self.steps_to_clock
                if not self.holding:
                    # Where those in the ring are next anyway, nothing is overtaken.
                    if asked or not self.take_back(0):
                        break
                    self.holding = True
                    started = looked = self.clock = routines_monotonic()
                steps += 1
                steps_left -= 1
                if steps_left <= 0:
                    now = routines_monotonic()
                    if steps >= waiting and (now - started > DRAIN_BUDGET_NS or steps >= DRAIN_BUDGET_STEPS):
                        break
                    if now - looked > CLOCK_SLICE_NS:
                        self.steps_to_clock = max(1, self.steps_to_clock >> 1)
                    elif self.steps_to_clock < CLOCK_STEPS_MAX:
                        self.steps_to_clock <<= 1
                    steps_left = self.steps_to_clock
                    looked = self.clock = now
                item = ring_pop(self.ready)
        finally:
            item = None
            self.running = NULL
            if others:      # a KeyboardInterrupt went through
                for routine in reversed(others):
                    ring_push_reserved(self.ready, routine)
            if self.published:
                self.unpublish()
            routines_draining_set(outer)
            self.draining = self.holding = False
            if self.untracked != 0:
                self.track_ready()
            if self.drain_handle is None:
                if self.ready.used != 0:
                    self.arm_at(scheduled)
            elif self.ready.used == 0 and not asked:
                self.take_back(PY_SSIZE_T_MAX)
        return 0

    cdef int unpublish(self) except -1:
        self.published = False
        if ROUTINES_TASK_IN_DICT:
            routines_no_task(<PyObject *>current_tasks, <PyObject *>self.loop, self.loop_hash)
        else:
            swap_current_task(self.loop, None)      # not covered: from 3.14 on
        return 0

    cdef int track_ready(self) except -1:
        """The collector is told of those who wait for their first step. They came last, so what is older is not looked at."""
        cdef Py_ssize_t place = self.ready.used
        cdef PyObject *item
        while self.untracked != 0 and place != 0:
            place -= 1
            item = PyList_GET_ITEM(self.ready.slots, (self.ready.head + place) & self.ready.mask)
            if type(<object>item) is Routine and (<Routine>item).untracked:
                track(<Routine>item)
        return 0

    cdef int step_at_once(self, Routine routine) except -1:
        """The first step, inside of whatever runs: that is as it was afterwards."""
        cdef PyObject *running = self.running
        cdef bint published = self.published
        cdef object task = current_task()
        cdef int operations = operations_left
        try:
            self.step(routine)
        finally:
            set_operations(operations)
            self.resume(running, published, task)
        return 0

    cdef int drain_inside(self, Routine first, list others) except -1:
        """A drain inside of a step, whose routine has entered the loop again, as nest_asyncio lets it."""
        cdef PyObject *running = self.running
        cdef bint published = self.published
        cdef bint holding = self.holding
        cdef object task
        if self.explorer is not None and running == NULL:
            return self.drain_explored(first, others)
        task = current_task()
        self.draining = False
        try:
            self.drain(first, others)
        finally:
            self.draining = True
            self.holding = holding
            self.resume(running, published, task)
        return 0

    # -- under a test's control, see routines.testing

    def explore(self, explorer, /):
        """Have ``explorer`` decide who is stepped next and which operations give way first; None: nobody any more."""
        self.govern(explorer, self.virtual_now)

    def set_virtual_time(self, nanoseconds, /):
        """Have the deadlines here be on a clock that stands still until it is set again; None: on the system's."""
        self.govern(self.explorer, -1 if nanoseconds is None else nanoseconds)

    cdef int govern(self, object explorer, long long virtual_now) except -1:
        global governed
        cdef bint before = self.explorer is not None or self.virtual_now >= 0
        if explorer is not self.explorer:
            if routines_draining == <PyObject *>self:
                raise RuntimeError("a routine cannot change who explores its own scheduler")
            self.explorer = explorer
            # As if it were in a drain all the time: each drain then takes the way of a nested one, and that alone looks for an
            # explorer. So a scheduler that nobody explores pays nothing.
            self.draining = explorer is not None
        self.virtual_now = virtual_now
        governed += (explorer is not None or virtual_now >= 0) - before
        return 0

    cdef long long now(self) noexcept:
        """What its deadlines are compared with."""
        return self.virtual_now if self.virtual_now >= 0 else routines_monotonic()

    cdef long long shown_now(self) noexcept:
        """What `clock` is read from."""
        return self.now() if self.explorer is not None else routines_monotonic()

    cdef int drain_explored(self, Routine first, list others) except -1:
        """`drain` where somebody explores: one step of whom it picks, and then it is the loop's turn.

        So whatever that step has woken, by way of the loop's callbacks too, is in the ring when the next one is picked.
        """
        global step_budget
        cdef PyObject *outer = routines_draining
        cdef object item
        if first is not None:
            ring_push_reserved(self.ready, first)
        while others:
            ring_push_reserved(self.ready, <Routine>others.pop())
        self.thread = routines_this_thread()
        if self.ready.used == 0:
            return 0
        if self.loop_ready is not None and Py_SIZE(self.loop_ready) != 0 and self.deferred < DEFERRED_DRAINS:
            self.deferred += 1
            return self.arm() if self.drain_handle is None else 0
        self.deferred = 0
        self.clock = self.shown_now()
        self.holding = True
        routines_draining_set(<PyObject *>self)
        try:
            item = self.take_picked()
            # With none left, each operation asks whether it is to give way.
            step_budget = 0 if self.explorer.interposes else OPERATION_BUDGET
            if type(item) is Routine:
                self.step(<Routine>item)
            else:
                reset_operations()
                (<TaskDriver>item).fire()
        finally:
            step_budget = OPERATION_BUDGET
            item = None
            self.running = NULL
            if self.published:
                self.unpublish()
            routines_draining_set(outer)
            self.holding = False
            if self.ready.used != 0 and self.drain_handle is None:
                self.arm()
        return 0

    cdef list in_ring(self):
        """Who is ready, the first to become so first."""
        cdef Py_ssize_t place
        return [self.ready.slots[(self.ready.head + place) & self.ready.mask] for place in range(self.ready.used)]

    cdef object take_picked(self):
        """Take out of the ring whom the explorer picks; the others keep their order."""
        cdef list passed = []
        cdef object picked
        cdef Py_ssize_t place = self.explorer.pick(self.in_ring())
        if not 0 <= place < self.ready.used:
            raise IndexError(f"{self.explorer!r} picked number {place} of {self.ready.used} that are ready")
        while len(passed) < place:
            passed.append(ring_pop(self.ready))
        picked = ring_pop(self.ready)
        while passed:
            ring_push_front_reserved(self.ready, passed.pop())
        return picked

    cdef int gives_way(self) except -1:
        """Whether the explorer has an operation let others go first; it is not asked where there are none."""
        if self.ready.used == 0 and (self.loop_ready is None or Py_SIZE(self.loop_ready) == 0):
            return 0
        return bool(self.explorer.gives_way(None if self.running == NULL else <object>self.running, self.in_ring()))

    cdef int resume(self, PyObject *running, bint published, object task) except -1:
        """What ran before goes on."""
        self.running = running
        self.published = published
        if not ROUTINES_TASK_IN_DICT:
            swap_current_task(self.loop, task)      # not covered: from 3.14 on
        elif task is None:
            (<dict>current_tasks).pop(self.loop, None)
        else:
            (<dict>current_tasks)[self.loop] = task
        return 0

    cdef int step(self, Routine routine) except -1:
        """Run a routine to its next suspension, and see what it wants."""
        return step_in_context(self, routine, False)

    cdef int never_begin(self, Routine routine, object error) except -1:
        """It is cancelled before its first step, so none of its code runs.

        What it was called with is let go, for whoever keeps the routine would keep it too, in the traceback of ``error``: a
        sender that stays open, and receivers that wait for its channel to close.
        """
        cdef PyObject *raw = NULL
        routines_throw(routine.coroutine, THROW, error, &raw)
        error = routines_take_error()
        routine.settle((error, None), True, ROUTINE_CANCELLED)
        error.__traceback__ = None      # what goes with it may run anybody's code, which finds the routine done
        return 0

    cdef int park_routine(self, Routine routine, Park park) except -1:
        """Bind the routine to the operation that it is waiting for."""
        if park.driver is not None:
            return self.bad_yield(routine, RuntimeError(f"{park!r} is awaited already, by {park.driver!r}"))
        park.blocking = 0
        routine.waiter = park
        if park.state != PARK_OPEN:
            # Another thread has settled it since it was yielded.
            routine.status = ROUTINE_READY
            return self.make_ready(routine)
        increment(self.counters.parks)
        routine.parked_at = self.clock
        park.driver = routine
        routine.status = ROUTINE_PARKED
        # Where nothing was in the way, it was bound already: what is left is a cancellation that waits for a suspension.
        routine.cancelling_step = CANCEL_NOTHING
        return routine.cancel_now(routine.cancel_message)

    cdef int fail_step(self, Routine routine, bint inside) except -1:
        """The coroutine raised; the exception is set."""
        cdef object error = routines_take_error()
        if not inside:
            PyContext_Exit(<PyObject *>routine.run_context)
        self.running = NULL
        if isinstance(error, CancelledError):
            return routine.settle((error, error.__traceback__), True, ROUTINE_CANCELLED)
        routine.settle((error, error.__traceback__), True, ROUTINE_FAILED)
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise error
        return 0

    cdef int unstartable(self, Routine routine) except -1:
        """Its context is entered already, so it can never run; the exception that says so is set."""
        cdef object error = routines_take_error()
        self.running = NULL
        routine.coroutine.close()
        return routine.settle((error, error.__traceback__), True, ROUTINE_FAILED)

    cdef int bad_yield(self, Routine routine, object error) except -1:
        """The next step throws ``error`` into the coroutine, as asyncio does for what a task cannot wait for."""
        routine.waiter = None
        if routine.cancelling_step == CANCEL_NOTHING:
            routine.outcome = error
            routine.cancelling_step = CANCEL_THROW
        else:
            routine.cancelling_step = CANCEL_AT_STEP    # a cancellation takes its place
        routine.status = ROUTINE_READY
        self.make_ready(routine)
        return 0

    cdef object refuse_future(self, Routine routine, object future):
        """Why the routine cannot wait for what it has yielded, as asyncio says it; None: it can."""
        cdef object blocking = future_blocking(future)
        if blocking is None:
            if inspect.isgenerator(future):
                return RuntimeError(
                    f"yield was used instead of yield from for generator in task {routine!r} with {future!r}"
                )
            return RuntimeError(f"Task got bad yield: {future!r}")
        if future_loop(future) is not self.loop:
            return RuntimeError(f"Task {routine!r} got Future {future!r} attached to a different loop")
        if not blocking:
            return RuntimeError(f"yield was used instead of yield from in task {routine!r} with {future!r}")
        return None

    # -- timers

    cdef TimerEntry start_timer(self, long long deadline, object target):
        """Have ``target.expire()`` called once ``deadline``, nanoseconds of the monotonic clock, has come.

        The target is an operation or a `TimerTarget`.
        """
        if self.refuses_time:
            if isinstance(target, Park):
                (<Park>target).release()
            raise RuntimeError("timers are switched off here: this runtime was configured with enable_time=False")
        cdef TimerEntry entry = self.timers.add(deadline, target)
        if self.timer_handle is None or deadline < self.timer_deadline:
            self.arm_timer()
        return entry

    cdef int restart_timer(self, TimerEntry entry, long long deadline, object target) except -1:
        """`start_timer` with an entry that was used before, is in no heap, and is nobody else's."""
        if self.refuses_time:
            raise RuntimeError("timers are switched off here: this runtime was configured with enable_time=False")
        self.timers.put(entry, deadline, target)
        if self.timer_handle is None or deadline < self.timer_deadline:
            self.arm_timer()
        return 0

    cdef int stop_timer(self, TimerEntry entry) except -1:
        return self.timers.cancel(entry)

    cdef int arm_timer(self) except -1:
        """One timer of the loop's for the earliest of ours. One that was cancelled since may fire for nothing."""
        cdef TimerEntry first = self.timers.earliest()
        cdef long long delay
        if self.timer_handle is not None:
            self.timer_handle.cancel()
            self.timer_handle = None
        if first is None:
            return 0
        delay = first.deadline - self.now()
        self.timer_deadline = first.deadline
        if delay < TIMER_POLL_NS and (delay <= 0 or self.virtual_now < 0):
            self.timer_handle = self.call_soon(self._timers_due)
        else:
            self.timer_handle = self.loop.call_later(delay * 1e-9, self._timers_due)
        return 0

    def _timers_due(self):
        self.timer_handle = None
        if 0 <= self.virtual_now < self.timer_deadline:
            self.virtual_now = self.timer_deadline      # the loop's own time, a float, is rounded
        self.fire_timers()
        self.drain(None, None)

    cdef int fire_timers(self) except -1:
        cdef long long now = self.now()
        cdef object target
        cdef TimerEntry next_one
        try:
            while True:
                if self.explorer is not None and self.ready.used != 0:
                    next_one = self.timers.earliest()
                    if next_one is not None and next_one.deadline <= now and self.explorer.choose(2):
                        # One of those that are ready is stepped before the next one fires.
                        self.deferred = DEFERRED_DRAINS
                        break
                target = self.timers.take_due(now)
                if target is None:
                    break
                if routines_is_park(target):
                    (<Park>target).expire()
                else:
                    (<TimerTarget>target).expire()
        finally:
            if self.timer_handle is None:
                self.arm_timer()
        return 0


cdef extern from *:
    """
    #define routines_draining_set(scheduler) (routines_draining = (scheduler))

    /* The routine waits for the operation, whose reference is taken over, and is its driver. Both had None there. */
    #define routines_bind_driver(park, routine) \\
        do { \\
            struct __pyx_obj_8routines_5_core_Routine *routine_ = (struct __pyx_obj_8routines_5_core_Routine *)(routine); \\
            struct __pyx_obj_8routines_5_core_Park *park_ = (struct __pyx_obj_8routines_5_core_Park *)(park); \\
            assert(routine_->waiter == Py_None && (PyObject *)park_->driver == Py_None); \\
            routine_->waiter = (PyObject *)park_; \\
            park_->driver = (void *)Py_NewRef((PyObject *)routine_); \\
            Py_DECREF(Py_None); \\
            Py_DECREF(Py_None); \\
        } while (0)
    #define routines_is_current_context(candidate) (PyThreadState_Get()->context == (candidate))

    /* Calls of such an object go to the function that it holds at that place; nothing is made for the arguments. */
    static void routines_install_vectorcall(PyObject *type, Py_ssize_t offset)
    {
        ((PyTypeObject *)type)->tp_vectorcall_offset = offset;
        ((PyTypeObject *)type)->tp_call = PyVectorcall_Call;
        ((PyTypeObject *)type)->tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL;
        PyType_Modified((PyTypeObject *)type);
    }

    static inline PySendResult routines_throw(PyObject *coroutine, PyObject *name, PyObject *error, PyObject **result)
    {
        *result = PyObject_CallMethodOneArg(coroutine, name, error);
        if (*result != NULL) return PYGEN_NEXT;
        if (PyErr_ExceptionMatches(PyExc_StopIteration)) {
            PyObject *type, *value, *traceback;
            PyErr_Fetch(&type, &value, &traceback);
            PyErr_NormalizeException(&type, &value, &traceback);
            *result = Py_NewRef(((PyStopIterationObject *)value)->value);
            Py_XDECREF(type);
            Py_XDECREF(value);
            Py_XDECREF(traceback);
            return PYGEN_RETURN;
        }
        return PYGEN_ERROR;
    }

    /* The exception that is set, with its traceback, no longer set. */
    static inline PyObject *routines_take_error(void)
    {
    #if PY_VERSION_HEX >= 0x030C0000
        return PyErr_GetRaisedException();
    #else
        PyObject *type, *value, *traceback;
        PyErr_Fetch(&type, &value, &traceback);
        PyErr_NormalizeException(&type, &value, &traceback);
        if (traceback != NULL) {
            PyException_SetTraceback(value, traceback);
            Py_DECREF(traceback);
        }
        Py_DECREF(type);
        return value;
    #endif
    }
    """
    void routines_draining_set(PyObject *scheduler) noexcept
    void routines_bind_driver(PyObject *park, PyObject *routine) noexcept
    bint routines_is_current_context(PyObject *candidate) noexcept
    void routines_install_vectorcall(object type, Py_ssize_t offset) noexcept
    Py_ssize_t PyVectorcall_NARGS(size_t flagged) noexcept
    PySendResult routines_throw(object coroutine, object name, object error, PyObject **result)
    object routines_take_error()

cdef str THROW = "throw"


cdef inline void set_operations(int operations) noexcept:
    global operations_left
    operations_left = operations


cdef inline void reset_operations() noexcept:
    set_operations(step_budget)


cdef object prepare_throw(Routine routine):
    # The waiter of a routine that is ready is a park of ours, or None: a foreign future is taken off by its callback.
    """What the coming step is to throw, if anything; the park that the routine was bound to is settled now."""
    cdef object waiter = routine.waiter
    cdef object error
    cdef unsigned char request = routine.cancelling_step
    routine.waiter = None
    if waiter is not None and routines_is_park(waiter):
        if (<Park>waiter).state == PARK_CANCELLED:
            routine.cancelling_step = CANCEL_NOTHING
            return routine.cancelled_error()
        if request == CANCEL_AT_STEP:
            # The operation was completed: it returns, and the cancellation waits for the next suspension.
            routine.cancelling_step = CANCEL_AT_SUSPENSION
        return None
    routine.cancelling_step = CANCEL_NOTHING
    if request == CANCEL_AT_STEP:
        return routine.cancelled_error()
    error = routine.outcome
    routine.outcome = None
    return error


cdef inline int keep(list kept, Routine routine) except -1:
    routine.foreign_place = <int>len(kept)
    kept.append(routine)
    return 0


@cython.boundscheck(False)
@cython.wraparound(False)
cdef inline int keep_no_longer(list kept, Routine routine) except -1:
    """The last one takes its place: an order is of no use to anybody."""
    cdef Py_ssize_t place = routine.foreign_place
    cdef Py_ssize_t last = len(kept) - 1
    cdef Routine moved
    # A collector may have emptied the list of a loop that is gone.
    if 0 <= place <= last and kept[place] is routine:
        moved = <Routine>kept[last]
        if moved is not routine:
            kept[place] = moved
            moved.foreign_place = <int>place
        kept.pop()
    routine.foreign_place = -1
    return 0


cdef object started_twice(Routine routine):
    return SpawnError(
        f"{routine.coroutine!r} was started already, by another routine; each needs a coroutine of its own"
    )


# ---------------------------------------------------------------------------------------------------------------------
# One step, and the futures of others that it ends at
#
# Functions and not methods, nearly all called from one place: the compiler then makes two of them all, from the callback of a
# future to the next future, and these take less of the processor's caches, which is where the time of such a step goes.


cdef inline int step_in_context(Scheduler scheduler, Routine routine, bint inside) except -1:
    """Run a routine to its next suspension, and see what it wants.

    ``inside``: its context is entered already, and stays so.
    """
    global yielded_now
    cdef PyObject *raw = NULL
    cdef PySendResult status
    cdef object error
    cdef object yielded
    if routine.status != ROUTINE_READY:
        return 0
    if not routine.started:
        routine.started = True
        if routine.untracked:
            track(routine)
        if PyCoro_CheckExact(routine.coroutine) and not routines_coroutine_is_fresh(routine.coroutine):
            # Nothing is thrown into it: it is another routine's.
            return routine.settle((started_twice(routine), None), True, ROUTINE_FAILED)
        if routine.cancelling_step != CANCEL_NOTHING or routine.waiter is not None:
            error = prepare_throw(routine)
            if error is not None:
                return scheduler.never_begin(routine, error)
    increment(scheduler.counters.switches)
    if ROUTINES_TASK_IN_DICT:
        # Make it the one that asyncio.current_task() returns.
        routines_set_task(<PyObject *>current_tasks, <PyObject *>scheduler.loop, <PyObject *>routine, scheduler.loop_hash)
    else:
        swap_current_task(scheduler.loop, routine)      # not covered: from 3.14 on
    scheduler.published = True
    scheduler.running = <PyObject *>routine
    yielded_now = NULL
    reset_operations()
    if not inside and PyContext_Enter(<PyObject *>routine.run_context) < 0:
        return scheduler.unstartable(routine)
    routine.status = ROUTINE_RUNNING
    if routine.cancelling_step == CANCEL_NOTHING and (
        routine.waiter is None or (<Park>routine.waiter).state == PARK_COMPLETE
    ):
        routine.waiter = None
        status = PyIter_Send(<PyObject *>routine.coroutine, None, &raw)
    else:
        error = prepare_throw(routine)
        if error is None:
            status = PyIter_Send(<PyObject *>routine.coroutine, None, &raw)
        else:
            status = routines_throw(routine.coroutine, THROW, error, &raw)
            error = None
    if status == PYGEN_ERROR:
        return scheduler.fail_step(routine, inside)
    if not inside:
        PyContext_Exit(<PyObject *>routine.run_context)
    scheduler.running = NULL
    if status == PYGEN_NEXT and is_park_pointer(raw):
        if (
            (<Park>raw).state != PARK_OPEN or <PyObject *>(<Park>raw).driver != <PyObject *>None
            or routine.cancelling_step != CANCEL_NOTHING
        ):
            return scheduler.park_routine(routine, <Park>steal(raw))
        # What `park_routine` does, where nothing is in the way.
        (<Park>raw).blocking = 0
        increment(scheduler.counters.parks)
        routine.parked_at = scheduler.clock
        routine.status = ROUTINE_PARKED
        routines_bind_driver(raw, <PyObject *>routine)
        return 0
    yielded = steal(raw)
    if status == PYGEN_RETURN:
        if routine.cancelling_step == CANCEL_AT_STEP:
            return routine.settle((routine.cancelled_error(), None), True, ROUTINE_CANCELLED)
        return routine.settle(yielded, False, ROUTINE_RETURNED)
    if yielded is None:
        if routine.cancelling_step == CANCEL_AT_SUSPENSION:
            routine.cancelling_step = CANCEL_AT_STEP
        routine.status = ROUTINE_READY
        if yielded_now == <PyObject *>routine:
            yielded_now = NULL
            ring_push_reserved(scheduler.ready, routine)
        else:
            return scheduler.give_way_to_loop(routine)
        return 0
    return park_on_future(scheduler, routine, yielded)


cdef int park_on_future(Scheduler scheduler, Routine routine, object future) except -1:
    """Wait for a future of somebody else's."""
    cdef Wakeup wakeup
    if not routines_is_awaited_here(<PyObject *>future, <PyObject *>scheduler.loop):
        error = scheduler.refuse_future(routine, future)
        if error is not None:
            return scheduler.bad_yield(routine, error)
    # Taken only now: the questions above may have run anybody's code, and that another routine which has parked.
    wakeup = scheduler.spare_wakeup
    if wakeup is None:
        wakeup = Wakeup.__new__(Wakeup)
    else:
        scheduler.spare_wakeup = None
    wakeup.routine = routine
    wakeup.future = <PyObject *>future
    # In the context of the routine, as a task's: a copy need not be made.
    leave_callback(future, wakeup, routine.run_context)
    if wakeup.routine is not routine:
        return called_back_at_once(scheduler, routine, future)
    increment(scheduler.counters.parks)
    routine.parked_at = scheduler.clock
    routine.waiter = future
    routine.status = ROUTINE_PARKED
    keep(scheduler.foreign, routine)
    if routine.cancelling_step == CANCEL_AT_STEP or routine.cancelling_step == CANCEL_AT_SUSPENSION:
        routine.cancelling_step = CANCEL_NOTHING
        return routine.cancel_now(routine.cancel_message)
    return 0


cdef int called_back_at_once(Scheduler scheduler, Routine routine, object future) except -1:
    """A future of a kind of its own has called its callback when that was left there: it is the routine's turn again."""
    if routine.cancelling_step == CANCEL_NOTHING:
        throw_its_exception(routine, future)
    elif routine.cancelling_step == CANCEL_AT_SUSPENSION:
        routine.cancelling_step = CANCEL_AT_STEP
    routine.status = ROUTINE_READY
    return scheduler.make_ready(routine)


@cython.final
cdef class Wakeup:
    """Not for users: the callback that a parked routine leaves with a future of somebody else's.

    Used again for the next one that parks, whoever that is, so to wait for a future makes no object. What is left of it then, in
    the handle that has called it, wakes nobody: it knows the one future whose end it is for.
    """

    def __cinit__(self):
        self.vectorcall = <void *>call_wakeup

    def __init__(self):
        raise TypeError("a callback of this kind is made by a routine that awaits a future")

    def __call__(self, future, /):  # not covered: the type has another slot for that, see below
        """Never called."""

    # What asyncio's debug mode and representations of futures ask of a callback: whose it is.

    @property
    def __self__(self):
        return self.routine

    @property
    def __name__(self):
        return "Routine._wakeup"

    def __repr__(self):
        return f"<wakeup of {self.routine!r}>"


cdef int throw_its_exception(Routine routine, object future) except -1:
    """Awaiting an asyncio future raises its exception by itself; of another kind of future nothing is known."""
    try:
        future.result()
    except BaseException as error:
        routine.cancelling_step = CANCEL_THROW
        routine.outcome = error
    return 0


cdef int wake_from_future(Routine routine, object future) except -1:
    """The future of somebody else's that it waits for is done."""
    cdef Scheduler scheduler = routine.scheduler
    keep_no_longer(scheduler.foreign, routine)
    if routine.status != ROUTINE_PARKED or routine.waiter is not future:
        return 0
    if routine.cancelling_step == CANCEL_NOTHING and not routines_is_plain_future(future):
        throw_its_exception(routine, future)
    routine.waiter = None
    routine.status = ROUTINE_READY
    if not routines_is_current_context(<PyObject *>routine.run_context):
        # Not the loop calls, but a foreign future does, and perhaps in somebody's step.
        return scheduler.make_ready(routine)
    return drain_in_context(scheduler, routine)


cdef int drain_in_context(Scheduler scheduler, Routine first) except -1:
    """`drain` of one that was woken alone, by a call in its own context: the commonest call of all, in a straight line."""
    cdef PyObject **place = routines_draining_place()
    cdef PyObject *outer = place[0]
    cdef object context = first.run_context
    cdef Py_ssize_t scheduled = 0 if scheduler.loop_ready is None else Py_SIZE(scheduler.loop_ready)
    cdef bint asked = scheduler.drain_handle is not None
    if not scheduler.draining:
        scheduler.draining = True
        scheduler.thread = routines_this_thread()
        scheduler.clock = routines_coarse_clock()
        place[0] = <PyObject *>scheduler
        try:
            step_in_context(scheduler, first, True)
        finally:
            scheduler.running = NULL
            if scheduler.published:
                scheduler.unpublish()
            place[0] = outer
            scheduler.draining = False
            if scheduler.untracked != 0:
                scheduler.track_ready()
        if scheduler.drain_handle is None:
            if scheduler.ready.used != 0:
                scheduler.arm_at(scheduled)      # it gave way to routines
            return 0
        if asked:
            return 0
        if scheduler.ready.used == 0:
            scheduler.take_back(PY_SSIZE_T_MAX)
            return 0
        if not scheduler.take_back(0):
            return 0
        first = None
    # Others are stepped, perhaps in this very context.
    PyContext_Exit(<PyObject *>context)
    try:
        return scheduler.drain(first, None)
    finally:
        enter(<PyObject *>context)


cdef PyObject *call_wakeup(PyObject *called, PyObject **arguments, size_t flagged, PyObject *names) except NULL:
    cdef Wakeup wakeup = <Wakeup>called
    cdef Routine routine = wakeup.routine
    cdef Scheduler scheduler
    if PyVectorcall_NARGS(flagged) != 1 or names != NULL:
        raise TypeError("the callback of a routine takes the future that is done, and nothing else")
    if routine is not None and wakeup.future == arguments[0]:
        wakeup.routine = None
        scheduler = routine.scheduler
        if ROUTINES_KEEPS_SPARES:
            scheduler.spare_wakeup = wakeup
        wake_from_future(routine, <object>arguments[0])
    Py_INCREF(None)
    return <PyObject *>None


cdef int install_wakeup() except -1:
    cdef Wakeup wakeup = Wakeup.__new__(Wakeup)
    routines_install_vectorcall(Wakeup, <char *>&wakeup.vectorcall - <char *><PyObject *>wakeup)
    return 0


install_wakeup()


# ---------------------------------------------------------------------------------------------------------------------
# Giving way


# Finished operations to use again, linked by `spare`: giving way is the shortest thing there is, and making an object would
# be a fifth of it.
cdef YieldOperation spare_yield = None
cdef int spare_yields = 0

cdef enum:
    SPARE_YIELDS = 64


@cython.final
@cython.no_gc
cdef class YieldOperation:
    """Awaiting it lets the other ready routines run."""
    # Not tracked by the collector: it refers to nothing but the next spare one, and is referred to by none of those.
    cdef YieldOperation spare
    cdef bint yielded
    cdef bint finished

    def __init__(self):
        self.yielded = True     # nobody need be warned that it was not awaited
        raise TypeError("call routines.yield_now()")

    def __await__(self):
        return self

    def __next__(self):     # not covered: install_send replaces it
        raise RuntimeError("an operation cannot be made by hand")

    def __dealloc__(self):
        if not self.yielded:
            emit_warning(RuntimeWarning, "yield_now() was never awaited, so nothing has happened", None)


cdef PySendResult yield_send(YieldOperation operation, PyObject *argument, PyObject **result) except PYGEN_ERROR:
    global spare_yield, spare_yields
    if operation.finished:
        result[0] = NULL
        raise RuntimeError("cannot reuse already awaited yield_now(); call it for each await")
    Py_INCREF(None)
    result[0] = <PyObject *>None
    if not operation.yielded:
        operation.yielded = True
        yield_to_routines()
        return PYGEN_NEXT
    operation.finished = True
    if ROUTINES_KEEPS_SPARES and spare_yields < SPARE_YIELDS:
        operation.spare = spare_yield
        spare_yield = operation
        spare_yields += 1
    return PYGEN_RETURN


def yield_now():
    """Let the other ready routines run, and the loop where its turn has come; then go on.

    Example:
        >>> import routines
        >>> async def main():
        ...     await routines.yield_now()
        >>> routines.run(main())
    """
    global spare_yield, spare_yields
    cdef YieldOperation operation = spare_yield
    if operation is not None:
        spare_yield = operation.spare
        operation.spare = None
        spare_yields -= 1
        # This reference alone: nobody has kept the finished one.
        if Py_REFCNT(<PyObject *>operation) == 1:
            operation.yielded = operation.finished = False
            return operation
    return YieldOperation.__new__(YieldOperation)


routines_install_clear(Routine, clear_result)
install_send(Park, <void *>park_send)
install_send(JoinPark, <void *>park_send)
install_send(YieldOperation, <void *>yield_send)
