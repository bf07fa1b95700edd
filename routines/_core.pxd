# What runs, and what it can wait on. Stands on the ring, the heap and the counters.

from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF

from ._heap cimport TimerEntry, TimerHeap
from ._ring cimport Ring
from ._stats cimport SchedulerCounters, Traffic


cdef extern from *:
    """
    /* The running thread's PyThread_get_thread_ident(), which is the thread pointer itself where the C library keeps its threads
       by it. */
    static inline unsigned long routines_this_thread(void)
    {
    #if defined(__linux__) && defined(__x86_64__) && defined(__LP64__) && defined(__GNUC__)
        unsigned long pointer;
        __asm__("movq %%fs:0, %0" : "=r"(pointer));
        return pointer;
    #else
        return PyThread_get_thread_ident();
    #endif
    }
    """
    unsigned long routines_this_thread() noexcept


cdef extern from *:
    """
    /* The driver of a settled operation goes into the ring, and the slot's None takes its place: no count changes. Of the counts
       that these writes would change most are None's, and those wait for one another, as every statement of Python's changes it
       too.
       The names are those that Cython gives to what is declared below. */
    #define routines_push_driver(park, ring) \\
        do { \\
            struct __pyx_obj_8routines_5_core_Park *park_ = (struct __pyx_obj_8routines_5_core_Park *)(park); \\
            struct __pyx_obj_8routines_5_ring_Ring *ring_ = (struct __pyx_obj_8routines_5_ring_Ring *)(ring); \\
            PyObject **slot_ = ((PyListObject *)ring_->slots)->ob_item + ((ring_->head + ring_->used) & ring_->mask); \\
            PyObject *none_ = *slot_; \\
            assert(none_ == Py_None && ring_->used <= ring_->mask); \\
            *slot_ = (PyObject *)park_->driver; \\
            park_->driver = (void *)none_; \\
            ring_->used++; \\
        } while (0)
    """
    void routines_push_driver(PyObject *park, PyObject *ring) noexcept


cdef extern from "Python.h":
    ctypedef enum PySendResult:
        PYGEN_RETURN
        PYGEN_ERROR
        PYGEN_NEXT


cdef extern from *:
    """
    /* Without the GIL nothing may be kept for whoever comes next on any thread: taking it and seeing that nobody else has it
       would have to be one step. */
    #ifdef Py_GIL_DISABLED
    #  define ROUTINES_KEEPS_SPARES 0
    #else
    #  define ROUTINES_KEEPS_SPARES 1
    #endif
    """
    const bint ROUTINES_KEEPS_SPARES


cdef enum:
    # How an operation goes on from its first await; only forwards.
    PARK_NEW = 0        # made, not awaited; nothing has happened
    PARK_OPEN = 1       # linked into what it waits on; its driver is bound, or about to bind itself
    PARK_COMPLETE = 2   # settled, and unlinked; the outcome waits in it to be fetched
    PARK_CANCELLED = 3  # unlinked without an outcome; the driver will throw
    PARK_DONE = 4       # the outcome was fetched, or given up

cdef enum:
    # What a parked routine waits for; the index of its name in STATE_NAMES.
    WAIT_SLEEP = 2
    WAIT_SEND = 3
    WAIT_RECEIVE = 4
    WAIT_SELECT = 5
    WAIT_IO = 6
    WAIT_JOIN = 7

cdef enum:
    # How many operations of one step may complete without parking before the routine gives way.
    OPERATION_BUDGET = 128

# What is left of the running step's operation budget. One for the process, not one a thread: it decides only when to give
# way, so a thread that resets another's count does no harm, and reading it costs a load and not a look-up.
cdef int operations_left

# How many schedulers run under a test's control: have an explorer, or a virtual clock.
cdef int governed


cdef class Driver:
    # Whoever is bound to an open operation: a routine, or what stands for a plain task.
    cdef int wake(self, Park park) except -1    # a routine is not asked


cdef class Park:
    cdef Driver driver              # bound while parked; owns the routine, never the reverse
    cdef Park previous              # neighbours in the queue it is linked into; owned both ways, see WaitQueue
    cdef Park next
    cdef unsigned char state        # PARK_…
    cdef unsigned char wait         # WAIT_…
    cdef signed char blocking       # asyncio's _asyncio_future_blocking: -1 None, 0 False, 1 True

    # What an operation is made of; each kind has its own.
    cdef int start(self) except -1          # NEW → COMPLETE (returns 1) or OPEN (returns 0)
    cdef object finish(self)                # COMPLETE → DONE: the outcome, or its exception
    cdef int unlink(self) except -1         # OPEN: leave every queue and timer
    cdef int give_back(self) except -1      # COMPLETE, but nobody will fetch it: undo what can be undone
    cdef int expire(self) except -1         # OPEN: its timer has come
    cdef int cancel_through(self, object message) except -1     # OPEN: 1 where what it waits on is cancelled in its place
    cdef int release(self) except -1        # NEW or CANCELLED → DONE: drop what it holds
    cdef bint committed(self) noexcept      # COMPLETE: going on would return at once, so a cancellation came too late
    cdef object subject(self)               # what it waits on, for messages


cdef class TimerTarget:
    # What a timer wakes that is no operation.
    cdef int expire(self) except -1


cdef class WaitQueue:
    cdef Park first
    cdef Park last                  # None where the first one is the only one
    cdef Py_ssize_t length

    cdef int ended(self, Routine routine) except -1     # of a kind that stands for a routine's joiners: it is done
    cdef WaitQueue for_one(self)    # what takes the place of a kind that stands for many routines' joiners; None: it is one's own


cdef inline void queue_append(PyObject *waiting, Park park) noexcept:
    """``park`` is in no queue: it has no neighbours. Of a queue of one, ``last`` is None: most have one."""
    cdef PyObject *before
    if (<WaitQueue>waiting).first is None:
        (<WaitQueue>waiting).first = park
    else:
        before = <PyObject *>(<WaitQueue>waiting).last
        if <object>before is None:
            before = <PyObject *>(<WaitQueue>waiting).first
        park.previous = <Park>before
        (<Park>before).next = park
        (<WaitQueue>waiting).last = park
    (<WaitQueue>waiting).length += 1


cdef inline void queue_remove(PyObject *waiting, Park park) noexcept:
    """The caller holds a reference to ``park``, so nothing is freed here."""
    (<WaitQueue>waiting).length -= 1
    if park.previous is None and park.next is None:
        (<WaitQueue>waiting).first = None
        return
    if park.previous is None:
        (<WaitQueue>waiting).first = park.next
    else:
        park.previous.next = park.next
    if park.next is None:
        (<WaitQueue>waiting).last = park.previous
    else:
        park.next.previous = park.previous
    if (<WaitQueue>waiting).length == 1:
        (<WaitQueue>waiting).last = None
    park.previous = None
    park.next = None


cdef class Routine(Driver):
    cdef object coroutine
    cdef object run_context         # the contextvars.Context that every step runs in
    cdef Scheduler scheduler
    cdef object waiter              # the Park or the foreign future it is parked on
    cdef object outcome             # the result; or (exception, traceback); while not done: an exception to throw in
    cdef object cancel_message
    cdef object name                # None: made from the id when somebody asks
    cdef object spawn_site          # where it was spawned, in debug mode: file:line, or the stack where asyncio asks for it
    cdef list callbacks             # (function, context) pairs
    cdef WaitQueue joiners          # or what counts routines, where nobody has joined: see joiners_of()
    cdef PyObject *live_previous    # neighbours among the scheduler's live routines: borrowed, unlinked before they die
    cdef PyObject *live_next
    cdef readonly unsigned long long id
    cdef long long parked_at        # by the scheduler's clock, when it parked last
    cdef unsigned char status       # ROUTINE_…
    cdef unsigned char cancelling_step   # CANCEL_…: what a requested cancellation still has to do
    cdef unsigned char untracked    # the collector does not know it: see launch()
    cdef int cancel_requests
    cdef int foreign_place          # where it is in the scheduler's list of those that wait for foreign futures; else -1
    cdef bint aborted
    cdef bint started
    cdef bint outcome_is_error
    cdef bint log_traceback
    cdef public bint _log_destroy_pending
    cdef object __weakref__

    cdef int cancel_now(self, object message) except -1
    cdef object cancelled_error(self)
    cdef int settle(self, object outcome, bint is_error, unsigned char status) except -1
    cdef object take_result(self)
    cdef object joined_result(self)
    cdef int call_back(self, object function, object context) except -1
    cdef int leaked(self) except -1
    cdef int settle_leaked(self) except -1
    cdef int close_coroutine(self) except -1
    cdef str wait_name(self)
    cdef object spawned_at(self)


cdef class Wakeup:
    cdef void *vectorcall
    cdef Routine routine            # None: nobody waits
    cdef PyObject *future           # that it was left with; only compared


cdef class Scheduler:
    # What every step and every wake-up touches comes first, so it shares cache lines.
    cdef object loop
    cdef Py_hash_t loop_hash
    cdef object loop_ready          # the loop's own deque of what it calls next, where it has one
    cdef list foreign               # routines parked on foreign futures: what they wait on may hold them weakly
    cdef Wakeup spare_wakeup        # used before and free; None: there is none
    cdef SchedulerCounters counters
    cdef Ring ready                 # Routines to step, TaskDrivers to fire
    cdef PyObject *running          # the routine being stepped, borrowed from step()
    cdef object drain_handle        # the loop's handle of the coming drain; None: none is asked for
    cdef long long clock            # the time as of a few milliseconds or a few dozen steps ago, for what only people look at
    cdef unsigned long thread       # the thread that runs the loop
    cdef bint draining
    cdef int untracked              # how many routines in the ring the collector does not know
    cdef bint holding               # the drain that runs will step whoever becomes ready, so the loop need not be asked
    cdef bint published             # asyncio's current task is one of ours
    cdef bint woken_by_others       # by other threads, since it last lingered
    cdef bint told                  # its loop, that there is somebody in the inbox
    cdef bint lingering             # its thread looks at `signal`, without the GIL
    cdef long signal
    cdef object read_wakeup         # what the loop calls where call_soon_threadsafe() has woken it
    cdef object call_soon
    cdef list gave_way              # Routines that yielded to the loop itself, as asyncio.sleep(0) does, one after the other
    cdef Py_ssize_t giving_way      # how many there are in such lists
    cdef object gave_way_handle     # the loop's handle that will go on with them
    cdef bint debug                 # the loop was in debug mode when somebody last looked
    cdef int steps_to_clock         # steps between two looks at the clock, adapted to how long steps take
    cdef PyObject *live             # first of the live routines, borrowed
    cdef Py_ssize_t live_routines
    cdef Py_ssize_t bound_tasks     # plain tasks bound to an operation of ours
    cdef TimerHeap timers
    cdef object timer_handle
    cdef long long timer_deadline   # what timer_handle is armed for, nanoseconds
    cdef list inbox                 # Drivers woken by other threads
    cdef long long started          # when it was made, and what had gone over the channels from outside by then
    cdef unsigned long long sent_before
    cdef unsigned long long received_before
    cdef Traffic traffic            # over the channels that were made on this loop
    cdef public object runtime      # the Runtime that this belongs to; None: nobody has asked yet
    cdef public bint refuses_time   # configured with enable_time=False
    cdef readonly object explorer   # who decides what is stepped next, in a test; else None
    cdef readonly long long virtual_now     # where the virtual clock stands, nanoseconds; below zero: there is none
    cdef int deferred               # explored drains in a row that let the loop go first
    cdef object __weakref__

    cdef int reserve(self) except -1
    cdef int make_ready(self, Driver driver) except -1
    cdef int arm(self) except -1
    cdef int collect_woken(self) except -1
    cdef bint loop_is_idle(self) except -1
    cdef bint linger(self) except -1
    cdef int give_way_to_loop(self, Routine routine) except -1
    cdef int arm_at(self, Py_ssize_t place) except -1
    cdef bint take_back(self, Py_ssize_t others) except -1
    cdef int drain(self, Routine first, list others) except -1
    cdef int step_at_once(self, Routine routine) except -1
    cdef int track_ready(self) except -1
    cdef int drain_inside(self, Routine first, list others) except -1
    cdef int resume(self, PyObject *running, bint published, object task) except -1
    cdef int govern(self, object explorer, long long virtual_now) except -1
    cdef long long now(self) noexcept
    cdef long long shown_now(self) noexcept
    cdef int drain_explored(self, Routine first, list others) except -1
    cdef list in_ring(self)
    cdef object take_picked(self)
    cdef int gives_way(self) except -1
    cdef int step(self, Routine routine) except -1
    cdef int park_routine(self, Routine routine, Park park) except -1
    cdef int never_begin(self, Routine routine, object error) except -1
    cdef int unstartable(self, Routine routine) except -1
    cdef int bad_yield(self, Routine routine, object error) except -1
    cdef int fail_step(self, Routine routine, bint inside) except -1
    cdef object refuse_future(self, Routine routine, object future)
    cdef int unpublish(self) except -1
    cdef TimerEntry start_timer(self, long long deadline, object target)
    cdef int restart_timer(self, TimerEntry entry, long long deadline, object target) except -1
    cdef int stop_timer(self, TimerEntry entry) except -1
    cdef int arm_timer(self) except -1
    cdef int fire_timers(self) except -1


cdef PySendResult park_send(Park park, PyObject *argument, PyObject **result) except PYGEN_ERROR
cdef int install_send(type park_type, void *send) except -1
cdef int give_way() except -1
cdef int wake(Park park) except -1
cdef int wake_slowly(Park park) except -1
cdef object block_on(Park park, object timeout, str caller)
cdef bint in_loop() except -1
cdef Scheduler running_scheduler()
cdef WaitQueue joiners_of(Routine target)
cdef int wake_joiners(WaitQueue joiners) except -1
cdef int count_select() except -1
cdef object current_task()
cdef object task_of(Scheduler scheduler)
cdef long long monotonic() noexcept
cdef long long duration(object value, str what) except -1
cdef void warn_if_new(Park park) noexcept
cdef PySendResult resume_unsettled(Park park, PyObject **result) except PYGEN_ERROR
cdef object creation_site()
cdef bint debug_enabled
cdef object fast_function(object module, str name, void *call, str doc)
cdef int fast_method(type made_for, str name, void *call, str doc) except -1
cdef object coroutine_to_go(Scheduler scheduler, PyObject **arguments, Py_ssize_t count, PyObject *names)
cdef Routine launch(Scheduler scheduler, object coroutine, object name, object context)
cdef Routine hold(Scheduler scheduler, object coroutine, Park gate)
cdef int let_go(Park gate) except -1


cdef inline int wake_in_drain(Park park) noexcept:
    """`wake` for the commonest case: the driver is a routine of the scheduler that drains on this thread. Else False."""
    cdef PyObject *driver = <PyObject *>park.driver
    cdef PyObject *scheduler
    if type(<object>driver) is not Routine:
        return False
    scheduler = <PyObject *>(<Routine>driver).scheduler
    if not (<Scheduler>scheduler).holding or (<Scheduler>scheduler).thread != routines_this_thread():
        return False
    (<Routine>driver).status = 0    # ROUTINE_READY
    routines_push_driver(<PyObject *>park, <PyObject *>(<Scheduler>scheduler).ready)
    return True


cdef inline int settle_park(Park park) except -1:
    """Complete an open operation that is unlinked already, and wake its driver."""
    park.state = PARK_COMPLETE
    if wake_in_drain(park):
        return 0
    return wake_slowly(park)


cdef inline PySendResult yield_park(Park park, PyObject **result) noexcept:
    """The operation is open: hand it to the driver."""
    park.blocking = True
    Py_INCREF(park)
    result[0] = <PyObject *>park
    return PYGEN_NEXT
