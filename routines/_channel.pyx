# cython: language_level=3, binding=False, embedsignature=True, embedsignature.format=clinic, always_allow_keywords=False
"""Channels: a buffer, a queue of waiting senders, a queue of waiting receivers, and the ends that users hold.

Invariants, for each channel whenever no function of this file runs:

- receivers wait only while the buffer is empty and no sender waits;
- senders wait only while the buffer is full (``used >= capacity``), and nobody waits once it is closed;
- a park in a queue is ``PARK_OPEN``; whoever takes it out settles it in the same stretch.

Every entry point tries in one order: closed? a counterpart waiting? room, or a value, in the buffer? else give up, or park.

A value goes from the sender's operation straight into the receiver's, and that receiver becomes ready: nobody can take it in
between. A cancellation
is one more contestant for the park: it finds it open, or comes too late. Foreign code (a value's ``__del__``, callbacks) runs
only after
the last write of a change: values are moved and not dropped inside one.

Threads: under the GIL each change is one stretch without Python code, so any thread may use any end. Making an object that the
collector
tracks can start a collection, which is Python code; so whatever is made, a larger buffer above all, is made before anything is
looked at, or everything is looked at again. Wake-ups of another loop's
routines go through that loop's inbox (`Scheduler.make_ready`).
"""

import math
import types
from collections.abc import Iterable

from .errors import ChannelClosed, Lagged, RecvError, SendError

cimport cython
from cpython.list cimport PyList_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF

from ._core cimport (
    PARK_COMPLETE,
    PARK_DONE,
    PARK_NEW,
    PARK_OPEN,
    PYGEN_ERROR,
    PYGEN_NEXT,
    PYGEN_RETURN,
    WAIT_RECEIVE,
    WAIT_SEND,
    Park,
    PySendResult,
    Scheduler,
    WaitQueue,
    block_on,
    creation_site,
    debug_enabled,
    give_way,
    in_loop,
    install_send,
    operations_left,
    park_send,
    queue_append,
    queue_remove,
    resume_unsettled,
    running_scheduler,
    settle_park,
    wake,
    warn_if_new,
    yield_park,
)
from ._ring cimport (
    ring_is_full, ring_pop, ring_pop_many, ring_push_front_reserved, ring_push_many, ring_push_reserved,
)
from ._stats cimport ChannelStats, outside


cdef extern from *:
    """
    /* References that change places, without a change of counts: see routines_push_driver(). */
    #define routines_as_park(park) ((struct __pyx_obj_8routines_8_channel_ChannelPark *)(park))

    /* The value goes to another operation, that has none: its None comes back. */
    #define routines_move_value(giver, taker) \\
        do { \\
            PyObject *none_ = routines_as_park(taker)->value; \\
            assert(none_ == Py_None); \\
            routines_as_park(taker)->value = routines_as_park(giver)->value; \\
            routines_as_park(giver)->value = none_; \\
        } while (0)

    /* The same into a buffer that has room. */
    #define routines_push_value(giver, ring) \\
        do { \\
            struct __pyx_obj_8routines_5_ring_Ring *ring_ = (struct __pyx_obj_8routines_5_ring_Ring *)(ring); \\
            PyObject **slot_ = ((PyListObject *)ring_->slots)->ob_item + ((ring_->head + ring_->used) & ring_->mask); \\
            PyObject *none_ = *slot_; \\
            assert(none_ == Py_None && ring_->used <= ring_->mask); \\
            *slot_ = routines_as_park(giver)->value; \\
            routines_as_park(giver)->value = none_; \\
            ring_->used++; \\
        } while (0)

    #define routines_steal(pointer) (pointer)
    #define routines_shorten(values, size) Py_SET_SIZE(values, size)

    /* The value as a new reference for the caller. */
    static inline PyObject *routines_swap_none(PyObject **place)
    {
        PyObject *value = *place;
        *place = Py_NewRef(Py_None);
        return value;
    }
    #define routines_take_value(park) routines_swap_none(&routines_as_park(park)->value)

    /* An operation that has returned becomes the idle one of its end, unless that has one, and lets go of it. */
    #define routines_retire(park, spare) \\
        do { \\
            struct __pyx_obj_8routines_8_channel_End *end_ = routines_as_park(park)->end; \\
            if ((PyObject *)end_->spare == Py_None) { \\
                routines_as_park(park)->end = (void *)end_->spare; \\
                end_->spare = (void *)Py_NewRef((PyObject *)(park)); \\
            } \\
            else { \\
                routines_as_park(park)->end = (void *)Py_NewRef(Py_None); \\
            } \\
            Py_DECREF((PyObject *)end_); \\
        } while (0)
    /* The reverse, for an end that has an idle one: its reference is the caller's. */
    static inline PyObject *routines_reuse(PyObject **spare, PyObject **end_of_spare, PyObject *end)
    {
        PyObject *park = *spare;
        assert(*end_of_spare == Py_None);
        *spare = *end_of_spare;
        *end_of_spare = Py_NewRef(end);
        return park;
    }
    #define routines_as_end(handle) ((struct __pyx_obj_8routines_8_channel_End *)(handle))
    #define routines_reuse_idle(handle, idle) \\
        routines_reuse((PyObject **)&routines_as_end(handle)->idle, \\
                       (PyObject **)&routines_as_park(routines_as_end(handle)->idle)->end, handle)
    #define routines_reuse_send(handle) routines_reuse_idle(handle, spare_send)
    #define routines_reuse_receive(handle) routines_reuse_idle(handle, spare_receive)
    #define routines_retire_send(park) routines_retire(park, spare_send)
    #define routines_retire_receive(park) routines_retire(park, spare_receive)
    """
    void routines_shorten(PyObject *values, Py_ssize_t size) noexcept
    object steal "routines_steal"(PyObject *pointer)    # the reference becomes the caller's
    void routines_move_value(PyObject *giver, PyObject *taker) noexcept
    void routines_push_value(PyObject *giver, PyObject *ring) noexcept
    PyObject *routines_take_value(PyObject *park) noexcept
    object routines_reuse_send(PyObject *end)
    object routines_reuse_receive(PyObject *end)
    void routines_retire_send(PyObject *park) noexcept
    void routines_retire_receive(PyObject *park) noexcept

cdef extern from "Python.h":
    Py_ssize_t PY_SSIZE_T_MAX
    PyObject *PyList_New(Py_ssize_t size) except NULL
    Py_ssize_t Py_REFCNT(PyObject *candidate)


cdef enum:
    RECEIVE_VALUE = 0       # recv(): the value
    RECEIVE_OK = 1          # recv_ok(): (value, True), or (None, False) once closed
    RECEIVE_NEXT = 2        # async for: the value, or the end of the iteration
    RECEIVE_MANY = 3        # recv_many(): a list
    RECEIVE_BATCH = 4       # batches(): a list, or the end of the iteration

cdef enum:
    # send_many() takes so many values at a time from its iterable, and gives way in between.
    SEND_CHUNK = 128

cdef unsigned long long last_id = 0


# ---------------------------------------------------------------------------------------------------------------------
# The state, and the transitions on it


@cython.final
@cython.no_gc_clear
cdef class ChannelState:
    """Not for users: what the ends of a channel share."""

    # An end that the collector frees closes its channel, which must be whole then. Every cycle through here goes through
    # the list of
    # the buffer, a queue or an exception, and these clear themselves.

    def __cinit__(self):
        self.senders = WaitQueue.__new__(WaitQueue)
        self.receivers = WaitQueue.__new__(WaitQueue)

    def __dealloc__(self):
        if self.traffic is not None:
            self.traffic.channels -= 1


cdef ChannelState new_state(object capacity):
    global last_id
    cdef ChannelState state = ChannelState.__new__(ChannelState)
    cdef Scheduler scheduler
    if isinstance(capacity, float) and capacity == math.inf:
        state.capacity = PY_SSIZE_T_MAX
    elif isinstance(capacity, int) and not isinstance(capacity, bool):
        if capacity < 0:
            raise ValueError(f"capacity must be 0 (unbuffered), positive, or math.inf (unbounded), not {capacity}")
        if capacity >= PY_SSIZE_T_MAX:
            raise ValueError(f"capacity {capacity} is more than a buffer can hold; use math.inf for no bound")
        state.capacity = capacity
    else:
        raise TypeError(f"capacity must be an int, or math.inf (unbounded), not {capacity!r}")
    scheduler = running_scheduler()
    state.traffic = outside if scheduler is None else scheduler.traffic
    state.traffic.channels += 1
    last_id += 1
    state.id = last_id
    if debug_enabled:
        state.creation_site = creation_site()
    return state


# Stands in an end that was made by ``__new__`` alone, so that it refuses and does not crash.
cdef ChannelState NO_CHANNEL = new_state(0)
NO_CHANNEL.closed = True
outside.channels -= 1       # it is none


cdef inline int deliver(ChannelState channel, ChannelPark receiver, object value) except -1:
    """Hand a value to a waiting receiver."""
    queue_remove(<PyObject *>channel.receivers, receiver)
    receiver.value = value
    count_received(channel)
    return settle_park(receiver)


cdef inline object take_value_of(ChannelState channel, ChannelPark sender):
    """The value of the first waiting sender. It is complete with its last one, and then has to be woken, once the value has
    its place:
    a wake-up may let other threads run."""
    cdef object value
    count_sent(channel)
    if sender.many:
        value = sender.next_value()
        if sender.has_more():
            return value
    else:
        value = sender.value
        sender.value = None
    queue_remove(<PyObject *>channel.senders, sender)
    sender.state = PARK_COMPLETE
    return value


cdef inline object take_from_sender(ChannelState channel):
    """The value of the sender that has waited longest; the caller has seen that there is one."""
    cdef ChannelPark sender = <ChannelPark>channel.senders.first
    cdef object value = take_value_of(channel, sender)
    count_received(channel)
    if sender.state == PARK_COMPLETE:
        wake(sender)
    return value


cdef inline int hand_over(ChannelState channel, SendPark sender) except -1:
    """The value of a sender that does not wait to the receiver that has waited longest; the caller has seen that there is one."""
    cdef ChannelPark receiver = <ChannelPark>channel.receivers.first
    queue_remove(<PyObject *>channel.receivers, receiver)
    routines_move_value(<PyObject *>sender, <PyObject *>receiver)
    count_received(channel)
    return settle_park(receiver)


cdef inline int take_over(ChannelState channel, ReceivePark receiver) except -1:
    """The value of the sender that has waited longest to a receiver that does not wait; the caller has seen that there is one."""
    cdef ChannelPark sender = <ChannelPark>channel.senders.first
    if sender.many:
        receiver.value = take_from_sender(channel)
        return 0
    queue_remove(<PyObject *>channel.senders, sender)
    routines_move_value(<PyObject *>sender, <PyObject *>receiver)
    count_sent(channel)
    count_received(channel)
    return settle_park(sender)


cdef bint offer(ChannelState channel, object value) except -1:
    """Give a value that no receiver waits for to a selector that does; else tell the selectors that there will be one."""
    cdef Park following = channel.receive_watches.first
    cdef Watch watch
    while following is not None:
        watch = <Watch>following
        following = watch.next
        count_received(channel)
        if watch.take_value(value):
            return True
        uncount_received(channel)
    return False


cdef int tell_receivers(ChannelState channel) except -1:
    """A value can be received now, or never more: tell the selectors that watch for that."""
    return tell_watches(channel.receive_watches)


cdef int tell_senders(ChannelState channel) except -1:
    """A value could be sent now, or never more."""
    return tell_watches(channel.send_watches)


cdef int tell_watches(WaitQueue watches) except -1:
    """One that is told may wake another thread's routine, and so let others run, who may remove a watch: so they are listed
    first."""
    cdef list told
    cdef Park watch = watches.first
    if watch is None:
        return 0        # emptied by the collector, or by the last one that left
    if watches.length == 1:
        return (<Watch>watch).became_ready()
    told = []
    watch = watches.first
    while watch is not None:
        told.append(watch)
        watch = watch.next
    for watch in told:
        (<Watch>watch).became_ready()
    return 0


cdef bint solicit(ChannelState channel, ChannelPark receiver) except -1:
    """Take the value of a selector that waits to send, or of what stands behind the channel, for a receiver that finds nothing
    else."""
    cdef Park following = channel.send_watches.first
    cdef Watch watch
    while following is not None:
        watch = <Watch>following
        following = watch.next
        if watch.give_value(receiver):
            count_sent(channel)
            count_received(channel)
            return True
    return False


cdef int refill(ChannelState channel) except -1:
    """Values have left the buffer: the senders that waited for room put theirs in, in order."""
    cdef ChannelPark sender
    while channel.senders.first is not None and channel.used < channel.capacity:
        if ring_is_full(channel):
            channel.reserve(channel.used + 1)
            continue
        sender = <ChannelPark>channel.senders.first
        if sender.many:
            count_sent_many(channel, sender.give_values(channel))
            if sender.has_more():
                continue
            queue_remove(<PyObject *>channel.senders, sender)
            sender.state = PARK_COMPLETE
        else:
            ring_push_reserved(channel, take_value_of(channel, sender))
        if sender.state == PARK_COMPLETE:
            wake(sender)
    return 0


cdef int make_room(ChannelState channel) except -1:
    """Let the next push into a buffer below its capacity have a slot; comes before all else, see the head of the file."""
    while ring_is_full(channel) and channel.used < channel.capacity:
        channel.reserve(channel.used + 1)
    return 0


cdef int put_back(ChannelState channel, object value) except -1:
    """A received value that nobody will fetch: to the next receiver, or before the first of the buffer."""
    while ring_is_full(channel):
        channel.reserve(channel.used + 1)
    uncount_received(channel)
    if channel.receivers.first is not None:
        return deliver(channel, <ChannelPark>channel.receivers.first, value)
    if channel.open_receivers != 0 or not channel.closed:
        ring_push_front_reserved(channel, value)
        if channel.receive_watches is not None:
            tell_receivers(channel)
    return 0


def give_back(End end, value, /):
    """Not for users: a value that was received through this end and not used is the first to be received again."""
    put_back(end.state, value)


cdef list room_for(WaitQueue some, WaitQueue others):
    """A slot for each who waits, made before anything is changed; None where there is no memory for them."""
    cdef list room = []
    try:
        while PyList_GET_SIZE(room) < some.length + others.length:
            room = [None] * (some.length + others.length)   # may start a collection, and so let others come
    except MemoryError:
        return None
    return room


cdef int fail_first(WaitQueue waiting, ChannelPark park, list room, Py_ssize_t place) except -1:
    """Settle a park as failed, to be woken with the others; at once where there is no room to keep it till then."""
    queue_remove(<PyObject *>waiting, park)
    park.failed = True
    park.state = PARK_COMPLETE
    if room is None:
        return wake(park)
    room[place] = park
    return 0


cdef int wake_each(list room) except -1:
    cdef object park
    if room is not None:
        for park in room:
            if park is None:
                break
            wake(<Park>park)
    return 0


cdef int close_state(ChannelState channel, object cause) except -1:
    """Close for senders and, once drained, for receivers. Everybody is detached and settled before anybody is woken."""
    cdef list room
    cdef Py_ssize_t count = 0
    if channel.closed:
        return 0
    room = room_for(channel.senders, channel.receivers)
    if channel.closed:
        return 0
    channel.closed = True
    channel.cause = cause
    # Receivers wait only over an empty buffer, so there is nothing left for them; senders keep their values.
    while channel.senders.first is not None:
        fail_first(channel.senders, <ChannelPark>channel.senders.first, room, count)
        count += 1
    while channel.receivers.first is not None:
        fail_first(channel.receivers, <ChannelPark>channel.receivers.first, room, count)
        count += 1
    wake_each(room)
    if channel.receive_watches is not None:
        tell_receivers(channel)
    if channel.send_watches is not None:
        tell_senders(channel)
    return notify_watchers(channel)


cdef int close_end(End end, WaitQueue waiting, WaitQueue watches) except -1:
    """A handle was closed, its channel perhaps not: what is parked through it fails, as it would fail from now on."""
    cdef list settled = []
    cdef Park following = waiting.first
    cdef ChannelPark park
    while following is not None:
        park = <ChannelPark>following
        following = park.next
        if park.goes_through(end):
            queue_remove(<PyObject *>waiting, park)
            park.failed = True
            park.state = PARK_COMPLETE
            settled.append(park)
    for park in settled:
        wake(park)
    if watches is not None:
        tell_watches(watches)
    return notify_watchers(end.state)


cdef int notify_watchers(ChannelState channel) except -1:
    """Settle each wait_closed() whose end is closed by now."""
    cdef WaitQueue watchers = channel.watchers
    cdef list settled
    cdef Park following
    cdef Park park
    if watchers is None:
        return 0
    settled = []
    following = watchers.first
    while following is not None:
        park = following
        following = park.next
        # The collector may have cleared it before a channel that closes with it.
        if (<ClosePark>park).end is None or is_closed((<ClosePark>park).end):
            queue_remove(<PyObject *>watchers, park)
            park.state = PARK_COMPLETE
            settled.append(park)
    for park in settled:
        wake(park)
    return 0


cdef bint is_closed(End end) noexcept:
    """Whether an operation of this end would fail for good."""
    if end.end_closed:
        return True
    if end.receives:
        return end.state.closed and end.state.used == 0
    return end.state.closed


cdef object closed_error(ChannelState channel, End end, str operation):
    cdef object view = view_of(channel)
    if end is not None and end.end_closed and not channel.closed:
        return ChannelClosed(
            f"{operation}: this handle of {{channel}} was closed; use one that is open (a clone made before)", channel=view
        )
    if operation == "send":
        if channel.open_receivers == 0:
            error = ChannelClosed("send: nobody can receive from {channel} any more; stop sending", channel=view)
        else:
            error = ChannelClosed("send: {channel} is closed; stop sending", channel=view)
    else:
        error = ChannelClosed("receive: {channel} is closed and drained; no value will come", channel=view)
    error.__cause__ = channel.cause
    return error


# ---------------------------------------------------------------------------------------------------------------------
# Operations


cdef class ChannelPark(Park):
    """An operation on a channel."""

    cdef object next_value(self):   # not covered: asked of a sender of many, which has its own
        """The value that a parked sender of many gives now."""
        return None

    cdef Py_ssize_t give_values(self, ChannelState channel) noexcept:   # not covered: likewise
        """The same for as many as the buffer takes: how many. The caller has seen that it takes one."""
        return 0

    cdef bint has_more(self) noexcept:  # not covered: likewise
        """Whether it has another value to give after that."""
        return False

    cdef bint goes_through(self, End end) noexcept:
        return self.end is end

    cdef object subject(self):
        return None if self.channel is None else view_of(self.channel)

    cdef int release(self) except -1:
        cdef object _value = self.value     # both are dropped at return
        cdef End _end = self.end
        self.state = PARK_DONE
        self.value = None
        self.end = None
        return 0


@cython.final
cdef class SendPark(ChannelPark):
    """Sending one value."""

    cdef object finish(self):
        if self.failed:
            fail_send(self)
        retire_send(self)
        return None

    cdef int unlink(self) except -1:
        if self.channel is not None:
            queue_remove(<PyObject *>self.channel.senders, self)
        return 0

    def __dealloc__(self):
        warn_if_new(self)


cdef inline void retire_send(SendPark park) noexcept:
    """The operation has returned: its end may use it again."""
    park.state = PARK_DONE
    routines_retire_send(<PyObject *>park)


cdef PySendResult send_send(SendPark park, PyObject *argument, PyObject **result) except PYGEN_ERROR:
    result[0] = NULL    # what it is on an error
    if park.state == PARK_NEW:
        return begin_send(park, park.channel, result)
    if park.state != PARK_COMPLETE:
        return resume_unsettled(park, result)
    if park.failed:
        return fail_send(park)
    return return_sent(park, result)


cdef inline PySendResult begin_send(SendPark park, ChannelState channel, PyObject **result) except PYGEN_ERROR:
    if operations_left <= 0 and give_way():
        Py_INCREF(None)
        result[0] = <PyObject *>None
        return PYGEN_NEXT
    consume_operation()
    if ring_is_full(channel) and channel.used < channel.capacity:
        make_room(channel)
    if channel.closed or park.end.end_closed:
        return fail_send(park)
    if channel.receivers.first is not None:
        hand_over(channel, park)
    elif channel.receive_watches is not None and offer(channel, park.value):
        park.value = None       # not the last reference: the selector has one
    elif channel.used < channel.capacity:
        routines_push_value(<PyObject *>park, <PyObject *>channel)
        if channel.receive_watches is not None:
            tell_receivers(channel)
    else:
        park.state = PARK_OPEN
        queue_append(<PyObject *>channel.senders, park)
        if channel.receive_watches is not None:
            tell_receivers(channel)
        return yield_park(park, result)
    count_sent(channel)
    return return_sent(park, result)


cdef inline PySendResult return_sent(SendPark park, PyObject **result) noexcept:
    retire_send(park)
    Py_INCREF(None)
    result[0] = <PyObject *>None
    return PYGEN_RETURN


cdef PySendResult fail_send(SendPark park) except PYGEN_ERROR:
    cdef object error = closed_error(park.channel, park.end, "send")
    park.release()
    raise error


@cython.final
cdef class ReceivePark(ChannelPark):
    """Receiving: one value or a batch."""

    cdef object finish(self):
        """What a complete operation returns, with its exception where the channel was closed."""
        cdef ChannelState channel = self.channel
        cdef End end = self.end
        cdef unsigned char mode = self.mode
        cdef object value = self.value
        cdef Py_ssize_t at_most = self.at_most
        if self.failed:
            self.release()
            if value is not None:
                raise Lagged(value)
            if mode == RECEIVE_OK:
                return (None, False)
            if mode == RECEIVE_NEXT or mode == RECEIVE_BATCH:
                raise StopAsyncIteration
            raise closed_error(channel, end, "receive")
        self.value = None
        retire_receive(self)
        if mode == RECEIVE_OK:
            return (value, True)
        if mode == RECEIVE_MANY or mode == RECEIVE_BATCH:
            return fill_batch(channel, [value], at_most)
        return value

    cdef int unlink(self) except -1:
        if self.channel is not None:
            queue_remove(<PyObject *>self.channel.receivers, self)
        return 0

    cdef int give_back(self) except -1:
        cdef object value = self.value
        self.value = None
        if self.failed or self.channel is None:
            return 0
        return put_back(self.channel, value)

    def __dealloc__(self):
        warn_if_new(self)


cdef inline void retire_receive(ReceivePark park) noexcept:
    """The operation has returned: its end may use it again."""
    park.state = PARK_DONE
    routines_retire_receive(<PyObject *>park)


cdef object take_buffered(ChannelState channel):
    """The oldest value of a buffer that is not empty; those who waited for room or for the drain get it."""
    cdef object value = ring_pop(channel)
    count_received(channel)
    after_taking(channel)
    return value


cdef inline int after_taking(ChannelState channel) except -1:
    """The buffer has room now, or is drained for good."""
    if channel.senders.first is not None:
        refill(channel)
    elif channel.closed:
        if channel.used == 0 and channel.watchers is not None:
            notify_watchers(channel)
    elif channel.send_watches is not None:
        tell_senders(channel)
    return 0


cdef list fill_batch(ChannelState channel, list values, Py_ssize_t at_most):
    """Append what is there, parked senders' values included, until ``at_most`` are in the list."""
    cdef Py_ssize_t count = PyList_GET_SIZE(values)
    cdef object value
    while count < at_most:
        if channel.used != 0:
            value = ring_pop(channel)
            count_received(channel)
        elif channel.senders.first is not None:
            value = take_from_sender(channel)
        else:
            break
        count += 1
        values.append(value)
    after_taking(channel)
    if channel.feed is not None:
        channel.feed.fill(values, at_most)
    return values


cdef list take_batch(ChannelState channel, Py_ssize_t at_most):
    """The same as a list of its own, of a buffer that is not empty."""
    cdef Py_ssize_t count = min(at_most, channel.used)
    cdef PyObject *raw = PyList_New(count)
    cdef list values
    if count > channel.used:
        # Making the list let others run, who took some of what was there.
        count = channel.used
        routines_shorten(raw, count)
    ring_pop_many(channel, raw, count)
    count_received_many(channel, count)
    values = <list>steal(raw)
    if count < at_most and (channel.senders.first is not None or channel.feed is not None):
        return fill_batch(channel, values, at_most)
    after_taking(channel)
    return values


cdef PySendResult receive_send(ReceivePark park, PyObject *argument, PyObject **result) except PYGEN_ERROR:
    result[0] = NULL    # what it is on an error
    if park.state == PARK_NEW:
        return begin_receive(park, park.channel, result)
    if park.state != PARK_COMPLETE:
        return resume_unsettled(park, result)
    return return_received(park, result)


cdef inline PySendResult begin_receive(ReceivePark park, ChannelState channel, PyObject **result) except PYGEN_ERROR:
    cdef object value
    cdef list values
    if operations_left <= 0 and give_way():
        Py_INCREF(None)
        result[0] = <PyObject *>None
        return PYGEN_NEXT
    consume_operation()
    if channel.used != 0 and not park.end.end_closed:
        if (
            park.mode == RECEIVE_VALUE and channel.senders.first is None
            and not channel.closed and channel.send_watches is None
        ):
            # The commonest case of all, in a straight line.
            value = ring_pop(channel)
            count_received(channel)
            retire_receive(park)
            Py_INCREF(value)
            result[0] = <PyObject *>value
            return PYGEN_RETURN
        if park.mode == RECEIVE_MANY or park.mode == RECEIVE_BATCH:
            values = take_batch(channel, park.at_most)
            if PyList_GET_SIZE(values) == 0:
                return begin_again(park, result)
            retire_receive(park)
            Py_INCREF(values)
            result[0] = <PyObject *>values
            return PYGEN_RETURN
        park.value = take_buffered(channel)
    elif channel.closed or park.end.end_closed:
        park.failed = True
    elif channel.senders.first is not None:
        take_over(channel, park)
    elif channel.send_watches is not None and solicit(channel, park):
        pass
    else:
        park.state = PARK_OPEN
        queue_append(<PyObject *>channel.receivers, park)
        if channel.send_watches is not None:
            tell_senders(channel)
        return yield_park(park, result)
    return return_received(park, result)


cdef PySendResult begin_again(ReceivePark park, PyObject **result) except PYGEN_ERROR:
    """What was there was taken by others while room for it was made."""
    return receive_send(park, NULL, result)


cdef inline PySendResult return_received(ReceivePark park, PyObject **result) except PYGEN_ERROR:
    """The outcome of an operation that is complete, or would be."""
    cdef object outcome
    if park.mode == RECEIVE_VALUE and not park.failed:
        result[0] = routines_take_value(<PyObject *>park)
        retire_receive(park)
    else:
        outcome = park.finish()
        Py_INCREF(outcome)
        result[0] = <PyObject *>outcome
    return PYGEN_RETURN


cdef class Watch(Park):
    """Not for users: a case of a selector."""

    cdef bint waits(self) noexcept:     # not covered: every kind has its own
        return False

    cdef int became_ready(self) except -1:
        return 0

    cdef int take_value(self, object value) except -1:  # not covered: asked of those that receive, which have their own
        return 0

    cdef int give_value(self, ChannelPark receiver) except -1:  # not covered: asked of those that send, which have their own
        return 0


cdef class Feed(TimerTarget):
    """Not for users: what stands behind a channel, where its senders and receivers are not all of it."""

    cdef int stop_feed(self) except -1:     # not covered: a relay's own channel has no receiver that could go
        return 0

    cdef object view(self):
        return None

    cdef ChannelStats snapshot(self):
        return None

    cdef int fill(self, list values, Py_ssize_t at_most) except -1:
        return 0


@cython.final
cdef class SendCase:
    """A send as a case of a select; made by ``tx.case(value)``."""

    def __init__(self):
        raise TypeError("a case is made by tx.case(value)")

    def __repr__(self):
        return f"<send case on {self.end!r}>"


cdef SendCase make_case(End end, object value):
    cdef SendCase case = SendCase.__new__(SendCase)
    case.end = end
    case.value = value
    return case


@cython.final
cdef class SendManyPark(ChannelPark):
    """Sending every value of an iterable; parked, it gives them one by one and is woken once they are all gone."""
    cdef object iterator
    cdef list chunk             # taken from the iterator, not all sent yet
    cdef Py_ssize_t position    # the next one of the chunk
    cdef Py_ssize_t count       # sent so far
    cdef bint whole             # ``iterator`` is a list, tuple or range that fits into a chunk
    cdef bint exhausted         # the iterator has no more
    cdef bint begun
    cdef bint pulling           # the user's iterator is running
    cdef object error           # what the iterator raised; raised on once what it gave before is sent

    cdef object next_value(self):
        cdef object value = self.chunk[self.position]
        self.position += 1
        self.count += 1
        return value

    cdef Py_ssize_t give_values(self, ChannelState channel) noexcept:
        cdef Py_ssize_t given = ring_push_many(
            channel, self.chunk, self.position, min(PyList_GET_SIZE(self.chunk) - self.position, channel.capacity - channel.used)
        )
        self.position += given
        self.count += given
        return given

    cdef bint has_more(self) noexcept:
        return self.chunk is not None and self.position < PyList_GET_SIZE(self.chunk)

    cdef object finish(self):
        cdef Py_ssize_t count = self.count
        if self.failed:
            fail_send_many(self)
        self.release()
        return count

    cdef int unlink(self) except -1:
        if self.channel is not None:
            queue_remove(<PyObject *>self.channel.senders, self)
        return 0

    cdef int release(self) except -1:
        cdef object _iterator = self.iterator   # both are dropped at return
        cdef list _chunk = self.chunk
        self.iterator = None
        self.chunk = None
        self.error = None
        return ChannelPark.release(self)

    cdef bint committed(self) noexcept:
        # Asked for in the complete state: this chunk is gone, and there may be more.
        return self.failed or (self.exhausted and self.error is None)

    cdef int next_chunk(self) except -1:
        """Run the user's iterator, outside of any change to the channel."""
        cdef list chunk = []
        self.chunk = chunk
        self.position = 0
        if self.exhausted:
            return 0
        self.pulling = True
        try:
            if self.whole:
                self.exhausted = True
                self.chunk = list(self.iterator)
                return 0
            for value in self.iterator:
                chunk.append(value)
                if PyList_GET_SIZE(chunk) == SEND_CHUNK:
                    return 0
            self.exhausted = True
        except BaseException as error:
            self.exhausted = True
            self.error = error
        finally:
            self.pulling = False
        if self.end is None:
            raise RuntimeError("this send_many() was closed by the iterable that it sends")
        return 0

    def __dealloc__(self):
        if not self.begun:
            warn_if_new(self)


cdef PySendResult send_many_send(SendManyPark park, PyObject *argument, PyObject **result) except PYGEN_ERROR:
    global operations_left
    cdef ChannelState channel = park.channel
    cdef Py_ssize_t given
    cdef object outcome
    result[0] = NULL    # what it is on an error
    if park.state == PARK_COMPLETE:
        if park.failed:
            return fail_send_many(park)
        park.state = PARK_NEW       # this chunk is gone; on with the next one
    elif park.state != PARK_NEW:
        return resume_unsettled(park, result)
    if park.pulling:
        raise RuntimeError("this send_many() is awaited by the iterable that it sends")
    park.begun = True
    while True:
        if not park.has_more() and park.exhausted:
            break       # all are sent, whatever has become of the channel since
        if channel.closed or park.end.end_closed:
            return fail_send_many(park)
        if not park.has_more():
            park.next_chunk()
            if not park.has_more():
                break
            continue        # the iterator is the user's code: it may have closed the channel
        if operations_left <= 0 and give_way():
            Py_INCREF(None)
            result[0] = <PyObject *>None
            return PYGEN_NEXT
        # A wake-up lets other threads run, and a oneshot closes itself: what may have closed it is looked at for each value.
        while park.has_more() and not channel.closed and not park.end.end_closed:
            consume_operation()
            if ring_is_full(channel) and channel.used < channel.capacity:
                make_room(channel)
                if channel.closed or park.end.end_closed:
                    return fail_send_many(park)
            if channel.receivers.first is not None:
                deliver(channel, <ChannelPark>channel.receivers.first, park.next_value())
            elif channel.receive_watches is not None and offer(channel, park.chunk[park.position]):
                park.next_value()
            elif channel.used < channel.capacity:
                if channel.receive_watches is None:
                    given = park.give_values(channel)
                    operations_left -= <int>given - 1
                    count_sent_many(channel, given)
                    continue
                ring_push_reserved(channel, park.next_value())
                tell_receivers(channel)
            else:
                park.state = PARK_OPEN
                queue_append(<PyObject *>channel.senders, park)
                if channel.receive_watches is not None:
                    tell_receivers(channel)
                return yield_park(park, result)
            count_sent(channel)
    if park.error is not None:
        error = park.error
        park.release()
        raise error
    outcome = park.finish()
    Py_INCREF(outcome)
    result[0] = <PyObject *>outcome
    return PYGEN_RETURN


cdef PySendResult fail_send_many(SendManyPark park) except PYGEN_ERROR:
    cdef object error = closed_error(park.channel, park.end, "send")
    error.sent = park.count
    park.release()
    raise error


@cython.final
cdef class ClosePark(ChannelPark):
    """Waiting until an end is closed for good."""

    cdef int start(self) except -1:
        cdef ChannelState channel = self.channel
        cdef WaitQueue watchers
        if channel is None:
            raise RuntimeError("an operation cannot be made by hand")
        watchers = WaitQueue.__new__(WaitQueue) if channel.watchers is None else channel.watchers
        if channel.watchers is None:
            channel.watchers = watchers
        if is_closed(self.end):
            self.state = PARK_COMPLETE
            return 1
        self.state = PARK_OPEN
        queue_append(<PyObject *>channel.watchers, self)
        return 0

    cdef object finish(self):
        self.release()
        return None

    cdef int unlink(self) except -1:
        if self.channel is not None:
            queue_remove(<PyObject *>self.channel.watchers, self)
        return 0

    def __dealloc__(self):
        warn_if_new(self)


install_send(SendPark, <void *>send_send)
install_send(ReceivePark, <void *>receive_send)
install_send(SendManyPark, <void *>send_many_send)
install_send(ClosePark, <void *>park_send)


cdef inline void consume_operation() noexcept:
    global operations_left
    operations_left -= 1


# ---------------------------------------------------------------------------------------------------------------------
# Ends


cdef inline SendPark make_send(End end, object value):
    cdef SendPark park
    # One reference, the end's: nobody has kept the idle operation.
    if end.spare_send is not None and Py_REFCNT(<PyObject *>end.spare_send) == 1:
        park = <SendPark>routines_reuse_send(<PyObject *>end)
        park.blocking = -1
    else:
        park = SendPark.__new__(SendPark)
        park.wait = WAIT_SEND
        park.channel = end.state
        park.end = end
    park.state = PARK_NEW
    park.value = value
    return park


cdef inline ReceivePark make_receive(End end, unsigned char mode, Py_ssize_t at_most):
    cdef ReceivePark park
    if end.spare_receive is not None and Py_REFCNT(<PyObject *>end.spare_receive) == 1:
        park = <ReceivePark>routines_reuse_receive(<PyObject *>end)
        park.blocking = -1
    else:
        park = ReceivePark.__new__(ReceivePark)
        park.wait = WAIT_RECEIVE
        park.channel = end.state
        park.end = end
    park.state = PARK_NEW
    park.mode = mode
    park.at_most = at_most
    return park


cdef SendManyPark make_send_many(End end, object values):
    cdef SendManyPark park
    cdef object iterator
    cdef bint whole
    if not isinstance(values, Iterable) and not hasattr(type(values), "__getitem__"):
        raise TypeError(f"send_many() takes an iterable of values, not {values!r}; send() takes a single value")
    whole = (type(values) is list or type(values) is tuple or type(values) is range) and len(values) <= SEND_CHUNK
    iterator = values if whole else iter(values)
    park = SendManyPark.__new__(SendManyPark)
    park.whole = whole
    park.wait = WAIT_SEND
    park.channel = end.state
    park.end = end
    park.iterator = iterator
    park.many = True
    return park


cdef ClosePark make_close_watch(End end):
    cdef ClosePark park = ClosePark.__new__(ClosePark)
    park.wait = WAIT_RECEIVE if end.receives else WAIT_SEND
    park.channel = end.state
    park.end = end
    return park


cdef Py_ssize_t batch_limit(object at_most) except -1:
    if not isinstance(at_most, int) or isinstance(at_most, bool):
        raise TypeError(f"max must be an int, not {at_most!r}")
    if at_most < 1:
        raise ValueError(f"max must be at least 1, not {at_most}")
    return min(at_most, PY_SSIZE_T_MAX)


cdef bint somebody_waits(WaitQueue watches) noexcept:
    cdef Park watch = watches.first
    while watch is not None:
        if (<Watch>watch).waits():
            return True
        watch = watch.next
    return False


cdef int send_from(ChannelState channel, object value) except -1:
    """Send where it can be done at once: 1; 0 where the channel is closed or nobody takes the value."""
    if ring_is_full(channel) and channel.used < channel.capacity:
        make_room(channel)
        if channel.closed:
            return 0
    if channel.receivers.first is not None:
        deliver(channel, <ChannelPark>channel.receivers.first, value)
    elif channel.receive_watches is not None and offer(channel, value):
        pass
    elif channel.used < channel.capacity:
        ring_push_reserved(channel, value)
        if channel.receive_watches is not None:
            tell_receivers(channel)
    else:
        return 0
    count_sent(channel)
    return 1


cdef int receive_into(ChannelState channel, End end, ChannelPark park) except -1:
    """Receive into ``park.value``, or mark it as failed, where that can be done at once: 1; else 0."""
    if end.end_closed:
        park.failed = True
    elif channel.used != 0:
        park.value = take_buffered(channel)
    elif channel.closed:
        park.failed = True
    elif channel.senders.first is not None:
        park.value = take_from_sender(channel)
    else:
        return channel.send_watches is not None and solicit(channel, park)
    return 1


cdef int feed_value(ChannelState channel, object value) except -1:
    """What a timer sends: kept where there is room, dropped where the last one was not taken yet."""
    return send_from(channel, value)


cdef int send_now(End end, object value) except -1:
    """try_send(): now or not at all."""
    cdef ChannelState channel = end.state
    if channel.closed or end.end_closed:
        raise closed_error(channel, end, "send")
    if send_from(channel, value):
        return 0
    if channel.closed:
        raise closed_error(channel, end, "send")
    if channel.capacity == 0:
        raise SendError(
            "try_send: nobody is receiving from {channel} now; use 'await send(value)' to wait for a receiver",
            channel=view_of(channel),
        )
    raise SendError("try_send: {channel} is full; use 'await send(value)' to wait for room", channel=view_of(channel))


cdef object receive_now(End end):
    """try_recv(): now or not at all."""
    cdef ReceivePark park = make_receive(end, RECEIVE_VALUE, 1)
    park.state = PARK_COMPLETE
    if receive_into(end.state, end, park):
        return park.finish()
    park.release()
    raise RecvError(
        "try_recv: nothing is in {channel} now; use 'await recv()' to wait for a value", channel=view_of(end.state)
    )


cdef object send_in_thread(End end, object value, object timeout):
    """send_blocking(): what can be done at once is, without an operation."""
    cdef ChannelState channel = end.state
    if timeout is None and not in_loop() and not channel.closed and not end.end_closed and send_from(channel, value):
        return None
    return block_on(make_send(end, value), timeout, "send_blocking()")


cdef object receive_in_thread(End end, object timeout):
    cdef ChannelState channel = end.state
    if timeout is None and channel.used != 0 and not end.end_closed and not in_loop():
        return take_buffered(channel)
    return block_on(make_receive(end, RECEIVE_VALUE, 1), timeout, "recv_blocking()")


cdef Channel plain_view(ChannelState state):
    cdef Channel view = Channel.__new__(Channel)
    view.state = state
    return view


cdef object view_of(ChannelState state):
    """The channel as an object that does not count as an end."""
    cdef object view = None if state.feed is None else state.feed.view()
    return plain_view(state) if view is None else view


cdef Sender new_sender(ChannelState state):
    cdef Sender sender = Sender.__new__(Sender)
    sender.state = state
    sender.counts_sender = True
    state.open_senders += 1
    return sender


cdef Receiver new_receiver(ChannelState state):
    cdef Receiver receiver = Receiver.__new__(Receiver)
    receiver.state = state
    receiver.counts_receiver = True
    receiver.receives = True
    state.open_receivers += 1
    return receiver


cdef ChannelStats count(ChannelState state):
    """The counters and the state of a channel at this instant."""
    cdef ChannelStats snapshot = None if state.feed is None else state.feed.snapshot()
    if snapshot is not None:
        return snapshot
    snapshot = ChannelStats.__new__(ChannelStats)
    snapshot.sent = state.sent
    snapshot.received = state.received
    snapshot.waiting_senders = state.senders.length
    snapshot.waiting_receivers = state.receivers.length
    snapshot.senders = state.open_senders
    snapshot.receivers = state.open_receivers
    snapshot.capacity = math.inf if state.capacity == PY_SSIZE_T_MAX else state.capacity
    snapshot.buffered = state.used
    snapshot.closed = state.closed
    return snapshot


cdef str describe(ChannelState state):
    cdef ChannelStats stats = count(state)
    cdef str text
    if stats.capacity == 0:
        text = "unbuffered"
    elif stats.capacity == math.inf:
        text = f"unbounded, {stats.buffered} buffered"
    else:
        text = f"{stats.buffered}/{stats.capacity} buffered"
    if stats.waiting_senders:
        text += f", {stats.waiting_senders} waiting to send"
    if stats.waiting_receivers:
        text += f", {stats.waiting_receivers} waiting to receive"
    text += f", senders={stats.senders}, receivers={stats.receivers}"
    if stats.closed:
        text += ", closed"
    if state.creation_site is not None:
        text += f", made at {state.creation_site}"
    return text


cdef int check_cause(object cause) except -1:
    if cause is not None and not isinstance(cause, BaseException):
        raise TypeError(f"cause must be an exception or None, not {cause!r}")
    return 0


cdef class End:
    """What both ends of a channel, and the channel itself, can be asked."""

    # The channel is reached through here, and may be in a cycle through its buffer or its waiters, all of which the
    # collector clears
    # themselves; so the ends need no clearing of their own, and their __dealloc__ finds the channel still there to close.

    def __cinit__(self):
        self.state = NO_CHANNEL

    cdef int drop_sender(self, object cause) except -1:
        cdef ChannelState state = self.state
        if self.counts_sender:
            self.counts_sender = False
            state.open_senders -= 1
            if state.open_senders == 0:
                close_state(state, cause)
        return 0

    cdef int drop_receiver(self, object cause) except -1:
        cdef ChannelState state = self.state
        cdef list dropped = None
        if self.counts_receiver and state.used != 0 and state.open_receivers == 1:
            try:
                dropped = [None]
            except MemoryError:
                pass        # then the values go one by one
        if self.counts_receiver:
            self.counts_receiver = False
            state.open_receivers -= 1
            if state.open_receivers == 0:
                # Nobody will take what is buffered. The values go when the last write is done: at return.
                if dropped is not None:
                    dropped, state.slots = state.slots, dropped
                    state.head = state.used = state.mask = 0
                close_state(state, cause)
                while state.used != 0:
                    ring_pop(state)     # nobody adds to it any more
                notify_watchers(state)
                if state.feed is not None:
                    state.feed.stop_feed()
        return 0

    @property
    def closed(self):
        """Whether an operation of this kind through this handle would fail for good."""
        return is_closed(self)

    @property
    def capacity(self):
        """How many values the buffer can hold; 0 where each is handed over, ``math.inf`` where there is no bound."""
        if self.state.feed is not None:
            return count(self.state).capacity
        return math.inf if self.state.capacity == PY_SSIZE_T_MAX else self.state.capacity

    @property
    def channel(self):
        """The channel as one object, as in Go; it does not count as an end."""
        return view_of(self.state)

    def __len__(self):
        if self.state.feed is not None:
            return count(self.state).buffered
        return self.state.used

    def __bool__(self):
        return True

    def wait_closed(self):
        """Wait until `closed` is true: for a sender, until nobody receives any more or the channel was closed."""
        return make_close_watch(self)

    def stats(self):
        """The counters and the state of the channel at this instant, as a `ChannelStats`."""
        return count(self.state)

    def __repr__(self):
        own = ", this handle closed" if self.end_closed else ""
        return f"<{type(self).__name__} #{self.state.id} {describe(self.state)}{own}>"

    @classmethod
    def __class_getitem__(cls, item, /):
        return types.GenericAlias(cls, item)


@cython.no_gc_clear
cdef class Sender(End):
    """The sending end of a channel, made by `channel`, `clone` or `Channel.sender`.

    It is open until it is closed or gone; with its last sender a channel closes for receivers, who still get what is buffered.
    ``with tx:`` and ``async with tx:`` close it at exit, with the exception that left the block as the cause.
    Any coroutine may use it, a routine or a plain task, any number at once; ``try_send`` and ``close`` also any thread.
    """

    def __init__(self):
        raise TypeError("a Sender is made by routines.channel(), by clone(), or by Channel.sender()")

    def send(self, value, /):
        """Wait until a receiver has taken the value, or the buffer has room for it.

        Senders are served in the order in which they began to wait. Cancelled, it has not sent; a cancellation that
        comes once it has
        sent is raised at the next suspension instead.

        Args:
            value: anything.

        Raises:
            ChannelClosed: the channel, or this sender, is closed, or nobody can receive any more. The value was not sent.

        Example:
            >>> import routines
            >>> async def main():
            ...     tx, rx = routines.channel(1)
            ...     await tx.send("hello")
            ...     return await rx.recv()
            >>> routines.run(main())
            'hello'
        """
        return make_send(self, value)

    def try_send(self, value, /):
        """Send now or not at all; from any thread.

        Raises:
            SendError: the buffer is full, or it is an unbuffered channel and nobody is receiving.
            ChannelClosed: as for `send`.
        """
        send_now(self, value)

    def send_blocking(self, value, /, timeout=None):
        """`send` for a plain thread, which is blocked meanwhile, and lets the others run.

        Threads and coroutines wait in one queue. Ctrl-C ends the wait on the main thread; the value was not sent then.

        Args:
            value: anything.
            timeout: seconds as a float, or a timedelta; None waits for ever.

        Raises:
            Timeout: nobody took the value in time; it was not sent.
            ChannelClosed: as for `send`.
            ValueError: ``timeout`` is negative or NaN.
            RuntimeError: an event loop runs on this thread, and would be blocked.

        Example:
            >>> import routines, threading
            >>> async def main():
            ...     tx, rx = routines.channel()
            ...     threading.Thread(target=tx.send_blocking, args=["from a thread"]).start()
            ...     return await rx.recv()
            >>> routines.run(main())
            'from a thread'
        """
        return send_in_thread(self, value, timeout)

    def send_many(self, iterable, /):
        """Send every value of an iterable, in order, with one wake-up for a batch.

        It takes the values from the iterable some at a time, and gives way to others in between. Cancelled, it has sent a prefix.
        An exception from the iterable is raised on, once what came before it is sent.

        Returns:
            How many were sent.

        Raises:
            ChannelClosed: the channel was closed before all were sent; its ``sent`` says how many were.
        """
        return make_send_many(self, iterable)

    def case(self, value, /):
        """The send of a value, as a case of a `select` or `Selector`; nothing is sent until it is chosen."""
        return make_case(self, value)

    def clone(self):
        """Another sender of the same channel, to be closed on its own."""
        if self.end_closed or self.state.closed:
            raise closed_error(self.state, self, "send")
        return new_sender(self.state)

    def close(self, cause=None):
        """Close this sender; the last one closes the channel for receivers. Closing twice is nothing. From any thread.

        What waits to send through this sender wakes with `ChannelClosed`, its value not delivered; clones work on.

        Args:
            cause: an exception; where this closes the channel, the ``__cause__`` of every `ChannelClosed` that follows.
        """
        check_cause(cause)
        if not self.end_closed:
            self.end_closed = True
            self.drop_sender(cause)
            close_end(self, self.state.senders, self.state.send_watches)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        self.close(error)

    async def __aenter__(self):
        return self

    async def __aexit__(self, kind, error, traceback):
        self.close(error)

    def __dealloc__(self):
        self.drop_sender(None)


@cython.no_gc_clear
cdef class Receiver(End):
    """The receiving end of a channel, made by `channel`, `clone` or `Channel.receiver`.

    Clones share the work: each value goes to one of them. It is open until it is closed or gone; with its last receiver a
    channel closes for
    senders, and what is buffered is dropped. ``async for value in rx`` receives until the channel is closed and drained.
    Any coroutine may use it, a routine or a plain task, any number at once; ``try_recv`` and ``close`` also any thread.
    """

    def __init__(self):
        raise TypeError("a Receiver is made by routines.channel(), by clone(), or by Channel.receiver()")

    def recv(self):
        """Wait for a value.

        Receivers are served in the order in which they began to wait. Cancelled, it has taken nothing; a cancellation
        that comes once
        a value was handed over is raised at the next suspension instead, and the value is returned.

        Raises:
            ChannelClosed: no value will come: the channel is closed and drained, or this receiver was closed.

        Example:
            >>> import routines
            >>> async def main():
            ...     tx, rx = routines.channel(1)
            ...     await tx.send(42)
            ...     return await rx.recv()
            >>> routines.run(main())
            42
        """
        return make_receive(self, RECEIVE_VALUE, 1)

    def try_recv(self):
        """Receive now or not at all; from any thread.

        Raises:
            RecvError: nothing is there, but the channel is open.
            ChannelClosed: as for `recv`.
        """
        return receive_now(self)

    def recv_blocking(self, timeout=None):
        """`recv` for a plain thread, which is blocked meanwhile, and lets the others run.

        Threads and coroutines wait in one queue. Ctrl-C ends the wait on the main thread; no value is lost by it.

        Args:
            timeout: seconds as a float, or a timedelta; None waits for ever.

        Raises:
            Timeout: no value came in time.
            ChannelClosed: as for `recv`.
            ValueError: ``timeout`` is negative or NaN.
            RuntimeError: an event loop runs on this thread, and would be blocked.
        """
        return receive_in_thread(self, timeout)

    def recv_ok(self):
        """Go's ``v, ok := <-ch``: wait for ``(value, True)``, or ``(None, False)`` where no value will come."""
        return make_receive(self, RECEIVE_OK, 1)

    def recv_many(self, max, /):
        """Wait for a value, and take all that is there with it, parked senders' values included.

        Args:
            max: how many values to take at the most, at least 1.

        Returns:
            A list of 1 to ``max`` values.

        Raises:
            ChannelClosed: as for `recv`.
        """
        return make_receive(self, RECEIVE_MANY, batch_limit(max))

    def batches(self, max, /):
        """For ``async for values in rx.batches(max)``: lists as from `recv_many`, until closed and drained."""
        return make_batches(self, batch_limit(max))

    def __aiter__(self):
        return self

    def __anext__(self):
        return make_receive(self, RECEIVE_NEXT, 1)

    def clone(self):
        """Another receiver of the same channel, to be closed on its own; each value goes to one of them."""
        if self.end_closed or self.state.open_receivers == 0:
            raise closed_error(self.state, self, "receive")
        return new_receiver(self.state)

    def close(self, cause=None):
        """Close this receiver; the last one closes the channel for senders and drops what is buffered. From any thread.

        What waits to receive through this receiver wakes with `ChannelClosed`; clones work on.

        Args:
            cause: an exception; where this closes the channel, the ``__cause__`` of every `ChannelClosed` that follows.
        """
        check_cause(cause)
        if not self.end_closed:
            self.end_closed = True
            self.drop_receiver(cause)
            close_end(self, self.state.receivers, self.state.receive_watches)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        self.close(error)

    async def __aenter__(self):
        return self

    async def __aexit__(self, kind, error, traceback):
        self.close(error)

    def __dealloc__(self):
        self.drop_receiver(None)


@cython.final
@cython.no_gc_clear
cdef class Channel(End):
    """Channel(capacity=0)
--

Both ends of a channel in one object, as in Go: all methods of `Sender` and `Receiver`.

It counts as one sender and one receiver, so the channel stays open while it is there, until `close`, which is Go's
``close(ch)``. What
``x.channel`` returns is such an object too, but does not count. Two objects of one channel are equal.

Args:
    capacity: how many values the buffer holds; 0 hands each one over, ``math.inf`` has no bound.

Raises:
    TypeError: ``capacity`` is neither an int nor ``math.inf``.
    ValueError: it is negative.

Example:
    >>> import routines
    >>> async def main():
    ...     ch = routines.Channel(2)
    ...     await ch.send_many("ab")
    ...     ch.close()
    ...     return [value async for value in ch]
    >>> routines.run(main())
    ['a', 'b']
"""

    def __init__(self, capacity=0):
        if self.state is not NO_CHANNEL:
            raise RuntimeError(f"{self!r} was made already")
        self.state = new_state(capacity)
        self.counts_sender = self.counts_receiver = True
        self.state.open_senders = self.state.open_receivers = 1

    def sender(self):
        """A `Sender` of this channel."""
        if self.state.closed:
            raise closed_error(self.state, self, "send")
        return new_sender(self.state)

    def receiver(self):
        """A `Receiver` of this channel."""
        if self.state.open_receivers == 0 and self.state.closed:
            raise closed_error(self.state, self, "receive")
        return new_receiver(self.state)

    def send(self, value, /):
        """As `Sender.send`."""
        return make_send(self, value)

    def try_send(self, value, /):
        """As `Sender.try_send`."""
        send_now(self, value)

    def send_blocking(self, value, /, timeout=None):
        """As `Sender.send_blocking`."""
        return send_in_thread(self, value, timeout)

    def send_many(self, iterable, /):
        """As `Sender.send_many`."""
        return make_send_many(self, iterable)

    def case(self, value, /):
        """As `Sender.case`."""
        return make_case(self, value)

    def recv(self):
        """As `Receiver.recv`."""
        return make_receive(self, RECEIVE_VALUE, 1)

    def try_recv(self):
        """As `Receiver.try_recv`."""
        return receive_now(self)

    def recv_blocking(self, timeout=None):
        """As `Receiver.recv_blocking`."""
        return receive_in_thread(self, timeout)

    def recv_ok(self):
        """As `Receiver.recv_ok`."""
        return make_receive(self, RECEIVE_OK, 1)

    def recv_many(self, max, /):
        """As `Receiver.recv_many`."""
        return make_receive(self, RECEIVE_MANY, batch_limit(max))

    def batches(self, max, /):
        """As `Receiver.batches`."""
        return make_batches(self, batch_limit(max))

    def __aiter__(self):
        return self

    def __anext__(self):
        return make_receive(self, RECEIVE_NEXT, 1)

    def clone(self):
        """Another such object, which counts as one sender and one receiver of its own."""
        cdef Channel twin
        if self.state.closed:
            raise closed_error(self.state, self, "send")
        twin = plain_view(self.state)
        twin.counts_sender = twin.counts_receiver = True
        self.state.open_senders += 1
        self.state.open_receivers += 1
        return twin

    def close(self, cause=None):
        """Go's ``close(ch)``: no more values, whoever has a sender; what is buffered can still be received. From any thread.

        Args:
            cause: an exception, the ``__cause__`` of every `ChannelClosed` that follows.
        """
        check_cause(cause)
        close_state(self.state, cause)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        self.close(error)

    async def __aenter__(self):
        return self

    async def __aexit__(self, kind, error, traceback):
        self.close(error)

    def __eq__(self, other):
        if type(other) is not Channel:
            return NotImplemented
        return self.state is (<Channel>other).state

    def __hash__(self):
        return hash((Channel, self.state.id))

    def __dealloc__(self):
        self.drop_sender(None)
        self.drop_receiver(None)


@cython.final
cdef class Batches:
    """Not for users: what `Receiver.batches` returns."""
    cdef End end
    cdef Py_ssize_t at_most

    def __init__(self):
        raise TypeError("call batches() of a receiver")

    def __aiter__(self):
        return self

    def __anext__(self):
        if self.end is None:
            raise StopAsyncIteration
        return make_receive(self.end, RECEIVE_BATCH, self.at_most)


cdef Batches make_batches(End end, Py_ssize_t at_most):
    cdef Batches batches = Batches.__new__(Batches)
    batches.end = end
    batches.at_most = at_most
    return batches


def channel(capacity=0):
    """A new channel, as its two ends.

    Args:
        capacity: how many values the buffer holds. 0, the default, has none: a send is complete when a receiver has taken
            the value. ``math.inf`` has no bound: a send never waits.

    Returns:
        ``(Sender, Receiver)``.

    Raises:
        TypeError: ``capacity`` is neither an int nor ``math.inf``.
        ValueError: it is negative.

    Example:
        >>> import routines
        >>> async def main():
        ...     tx, rx = routines.channel()
        ...     routines.go(tx.send_many, [1, 2, 3])
        ...     return [await rx.recv() for _ in range(3)]
        >>> routines.run(main())
        [1, 2, 3]
    """
    cdef ChannelState state = new_state(capacity)
    return new_sender(state), new_receiver(state)
