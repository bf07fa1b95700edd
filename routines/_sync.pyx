# cython: language_level=3, binding=False, embedsignature=True, embedsignature.format=clinic, always_allow_keywords=False
"""Locks: permits that are acquired and released, and those who wait for them.

A mutex has one permit. A semaphore has several. A readers-writer lock has as many as there can be readers; a reader takes
one and a writer all of them. One queue, served from its front and never past it, makes each of them fair, and lets a waiting
writer stop new readers.

Invariants, for each lock whenever no function of this file runs:

- the first in the queue wants more permits than are free;
- a park in a queue is ``PARK_OPEN``; whoever takes it out gives it its permits in the same stretch, so nobody can take them
  in between.

A cancellation is one more contestant for the park: it finds it open, and whoever waits behind it may be served; or it comes too
late, and the lock is held. Waiting for a condition ends only with the mutex held, cancelled or not: a cancelled
waiter moves from the condition's queue to the mutex's, and raises when it has been granted the lock.

Threads: as for channels, each change is one stretch without Python code, so any thread may use any lock. A wake-up may let
other threads run, so what comes after one looks at everything again.
"""

from asyncio import CancelledError

cimport cython
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF

from ._core cimport (
    PARK_CANCELLED,
    PARK_COMPLETE,
    PARK_DONE,
    PARK_NEW,
    PARK_OPEN,
    PYGEN_ERROR,
    PYGEN_NEXT,
    PYGEN_RETURN,
    WAIT_RECEIVE,
    Park,
    PySendResult,
    WaitQueue,
    creation_site,
    debug_enabled,
    give_way,
    install_send,
    operations_left,
    park_send,
    queue_append,
    queue_remove,
    resume_unsettled,
    settle_park,
    warn_if_new,
    yield_park,
)
from ._timer cimport nothing


cdef extern from "Python.h":
    Py_ssize_t PY_SSIZE_T_MAX
    Py_ssize_t Py_REFCNT(PyObject *candidate)


cdef unsigned long long last_id = 0


@cython.no_gc_clear
cdef class Permits:
    """Not for users: what all locks are made of."""
    cdef WaitQueue waiters          # AcquireParks; the first wants more than is free
    cdef AcquirePark spare          # an idle operation to use again; holds nothing
    cdef Py_ssize_t free
    cdef Py_ssize_t total
    cdef unsigned long long id
    cdef object creation_site       # in debug mode
    cdef object __weakref__

    def __cinit__(self):
        global last_id
        self.waiters = WaitQueue.__new__(WaitQueue)
        last_id += 1
        self.id = last_id
        if debug_enabled:
            self.creation_site = creation_site()

    cdef str progress(self):
        return "not made"

    def __repr__(self):
        cdef str text = f"<{type(self).__name__} #{self.id} {self.progress()}"
        if self.waiters.length:
            text += f", {self.waiters.length} waiting"
        if self.creation_site is not None:
            text += f", made at {self.creation_site}"
        return text + ">"


cdef int release_permits(Permits permits, Py_ssize_t count) except -1:
    """Give ``count`` permits back, and on to those who wait."""
    permits.free += count
    return serve(permits)


cdef int serve(Permits permits) except -1:
    cdef AcquirePark first
    while permits.waiters.first is not None:
        first = <AcquirePark>permits.waiters.first
        if first.wanted > permits.free:
            return 0
        queue_remove(permits.waiters, first)
        permits.free -= first.wanted
        settle_park(first)
    return 0


cdef class AcquirePark(Park):
    """Acquiring permits."""
    cdef Permits permits            # None while it is idle
    cdef Py_ssize_t wanted

    cdef object finish(self):
        retire(self)
        return None

    cdef int unlink(self) except -1:
        cdef Permits permits = self.permits
        if permits is None or self.state != PARK_OPEN:
            return 0
        queue_remove(permits.waiters, self)
        # From here on it is out of everybody's reach, though those behind it are woken only now.
        self.state = PARK_CANCELLED
        return serve(permits)

    cdef int give_back(self) except -1:
        return 0 if self.permits is None else release_permits(self.permits, self.wanted)

    cdef int release(self) except -1:
        self.state = PARK_DONE
        self.permits = None
        return 0

    cdef object subject(self):
        return self.permits

    def __dealloc__(self):
        warn_if_new(self)


cdef inline AcquirePark make_acquire(Permits permits, Py_ssize_t wanted):
    cdef AcquirePark park
    # One reference, the lock's: nobody has kept the idle operation.
    if permits.spare is not None and Py_REFCNT(<PyObject *>permits.spare) == 1:
        park = permits.spare
        permits.spare = None
        park.blocking = -1
    else:
        park = AcquirePark.__new__(AcquirePark)
        park.wait = WAIT_RECEIVE
    park.state = PARK_NEW
    park.permits = permits
    park.wanted = wanted
    return park


cdef inline void retire(AcquirePark park) noexcept:
    """The operation has returned: its lock may use it again. It lets go of the lock: each holding the other would be a cycle."""
    park.state = PARK_DONE
    if park.permits.spare is None:
        park.permits.spare = park
    park.permits = None


cdef inline void consume_operation() noexcept:
    global operations_left
    operations_left -= 1


cdef PySendResult acquire_send(AcquirePark park, PyObject *argument, PyObject **result) except PYGEN_ERROR:
    cdef Permits permits = park.permits
    if park.state == PARK_NEW:
        if permits is None:
            park.release()
            raise RuntimeError("an operation cannot be made by hand")
        if operations_left <= 0 and give_way():
            Py_INCREF(None)
            result[0] = <PyObject *>None
            return PYGEN_NEXT
        consume_operation()
        if permits.waiters.first is not None or permits.free < park.wanted:
            park.state = PARK_OPEN
            queue_append(permits.waiters, park)
            return yield_park(park, result)
        permits.free -= park.wanted
    elif park.state != PARK_COMPLETE:
        return resume_unsettled(park, result)
    retire(park)
    Py_INCREF(None)
    result[0] = <PyObject *>None
    return PYGEN_RETURN


cdef inline bint take_now(Permits permits, Py_ssize_t wanted) noexcept:
    if permits.waiters.first is not None or permits.free < wanted:
        return False
    permits.free -= wanted
    return True


# ---------------------------------------------------------------------------------------------------------------------
# Mutex


@cython.final
@cython.no_gc_clear
cdef class Mutex(Permits):
    """Mutex()
--

A lock that one at a time holds: Go's ``sync.Mutex``.

``async with mutex:`` locks it and unlocks it at exit. Those who wait get it in the order in which they began to wait, from
`unlock` directly, so nobody overtakes them. As in Go it has no owner: who unlocks it need not be who locked it, and locking it
twice waits for ever. A routine that is aborted unlocks it where its ``finally`` blocks do, as those of ``async with`` do.

Routines, plain tasks and the threads of a runtime share it. While parked on it, the state of a routine is ``chan receive``: it
waits to be handed something.

Example:
    >>> import routines
    >>> async def main():
    ...     mutex = routines.Mutex()
    ...     async with mutex:
    ...         return mutex.try_lock()
    >>> routines.run(main())
    False
"""
    # Not cleared by the collector, nor are the others: a finally block that it runs may unlock one, which must be whole
    # then. Every cycle through here goes through the queue, and that clears itself.

    def __cinit__(self):
        self.free = self.total = 1

    cdef str progress(self):
        return "unlocked" if self.free else "locked"

    def lock(self):
        """Wait until it is unlocked, and lock it.

        Cancelled, it has not been locked; a cancellation that comes once it has been locked is raised at the next suspension
        instead, with the lock held.
        """
        return make_acquire(self, 1)

    def try_lock(self):
        """Lock it now or not at all, from any thread; whether it was locked."""
        return take_now(self, 1)

    def unlock(self):
        """Unlock it, or hand it to whoever has waited longest; from any thread.

        Raises:
            RuntimeError: it is not locked.
        """
        if self.free:
            raise RuntimeError(f"unlock: {self!r} is not locked; each unlock() needs a lock() before it")
        release_permits(self, 1)

    def __aenter__(self):
        return make_acquire(self, 1)

    def __aexit__(self, kind, error, traceback, /):
        if self.free:
            raise RuntimeError(f"unlock: {self!r} was unlocked inside its block, which does so at its end")
        release_permits(self, 1)
        return nothing()


# ---------------------------------------------------------------------------------------------------------------------
# RWMutex


@cython.final
@cython.no_gc_clear
cdef class RWMutex(Permits):
    """RWMutex()
--

A lock that many readers hold at once, or one writer alone: Go's ``sync.RWMutex``.

``async with lock.reading():`` is for readers, ``async with lock:`` for a writer. All wait in one queue, in order, so a waiting
writer stops new readers, and a reader that waits behind it is let in after it. A routine that holds it for reading must not ask
for it again: a writer may be waiting in between. The rest is as with `Mutex`.

Example:
    >>> import routines
    >>> async def main():
    ...     lock = routines.RWMutex()
    ...     async with lock.reading(), lock.reading():
    ...         return lock.try_lock()
    >>> routines.run(main())
    False
"""

    def __cinit__(self):
        self.free = self.total = PY_SSIZE_T_MAX

    cdef str progress(self):
        if self.free == self.total:
            return "unlocked"
        if self.free == 0:
            return "locked for writing"
        readers = self.total - self.free
        return f"locked for reading by {readers}"

    def lock(self):
        """Wait until nobody holds it, and lock it for writing; cancelled, it has not been locked, and those behind go on."""
        return make_acquire(self, self.total)

    def rlock(self):
        """Wait until no writer holds it or waits before us, and lock it for reading."""
        return make_acquire(self, 1)

    def try_lock(self):
        """Lock it for writing now or not at all; whether it was locked."""
        return take_now(self, self.total)

    def try_rlock(self):
        """Lock it for reading now or not at all; whether it was locked."""
        return take_now(self, 1)

    def unlock(self):
        """Unlock it for writing; the first who wait get it: one writer, or all readers before the next writer.

        Raises:
            RuntimeError: it is not locked for writing.
        """
        if self.free:
            raise RuntimeError(f"unlock: {self!r} is not locked for writing; each unlock() needs a lock() before it")
        release_permits(self, self.total)

    def runlock(self):
        """Give up one lock for reading.

        Raises:
            RuntimeError: it is not locked for reading.
        """
        if self.free == 0 or self.free == self.total:
            raise RuntimeError(f"runlock: {self!r} is not locked for reading; each runlock() needs an rlock() before it")
        release_permits(self, 1)

    def reading(self):
        """For ``async with``: locks it for reading, and unlocks it at exit."""
        cdef ReadLock block = ReadLock.__new__(ReadLock)
        block.lock = self
        return block

    def __aenter__(self):
        return make_acquire(self, self.total)

    def __aexit__(self, kind, error, traceback, /):
        self.unlock()
        return nothing()


@cython.final
cdef class ReadLock:
    """A block that reads; made by `RWMutex.reading`."""
    cdef RWMutex lock

    def __init__(self):
        raise TypeError("a block that reads is made by RWMutex.reading()")

    def __aenter__(self):
        if self.lock is None:
            raise RuntimeError("a block that reads cannot be made by hand")
        return make_acquire(self.lock, 1)

    def __aexit__(self, kind, error, traceback, /):
        if self.lock is None:
            raise RuntimeError("a block that reads cannot be made by hand")
        self.lock.runlock()
        return nothing()

    def __repr__(self):
        return f"<reading block of {self.lock!r}>"


# ---------------------------------------------------------------------------------------------------------------------
# Semaphore


cdef Py_ssize_t permit_count(object count, str what) except -1:
    if not isinstance(count, int) or isinstance(count, bool):
        raise TypeError(f"{what} must be an int, not {count!r}")
    if count < 1:
        raise ValueError(f"{what} must be at least 1, not {count}")
    if count > PY_SSIZE_T_MAX:
        raise ValueError(f"{what} {count} is more than can be counted")
    return count


@cython.final
@cython.no_gc_clear
cdef class Semaphore(Permits):
    """Semaphore(n, /)
--

``n`` permits, of which each who acquires takes one or several: Go's ``semaphore.Weighted``.

``async with semaphore:`` acquires one and releases it at exit. Waiting is in order: who wants many is not overtaken by
those behind who want few, and cancelled, makes way for them. The rest is as with `Mutex`.

Args:
    n: how many permits there are, at least 1.

Raises:
    ValueError: ``n`` is below 1.
    TypeError: ``n`` is no int.

Example:
    >>> import routines
    >>> async def main():
    ...     semaphore = routines.Semaphore(3)
    ...     await semaphore.acquire(2)
    ...     return semaphore.try_acquire(2), semaphore.try_acquire()
    >>> routines.run(main())
    (False, True)
"""

    def __init__(self, n, /):
        cdef Py_ssize_t total = permit_count(n, "n")
        if self.total:
            raise RuntimeError(f"{self!r} was made already")
        self.free = self.total = total

    cdef str progress(self):
        return f"{self.free}/{self.total} free"

    cdef Py_ssize_t wanted(self, object k) except -1:
        cdef Py_ssize_t wanted = permit_count(k, "k")
        if wanted > self.total:
            raise ValueError(f"acquire: {self!r} has only {self.total} permits, so {wanted} can never be acquired")
        return wanted

    def acquire(self, k=1):
        """Wait until ``k`` permits are free and it is our turn, and take them; all or none, also where it is cancelled.

        Raises:
            ValueError: ``k`` is below 1, or above the number of permits that there are.
            TypeError: ``k`` is no int.
        """
        return make_acquire(self, self.wanted(k))

    def try_acquire(self, k=1):
        """Take ``k`` permits now or not at all, from any thread; whether they were taken. Raises as `acquire` does."""
        return take_now(self, self.wanted(k))

    def release(self, k=1):
        """Give ``k`` permits back; from any thread.

        Raises:
            RuntimeError: so many are not taken.
            ValueError: ``k`` is below 1.
            TypeError: ``k`` is no int.
        """
        cdef Py_ssize_t count = permit_count(k, "k")
        if count > self.total - self.free:
            raise RuntimeError(
                f"release: of {self!r} not so many as {count} are taken; each release() needs an acquire() before it"
            )
        release_permits(self, count)

    def __aenter__(self):
        return make_acquire(self, self.wanted(1))

    def __aexit__(self, kind, error, traceback, /):
        self.release(1)
        return nothing()


# ---------------------------------------------------------------------------------------------------------------------
# Cond


@cython.no_gc_clear
cdef class Signals:
    """Not for users: the compiled part of `Cond`."""
    cdef WaitQueue waiters          # SignalParks that nobody has signalled
    cdef Mutex mutex
    cdef unsigned long long id
    cdef object creation_site       # in debug mode
    cdef object __weakref__

    def __cinit__(self, *_):
        self.waiters = WaitQueue.__new__(WaitQueue)

    def __init__(self, mutex, /):
        global last_id
        if type(mutex) is not Mutex:
            raise TypeError(f"a Cond is made over a Mutex, not over {mutex!r}")
        if self.mutex is not None:
            raise RuntimeError(f"{self!r} was made already")
        self.mutex = mutex
        last_id += 1
        self.id = last_id
        if debug_enabled:
            self.creation_site = creation_site()

    def wait(self):
        """Unlock the mutex, wait for a signal, and lock the mutex again. The mutex has to be locked.

        Nothing comes between unlocking and waiting, so no signal is missed. Signals go to those who wait in the order in which
        they began to. There are no spurious wake-ups, but another may have locked the mutex first: look at the condition again,
        or use `wait_for`.

        It returns or raises with the mutex locked. Cancelled before a signal has come, it raises once it has the mutex again;
        cancelled between the signal and the mutex, it passes the signal on and does likewise.

        Raises:
            RuntimeError: the mutex is not locked.

        Example:
            >>> import routines
            >>> async def main():
            ...     mutex = routines.Mutex()
            ...     cond = routines.Cond(mutex)
            ...     async def announce():
            ...         async with mutex:
            ...             cond.signal()
            ...     async with mutex:
            ...         routines.go(announce)
            ...         await cond.wait()
            ...         return mutex
            >>> "unlocked" in repr(routines.run(main()))
            True
        """
        cdef SignalPark park
        if self.mutex is None:
            raise RuntimeError("a Cond is made over a Mutex")
        park = SignalPark.__new__(SignalPark)
        park.wait = WAIT_RECEIVE
        park.wanted = 1
        park.permits = self.mutex
        park.signals = self
        return park

    def signal(self):
        """Wake the one that has waited longest, if any waits; the mutex may be locked by the caller, but need not be."""
        if self.waiters.first is not None:
            signal_first(self, True)

    def broadcast(self):
        """Wake all that wait now; one after the other, as each unlocks the mutex."""
        # Waking one may let another thread run, whose waiters come behind those that are meant.
        cdef Py_ssize_t left = self.waiters.length
        while left > 0 and self.waiters.first is not None:
            signal_first(self, False)
            left -= 1

    def __repr__(self):
        cdef str text = f"<{type(self).__name__} #{self.id}"
        if self.waiters.length:
            text += f" {self.waiters.length} waiting"
        text += f" over {self.mutex!r}"
        if self.creation_site is not None:
            text += f", made at {self.creation_site}"
        return text + ">"


cdef enum:
    # Where the waiter of a condition is.
    SIGNAL_NONE = 0         # in the queue of the condition
    SIGNAL_SINGLE = 1       # a signal() was spent on it; it is in the queue of the mutex, or was granted it
    SIGNAL_BROADCAST = 2    # the same after a broadcast()
    SIGNAL_CANCELLED = 3    # the same after a cancellation


cdef int signal_first(Signals signals, bint single) except -1:
    cdef SignalPark first = <SignalPark>signals.waiters.first
    queue_remove(signals.waiters, first)
    first.progress = SIGNAL_SINGLE if single else SIGNAL_BROADCAST
    return want_mutex(first)


cdef int want_mutex(SignalPark park) except -1:
    """It is in no queue: it has the mutex now, or waits for it."""
    if take_now(park.permits, 1):
        return settle_park(park)
    queue_append(park.permits.waiters, park)
    return 0


@cython.final
cdef class SignalPark(AcquirePark):
    """Waiting for a signal, and then for the mutex."""
    cdef Signals signals
    cdef object message             # what it was cancelled with
    cdef unsigned char progress     # SIGNAL_…

    cdef int start(self) except -1:
        cdef Permits mutex = self.permits
        if mutex is None:
            self.release()
            raise RuntimeError("an operation cannot be made by hand")
        if mutex.free:
            signals = self.signals
            self.release()
            raise RuntimeError(f"wait: the mutex of {signals!r} is not locked; lock it around the condition and its wait()")
        self.state = PARK_OPEN
        queue_append(self.signals.waiters, self)
        release_permits(mutex, 1)
        return 0

    cdef object finish(self):
        cdef object message = self.message
        cdef bint was_cancelled = self.progress == SIGNAL_CANCELLED
        self.release()
        if was_cancelled:
            raise CancelledError() if message is None else CancelledError(message)
        return None

    cdef int cancel_through(self, object message) except -1:
        # It may not end without the mutex, so the cancellation waits for that.
        cdef Signals signals = self.signals
        cdef unsigned char progress = self.progress
        self.message = message
        self.progress = SIGNAL_CANCELLED
        if progress == SIGNAL_NONE:
            queue_remove(signals.waiters, self)
            want_mutex(self)
        elif progress == SIGNAL_SINGLE:
            pass_on(signals)
        return 1

    cdef bint committed(self) noexcept:
        return self.progress != SIGNAL_CANCELLED

    cdef int unlink(self) except -1:
        # Its coroutine is closed, or driven by hand: what it runs now believes that it holds the mutex, and will unlock it.
        cdef Signals signals = self.signals
        cdef unsigned char progress = self.progress
        if signals is None or self.state != PARK_OPEN:
            return 0
        queue_remove(signals.waiters if progress == SIGNAL_NONE else self.permits.waiters, self)
        self.state = PARK_CANCELLED
        take_now(self.permits, 1)
        return pass_on(signals) if progress == SIGNAL_SINGLE else 0

    cdef int give_back(self) except -1:
        # The same, only that it has the mutex.
        if self.signals is not None and self.progress == SIGNAL_SINGLE:
            pass_on(self.signals)
        return 0

    cdef int release(self) except -1:
        self.signals = None
        self.message = None
        return AcquirePark.release(self)

    cdef object subject(self):
        return self.signals if self.progress == SIGNAL_NONE else self.permits


cdef int pass_on(Signals signals) except -1:
    """A signal was spent on one that does not take it."""
    return 0 if signals.waiters.first is None else signal_first(signals, True)


install_send(AcquirePark, <void *>acquire_send)
install_send(SignalPark, <void *>park_send)
