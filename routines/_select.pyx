# cython: language_level=3, binding=False, embedsignature=True, embedsignature.format=clinic, always_allow_keywords=False
"""Select: wait for the first of many operations.

Three passes. Look at every case without touching anything, and pick one of those that are ready, each as likely as the others.
If none is, link
a `CaseNode` for each into what it waits on. Whoever completes a node claims the whole select: in that same stretch the other
nodes
leave their queues. So a linked node is always open, a channel treats it like any other waiter, and "claimed, but still in a
queue" does not
exist. A select looks before it links, so it never meets itself.

A `Selector` keeps its `Watch` nodes with the channels between turns; these tell it what became ready, so a turn costs what is
ready, and not
what is watched, as ``epoll`` does against ``select(2)``.

The uniform pick is reservoir sampling with a sample of one (Vitter, "Random sampling with a reservoir", 1985): the k-th ready
case replaces the
pick with probability 1/k. It needs no shuffled order, as Go's does (``runtime/select.go``), and no memory.
"""

import asyncio
import inspect
import random

from .errors import Lagged, SelectError, Timeout

cimport cython
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE

from ._channel cimport (
    Channel,
    ChannelPark,
    ChannelState,
    End,
    Receiver,
    SendCase,
    Sender,
    Watch,
    closed_error,
    put_back,
    receive_into,
    receive_ready,
    send_from,
    send_ready,
    tell_receivers,
    tell_senders,
)
from ._core cimport (
    PARK_COMPLETE,
    PARK_DONE,
    PARK_NEW,
    PARK_OPEN,
    PYGEN_ERROR,
    PYGEN_RETURN,
    ROUTINES_KEEPS_SPARES,
    WAIT_SELECT,
    Driver,
    Park,
    PySendResult,
    Routine,
    Scheduler,
    WaitQueue,
    count_select,
    duration,
    fast_function,
    install_send,
    joiners_of,
    monotonic,
    operations_left,
    park_send,
    queue_append,
    queue_remove,
    running_scheduler,
    settle_park,
    wake as wake_driver,
    warn_if_new,
    yield_park,
)
from ._heap cimport TimerEntry


cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(PyObject *candidate)

cdef extern from *:
    """
    #define routines_tuple_items(tuple) (((PyTupleObject *)(tuple))->ob_item)

    static inline PyObject *routines_tuple_of(PyObject *const *items, Py_ssize_t count)
    {
        PyObject *made = PyTuple_New(count);
        if (made == NULL) return NULL;
        for (Py_ssize_t index = 0; index < count; index++) {
            PyTuple_SET_ITEM(made, index, Py_NewRef(items[index]));
        }
        return made;
    }

    /* A tuple that nobody else has a reference to, filled with None, to be filled again: making one costs twice as much.
       The collector leaves a tuple of nothing but None alone from then on, so it has to be told of this one. */
    static inline void routines_vacate(PyObject *tuple)
    {
        for (Py_ssize_t index = PyTuple_GET_SIZE(tuple) - 1; index >= 0; index--) {
            PyObject *item = PyTuple_GET_ITEM(tuple, index);
            PyTuple_SET_ITEM(tuple, index, Py_NewRef(Py_None));
            Py_DECREF(item);
        }
    }

    static inline void routines_occupy(PyObject *tuple, PyObject *const *items)
    {
        for (Py_ssize_t index = PyTuple_GET_SIZE(tuple) - 1; index >= 0; index--) {
            Py_DECREF(PyTuple_GET_ITEM(tuple, index));
            PyTuple_SET_ITEM(tuple, index, Py_NewRef(items[index]));
        }
        if (!PyObject_GC_IsTracked(tuple)) PyObject_GC_Track(tuple);
    }
    """
    PyObject **tuple_items "routines_tuple_items"(tuple items)
    PyObject *Py_TYPE "(PyObject *)Py_TYPE"(PyObject *candidate) noexcept
    tuple tuple_of "routines_tuple_of"(PyObject **items, Py_ssize_t count)
    void vacate "routines_vacate"(tuple items)
    void occupy "routines_occupy"(tuple items, PyObject **fresh) noexcept


cdef enum:
    # What a source is; decided once for each look at it.
    CASE_NEVER = 0      # None: Go's nil channel
    CASE_RECEIVE = 1
    CASE_SEND = 2
    CASE_JOIN = 3
    CASE_FOREIGN = 4
    CASE_UNKNOWN = 5

cdef enum:
    CHOSEN_CASE = 0
    CHOSEN_DEFAULT = 1
    CHOSEN_TIMEOUT = 2

cdef enum:
    # Idle selects kept for the next ones, and the nodes that one may keep, about a hundred bytes each.
    SPARE_SELECTS = 64
    SPARE_NODES = 128
    SPARE_SOURCES = 16

cdef object NOT_GIVEN = object()

# One state for the process: it only has to be unpredictable enough to be fair.
cdef unsigned long long random_state = random.getrandbits(63) | 1


cdef inline unsigned long long next_random() noexcept:
    """xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators", 2016), its upper half."""
    global random_state
    random_state ^= random_state >> 12
    random_state ^= random_state << 25
    random_state ^= random_state >> 27
    return (random_state * <unsigned long long>0x2545F4914F6CDD1D) >> 32


cdef inline Py_ssize_t below(Py_ssize_t bound) except? -1:
    """Uniform in 0 … bound - 1, for bounds far below 2**32 (Lemire's multiplication; the bias is under bound / 2**32)."""
    if random_state == 0:       # a state that the generator never comes to
        return explored_below(bound)
    return <Py_ssize_t>((next_random() * <unsigned long long>bound) >> 32)


cdef unsigned long long state_unexplored = 0


cdef Py_ssize_t explored_below(Py_ssize_t bound) except? -1:
    """The explorer's choice; its 0 is the first case that is ready, which the reservoir keeps where it is not told 0."""
    global random_state, state_unexplored
    cdef Scheduler scheduler = running_scheduler()
    cdef Py_ssize_t choice
    if scheduler is not None and scheduler.explorer is not None:
        return bound - 1 - <Py_ssize_t>scheduler.explorer.choose(bound)
    # Another thread's loop, which nobody explores.
    random_state = state_unexplored
    choice = <Py_ssize_t>((next_random() * <unsigned long long>bound) >> 32)
    state_unexplored = random_state
    random_state = 0
    return choice


def let_explorer_choose(enabled, /):
    """For tests: whether the explorer of a scheduler, where it has one, chooses among the ready cases."""
    global random_state, state_unexplored
    if enabled and random_state != 0:
        state_unexplored = random_state
        random_state = 0
    elif not enabled and random_state == 0:
        random_state = state_unexplored


def _seed_select(seed, /):
    """For tests: make the choices among ready cases repeatable."""
    global random_state
    random_state = (<unsigned long long>seed * 2 + 1) & <unsigned long long>0x7fffffffffffffff


@cython.final
@cython.freelist(64)
@cython.collection_type("sequence")
cdef class Selected:
    """What a select in the direct form, or a `Selector`, has chosen; made for ``match``.

    ``case Selected(0, value)`` and ``case (0, value, True, _)`` both match it, and it unpacks like a tuple of its four parts.

    Attributes:
        index: which case, counted from 0 with every ``None``; -1 for the default. For a `Selector` the key.
        value: what was received; None for a send, and from a closed channel.
        ok: False where the channel was closed, and for the default.
        source: the object that was passed; for ``tx.case(value)`` its sender.
    """
    cdef readonly Py_ssize_t index
    cdef readonly object value
    cdef readonly bint ok
    cdef readonly object source

    __match_args__ = ("index", "value", "ok", "source")

    def __init__(self):
        raise TypeError("a Selected is what a select returns")

    def __iter__(self):
        return iter((self.index, self.value, self.ok, self.source))

    def __len__(self):
        return 4

    def __getitem__(self, part, /):
        return (self.index, self.value, self.ok, self.source)[part]

    def __eq__(self, other):
        if type(other) is not Selected:
            return NotImplemented
        return tuple(self) == tuple(other)

    __hash__ = None

    def __repr__(self):
        return f"Selected(index={self.index}, value={self.value!r}, ok={self.ok}, source={self.source!r})"


cdef inline Selected selected(Py_ssize_t index, object value, bint ok, object source):
    cdef Selected chosen = Selected.__new__(Selected)
    chosen.index = index
    chosen.value = value
    chosen.ok = ok
    chosen.source = source
    return chosen


# ---------------------------------------------------------------------------------------------------------------------
# Sources


@cython.final
cdef class ForeignCase:
    """An asyncio future, task or event as a case of a select; made by `case`."""
    cdef object future      # an asyncio future; or None, and then:
    cdef object event       # an asyncio.Event

    def __init__(self):
        raise TypeError("a case is made by routines.case(awaitable)")

    cdef bint is_ready(self) except -1:
        if self.event is not None:
            return self.event.is_set()
        return self.future.done()

    cdef object outcome(self):
        return True if self.event is not None else self.future.result()

    def __repr__(self):
        return f"<case on {self.event if self.event is not None else self.future!r}>"


def case(awaitable, /):
    """Something of asyncio's as a case of a `select` or `Selector`.

    Args:
        awaitable: a future or task (ready when it is done; value: its result, or its exception is raised), an ``asyncio.Event``
            (ready while it is set; value: True), or a coroutine, which is started as a task at once and not
            cancelled when it loses.

    Raises:
        TypeError: it is none of these.

    Example:
        >>> import asyncio, routines
        >>> async def main():
        ...     event = asyncio.Event()
        ...     event.set()
        ...     return (await routines.select(routines.case(event))).value
        >>> routines.run(main())
        True
    """
    cdef ForeignCase wrapped = ForeignCase.__new__(ForeignCase)
    if isinstance(awaitable, asyncio.Event):
        wrapped.event = awaitable
    elif asyncio.isfuture(awaitable):
        wrapped.future = awaitable
    elif inspect.isawaitable(awaitable):
        wrapped.future = asyncio.ensure_future(awaitable)
    else:
        raise TypeError(f"case() takes a future, a task, an asyncio.Event or a coroutine, not {awaitable!r}")
    return wrapped


cdef inline int kind_of(PyObject *source) noexcept:
    if Py_TYPE(source) == <PyObject *>Receiver or Py_TYPE(source) == <PyObject *>Channel:
        return CASE_RECEIVE
    if Py_TYPE(source) == <PyObject *>SendCase:
        return CASE_SEND
    if source == <PyObject *>None:
        return CASE_NEVER
    if Py_TYPE(source) == <PyObject *>Routine:
        return CASE_JOIN
    if Py_TYPE(source) == <PyObject *>ForeignCase:
        return CASE_FOREIGN
    if isinstance(<object>source, Receiver):
        return CASE_RECEIVE
    return CASE_UNKNOWN


cdef object refusal(Py_ssize_t index, object source):
    if isinstance(source, Sender):
        way_out = "pass tx.case(value) to send"
    elif inspect.isawaitable(source) or isinstance(source, asyncio.Event):
        way_out = "wrap it in routines.case()"
    else:
        way_out = "pass a receiver, a channel, tx.case(value), a routine, routines.case(awaitable) or None"
    return TypeError(f"case {index} of the select is {source!r}; {way_out}")


cdef inline bint source_ready(PyObject *source, int kind) except -1:
    if kind == CASE_RECEIVE:
        return receive_ready(source)
    if kind == CASE_SEND:
        return send_ready(<PyObject *>(<SendCase>source).end)
    if kind == CASE_JOIN:
        return (<Routine>source).done()
    if kind == CASE_FOREIGN:
        return foreign_ready(<object>source)
    return False


cdef bint foreign_ready(object source) except -1:
    """Asks other people's code, which may drop the case: so it is held here."""
    return (<ForeignCase>source).is_ready()


# ---------------------------------------------------------------------------------------------------------------------
# The select


@cython.final
cdef class SelectDriver(Driver):
    """Bound to every node of a parked select: the first node that is settled claims it."""
    cdef Select select      # only while it is parked

    cdef int wake(self, Park park) except -1:
        cdef Select select = self.select
        if select is None or select.sources is None:
            # Two nodes were settled at once, by a close: the first has won. Or it is not all linked yet, or the collector has
            # cleared it.
            return 0
        return select.claim(<CaseNode>park)


cdef int cancel_waiter(object task) except -1:
    """End a task that waited for an event; another thread may have served the select, or dropped the selector."""
    cdef object loop = task.get_loop()
    if asyncio._get_running_loop() is loop:
        task.cancel()
        return 0
    try:
        loop.call_soon_threadsafe(task.cancel)
    except RuntimeError:
        if not loop.is_closed():
            raise
    return 0


@cython.final
cdef class CaseNode(ChannelPark):
    """A case of a parked select, linked into what it waits on.

    It does not hold its channel: the tuple of sources does, for all nodes of the select, while it is parked.
    """
    cdef Py_ssize_t index
    cdef unsigned char kind     # CASE_…
    cdef object source          # of a join or a foreign case
    cdef object task            # waits for an event in our place

    cdef bint goes_through(self, End end) noexcept:
        cdef Select select = (<SelectDriver>self.driver).select
        cdef object source
        if select is None:
            return False
        source = <object>PyTuple_GET_ITEM(select.sources, self.index)
        if self.kind == CASE_SEND:
            return (<SendCase>source).end is end
        return source is end

    cdef int unlink_other(self) except -1:
        if self.kind == CASE_JOIN:
            queue_remove(<PyObject *>(<Routine>self.source).joiners, self)
        else:
            self.unlink_foreign()
        return 0

    cdef int unlink_foreign(self) except -1:
        cdef ForeignCase foreign = <ForeignCase>self.source
        if self.task is not None:
            self.task.remove_done_callback(self._foreign_done)
            cancel_waiter(self.task)
            self.task = None
        else:
            foreign.future.remove_done_callback(self._foreign_done)
        return 0

    cdef int link_other(self, object source, int kind) except -1:
        cdef WaitQueue joiners
        self.source = source
        if kind == CASE_JOIN:
            joiners = joiners_of(<Routine>source)
            queue_append(<PyObject *>joiners, self)
        elif (<ForeignCase>source).event is not None:
            self.task = asyncio.ensure_future((<ForeignCase>source).event.wait())
            self.task.add_done_callback(self._foreign_done)
        else:
            (<ForeignCase>source).future.add_done_callback(self._foreign_done)
        return 0

    cdef int clear(self) except -1:
        """Unlinked from what is no channel: hold nothing, to be used again."""
        self.source = None
        self.task = None
        return 0

    def _foreign_done(self, future, /):
        if self.state == PARK_OPEN:
            settle_park(self)


# Idle selects, linked by `next`. A list would be resized with every select: it keeps no room to spare for its first item.
cdef Select spare_select = None
cdef int spare_count = 0


cdef inline Select new_select():
    global spare_select, spare_count
    cdef Select made = spare_select
    if made is not None:
        spare_select = <Select>made.next
        made.next = None
        spare_count -= 1
        # This reference alone: nobody has kept the finished one.
        if Py_REFCNT(<PyObject *>made) == 1 and not made.finalized:
            made.blocking = -1
            return made
    made = Select.__new__(Select)
    made.switch = SelectDriver.__new__(SelectDriver)
    made.nodes = []
    made.taker = CaseNode.__new__(CaseNode)
    made.taker.state = PARK_DONE
    made.wait = WAIT_SELECT
    made.state = PARK_DONE
    made.timeout_ns = -1
    made.default_value = NOT_GIVEN
    return made


cdef bint check_sources(PyObject **sources, Py_ssize_t count) except -1:
    """Refuse what is no source; true where some are no channels."""
    cdef Py_ssize_t index
    cdef int kind
    cdef bint others = False
    for index in range(count):
        kind = kind_of(sources[index])
        if kind > CASE_SEND:
            if kind == CASE_UNKNOWN:
                raise refusal(index, <object>sources[index])
            others = True
    return others


@cython.final
cdef class Select(Park):
    """A select under construction, and then the operation that `run` makes of it; `select` makes one.

    Each method but `run` adds to it and returns it. The handlers are plain functions, called once the operation is
    complete; what they return is what the
    select returns, what they raise is raised.
    """
    cdef tuple sources
    cdef tuple idle_sources     # one of None, to be filled with the next sources
    cdef list building          # (kind of case, source, handler, on_close) quadruples; None in the direct form
    cdef list nodes             # linked while parked, the first `linked` of them
    cdef Py_ssize_t linked
    cdef CaseNode taker         # receives for a case that is ready at the first look
    cdef SelectDriver switch
    cdef bint in_order          # biased
    cdef bint was_run
    cdef bint waits_for_others  # some cases are no channels
    cdef bint finalized         # __del__ has run, which it does once
    cdef unsigned char outcome  # CHOSEN_…
    cdef bint failed            # the chosen channel was closed
    cdef Py_ssize_t index
    cdef object value
    cdef object default_value   # the value of the direct form, the handler of the builder
    cdef object timeout_handler
    cdef bint has_options       # any of these is not as in `new_select`: building, biased, default, timeout
    cdef long long timeout_ns   # below 0: none
    cdef Scheduler scheduler
    cdef TimerEntry timer

    # -- building

    cdef int add(self, object source, object handler, object on_close) except -1:
        self.check_building()
        if handler is not None and not callable(handler):
            raise TypeError(f"the handler of case {len(self.building)} is {handler!r}, which cannot be called")
        if on_close is not None and not callable(on_close):
            raise TypeError(f"on_close of case {len(self.building)} is {on_close!r}, which cannot be called")
        self.building.append((source, handler, on_close))
        return 0

    cdef int check_building(self) except -1:
        if self.building is None or self.was_run:
            raise SelectError("this select was run already; build a new one with select()")
        return 0

    def recv(self, source, handler=None, *, on_close=None):
        """A case that receives.

        Args:
            source: a receiver or a channel; or a `Routine`, ready when it is done; or what `case` returns; None is never ready.
            handler: called with the value; None: the select returns the value.
            on_close: called with nothing where the channel is closed and drained; None: the select raises `ChannelClosed`.
        """
        cdef int kind = kind_of(<PyObject *>source)
        if kind == CASE_UNKNOWN or kind == CASE_SEND:
            self.check_building()
            raise refusal(len(self.building), source) if kind == CASE_UNKNOWN else TypeError(
                f"case {len(self.building)} of the select is {source!r}; recv() takes a receiver, send() sends"
            )
        self.add(source, handler, on_close)
        return self

    def send(self, *arguments):
        """``send(tx, value, handler=None)``: a case that sends ``value`` where it is chosen.

        Args:
            tx: a sender or a channel; None is never ready.
            value: what to send.
            handler: called with nothing once it was sent; None: the select returns None.
        """
        cdef object end
        if len(arguments) == 1 and (self.building is None or self.was_run):
            return Park.send(self, arguments[0])    # the coroutine protocol, which has a method of this name
        if len(arguments) not in (2, 3):
            raise TypeError(f"send() of a select takes a sender, a value and perhaps a handler, not {len(arguments)} arguments")
        end = arguments[0]
        handler = arguments[2] if len(arguments) == 3 else None
        if end is None:
            self.add(None, handler, None)
        elif isinstance(end, (Sender, Channel)):
            self.add(end.case(arguments[1]), handler, None)
        else:
            self.check_building()
            raise TypeError(f"case {len(self.building)} of the select sends to {end!r}; pass a sender or a channel")
        return self

    def timeout(self, seconds, handler=None):
        """What to do where no case was ready in time.

        Args:
            seconds: a float, or a timedelta; 0 looks once.
            handler: called with nothing; None: the select raises `Timeout`.
        """
        self.check_building()
        if self.timeout_ns >= 0:
            raise SelectError("this select has a timeout already; a select takes one")
        if handler is not None and not callable(handler):
            raise TypeError(f"the handler of the timeout is {handler!r}, which cannot be called")
        self.timeout_ns = duration(seconds, "timeout")
        self.timeout_handler = handler
        return self

    def default(self, handler=None):
        """What to do at once where no case is ready: call the handler; None: the select returns None."""
        self.check_building()
        if self.default_value is not NOT_GIVEN:
            raise SelectError("this select has a default already; a select takes one")
        if handler is not None and not callable(handler):
            raise TypeError(f"the handler of the default is {handler!r}, which cannot be called")
        self.default_value = handler
        return self

    def biased(self):
        """Take the first ready case in order, and not a random one."""
        self.check_building()
        self.in_order = True
        return self

    def run(self):
        """The operation: awaiting it waits for the first case and returns what its handler does.

        Raises:
            SelectError: it has no case and no timeout, or was run already.
            Timeout: the time was over, and the timeout has no handler.
            ChannelClosed: the chosen channel is closed, and the case has no ``on_close``.
        """
        cdef list sources = []
        cdef tuple part
        self.check_building()
        self.was_run = True
        for part in self.building:
            sources.append(part[0])     # a comprehension drops its item twice where there is no memory (Cython 3.3.1)
        self.sources = tuple(sources)
        self.waits_for_others = check_sources(tuple_items(self.sources), PyTuple_GET_SIZE(self.sources))
        if not self.sources and self.timeout_ns < 0:
            raise SelectError("this select has no case; add one with recv() or send()")
        self.state = PARK_NEW
        return self

    def __await__(self):
        if self.building is not None and not self.was_run:
            if not self.building:
                raise SelectError("select() without a case waits for nothing; pass cases, or build with recv(), send() and run()")
            raise SelectError("this select was built but not run; await what run() returns")
        return self

    # -- running

    cdef Py_ssize_t pick(self) except -2:
        """The index of the ready case to take; -1 where none is."""
        cdef Py_ssize_t index
        cdef Py_ssize_t chosen = -1
        cdef Py_ssize_t ready = 0
        cdef PyObject *source
        for index in range(PyTuple_GET_SIZE(self.sources)):
            source = PyTuple_GET_ITEM(self.sources, index)
            if source_ready(source, kind_of(source)):
                if self.in_order:
                    return index
                ready += 1
                if ready == 1 or below(ready) == 0:
                    chosen = index
        return chosen

    cdef int perform(self, Py_ssize_t index) except -1:
        """Do the operation of a case that is ready: 1; 0 where it turns out not to be."""
        cdef object source = <object>PyTuple_GET_ITEM(self.sources, index)
        cdef int kind = kind_of(<PyObject *>source)
        cdef ChannelState channel
        cdef End end
        cdef CaseNode node
        cdef bint done
        self.outcome = CHOSEN_CASE
        self.index = index
        self.failed = False
        if kind == CASE_RECEIVE:
            node = self.taker
            node.failed = False
            done = receive_into((<End>source).state, <End>source, node)
            self.value = node.value
            self.failed = node.failed
            node.value = None
            return done
        elif kind == CASE_SEND:
            end = (<SendCase>source).end
            channel = end.state
            if channel.closed or end.end_closed:
                self.failed = True
                return 1
            if not send_from(channel, (<SendCase>source).value):
                return 0
        return 1

    cdef int start(self) except -1:
        if self.sources is None:
            raise RuntimeError("an operation cannot be made by hand")
        if self.take_ready():
            return 1
        if self.default_value is not NOT_GIVEN:
            self.outcome = CHOSEN_DEFAULT
            self.state = PARK_COMPLETE
            return 1
        if self.timeout_ns == 0:
            self.outcome = CHOSEN_TIMEOUT
            self.state = PARK_COMPLETE
            return 1
        if self.prepare():
            if self.take_ready():
                self.unlink()
                return 1
            if self.timeout_ns > 0 and self.timer is None:
                # It came while other people's code ran, and the loop inside of that.
                self.outcome = CHOSEN_TIMEOUT
                self.state = PARK_COMPLETE
                self.unlink()
                return 1
        self.link_all()
        return 0

    cdef bint take_ready(self) except -1:
        """The first pass: do the operation of a case that is ready."""
        cdef Py_ssize_t index
        while True:
            index = self.pick()
            if index < 0:
                return False
            if self.perform(index):
                self.state = PARK_COMPLETE
                return True

    cdef bint prepare(self) except -1:
        """Make what linking needs, as making it may let others run: then true, and everything has to be looked at again."""
        cdef Py_ssize_t size = PyTuple_GET_SIZE(self.sources)
        cdef CaseNode node
        cdef bint made = False
        if self.timeout_ns > 0:
            self.scheduler = running_scheduler()
            if self.scheduler is None:
                self.release()
                raise RuntimeError("a select with a timeout needs a running event loop")
            self.timer = self.scheduler.start_timer(monotonic() + self.timeout_ns, self)
            made = True
        while PyList_GET_SIZE(self.nodes) < size:
            node = CaseNode.__new__(CaseNode)
            node.wait = WAIT_SELECT
            node.state = PARK_DONE
            self.nodes.append(node)
            made = True
        if self.waits_for_others:
            self.link_others()
            made = True
        return made

    cdef CaseNode open_node(self, Py_ssize_t index, int kind):
        cdef CaseNode node = <CaseNode>PyList_GET_ITEM(self.nodes, self.linked)
        node.index = index
        node.kind = kind
        node.state = PARK_OPEN
        if node.driver is None:
            node.driver = self.switch
        self.linked += 1
        return node

    cdef int link_others(self) except -1:
        """Link the cases that are no channels: that is other people's code."""
        cdef Py_ssize_t index
        cdef object source
        cdef int kind
        self.switch.select = None       # nothing is claimed until all is linked
        try:
            for index in range(PyTuple_GET_SIZE(self.sources)):
                source = <object>PyTuple_GET_ITEM(self.sources, index)
                kind = kind_of(<PyObject *>source)
                if kind == CASE_JOIN or kind == CASE_FOREIGN:
                    self.open_node(index, kind).link_other(source, kind)
        except BaseException:
            # It could not be waited for: nothing of the others may stay behind.
            self.linked -= 1
            (<CaseNode>PyList_GET_ITEM(self.nodes, self.linked)).state = PARK_DONE
            (<CaseNode>PyList_GET_ITEM(self.nodes, self.linked)).clear()
            self.unlink()
            self.release()
            raise
        return 0

    cdef int link_all(self) except -1:
        """The second pass. Nothing runs meanwhile: no case can become ready before it is linked."""
        cdef Py_ssize_t index
        cdef PyObject *source
        cdef int kind
        cdef bint watched = False
        cdef CaseNode node
        self.state = PARK_OPEN
        self.switch.select = self
        for index in range(PyTuple_GET_SIZE(self.sources)):
            source = PyTuple_GET_ITEM(self.sources, index)
            kind = kind_of(source)
            if kind == CASE_RECEIVE:
                queue_append(<PyObject *>(<End>source).state.receivers, self.open_node(index, kind))
                watched |= (<End>source).state.send_watches is not None
            elif kind == CASE_SEND:
                node = self.open_node(index, kind)
                node.value = (<SendCase>source).value
                queue_append(<PyObject *>(<SendCase>source).end.state.senders, node)
                watched |= (<SendCase>source).end.state.receive_watches is not None
        if watched:
            self.tell_watches()
        return 0

    cdef int tell_watches(self) except -1:
        """Selectors that watch the other side of a case may have become ready by this select."""
        cdef Py_ssize_t index
        cdef object source
        cdef int kind
        for index in range(PyTuple_GET_SIZE(self.sources)):
            source = <object>PyTuple_GET_ITEM(self.sources, index)
            kind = kind_of(<PyObject *>source)
            if kind == CASE_RECEIVE:
                if (<End>source).state.send_watches is not None:
                    tell_senders((<End>source).state)
            elif kind == CASE_SEND:
                if (<SendCase>source).end.state.receive_watches is not None:
                    tell_receivers((<SendCase>source).end.state)
            if self.state != PARK_OPEN:
                break
        return 0

    cdef int unlink(self) except -1:
        """Leave everything that it waits on; the winner, if any, has left by itself."""
        cdef Py_ssize_t position
        cdef Py_ssize_t linked = self.linked
        cdef list nodes = self.nodes
        cdef PyObject *source
        cdef CaseNode node
        cdef TimerEntry timer = self.timer
        self.switch.select = None
        self.linked = 0
        if timer is not None:
            self.timer = None
            self.scheduler.stop_timer(timer)
        for position in range(linked):
            node = <CaseNode>PyList_GET_ITEM(nodes, position)
            if node.state == PARK_OPEN:
                node.state = PARK_DONE
                source = PyTuple_GET_ITEM(self.sources, node.index)
                if node.kind == CASE_RECEIVE:
                    queue_remove(<PyObject *>(<End>source).state.receivers, node)
                    continue    # it holds nothing
                if node.kind == CASE_SEND:
                    queue_remove(<PyObject *>(<SendCase>source).end.state.senders, node)
                else:
                    node.unlink_other()
            node.state = PARK_DONE
            # What it holds is held by the sources as well, or by whoever was given it: dropping it here runs nobody's code.
            node.failed = False
            node.value = None
            if node.kind > CASE_SEND:
                node.clear()
        return 0

    cdef int claim(self, CaseNode winner) except -1:
        self.outcome = CHOSEN_CASE
        self.index = winner.index
        self.failed = winner.failed
        if winner.kind == CASE_RECEIVE:
            self.value = winner.value
        self.state = PARK_COMPLETE
        self.unlink()
        return wake_driver(self)

    cdef int expire(self) except -1:
        if self.state != PARK_OPEN:
            self.timer = None
            return 0
        self.timer = None
        self.outcome = CHOSEN_TIMEOUT
        self.state = PARK_COMPLETE
        self.unlink()
        return wake_driver(self)

    cdef int give_back(self) except -1:
        cdef object source
        cdef object value = self.value
        self.value = None
        if self.outcome != CHOSEN_CASE or self.failed or self.sources is None:
            return 0
        source = <object>PyTuple_GET_ITEM(self.sources, self.index)
        if kind_of(<PyObject *>source) == CASE_RECEIVE:
            put_back((<End>source).state, value)
        return 0

    cdef int release(self) except -1:
        """Hold nothing any more, and be there for the next select."""
        global spare_select, spare_count
        cdef tuple sources = self.sources
        cdef object _value = self.value     # these are dropped at return
        cdef list _building
        cdef object _default_value
        cdef object _timeout_handler
        self.state = PARK_DONE
        if self.taker is None or (sources is None and not self.has_options):
            return 0    # not made by a call; or given up again, and it is among the spare ones
        self.sources = None
        self.value = None
        if self.has_options:
            _default_value = self.default_value
            self.has_options = False
            self.default_value = NOT_GIVEN
            self.timeout_ns = -1
            self.in_order = False
            if self.scheduler is not None:
                self.scheduler = None
            if self.building is not None:
                _building = self.building
                _timeout_handler = self.timeout_handler
                self.building = None
                self.timeout_handler = None
                self.was_run = False
        if PyList_GET_SIZE(self.nodes) > SPARE_NODES:
            self.nodes = []
        if sources is not None and Py_REFCNT(<PyObject *>sources) == 1 and PyTuple_GET_SIZE(sources) <= SPARE_SOURCES:
            # Dropping them may run anybody's code, which finds this select done, and not yet among the spare ones.
            vacate(sources)
            self.idle_sources = sources
        if ROUTINES_KEEPS_SPARES and spare_count < SPARE_SELECTS:
            self.next = spare_select
            spare_select = self
            spare_count += 1
        return 0

    cdef object finish(self):
        cdef object source
        cdef object value
        cdef bint failed = self.failed
        cdef Py_ssize_t index = self.index
        cdef int kind
        count_select()
        if self.outcome != CHOSEN_CASE:
            return self.finish_without_case()
        source = <object>PyTuple_GET_ITEM(self.sources, index)
        kind = kind_of(<PyObject *>source)
        if self.building is not None:
            return self.finish_built(source, kind)
        value = self.value
        self.release()
        if kind == CASE_RECEIVE:
            if failed and value is not None:
                raise Lagged(value)
            return selected(index, value, not failed, source)
        if kind == CASE_SEND:
            if failed:
                raise closed_error((<SendCase>source).end.state, (<SendCase>source).end, "send")
            return selected(index, None, True, (<SendCase>source).end)
        return selected(index, foreign_outcome(source, kind), True, source)

    cdef object finish_without_case(self):
        """The default was taken, or the time is over."""
        cdef object handler
        cdef Py_ssize_t cases
        cdef long long timeout_ns
        if self.outcome == CHOSEN_DEFAULT:
            handler = self.default_value
            if self.building is None:
                self.release()
                return selected(-1, handler, False, None)
            self.release()
            return None if handler is None else handler()
        cases = PyTuple_GET_SIZE(self.sources)
        handler = self.timeout_handler
        timeout_ns = self.timeout_ns
        self.release()
        if handler is not None:
            return handler()
        raise Timeout(f"none of the {cases} cases of the select was ready within {timeout_ns / 1e9:g} s")

    cdef object finish_built(self, object source, int kind):
        """Call the handler of the case that was chosen."""
        cdef object value = self.value
        cdef bint failed = self.failed
        cdef tuple parts = <tuple>PyList_GET_ITEM(self.building, self.index)
        cdef object handler = <object>PyTuple_GET_ITEM(parts, 1)
        cdef object on_close
        self.release()
        if kind == CASE_RECEIVE:
            if failed:
                if value is not None:
                    raise Lagged(value)
                on_close = <object>PyTuple_GET_ITEM(parts, 2)
                if on_close is None:
                    raise closed_error((<End>source).state, <End>source, "receive")
                return on_close()
        elif kind == CASE_SEND:
            if failed:
                raise closed_error((<SendCase>source).end.state, (<SendCase>source).end, "send")
            return None if handler is None else handler()
        else:
            value = foreign_outcome(source, kind)
        return value if handler is None else handler(value)

    cdef object subject(self):
        if self.sources is None:
            return None
        return self.sources

    def __del__(self):
        # The collector is about to clear it, while the channels that go with it close and wake whoever waits: what is cleared
        # has to be out of their reach. Closed by its coroutine later, it finds nothing left to unlink.
        self.finalized = True
        if self.state == PARK_OPEN:
            self.unlink()

    def __dealloc__(self):
        warn_if_new(self)


cdef object foreign_outcome(object source, int kind):
    """What a routine or a foreign case that is ready has to say; raises what it raised."""
    if kind == CASE_JOIN:
        return (<Routine>source).joined_result()
    return (<ForeignCase>source).outcome()


cdef str TIMEOUT = "timeout"
cdef str DEFAULT = "default"
cdef str BIASED = "biased"


cdef object known_keyword(object name):
    """The text above that equals ``name``, or else ``name``: some callers make the names of keywords at run time."""
    cdef str known
    for known in (TIMEOUT, DEFAULT, BIASED):
        if name == known:
            return known
    return name


cdef object call_select(PyObject *module, PyObject **arguments, Py_ssize_t count, PyObject *names):
    cdef tuple sources
    cdef Select made
    cdef object default = NOT_GIVEN
    cdef object value
    cdef object name
    cdef bint in_order = False
    cdef bint others
    cdef long long nanoseconds = -1
    cdef Py_ssize_t position
    if names != NULL:
        for position in range(PyTuple_GET_SIZE(<tuple>names)):
            if PyTuple_GET_ITEM(<tuple>names, position) == <PyObject *>DEFAULT:
                default = <object>arguments[count + position]
                continue
            name = <object>PyTuple_GET_ITEM(<tuple>names, position)
            value = <object>arguments[count + position]
            # Keywords are nearly always interned, as the texts here are.
            if name is not TIMEOUT and name is not DEFAULT and name is not BIASED:
                name = known_keyword(name)
            if name is TIMEOUT:
                if value is not None:
                    nanoseconds = duration(value, "timeout")
            elif name is DEFAULT:
                default = value
            elif name is BIASED:
                in_order = value
            else:
                raise TypeError(f"select() got an unexpected keyword argument {name!r}; it takes timeout, default and biased")
    if count == 0 and nanoseconds < 0 and default is NOT_GIVEN:
        made = new_select()
        made.has_options = True
        made.building = []
        made.in_order = in_order
        return made
    others = check_sources(arguments, count)
    made = new_select()
    made.waits_for_others = others
    if names != NULL:
        made.has_options = True
        made.timeout_ns = nanoseconds
        made.in_order = in_order
        made.default_value = default
    sources = made.idle_sources
    if sources is not None and PyTuple_GET_SIZE(sources) == count:
        made.idle_sources = None
        occupy(sources, arguments)
    else:
        sources = tuple_of(arguments, count)
    made.sources = sources
    made.state = PARK_NEW
    return made


select = fast_function(__name__, "select", <void *>call_select, """select(*sources, timeout=None, default=..., biased=False)
--

Wait for the first of many operations: pass them, or build the select with methods.

Without sources it returns a builder: ``await select().recv(rx, f).send(tx, value, g).timeout(1.0, h).run()``. With sources it
is the operation:
``await select(rx1, rx2, tx.case(value), timeout=1.0)`` returns a `Selected`. Among several cases that are ready one is picked
at random, each as likely. What loses leaves nothing behind. Cancelled, no case has happened; a cancellation that comes when one
has is raised at the
next suspension.

Args:
    sources: receivers and channels (to receive), ``tx.case(value)`` (to send), routines (ready when done), what `case`
        returns, and None (never ready).
    timeout: seconds as a float, or a timedelta, and then `Timeout`; 0 looks once.
    default: the value of the result where nothing is ready at once.
    biased: take the first ready case in order.

Raises:
    Timeout: no case was ready in time.
    ChannelClosed: the chosen case sends to a closed channel.
    TypeError: a source is none of the above; the text says which.
    ValueError: ``timeout`` is negative or NaN.
    SelectError: awaited without any case or timeout.

Example:
    >>> import routines
    >>> async def main():
    ...     tx, rx = routines.channel(1)
    ...     other, silent = routines.channel()
    ...     await tx.send("hello")
    ...     match await routines.select(rx, silent, timeout=1.0):
    ...         case routines.Selected(0, value):
    ...             return value
    >>> routines.run(main())
    'hello'
""")


cdef PySendResult select_send(Select park, PyObject *argument, PyObject **result) except PYGEN_ERROR:
    """`park_send`, with what the direct form over channels does in a straight line: receive, wait, be woken, take the default."""
    global operations_left
    cdef object value
    cdef object source
    cdef Py_ssize_t index
    result[0] = NULL    # what it is on an error
    if park.state == PARK_NEW and operations_left > 0 and park.sources is not None and park.building is None:
        index = park.pick()
        if index >= 0:
            if park.perform(index):
                operations_left -= 1
                park.state = PARK_COMPLETE
        elif park.default_value is not NOT_GIVEN:
            operations_left -= 1
            value = park.default_value
            count_select()
            park.release()
            return return_selected(selected(-1, value, False, None), result)
        elif (
            park.timeout_ns < 0 and not park.waits_for_others
            and PyList_GET_SIZE(park.nodes) >= PyTuple_GET_SIZE(park.sources)
        ):
            # All that linking needs is there, so nothing has run since the look.
            operations_left -= 1
            park.link_all()
            return yield_park(park, result)
    if park.state == PARK_COMPLETE and park.outcome == CHOSEN_CASE and park.building is None:
        source = <object>PyTuple_GET_ITEM(park.sources, park.index)
        if kind_of(<PyObject *>source) == CASE_RECEIVE and not park.failed:
            value = selected(park.index, park.value, True, source)
            count_select()
            park.release()
            return return_selected(value, result)
    return park_send(park, argument, result)


cdef inline PySendResult return_selected(object chosen, PyObject **result) noexcept:
    Py_INCREF(chosen)
    result[0] = <PyObject *>chosen
    return PYGEN_RETURN


install_send(Select, <void *>select_send)


# ---------------------------------------------------------------------------------------------------------------------
# The selector


@cython.final
cdef class Hub(Driver):
    """What the watches of one selector share: which of them may be ready, and who waits.

    A watch owns the hub, and the hub the parked operation, so a routine that waits on a selector is reached through its
    channels. The selector itself is
    reached through the operation alone: dropped while nobody waits, it takes its watches along.
    """
    cdef list ready         # watches that became ready and were not seen otherwise since
    cdef NextPark park      # open

    cdef int wake(self, Park park) except -1:
        # The routine that a watch joined is done.
        return (<SelectorWatch>park).became_ready()


@cython.final
cdef class SelectorWatch(Watch):
    """A case of a selector."""
    cdef Hub hub
    cdef Py_ssize_t key
    cdef object source
    cdef object task            # waits for an event in our place
    cdef unsigned char kind     # CASE_…
    cdef bint queued            # in hub.ready
    cdef bint linked

    cdef int link(self) except -1:
        """Register with what the case waits on, for as long as it is in the selector."""
        cdef ChannelState channel
        cdef WaitQueue fresh = WaitQueue.__new__(WaitQueue)
        self.linked = True
        if self.kind == CASE_RECEIVE:
            self.end = <End>self.source
            self.channel = channel = self.end.state
            if channel.receive_watches is None:
                channel.receive_watches = fresh
            queue_append(<PyObject *>channel.receive_watches, self)
        elif self.kind == CASE_SEND:
            self.end = (<SendCase>self.source).end
            self.value = (<SendCase>self.source).value
            self.channel = channel = self.end.state
            if channel.send_watches is None:
                channel.send_watches = fresh
            queue_append(<PyObject *>channel.send_watches, self)
        elif self.kind == CASE_JOIN:
            fresh = joiners_of(<Routine>self.source)
            if not (<Routine>self.source).done():
                self.state = PARK_OPEN
                self.driver = self.hub
                queue_append(<PyObject *>fresh, self)
        elif self.kind == CASE_FOREIGN:
            self.link_foreign()
        if self.is_ready():
            self.became_ready()
        return 0

    cdef int link_foreign(self) except -1:
        cdef ForeignCase foreign = <ForeignCase>self.source
        if foreign.event is None:
            foreign.future.add_done_callback(self._foreign_done)
        elif not foreign.event.is_set() and self.task is None:
            self.task = asyncio.ensure_future(foreign.event.wait())
            self.task.add_done_callback(self._foreign_done)
        return 0

    def _foreign_done(self, future, /):
        self.task = None
        if self.linked:
            self.became_ready()

    cdef int unlink(self) except -1:
        if not self.linked:
            return 0
        self.linked = False
        if self.source is None or (self.channel is None and self.kind <= CASE_SEND):
            return 0    # cleared by the collector, and so is what it was registered with
        if self.kind == CASE_RECEIVE:
            queue_remove(<PyObject *>self.channel.receive_watches, self)
            if self.channel.receive_watches.first is None:
                self.channel.receive_watches = None
        elif self.kind == CASE_SEND:
            queue_remove(<PyObject *>self.channel.send_watches, self)
            if self.channel.send_watches.first is None:
                self.channel.send_watches = None
        elif self.kind == CASE_JOIN:
            if self.state == PARK_OPEN:
                self.state = PARK_DONE
                self.driver = None
                queue_remove(<PyObject *>(<Routine>self.source).joiners, self)
        else:
            if self.task is not None:
                self.task.remove_done_callback(self._foreign_done)
                cancel_waiter(self.task)
                self.task = None
            elif (<ForeignCase>self.source).future is not None:
                (<ForeignCase>self.source).future.remove_done_callback(self._foreign_done)
        return 0

    cdef bint is_ready(self) except -1:
        return source_ready(<PyObject *>self.source, self.kind)

    cdef bint waits(self) noexcept:
        return self.hub.park is not None

    cdef int became_ready(self) except -1:
        cdef NextPark park = self.hub.park
        cdef bint done = False
        if not self.queued:
            self.queued = True
            self.hub.ready.append(self)
        if park is not None:
            # While it is done nobody is to see this selector wait: not another of its cases either, which it would meet.
            self.hub.park = None
            try:
                done = self.perform_into(park)
            finally:
                if not done:
                    self.hub.park = park
            if done:
                settle_park(park)
        return 0

    cdef int take_value(self, object value) except -1:
        cdef NextPark park = self.hub.park
        if park is None or self.end.end_closed:
            return 0
        self.hub.park = None
        park.watch = self
        park.value = value
        park.failed = False
        settle_park(park)
        return 1

    cdef int give_value(self, ChannelPark receiver) except -1:
        cdef NextPark park = self.hub.park
        if park is None or self.end.end_closed:
            return 0
        receiver.value = self.value
        self.hub.park = None
        park.watch = self
        park.failed = False
        settle_park(park)
        return 1

    cdef int perform_into(self, NextPark park) except -1:
        """Do the operation, where it is ready, for whoever asked for the next case: 1; else 0."""
        park.watch = self
        park.failed = False
        if self.kind == CASE_RECEIVE:
            if receive_into(self.channel, self.end, park):
                return 1
            park.watch = None
            return 0
        if self.kind == CASE_SEND:
            if self.channel.closed or self.end.end_closed:
                park.failed = True
                return 1
            if send_from(self.channel, self.value):
                return 1
            park.watch = None
            return 0
        if self.is_ready():
            return 1
        park.watch = None
        return 0


@cython.final
cdef class NextPark(ChannelPark):
    """Waiting for the next ready case of a selector."""
    cdef Selector selector
    cdef SelectorWatch watch    # the one that was chosen
    cdef bint iterates

    cdef int start(self) except -1:
        cdef Selector selector = self.selector
        if selector is None:
            raise RuntimeError("an operation cannot be made by hand")
        if selector.hub.park is not None:
            self.state = PARK_DONE
            raise SelectError(f"{selector!r} is waited on already; one next() at a time")
        if not selector.watches:
            self.state = PARK_COMPLETE
            return 1
        if selector.choose(self):
            self.state = PARK_COMPLETE
            return 1
        self.state = PARK_OPEN
        selector.hub.park = self
        return 0

    cdef int unlink(self) except -1:
        if self.selector is not None:
            self.selector.hub.park = None
        return 0

    cdef int give_back(self) except -1:
        cdef object value = self.value
        self.value = None
        if self.watch is not None and self.watch.kind == CASE_RECEIVE and not self.failed:
            put_back(self.watch.channel, value)
        return 0

    cdef int release(self) except -1:
        cdef Selector _selector = self.selector     # both are dropped at return
        cdef SelectorWatch _watch = self.watch
        self.selector = None
        self.watch = None
        self.channel = None
        return ChannelPark.release(self)

    cdef object finish(self):
        cdef Selector selector = self.selector
        cdef SelectorWatch watch = self.watch
        cdef object value = self.value
        cdef bint failed = self.failed
        cdef bint iterates = self.iterates
        if watch is not None:
            count_select()
        self.release()
        if selector.spare is None:
            selector.spare = self
        if watch is None:
            if iterates:
                raise StopAsyncIteration
            raise SelectError(f"{selector!r} has no case; add one with add()")
        if watch.kind == CASE_RECEIVE:
            if failed and value is not None:
                raise Lagged(value)
            return selected(watch.key, value, not failed, watch.source)
        if watch.kind == CASE_SEND:
            return selected(watch.key, None, not failed, watch.end)
        return selected(watch.key, foreign_outcome(watch.source, watch.kind), True, watch.source)

    cdef object subject(self):
        return self.selector

    def __dealloc__(self):
        warn_if_new(self)


@cython.final
@cython.no_gc_clear
cdef class Selector:
    """Selector(*cases, biased=False)
--

A prepared select for loops: a turn costs the same over two cases as over a thousand.

The cases stay registered between turns; nothing is taken out of a channel between two turns. ``await sel.next()`` and ``async
for chosen in sel``
return a `Selected`, whose ``index`` is the key of the case. A case whose channel is closed comes up with ``ok=False`` until
it is removed; one whose routine or
future is done comes up again and again as well. A plain receiver that waits on the same channel is served before the selector.

Args:
    cases: as for `select`; their keys are 0 … n-1.
    biased: take the ready case with the lowest key, and not a random one.

Raises:
    TypeError: a case is no source; the text says which.

Example:
    >>> import routines
    >>> async def main():
    ...     tx1, rx1 = routines.channel(1)
    ...     tx2, rx2 = routines.channel(1)
    ...     await tx2.send("two")
    ...     chosen = await routines.Selector(rx1, rx2).next()
    ...     return chosen.index, chosen.value
    >>> routines.run(main())
    (1, 'two')
"""
    # Not cleared by the collector: it must find its watches to unlink them. Every cycle through here goes through the dictionary
    # of the watches, which clears itself.
    cdef Hub hub
    cdef dict watches       # by key
    cdef NextPark spare
    cdef Py_ssize_t next_key
    cdef bint in_order
    cdef object __weakref__

    def __cinit__(self):
        self.hub = Hub.__new__(Hub)
        self.hub.ready = []
        self.watches = {}

    def __init__(self, *cases, biased=False):
        check_sources(tuple_items(cases), PyTuple_GET_SIZE(cases))
        self.in_order = biased
        for source in cases:
            self.add(source)

    def add(self, source, /):
        """Watch another case from the next turn on, also while a turn waits.

        Returns:
            Its key, which no other case of this selector has had.
        """
        cdef SelectorWatch watch
        cdef int kind = kind_of(<PyObject *>source)
        if kind == CASE_UNKNOWN:
            raise refusal(self.next_key, source)
        watch = SelectorWatch.__new__(SelectorWatch)
        watch.state = PARK_DONE
        watch.wait = WAIT_SELECT
        watch.hub = self.hub
        watch.key = self.next_key
        watch.source = source
        watch.kind = kind
        self.next_key += 1
        self.watches[watch.key] = watch
        try:
            watch.link()
        except BaseException:
            del self.watches[watch.key]
            watch.unlink()
            raise
        return watch.key

    def remove(self, key, /):
        """Watch a case no longer.

        Raises:
            KeyError: no case has that key.
        """
        cdef SelectorWatch watch = self.watches.pop(key, None)
        if watch is None:
            raise KeyError(f"{self!r} has no case with the key {key!r}")
        watch.unlink()

    cdef bint choose(self, NextPark park) except -1:
        """Perform one of the cases that are ready; those that turn out not to be are forgotten until they are again."""
        cdef list ready = self.hub.ready
        cdef Py_ssize_t position
        cdef Py_ssize_t candidate
        cdef SelectorWatch watch
        while PyList_GET_SIZE(ready) != 0:
            position = 0
            if self.in_order:
                for candidate in range(1, PyList_GET_SIZE(ready)):
                    if (<SelectorWatch>ready[candidate]).key < (<SelectorWatch>ready[position]).key:
                        position = candidate
            elif PyList_GET_SIZE(ready) > 1:
                position = below(PyList_GET_SIZE(ready))
            watch = <SelectorWatch>ready[position]
            if watch.linked and watch.perform_into(park):
                return True
            watch.queued = False
            ready[position] = ready[PyList_GET_SIZE(ready) - 1]
            ready.pop()
            if watch.linked and watch.kind == CASE_FOREIGN:
                watch.link_foreign()
        return False

    cdef NextPark make_next(self, bint iterates):
        cdef NextPark park
        if self.spare is not None and Py_REFCNT(<PyObject *>self.spare) == 1:
            park = self.spare
            self.spare = None
            park.blocking = -1
        else:
            park = NextPark.__new__(NextPark)
            park.wait = WAIT_SELECT
        park.state = PARK_NEW
        park.selector = self
        park.iterates = iterates
        park.failed = False
        return park

    def next(self):
        """Wait for a case to be ready and do it.

        Returns:
            `Selected`; its ``index`` is the key.

        Raises:
            SelectError: the selector has no case, or somebody waits on it already.
        """
        return self.make_next(False)

    def __aiter__(self):
        return self

    def __anext__(self):
        return self.make_next(True)

    def __len__(self):
        return len(self.watches)

    def __bool__(self):
        return True

    def __repr__(self):
        cases = f"{len(self.watches)} case" + ("" if len(self.watches) == 1 else "s")
        waiting = ", waiting" if self.hub.park is not None else ""
        return f"<Selector with {cases}{', biased' if self.in_order else ''}{waiting}>"

    def __del__(self):
        # Before the collector clears anything: a channel that goes with it, and closes meanwhile, tells whoever watches it.
        cdef SelectorWatch watch
        for watch in self.watches.values():
            watch.unlink()


install_send(NextPark, <void *>park_send)
