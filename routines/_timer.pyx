# cython: language_level=3, binding=False, embedsignature=True, embedsignature.format=clinic, always_allow_keywords=False
"""The operations over time. Each scheduler owns the heap that they wait in.

Deadlines are nanoseconds of the monotonic clock itself: a loop's own time may be cached, and be behind. So nothing here is ever
early.
"""

import asyncio

from .errors import Timeout

cimport cython
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from libc.math cimport ceil

from ._channel cimport ChannelState, Feed, Receiver, feed_value, new_state
from ._core cimport (
    PARK_DONE,
    PARK_NEW,
    PARK_OPEN,
    PYGEN_ERROR,
    PYGEN_RETURN,
    ROUTINES_KEEPS_SPARES,
    WAIT_SLEEP,
    Park,
    PySendResult,
    Routine,
    Scheduler,
    TimerTarget,
    duration,
    install_send,
    monotonic,
    park_send,
    routines_this_thread,
    running_scheduler,
    settle_park,
    task_of,
    warn_if_new,
)
from ._heap cimport TimerEntry, TimerHeap
from ._method cimport KeptMethod, keep_method


cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(PyObject *candidate)
    Py_ssize_t PyVectorcall_NARGS(size_t count)

cdef extern from *:
    """
    /* Calling a type is calling this: no tuple of arguments is made. */
    #define routines_install_call(type, call) (((PyTypeObject *)(type))->tp_vectorcall = (vectorcallfunc)(call))
    """
    void routines_install_call(object constructed, void *call) noexcept


cdef Scheduler needed_scheduler(str what):
    cdef Scheduler scheduler = running_scheduler()
    if scheduler is None:
        raise RuntimeError(f"{what} needs a running event loop; call it inside an async function")
    return scheduler


@cython.final
cdef class SleepPark(Park):
    """Waiting for a deadline."""
    cdef Scheduler scheduler
    cdef TimerEntry timer
    cdef long long nanoseconds

    cdef int start(self) except -1:
        cdef Scheduler scheduler
        self.state = PARK_DONE      # awaited, whatever comes of it
        scheduler = needed_scheduler("sleep()")
        self.scheduler = scheduler
        self.timer = scheduler.start_timer(monotonic() + self.nanoseconds, self)
        self.state = PARK_OPEN
        return 0

    cdef int unlink(self) except -1:
        cdef TimerEntry timer = self.timer
        self.timer = None
        return self.scheduler.stop_timer(timer)

    cdef int expire(self) except -1:
        if self.state != PARK_OPEN:
            return 0    # not covered: it leaves its timer when it is settled
        self.timer = None
        return settle_park(self)

    def __dealloc__(self):
        warn_if_new(self)


install_send(SleepPark, <void *>park_send)


def sleep(seconds, /):
    """Park for a time without blocking the thread; never returns early. 0 lets the loop and the other routines run once.

    Args:
        seconds: a float, or a timedelta.

    Raises:
        ValueError: ``seconds`` is negative or NaN.

    Example:
        >>> import routines
        >>> async def main():
        ...     await routines.sleep(0.001)
        >>> routines.run(main())
    """
    cdef SleepPark park = SleepPark.__new__(SleepPark)
    park.state = PARK_DONE      # no warning, should the argument be refused
    park.wait = WAIT_SLEEP
    park.nanoseconds = duration(seconds, "seconds")
    park.state = PARK_NEW
    return park


# ---------------------------------------------------------------------------------------------------------------------
# Channels that time fills


@cython.final
cdef class TimerFeed(Feed):
    """Puts the loop's time into a channel of one value, once or again and again.

    The heap holds it while it runs, and it holds the channel; the channel's last receiver stops it when it goes.
    """
    cdef Scheduler scheduler
    cdef TimerEntry timer
    cdef ChannelState channel
    cdef long long deadline
    cdef long long period       # nanoseconds; 0: once
    cdef unsigned int changes   # how often it was started and stopped

    cdef int expire(self) except -1:
        cdef long long now
        self.timer = None
        if self.period != 0:
            # The next tick in step with the first; those that were missed are dropped.
            now = monotonic()
            self.deadline += self.period
            if self.deadline <= now:
                self.deadline = now + self.period - (now - self.deadline) % self.period
            self.timer = self.scheduler.start_timer(self.deadline, self)
        return feed_value(self.channel, self.scheduler.loop.time())

    cdef int start_feed(self, long long delay, long long period) except -1:
        self.stop_feed()
        self.period = period
        self.deadline = monotonic() + delay
        self.timer = self.scheduler.start_timer(self.deadline, self)
        return 0

    def restart(self, long long period, unsigned int changes):
        """`start_feed` for a call from another thread, unless somebody has said otherwise since, or the receiver has gone."""
        if changes == self.changes and self.channel is not None and self.channel.open_receivers != 0:
            self.start_feed(period, period)

    cdef int stop_feed(self) except -1:
        cdef TimerEntry timer = self.timer
        cdef TimerHeap heap
        self.changes += 1
        self.timer = None
        # The receiver may be collected together with its loop: then the collector may have cleared this, or the heap, before it.
        if timer is not None and self.scheduler is not None:
            heap = self.scheduler.timers
            if heap.entries is not None and len(heap.entries) >= heap.used:
                self.scheduler.stop_timer(timer)
        return 0


cdef int attach_feed(Receiver receiver, Scheduler scheduler, long long delay, long long period) except -1:
    """Make a fresh receiver the one that a timer feeds."""
    cdef ChannelState channel = new_state(1)
    cdef TimerFeed feed = TimerFeed.__new__(TimerFeed)
    feed.scheduler = scheduler
    feed.channel = channel
    channel.feed = feed
    channel.open_senders = channel.open_receivers = 1   # the timer is the sender, and never closes
    receiver.state = channel
    receiver.counts_receiver = receiver.receives = True
    return feed.start_feed(delay, period)


def after(seconds, /):
    """A receiver that gets one value, the loop's time, once a time has passed; it never closes. Dropped, it leaves no timer.

    Args:
        seconds: a float, or a timedelta.

    Raises:
        ValueError: ``seconds`` is negative or NaN.
        RuntimeError: no event loop is running.

    Example:
        >>> import routines
        >>> async def main():
        ...     tx, rx = routines.channel()
        ...     chosen = await routines.select(rx, routines.after(0.001))
        ...     return chosen.index
        >>> routines.run(main())
        1
    """
    cdef long long delay = duration(seconds, "seconds")
    cdef Receiver receiver = Receiver.__new__(Receiver)
    attach_feed(receiver, needed_scheduler("after()"), delay, 0)
    return receiver


cdef long long tick_period(object seconds) except -1:
    cdef long long period = duration(seconds, "seconds")
    if period == 0:
        raise ValueError("a ticker needs a period above 0 seconds")
    return period


@cython.final
@cython.no_gc_clear
cdef class Ticker(Receiver):
    """Ticker(seconds, /)
--

A receiver that gets the loop's time every so many seconds. A tick that nobody has taken when the next one comes is dropped.

Ticks keep in step with the first: a late one does not delay those after it. Dropped, it leaves no timer.

Args:
    seconds: the period, a float or a timedelta, above 0.

Raises:
    ValueError: the period is 0, negative or NaN.
    RuntimeError: no event loop is running.

Example:
    >>> import routines
    >>> async def main():
    ...     ticker = routines.Ticker(0.001)
    ...     ticks = [await ticker.recv() for _ in range(3)]
    ...     ticker.stop()
    ...     return ticks == sorted(ticks)
    >>> routines.run(main())
    True
"""

    def __init__(self, seconds, /):
        cdef long long period = tick_period(seconds)
        if self.counts_receiver:
            raise RuntimeError(f"{self!r} was made already; reset() changes its period")
        attach_feed(self, needed_scheduler("Ticker()"), period, period)

    def stop(self):
        """No more ticks; the receiver stays open, as in Go. One that was not taken yet can still be received."""
        if self.state.feed is not None:
            self.state.feed.stop_feed()

    def reset(self, seconds, /):
        """Tick every ``seconds`` from now on, also after `stop`; from any thread."""
        cdef long long period = tick_period(seconds)
        cdef TimerFeed feed
        if self.end_closed or self.state.feed is None:
            raise RuntimeError(f"{self!r} is closed; make a new Ticker")
        feed = <TimerFeed>self.state.feed
        if feed.scheduler.thread == routines_this_thread():
            feed.start_feed(period, period)
        else:
            # A loop arms its own timers alone, and may be asleep until the tick that was to come next.
            feed.stop_feed()
            feed.scheduler.loop.call_soon_threadsafe(feed.restart, period, feed.changes)


@cython.final
cdef class Alarm(TimerTarget):
    """Not for users: calls ``function()`` once the time of ``time.monotonic()`` has come, unless it is stopped before."""
    cdef Scheduler scheduler
    cdef TimerEntry timer
    cdef object function

    def __init__(self, double seconds, function, /):
        cdef Scheduler scheduler = needed_scheduler("a deadline")
        if self.scheduler is not None:
            raise RuntimeError("an alarm is set once")
        self.scheduler = scheduler
        self.function = function
        self.timer = scheduler.start_timer(
            <long long>ceil(seconds * 1e9) if seconds < 9.0e9 else 0x7fffffffffffffff, self
        )

    cdef int expire(self) except -1:
        cdef object function = self.function
        self.timer = None
        self.function = None
        if function is not None:
            function()
        return 0

    def stop(self):
        """It calls nothing any more; from any thread."""
        cdef TimerEntry timer = self.timer
        self.timer = None
        self.function = None
        if timer is not None:
            self.scheduler.stop_timer(timer)


# ---------------------------------------------------------------------------------------------------------------------
# A deadline for a block


@cython.final
cdef class Immediate:
    """An awaitable that is complete: entering or leaving a block does not wait."""

    def __await__(self):
        return self

    def __next__(self):     # not covered: install_send replaces it
        raise RuntimeError("an operation cannot be made by hand")


cdef PySendResult immediate_send(Immediate operation, PyObject *argument, PyObject **result) except PYGEN_ERROR:
    cdef object value = operation.value
    result[0] = NULL    # what it is on an error
    operation.value = None
    Py_INCREF(value)
    result[0] = <PyObject *>value
    return PYGEN_RETURN


cdef Immediate NOTHING = Immediate.__new__(Immediate)
cdef Immediate spare_immediate = Immediate.__new__(Immediate)


cdef Immediate nothing():
    """An awaitable of None."""
    return NOTHING


cdef inline Immediate immediate(object value):
    cdef Immediate operation = spare_immediate
    if not ROUTINES_KEEPS_SPARES or Py_REFCNT(<PyObject *>operation) != 2:   # the variables'; more: it is being awaited
        operation = Immediate.__new__(Immediate)
    operation.value = value
    return operation


@cython.final
cdef class timeout(TimerTarget):
    """timeout(seconds, /)
--

A block that may take so long: ``async with timeout(1.0):`` raises `Timeout` where it takes longer.

Works in a routine and in a plain task. The block is cancelled when the time has come, and `Timeout` takes the place of that
cancellation; a cancellation
from elsewhere goes on as it is. An operation that was complete when the time came is not lost: it returns first.

Args:
    seconds: a float, or a timedelta; None: no deadline until `reschedule`.

Raises:
    ValueError: ``seconds`` is negative or NaN.
    Timeout: at the end of the block, where it was over time.

Example:
    >>> import routines
    >>> async def main():
    ...     tx, rx = routines.channel()
    ...     try:
    ...         async with routines.timeout(0.001):
    ...             await rx.recv()
    ...     except routines.Timeout:
    ...         return "late"
    >>> routines.run(main())
    'late'
"""
    cdef long long nanoseconds      # below 0: none
    cdef Scheduler scheduler
    cdef TimerEntry timer           # the last one, which may be used again
    cdef object task                # while the block runs
    cdef int cancelling             # what task.cancelling() was at entry
    cdef bint entered
    cdef bint is_expired

    def __init__(self, seconds, /):
        self.limit(seconds)

    cdef int limit(self, object seconds) except -1:
        self.nanoseconds = -1 if seconds is None else duration(seconds, "seconds")
        return 0

    cdef int start_scope_timer(self) except -1:
        cdef long long deadline = monotonic() + self.nanoseconds
        if self.timer is not None and Py_REFCNT(<PyObject *>self.timer) == 1:
            self.scheduler.restart_timer(self.timer, deadline, self)    # no heap has it any more
        else:
            self.timer = self.scheduler.start_timer(deadline, self)
        return 0

    cdef int stop_scope_timer(self) except -1:
        if self.timer is not None:
            self.scheduler.timers.cancel(self.timer)
        return 0

    cdef int expire(self) except -1:
        if self.task is not None and not self.is_expired:
            self.is_expired = True
            self.task.cancel()
        return 0

    @property
    def expired(self):
        """Whether the time was over before the block was left."""
        return self.is_expired

    def reschedule(self, seconds, /):
        """Give the block so many seconds from now on; None takes the deadline away.

        Raises:
            RuntimeError: the block has not begun, is over, or its time is.
        """
        cdef long long nanoseconds = -1 if seconds is None else duration(seconds, "seconds")
        if self.task is None:
            raise RuntimeError("reschedule() works inside the block of its timeout")
        if self.is_expired:
            raise RuntimeError("this timeout has expired already")
        self.stop_scope_timer()
        self.nanoseconds = nanoseconds
        if nanoseconds >= 0:
            self.start_scope_timer()

    def __aenter__(self):
        if self.entered:
            raise RuntimeError("this timeout was entered already; make one for each block")
        self.scheduler = needed_scheduler("timeout()")
        task = task_of(self.scheduler)
        if task is None:
            raise RuntimeError("timeout() works inside a routine or a task")
        self.cancelling = (<Routine>task).cancel_requests if type(task) is Routine else task.cancelling()
        self.entered = True
        self.task = task
        if self.nanoseconds >= 0:
            self.start_scope_timer()
        return immediate(self)

    def __aexit__(self, kind, error, traceback):
        global spare_timeout
        cdef object task = self.task
        self.stop_scope_timer()
        self.task = None
        self.scheduler = None
        if not self.is_expired:
            if ROUTINES_KEEPS_SPARES:
                spare_timeout = self
            return NOTHING
        if task.uncancel() <= self.cancelling and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise Timeout(f"the block was not done within {self.nanoseconds / 1e9:g} s") from error
        return NOTHING

    def __repr__(self):
        if not self.entered:
            progress = "not entered"
        elif self.is_expired:
            progress = "expired"
        else:
            progress = "running" if self.task is not None else "left in time"
        limit = "no deadline" if self.nanoseconds < 0 else f"{self.nanoseconds / 1e9:g} s"
        return f"<timeout {limit}, {progress}>"


cdef timeout spare_timeout = None      # the one that was left last, in time, to be used again


cdef object make_timeout(PyObject *constructed, PyObject **arguments, size_t count, PyObject *names):
    global spare_timeout
    cdef timeout scope = spare_timeout
    if names != NULL or PyVectorcall_NARGS(count) != 1:
        raise TypeError("timeout() takes the seconds, or None, and nothing else")
    spare_timeout = None
    if scope is not None and Py_REFCNT(<PyObject *>scope) == 1 + kept_enter.keeps(scope) + kept_exit.keeps(scope):
        # Nobody has kept the one that was left.
        scope.entered = False
    else:
        scope = timeout.__new__(timeout)
    scope.limit(<object>arguments[0])
    return scope


cdef KeptMethod kept_enter = keep_method(timeout, "__aenter__")
cdef KeptMethod kept_exit = keep_method(timeout, "__aexit__")

install_send(Immediate, <void *>immediate_send)
routines_install_call(timeout, <void *>make_timeout)
