# cython: language_level=3, binding=False, embedsignature=True, embedsignature.format=clinic, always_allow_keywords=False
"""Waiting for many routines: `WaitGroup`, and the compiled part of `group`.

What counts routines stands in each of them for its queue of joiners, and is told of its end. So that costs neither a callback
of the loop's nor an object. One that somebody joins, or that a limit may hold back, has a `Member` there: such a queue, which
tells of the end after those who joined are woken.

Invariants:

- ``count`` is what a wait group was told, and for a group how many members are not done; nobody waits while it is 0;
- a group with a limit has at most so many members past their gate, and a gate is closed only while it has so many, or ends.

Threads: each change is one stretch without Python code, so members may run on any loop of the process. Only the thread of its own
loop cancels a routine or a task.
"""

from asyncio import CancelledError

cimport cython
from cpython.object cimport PyObject

from ._core cimport (
    PARK_COMPLETE,
    PARK_DONE,
    PARK_OPEN,
    WAIT_JOIN,
    Park,
    Routine,
    Scheduler,
    WaitQueue,
    coroutine_to_go,
    creation_site,
    debug_enabled,
    fast_method,
    hold,
    install_send,
    launch,
    let_go,
    park_send,
    queue_append,
    queue_remove,
    running_scheduler,
    settle_park,
    wake,
    wake_joiners,
    warn_if_new,
)

from ._core import close_quietly


cdef extern from "Python.h":
    Py_ssize_t PY_SSIZE_T_MAX
    unsigned long PyThread_get_thread_ident()


cdef unsigned long long last_id = 0


@cython.no_gc_clear
cdef class Countdown(WaitQueue):
    """Not for users: what is waited for until it is zero, and the queue of those who do: ZeroParks."""
    # Not cleared by the collector, which ends routines and so wakes this: every cycle through here goes through a queue, a set or
    # a routine, and these clear themselves.
    cdef Py_ssize_t count
    cdef unsigned long long id
    cdef object creation_site       # in debug mode
    cdef object __weakref__

    def __cinit__(self, *_, **__):
        global last_id
        last_id += 1
        self.id = last_id
        if debug_enabled:
            self.creation_site = creation_site()

    cdef int ended(self, Routine routine) except -1:
        routine.joiners = None      # a routine that is done does not keep what counted it
        return self.member_ended(None, routine)

    cdef WaitQueue for_one(self):
        return new_member(self)

    cdef int member_ended(self, Member member, Routine routine) except -1:  # not covered: every kind has its own
        """A routine that was started here is done. Runs where routines end: what it raised would go to nobody."""
        return 0

    cdef str progress(self):
        return "not made"

    def __repr__(self):
        cdef str text = f"<{type(self).__name__} #{self.id} {self.progress()}"
        if self.length:
            text += f", {self.length} waiting"
        if self.creation_site is not None:
            text += f", made at {self.creation_site}"
        return text + ">"


cdef int change(Countdown countdown, Py_ssize_t difference) except -1:
    """Count up or down; at zero everybody who waits is settled before anybody is woken."""
    cdef list settled = None
    cdef Park park
    while settled is None and countdown.count + difference == 0 and countdown.length > 1:
        settled = []        # making it may let others run, so all is looked at again
    if difference > 0 and countdown.count > PY_SSIZE_T_MAX - difference:
        raise OverflowError(f"{countdown!r} cannot count so far")
    if countdown.count + difference < 0:
        raise ValueError(
            f"{countdown!r} cannot count {-difference} down; each done() needs an add() before it, and go() does both itself"
        )
    countdown.count += difference
    if countdown.count != 0 or countdown.first is None:
        return 0
    if settled is None:
        park = countdown.first
        queue_remove(<PyObject *>countdown, park)
        return settle_park(park)
    while countdown.first is not None:
        park = countdown.first
        queue_remove(<PyObject *>countdown, park)
        park.state = PARK_COMPLETE
        settled.append(park)
    for park in settled:
        wake(park)
    return 0


@cython.final
cdef class ZeroPark(Park):
    """Waiting for zero."""
    cdef Countdown countdown

    cdef int start(self) except -1:
        cdef Countdown countdown = self.countdown
        if countdown is None:
            self.release()
            raise RuntimeError("an operation cannot be made by hand")
        if countdown.count == 0:
            self.state = PARK_COMPLETE
            return 1
        self.state = PARK_OPEN
        queue_append(<PyObject *>countdown, self)
        return 0

    cdef object finish(self):
        self.release()
        return None

    cdef int unlink(self) except -1:
        if self.countdown is not None:
            queue_remove(<PyObject *>self.countdown, self)
        return 0

    cdef int release(self) except -1:
        self.state = PARK_DONE
        self.countdown = None
        return 0

    cdef object subject(self):
        return self.countdown

    def __dealloc__(self):
        warn_if_new(self)


cdef ZeroPark wait_for_zero(Countdown countdown):
    cdef ZeroPark park = ZeroPark.__new__(ZeroPark)
    park.wait = WAIT_JOIN
    park.countdown = countdown
    return park


@cython.final
cdef class Member(WaitQueue):
    """The joiners of a routine that was started here, and its place in what counts it."""
    cdef Countdown group
    cdef bint held                  # its gate is closed, or was when it was cancelled

    cdef int ended(self, Routine routine) except -1:
        cdef Countdown group = self.group
        self.group = None               # nor does this
        wake_joiners(self)
        return 0 if group is None else group.member_ended(self, routine)


cdef inline Member new_member(Countdown group):
    cdef Member member = Member.__new__(Member)
    member.group = group
    return member


cdef int report(Routine routine, object error, str message) except -1:
    """What goes wrong where nobody can be told but the loop."""
    routine.scheduler.loop.call_exception_handler({"message": message, "exception": error, "task": routine})
    return 0


# ---------------------------------------------------------------------------------------------------------------------
# WaitGroup


@cython.final
@cython.no_gc_clear
cdef class WaitGroup(Countdown):
    """WaitGroup()
--

A count to wait for until it is zero: Go's ``sync.WaitGroup``.

`go` starts a routine and counts it until it ends, in whatever way; `add` and `done` count by hand. Any number may wait, and it
may be used again afterwards. It knows nothing of failures and aborts nobody: for that there is `group`. Routines, plain tasks
and the threads of a runtime share it.

Example:
    >>> import routines
    >>> async def main():
    ...     squares, wg = [], routines.WaitGroup()
    ...     async def square(number):
    ...         squares.append(number * number)
    ...     for number in range(4):
    ...         wg.go(square, number)
    ...     await wg.wait()
    ...     return squares
    >>> routines.run(main())
    [0, 1, 4, 9]
"""

    cdef int member_ended(self, Member member, Routine routine) except -1:
        try:
            return change(self, -1)
        except ValueError as error:
            return report(routine, error, "done() was called for a routine that its WaitGroup counts itself")

    cdef str progress(self):
        return f"{self.count} to go"

    def add(self, n=1):
        """Count ``n`` up; below 0, down. At zero everybody who waits is woken. From any thread.

        Raises:
            ValueError: the count would be below zero; it is left as it was.
        """
        change(self, n)

    def done(self):
        """Count one down; as ``add(-1)``."""
        change(self, -1)

    def wait(self):
        """Wait until the count is zero; where it is, that is at once. While parked, the state of a routine is ``join``."""
        return wait_for_zero(self)


cdef object call_wait_group_go(WaitGroup group, PyObject **arguments, Py_ssize_t count, PyObject *names):
    cdef Scheduler scheduler = running_scheduler()
    cdef object coroutine = coroutine_to_go(scheduler, arguments, count, names)
    cdef Routine routine = launch(scheduler, coroutine, None, None)
    routine.joiners = group
    group.count += 1
    return routine


# ---------------------------------------------------------------------------------------------------------------------
# Groups


cdef enum:
    GROUP_NEW = 0
    GROUP_OPEN = 1          # its body runs
    GROUP_LEAVING = 2       # its body is over, members are waited for
    GROUP_OVER = 3


@cython.final
cdef class Gate(Park):
    """What a member waits at that a limit keeps from its first step."""
    cdef Members group              # None once it is open
    cdef Member member

    cdef int unlink(self) except -1:
        cdef Members group = self.group
        self.group = None
        if group is not None:
            queue_remove(<PyObject *>group.gates, self)
        return 0

    cdef object subject(self):
        return self.group


@cython.no_gc_clear
cdef class Members(Countdown):
    """Not for users: the compiled part of `group`."""
    cdef set members                # Routines that are not done
    cdef WaitQueue gates            # of those that the limit holds back
    cdef Py_ssize_t limit           # 0: none
    cdef Py_ssize_t active          # members past their gate
    cdef object parent              # the task whose block it is, while that runs
    cdef Scheduler scheduler        # the parent's
    cdef list errors                # of members and body, in the order in which they failed
    cdef object reason              # what members are aborted with, once it ends
    cdef object fatal               # the first KeyboardInterrupt or SystemExit
    cdef unsigned char stage        # GROUP_…
    cdef bint ending                # members are aborted
    cdef bint parent_cancelled      # by us, and not yet taken back

    def __cinit__(self, *_, **__):
        self.members = set()
        self.gates = WaitQueue.__new__(WaitQueue)
        self.errors = []

    def __init__(self, limit=None):
        if limit is not None:
            if not isinstance(limit, int) or isinstance(limit, bool):
                raise TypeError(f"limit must be an int, or None for no limit, not {limit!r}")
            if limit < 1:
                raise ValueError(f"limit must be at least 1, or None for no limit, not {limit}")
            self.limit = min(limit, PY_SSIZE_T_MAX)

    cdef str progress(self):
        cdef str text = f"{self.count} to go"
        if self.gates.length:
            text += f", {self.gates.length} of them held back by limit={self.limit}"
        if self.stage == GROUP_NEW:
            return "not entered"
        if self.stage == GROUP_OVER:
            return "over"
        return text + ", ending" if self.ending else text

    cdef int member_ended(self, Member member, Routine routine) except -1:
        self.members.discard(routine)
        if member is None or not member.held:
            self.active -= 1
        if routine.log_traceback:       # it failed, and nobody was told yet
            routine.log_traceback = False
            self.fail(routine.outcome[0], "another routine of its group failed")
        while self.gates.first is not None and self.active < self.limit and not self.ending:
            self.open_gate(<Gate>self.gates.first)
        return change(self, -1)

    cdef int open_gate(self, Gate gate) except -1:
        gate.unlink()
        gate.member.held = False
        self.active += 1
        return let_go(gate)

    cdef int fail(self, object error, object reason) except -1:
        """The first failure ends the rest."""
        for known in self.errors:
            if known is error:
                return 0        # a member's that the body has met by awaiting that
        self.errors.append(error)
        if self.fatal is None and isinstance(error, (KeyboardInterrupt, SystemExit)):
            self.fatal = error
        return self.end(reason)

    cdef int end(self, object reason) except -1:
        """Abort all members, and the body where that still runs."""
        cdef Routine routine
        if self.ending or self.stage == GROUP_OVER:
            return 0
        self.ending = True
        self.reason = reason
        for routine in list(self.members):
            abort_member(routine, reason)
        if self.stage == GROUP_OPEN:
            if self.scheduler.thread == PyThread_get_thread_ident():
                self._cancel_parent()
            else:
                call_in(self.scheduler, self._cancel_parent, ())
        return 0

    def _cancel_parent(self):
        # On the parent's thread: whether the body still runs is decided where it runs.
        if self.stage != GROUP_OPEN or self.parent_cancelled or self.parent.done():
            return
        self.parent_cancelled = True
        self.parent.cancel(self.reason)

    def _enter(self, parent, /):
        """The block of ``parent`` begins."""
        cdef Scheduler scheduler = running_scheduler()
        if self.stage != GROUP_NEW:
            raise RuntimeError(f"{self!r} was entered already; make a group for each block")
        if parent is None or scheduler is None:
            raise RuntimeError("a group works inside a routine or a task")
        self.parent = parent
        self.scheduler = scheduler
        self.stage = GROUP_OPEN

    def _leave(self, error, /):
        """The body is over, by ``error`` or None: a failure ends the rest. Whether we had cancelled the parent."""
        cdef bint cancelled = self.parent_cancelled
        if self.stage != GROUP_OPEN:
            raise RuntimeError(f"{self!r} is not entered; use it as 'async with group() as g'")
        self.stage = GROUP_LEAVING
        self.parent_cancelled = False
        if isinstance(error, CancelledError):
            self.end("the block of its group was cancelled")
        elif isinstance(error, GeneratorExit):
            self.end("the block of its group was closed")
        elif error is not None:
            self.fail(error, "the block of its group failed")
        return cancelled

    def _wait(self):
        """Wait for the end of all members."""
        return wait_for_zero(self)

    def _close(self):
        """It is over. The errors, and the one that goes before all others or None."""
        cdef list errors = self.errors
        cdef object fatal = self.fatal
        self.stage = GROUP_OVER
        self.errors = []
        self.fatal = self.parent = None
        return errors, fatal

    def _end(self, reason, /):
        self.end(reason)

    @property
    def _pending(self):
        return self.count

    @property
    def _ending(self):
        return self.ending

    def abort(self, reason=None):
        """End it early: abort all members, and the body where that still runs; the block is then left without an error.

        The body is interrupted at its next suspension. Members and body run their ``finally`` blocks and are waited for; what
        they raise there is raised at the end of the block. Nothing where it ends already. From any thread.

        Args:
            reason: what `Routine.join` of a member says, as ``Aborted.reason``.

        Raises:
            RuntimeError: it was not entered.
        """
        if self.stage == GROUP_NEW:
            raise RuntimeError(f"{self!r}: abort() works inside 'async with group() as g'")
        self.end(reason)


cdef int call_in(Scheduler scheduler, object function, tuple arguments) except -1:
    """Have another thread's loop call it; one that is closed has nothing left to be called for."""
    try:
        scheduler.loop.call_soon_threadsafe(function, *arguments)
    except RuntimeError:
        if not scheduler.loop.is_closed():
            raise
    return 0


cdef int abort_member(Routine routine, object reason) except -1:
    if routine.scheduler.thread != PyThread_get_thread_ident():
        return call_in(routine.scheduler, routine.cancel, (reason,))
    try:
        routine.cancel(reason)
    except Exception as error:
        # A future of somebody else's cannot be cancelled: the others are to be, all the same.
        report(routine, error, "a routine of a group could not be aborted")
    return 0


cdef object call_group_go(Members group, PyObject **arguments, Py_ssize_t count, PyObject *names):
    cdef Scheduler scheduler = running_scheduler()
    cdef object coroutine
    cdef Member member = None
    cdef Gate gate
    cdef Routine routine
    if group.stage != GROUP_OPEN and group.stage != GROUP_LEAVING:
        if count != 0 and not callable(<object>arguments[0]):
            close_quietly(<object>arguments[0])
        raise RuntimeError(f"{group!r}: go() works inside 'async with group() as g', and before that is left")
    coroutine = coroutine_to_go(scheduler, arguments, count, names)
    if group.limit:
        member = new_member(group)      # before its routine: making it may let others run
    if group.stage == GROUP_OVER:       # as has calling the function
        close_quietly(coroutine)
        raise RuntimeError(f"{group!r}: go() works inside 'async with group() as g', and before that is left")
    if group.limit and group.active >= group.limit:
        gate = Gate.__new__(Gate)
        gate.member = member
        routine = hold(scheduler, coroutine, gate)
        gate.group = group
        member.held = True
        queue_append(<PyObject *>group.gates, gate)
    else:
        routine = launch(scheduler, coroutine, None, None)
        group.active += 1
    routine.joiners = group if member is None else member
    group.members.add(routine)
    group.count += 1
    if group.ending:
        abort_member(routine, group.reason)
    return routine


fast_method(WaitGroup, "go", <void *>call_wait_group_go, """go($self, fn, /, *args, **kwargs)
--

Start a routine as `routines.go` does, and count it until it ends: returned, failed or aborted.

It must not call `done` itself. What it raises is the routine's: it is raised by who joins it, or reported.

Args:
    fn: an async function, called at once with the other arguments; or a coroutine, and then nothing else.

Returns:
    The `Routine`.

Raises:
    SpawnError: as for `routines.go`; nothing is counted.
""")

fast_method(Members, "go", <void *>call_group_go, """go($self, fn, /, *args, **kwargs)
--

Start a routine as `routines.go` does, which the block waits for at its end.

With a limit, and as many running, it waits for its turn in the state ``ready``; turns come in order. Where the group ends
already, since one has failed or it was aborted, the routine is aborted before its first step. From any thread with a loop: the
routine runs there.

Args:
    fn: an async function, called at once with the other arguments; or a coroutine, and then nothing else.

Returns:
    The `Routine`. It need not be kept nor joined.

Raises:
    SpawnError: as for `routines.go`.
    RuntimeError: the block was not entered, or is left.
""")

install_send(ZeroPark, <void *>park_send)
install_send(Gate, <void *>park_send)
