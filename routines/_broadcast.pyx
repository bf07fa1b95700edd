# cython: language_level=3, binding=False, embedsignature=True, embedsignature.format=clinic, always_allow_keywords=False
"""Channels with another way from the senders to the receivers: broadcast, watch and oneshot.

The ends are those of `_channel`, and so are all operations on them, select included. The senders share one `ChannelState`,
each receiver has one of its own, and a `Relay` stands in between: it registers with the senders' state like a selector that
watches it, so every send offers its value to `Relay.accept`; it registers with a receiver's state like a selector that sends, so
every receive that finds nothing else asks `MemberWatch.give_value`. Nothing here is on the way of an ordinary channel.

A broadcast keeps its values once, in the buffer of the senders' state, which it treats as a ring with numbered slots: `first` is
the number of the oldest value, ``first + channel.used`` that of the next one sent. A subscriber is a position in it. For every
number from the oldest to the next, `counts` knows how many subscribers stand there; a value goes when nobody stands at it or
before it. That makes taking, subscribing and a lossy overwrite O(1): those that stood at the overwritten value are counted at the
next one, and learn from their own position, which is behind `first` by as many as they have missed.

Invariants, whenever no function of this file runs:

- a receiver waits only while its position is that of the next value, so nothing is handed out of order;
- the sum of the counts is the number of members; the count at `first` is not zero unless the buffer is empty;
- once the senders' state is closed, a receiver's state is closed as soon as it is drained.

Handing out wakes routines, which may let other threads run, who may send, receive, subscribe and leave. So it goes over a list
made beforehand and asks each member anew what it lacks; whatever another thread does meanwhile, it has handed out itself.

Thought of and dropped: a copy of each value per subscriber (memory, and a push and a pop more for each), a linked list of values
(an allocation for each, and long chains overflow the C stack), a count per value of those who still need it, as tokio has (a
subscriber that leaves has to walk all it has not taken).
"""

cimport cython
from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.list cimport PyList_GET_SIZE
from cpython.object cimport PyObject

from ._channel cimport (
    ChannelPark,
    ChannelState,
    End,
    Feed,
    Receiver,
    Sender,
    Watch,
    close_state,
    closed_error,
    count_received,
    new_sender,
    new_state,
    refill,
    send_from,
    tell_receivers,
    tell_senders,
    uncount_received,
)
from ._core cimport PARK_COMPLETE, PARK_DONE, WaitQueue, queue_append, queue_remove, settle_park
from ._ring cimport ring_pop
from ._stats cimport ChannelStats, Traffic


cdef extern from "Python.h":
    Py_ssize_t PY_SSIZE_T_MAX


# What goes over the channels that only stand for a receiver of another one.
cdef Traffic uncounted = Traffic.__new__(Traffic)


@cython.final
cdef class Member(Feed):
    """Not for users: one receiver of a relay, behind that receiver's own channel."""
    cdef Relay relay
    cdef ChannelState channel           # the receiver's own; None once it has left
    cdef Py_ssize_t place               # in relay.members
    cdef long long position             # number of the value it takes next; of a watch: the version it has seen
    cdef ChannelPark delivered          # of a watch: the operation that was last given a value, perhaps not fetched yet

    cdef int stop_feed(self) except -1:
        """The receiver is closed or gone."""
        return 0 if self.relay is None else self.relay.leave(self)

    cdef object view(self):
        return self.relay

    cdef ChannelStats snapshot(self):
        cdef ChannelStats stats
        if self.relay is None:
            return None
        stats = self.relay.snapshot()
        if stats is None:
            return None
        if self.channel is None:
            stats.waiting_receivers = stats.buffered = 0
        else:
            stats.waiting_receivers = self.channel.receivers.length
            stats.buffered = self.channel.used + self.relay.left_for(self)
        return stats

    cdef int fill(self, list values, Py_ssize_t at_most) except -1:
        cdef Relay relay = self.relay
        if self.channel is None or relay is None:
            return 0
        while PyList_GET_SIZE(values) < at_most and relay.left_for(self) and not relay.missed_by(self):
            values.append(relay.take(self))
        return relay.after_taking(self)


@cython.final
cdef class MemberWatch(Watch):
    """Not for users: gives a receiver that finds its own channel empty what the relay has for it."""
    cdef Member member

    cdef bint waits(self) noexcept:
        return self.member is not None and self.member.relay is not None and self.member.relay.left_for(self.member) != 0

    cdef int give_value(self, ChannelPark receiver) except -1:
        cdef Member member = self.member
        if member is None or member.relay is None or not member.relay.left_for(member):
            return 0
        member.relay.put(member, receiver)
        member.relay.after_taking(member)
        return 1


@cython.final
cdef class RelayWatch(Watch):
    """Not for users: takes what is sent into a relay."""
    cdef Relay relay

    cdef bint waits(self) noexcept:
        return self.relay is not None and self.relay.takes_all()

    cdef int became_ready(self) except -1:
        return 0 if self.relay is None else self.relay.distribute()

    cdef int take_value(self, object value) except -1:
        return 0 if self.relay is None else self.relay.accept(value)


cdef class Relay(Feed):
    """What stands between the senders and the receivers, and for both as ``x.channel``; counts as neither."""
    # Cleared by the collector, so every method that a dying end calls asks for None.
    cdef ChannelState channel           # the senders'; None once all is over
    cdef list members
    cdef ChannelStats last              # how things stood then
    cdef unsigned long long id

    def __init__(self):
        raise TypeError(f"{type(self).__name__} is what the ends of a broadcast, watch or oneshot channel have in common")

    # -- what each kind does in its own way

    cdef int accept(self, object value) except -1:  # not covered: every kind has its own
        """A sender offers a value: 1: taken; 0: it goes into the senders' buffer, if there is room, and `distribute` follows."""
        return 0

    cdef bint takes_all(self) noexcept:     # not covered: only a watch has this one, and has always room
        """Whether a sender never has to wait, even with a full buffer."""
        return True

    cdef Py_ssize_t left_for(self, Member member) noexcept:     # not covered: every kind has its own
        """How many values there are for a member; never 0 for one that has missed some."""
        return 0

    cdef long long missed_by(self, Member member) noexcept:
        return 0

    cdef object take(self, Member member):  # not covered: only a oneshot has this one, and never anything left
        """The next value for a member, who has seen that there is one and that none was missed. Runs nobody's code."""
        return None

    cdef int joined(self, Member member) except -1:
        """A member has joined: remember where it stands."""
        return 0

    cdef int left(self, Member member) except -1:
        """A member has left: forget where it stood."""
        return 0

    # -- what is common

    cdef int attach(self, ChannelState channel) except -1:
        cdef RelayWatch watch = RelayWatch.__new__(RelayWatch)
        watch.state = PARK_DONE
        watch.relay = self
        channel.receive_watches = WaitQueue.__new__(WaitQueue)
        queue_append(<PyObject *>channel.receive_watches, watch)
        channel.feed = self
        self.channel = channel
        self.id = channel.id
        self.members = []
        return 0

    cdef Member join(self, Receiver receiver, bint watched):
        """Make a fresh receiver one of those that get what is sent from now on."""
        cdef Member member = Member.__new__(Member)
        cdef ChannelState own = new_state(0)
        cdef ChannelState channel = self.channel
        # What the shared channel counts is not counted again.
        own.traffic.channels -= 1
        own.traffic = uncounted
        uncounted.channels += 1
        cdef MemberWatch watch
        if watched:
            watch = MemberWatch.__new__(MemberWatch)
            watch.state = PARK_DONE
            watch.member = member
            own.send_watches = WaitQueue.__new__(WaitQueue)
            queue_append(<PyObject *>own.send_watches, watch)
        own.id = self.id
        own.feed = member
        own.open_receivers = 1
        receiver.state = own
        receiver.receives = receiver.counts_receiver = True
        member.relay = self
        # All is made. A collection may have run meanwhile, and what it ran may have ended the channel.
        if channel is None or self.channel is None:
            close_state(own, None if channel is None else channel.cause)
            return member
        own.capacity = channel.capacity
        member.place = PyList_GET_SIZE(self.members)
        self.members.append(member)
        member.channel = own
        channel.open_receivers += 1
        self.joined(member)
        if channel.closed:
            close_state(own, channel.cause)
        return member

    cdef int leave(self, Member member) except -1:
        cdef ChannelState channel = self.channel
        cdef ChannelState own = member.channel
        cdef Member moved
        if own is None or channel is None or self.members is None or PyList_GET_SIZE(self.members) == 0:
            return 0
        moved = <Member>self.members[PyList_GET_SIZE(self.members) - 1]
        self.members[member.place] = moved
        moved.place = member.place
        self.members.pop()
        member.channel = None
        member.delivered = None
        channel.open_receivers -= 1
        self.left(member)
        if channel.open_receivers == 0:
            close_state(channel, own.cause)
            self.end_if_over()
        else:
            self.use_room()
        return 0

    cdef int end_if_over(self) except -1:
        """Nobody sends and nobody receives any more: let go of the states, so that all is freed without the collector."""
        cdef ChannelState channel = self.channel
        cdef ChannelStats last
        if channel is None or not channel.closed or channel.open_receivers != 0:
            return 0
        last = self.snapshot()
        self.last = last
        self.channel = None
        channel.receive_watches = None
        return 0

    cdef int put(self, Member member, ChannelPark receiver) except -1:
        """The next value for a member, or how many it has missed, into a receive that is to be completed with it. Runs nobody's
        code: an int is nothing that the collector looks at."""
        cdef long long missed = self.missed_by(member)
        if missed > 0:
            receiver.value = missed
            receiver.failed = True
            member.position += missed
        else:
            receiver.value = self.take(member)
        return 0

    cdef int after_taking(self, Member member) except -1:
        cdef ChannelState channel = self.channel
        cdef ChannelState own = member.channel
        if channel is None:
            return 0
        if channel.closed and own is not None and not self.left_for(member):
            close_state(own, channel.cause)
        return self.use_room()

    cdef int use_room(self) except -1:
        """Where values have left the buffer: let those in that wait for room."""
        cdef ChannelState channel = self.channel
        if channel is None or channel.used >= channel.capacity:
            return 0
        if channel.senders.first is not None:
            refill(channel)
            self.distribute()
        elif channel.send_watches is not None:
            tell_senders(channel)
        return 0

    cdef int distribute(self) except -1:
        """Hand out what waiting receivers lack, and close those that are drained of a closed channel."""
        cdef ChannelState channel = self.channel
        cdef Member member
        cdef list members
        if channel is None or self.members is None:
            return 0
        while True:
            members = list(self.members)
            for member in members:
                self.serve(member, channel)
            if channel.senders.first is None or channel.used >= channel.capacity:
                return 0
            refill(channel)

    cdef int serve(self, Member member, ChannelState channel) except -1:
        cdef ChannelState own = member.channel
        cdef ChannelPark park
        if own is None:
            return 0
        while own.receivers.first is not None and self.left_for(member):
            park = <ChannelPark>own.receivers.first
            self.put(member, park)
            queue_remove(<PyObject *>own.receivers, park)
            settle_park(park)
        if own.receive_watches is not None and self.left_for(member):
            tell_receivers(own)
        if channel.closed and not own.closed and not self.left_for(member):
            close_state(own, channel.cause)
        return 0

    cdef object view(self):
        return self

    cdef ChannelStats snapshot(self):
        cdef ChannelState channel = self.channel
        cdef ChannelStats source = self.last
        cdef ChannelStats stats = ChannelStats.__new__(ChannelStats)
        cdef Member member
        if channel is None and source is not None:
            stats.sent = source.sent
            stats.received = source.received
            stats.capacity = source.capacity
            stats.closed = True
            return stats
        if channel is None:
            return None     # the collector is at work
        stats.sent = channel.sent
        stats.received = channel.received
        stats.waiting_senders = channel.senders.length
        stats.senders = channel.open_senders
        stats.receivers = channel.open_receivers
        stats.capacity = float("inf") if channel.capacity == PY_SSIZE_T_MAX else channel.capacity
        stats.buffered = channel.used
        stats.closed = channel.closed
        if self.members is not None:
            for member in self.members:
                if member.channel is not None:
                    stats.waiting_receivers += member.channel.receivers.length
        return stats

    @property
    def closed(self):
        """Whether no value can be sent any more."""
        return self.channel is None or self.channel.closed

    @property
    def capacity(self):
        """As of the ends."""
        return self.stats().capacity

    def stats(self):
        """As of the ends, for all receivers together."""
        cdef ChannelStats stats = self.snapshot()
        return ChannelStats.__new__(ChannelStats) if stats is None else stats

    def __len__(self):
        return self.stats().buffered

    def __bool__(self):
        return True

    def __repr__(self):
        cdef ChannelStats stats = self.stats()
        text = f"<{type(self).__name__} #{self.id} {stats.buffered} buffered"
        text += f", senders={stats.senders}, receivers={stats.receivers}"
        if stats.waiting_senders:
            text += f", {stats.waiting_senders} waiting to send"
        if stats.waiting_receivers:
            text += f", {stats.waiting_receivers} waiting to receive"
        return text + (", closed>" if stats.closed else ">")


# ---------------------------------------------------------------------------------------------------------------------
# Broadcast


@cython.final
cdef class Broadcast(Relay):
    """Not for users to make: a broadcast channel as one object, ``x.channel`` of its ends."""
    cdef long long first            # number of the oldest value in the buffer
    cdef bytearray counts           # long long; at number & counts_mask: how many members stand there
    cdef Py_ssize_t counts_mask
    cdef bint lossless
    cdef object overwritten         # dropped once the value that took its place is in the buffer

    cdef long long *counts_at(self, long long number) noexcept:
        """Numbers are in use from `first` to `first` + channel.used, fewer than there are counts."""
        return &(<long long *>PyByteArray_AS_STRING(self.counts))[number & self.counts_mask]

    cdef int reserve_counts(self, Py_ssize_t numbers) except -1:
        """Room for so many numbers in use. Making a bytearray starts no collection."""
        cdef Py_ssize_t size = self.counts_mask + 1
        cdef long long number
        cdef bytearray larger
        if numbers <= size:
            return 0
        while size < numbers:
            size *= 2
        larger = bytearray(size * sizeof(long long))
        for number in range(self.first, self.first + self.channel.used + 1):
            (<long long *>PyByteArray_AS_STRING(larger))[number & (size - 1)] = self.counts_at(number)[0]
        self.counts = larger
        self.counts_mask = size - 1
        return 0

    cdef int accept(self, object value) except -1:
        cdef ChannelState channel = self.channel
        cdef long long *stand
        if channel is None:
            return 0
        self.reserve_counts(channel.used + 2)
        if channel.used >= channel.capacity and not self.lossless:
            stand = self.counts_at(self.first)
            self.counts_at(self.first + 1)[0] += stand[0]
            stand[0] = 0
            self.first += 1
            self.overwritten = ring_pop(channel)
        return 0

    cdef bint takes_all(self) noexcept:
        return not self.lossless

    cdef int distribute(self) except -1:
        cdef object _overwritten = self.overwritten     # dropped at return
        self.overwritten = None
        return Relay.distribute(self)

    cdef Py_ssize_t left_for(self, Member member) noexcept:
        if self.channel is None or member.channel is None or PyList_GET_SIZE(self.channel.slots) == 0:
            return 0            # the last: the collector has been here
        return self.first + self.channel.used - max(member.position, self.first)

    cdef long long missed_by(self, Member member) noexcept:
        return max(self.first - member.position, 0)

    cdef object take(self, Member member):
        cdef ChannelState channel = self.channel
        cdef long long number = member.position
        cdef object value = channel.slots[(channel.head + (number - self.first)) & channel.mask]
        self.counts_at(number)[0] -= 1
        self.counts_at(number + 1)[0] += 1
        member.position = number + 1
        count_received(channel)
        if number == self.first and self.counts_at(number)[0] == 0:
            # The last one that lacked it, which holds it now.
            self.first += 1
            ring_pop(channel)
        return value

    cdef int joined(self, Member member) except -1:
        member.position = self.first + self.channel.used
        self.counts_at(member.position)[0] += 1
        return 0

    cdef int left(self, Member member) except -1:
        cdef ChannelState channel = self.channel
        cdef list dropped = []      # freed when the last write is done: at return
        if channel is None or self.counts is None or PyList_GET_SIZE(channel.slots) == 0:
            return 0                # the collector has been here
        self.counts_at(max(member.position, self.first))[0] -= 1
        while channel.used and self.counts_at(self.first)[0] == 0:
            self.first += 1
            dropped.append(ring_pop(channel))
        return 0


cdef Subscription new_subscription(Broadcast broadcast):
    cdef Subscription made = Subscription.__new__(Subscription)
    broadcast.join(made, True)
    return made


cdef Relay relay_of(End end):
    """What stands behind an end."""
    cdef Feed feed = end.state.feed
    if feed is None:
        raise RuntimeError("this end was made by hand; call broadcast() or watch()")
    return (<Member>feed).relay if end.receives else <Relay>feed


cdef Relay relay_to_join(End end):
    """The same, where another receiver is to be made."""
    cdef Relay relay = relay_of(end)
    if end.end_closed or relay.closed:
        raise closed_error(end.state, end, "receive" if end.receives else "send")
    return relay


@cython.final
@cython.no_gc_clear
cdef class BroadcastSender(Sender):
    """The sending end of a broadcast channel, made by `broadcast` or `clone`: a `Sender` from which one can subscribe."""

    def __init__(self):
        raise TypeError("a BroadcastSender is made by routines.broadcast(), or by clone()")

    def subscribe(self):
        """Another `Subscription`, which gets every value that is sent from now on.

        Raises:
            ChannelClosed: the channel, or this sender, is closed.

        Example:
            >>> import routines
            >>> async def main():
            ...     tx, first = routines.broadcast(8)
            ...     await tx.send(1)
            ...     second = tx.subscribe()
            ...     await tx.send(2)
            ...     return await first.recv_many(8), await second.recv_many(8)
            >>> routines.run(main())
            ([1, 2], [2])
        """
        return new_subscription(<Broadcast>relay_to_join(self))

    def clone(self):
        """Another sender of the same channel, to be closed on its own."""
        cdef BroadcastSender twin
        if self.closed:
            raise closed_error(self.state, self, "send")
        twin = BroadcastSender.__new__(BroadcastSender)
        take_part(twin, self.state)
        return twin


@cython.final
@cython.no_gc_clear
cdef class Subscription(Receiver):
    """The receiving end of a broadcast channel, made by `broadcast`, `BroadcastSender.subscribe` or `clone`: a `Receiver` that
    gets every value sent since it was made.

    One that is too slow for a channel that is not lossless misses the oldest values: its next receive, in whatever form, raises
    `Lagged` with their number, and the one after that goes on with the oldest value that is left. ``async for`` ends with that
    exception and can be entered again. Several coroutines that receive through one subscription share its values.
    """

    def __init__(self):
        raise TypeError("a Subscription is made by routines.broadcast(), by tx.subscribe(), or by clone()")

    def clone(self):
        """Another subscription, which gets every value that is sent from now on, and not what this one has yet to take."""
        return new_subscription(<Broadcast>relay_to_join(self))


cdef int take_part(Sender sender, ChannelState state) except -1:
    """Make a fresh sender one of the senders of a channel."""
    sender.state = state
    sender.counts_sender = True
    state.open_senders += 1
    return 0


def broadcast(capacity, *, lossless=False):
    """A channel whose every subscriber gets every value that is sent since it subscribed.

    The values are kept once, until the slowest subscriber has taken them, ``capacity`` at the most. Then the oldest one is
    overwritten, and who has missed it gets `Lagged`, once, and goes on; or, where the channel is lossless, senders wait. As any
    channel it closes for subscribers, once they are drained, when its last sender is closed or gone, and for senders when its
    last subscription is. So keep a subscription where a channel is to outlive the subscribers of the moment; where it is not
    lossless, it need not be read.

    Args:
        capacity: how many values are kept for slow subscribers, at least 1; ``math.inf``: any number.
        lossless: senders wait for the slowest subscriber instead of overwriting what it has not taken.

    Returns:
        ``(BroadcastSender, Subscription)``: a `Sender` and a `Receiver`, which do all that these do. Further subscribers come
        from ``tx.subscribe()``, or ``clone()`` of a subscription.

    Raises:
        TypeError: ``capacity`` is neither an int nor ``math.inf``.
        ValueError: it is below 1.

    Example:
        >>> import routines
        >>> async def main():
        ...     tx, slow = routines.broadcast(2)
        ...     await tx.send_many("abc")
        ...     try:
        ...         await slow.recv()
        ...     except routines.Lagged as error:
        ...         return error.missed, await slow.recv_many(9)
        >>> routines.run(main())
        (1, ['b', 'c'])
    """
    cdef Broadcast relay = Broadcast.__new__(Broadcast)
    cdef BroadcastSender sender = BroadcastSender.__new__(BroadcastSender)
    cdef ChannelState state = new_state(capacity)
    if state.capacity == 0:
        raise ValueError("capacity of a broadcast must be at least 1, or math.inf (unbounded), not 0: values wait there for all")
    relay.lossless = lossless
    relay.counts = bytearray(2 * sizeof(long long))
    relay.counts_mask = 1
    relay.attach(state)
    take_part(sender, state)
    return sender, new_subscription(relay)


# ---------------------------------------------------------------------------------------------------------------------
# Watch


@cython.final
cdef class Watched(Relay):
    """Not for users to make: a watch channel as one object, ``x.channel`` of its ends."""
    cdef object value
    cdef long long version

    cdef int accept(self, object value) except -1:
        cdef object _previous = self.value      # dropped at return
        if self.channel is None:
            return 0
        self.value = value
        self.version += 1
        uncount_received(self.channel)  # nobody has received it by being offered it
        self.distribute()
        return 1

    cdef Py_ssize_t left_for(self, Member member) noexcept:
        return member.channel is not None and member.position != self.version

    cdef object take(self, Member member):
        member.position = self.version
        if self.channel is not None:
            count_received(self.channel)
        member.delivered = None
        return self.value

    cdef int serve(self, Member member, ChannelState channel) except -1:
        """As for any relay; but who was given a value and has not fetched it yet gets the newer one in its place."""
        cdef ChannelState own = member.channel
        cdef ChannelPark park = member.delivered
        cdef object _stale
        if own is None:
            return 0
        if park is not None and park.state == PARK_COMPLETE and not park.failed and member.position != self.version:
            _stale = park.value
            park.value = self.value
            member.position = self.version
        while own.receivers.first is not None and self.left_for(member):
            park = <ChannelPark>own.receivers.first
            self.put(member, park)
            member.delivered = park
            queue_remove(<PyObject *>own.receivers, park)
            settle_park(park)
        return Relay.serve(self, member, channel)


cdef WatchReceiver new_watch_receiver(Watched watched, long long version):
    cdef WatchReceiver made = WatchReceiver.__new__(WatchReceiver)
    watched.join(made, True).position = version
    return made


@cython.final
@cython.no_gc_clear
cdef class WatchSender(Sender):
    """The sending end of a watch channel, made by `watch` or `clone`: a `Sender` that never waits, as each value replaces the one
    before."""

    def __init__(self):
        raise TypeError("a WatchSender is made by routines.watch(), or by clone()")

    @property
    def value(self):
        """The newest value."""
        return (<Watched>relay_of(self)).value

    def subscribe(self):
        """Another `WatchReceiver`, to which the present value is no change.

        Raises:
            ChannelClosed: the channel, or this sender, is closed.
        """
        cdef Watched watched = <Watched>relay_to_join(self)
        return new_watch_receiver(watched, watched.version)

    def clone(self):
        """Another sender of the same channel, to be closed on its own."""
        cdef WatchSender twin
        if self.closed:
            raise closed_error(self.state, self, "send")
        twin = WatchSender.__new__(WatchSender)
        take_part(twin, self.state)
        return twin


@cython.final
@cython.no_gc_clear
cdef class WatchReceiver(Receiver):
    """The receiving end of a watch channel, made by `watch`, `WatchSender.subscribe` or `clone`: a `Receiver` of the newest
    value.

    Receiving waits for a value that was not received through this handle yet, and returns the newest; what came in between is
    skipped. So ``async for`` follows the changes, as fast as its body is. A closed channel still gives its last value, where that
    was not received yet, and then is closed. In a select the value is the one that was newest when the case was chosen.
    """

    def __init__(self):
        raise TypeError("a WatchReceiver is made by routines.watch(), by tx.subscribe(), or by clone()")

    @property
    def value(self):
        """The newest value. Looking at it changes nothing: `changed` still reports it where it was not received."""
        return (<Watched>relay_of(self)).value

    def changed(self):
        """Wait until the value is another one than the last received, and return it. `recv` under the name of its purpose.

        Setting an equal value, or the same again, is a change too.

        Raises:
            ChannelClosed: no value will come: the channel is closed, and the last one was received; or this receiver was closed.

        Example:
            >>> import routines
            >>> async def main():
            ...     tx, rx = routines.watch("idle")
            ...     tx.try_send("busy")
            ...     tx.try_send("done")
            ...     return await rx.changed(), rx.value
            >>> routines.run(main())
            ('done', 'done')
        """
        return self.recv()

    def clone(self):
        """Another receiver, to be closed on its own. What this one has not received yet, the other has not either."""
        return new_watch_receiver(<Watched>relay_to_join(self), (<Member>self.state.feed).position)


def watch(initial, /):
    """A channel of one value that changes: receivers get the newest, and skip those they were too slow for.

    Sending never waits. It closes for receivers when its last sender is closed or gone, and for senders when its last
    receiver is.

    Args:
        initial: the value until another one is sent; to the first receiver it is no change.

    Returns:
        ``(WatchSender, WatchReceiver)``: a `Sender` and a `Receiver`, which do all that these do. Further receivers come from
        ``tx.subscribe()``, or ``clone()`` of a receiver.

    Example:
        >>> import routines
        >>> async def main():
        ...     tx, rx = routines.watch(0)
        ...     async def count():
        ...         with tx:
        ...             for number in range(1, 1000):
        ...                 await tx.send(number)
        ...     routines.go(count)
        ...     seen = [number async for number in rx]
        ...     return len(seen) < 999, seen[-1]
        >>> routines.run(main())
        (True, 999)
    """
    cdef Watched relay = Watched.__new__(Watched)
    cdef WatchSender sender = WatchSender.__new__(WatchSender)
    cdef ChannelState state = new_state(1)
    relay.value = initial
    relay.attach(state)
    take_part(sender, state)
    return sender, new_watch_receiver(relay, 0)


# ---------------------------------------------------------------------------------------------------------------------
# Oneshot


@cython.final
cdef class Oneshot(Relay):
    """Not for users to make: a oneshot channel as one object, ``x.channel`` of its ends."""
    cdef bint spent             # the value is on its way

    cdef int accept(self, object value) except -1:
        cdef ChannelState channel = self.channel
        cdef ChannelState own
        if self.spent or channel is None or not self.members:
            return 0    # whoever sent the value is about to close the channel, and to refuse this sender with it
        own = (<Member>self.members[0]).channel
        if own is None:
            return 0    # the collector is at work
        self.spent = True
        send_from(own, value)
        close_state(own, None)
        close_state(channel, None)
        return 1

    cdef bint takes_all(self) noexcept:
        return not self.spent

    cdef Py_ssize_t left_for(self, Member member) noexcept:
        return 0

    cdef ChannelStats snapshot(self):
        cdef ChannelStats stats = Relay.snapshot(self)
        cdef ChannelState own
        if stats is None:
            return None
        stats.capacity = 1
        if self.channel is not None and self.members:
            own = (<Member>self.members[0]).channel
            stats.received = own.received
            stats.receivers = own.open_receivers
            stats.buffered = own.used
        return stats


def oneshot():
    """A channel for one value: the first send closes it, and never waits.

    Returns:
        ``(Sender, Receiver)``. A second send is `ChannelClosed`; the value stays receivable, and after it the channel is closed
        and drained. A sender that is closed or gone without having sent closes it as well, with the cause that ``close`` was
        given.

    Example:
        >>> import routines
        >>> async def answer(question, reply):
        ...     await reply.send(question * 2)
        >>> async def main():
        ...     reply, answered = routines.oneshot()
        ...     routines.go(answer, 21, reply)
        ...     return await answered.recv()
        >>> routines.run(main())
        42
    """
    cdef Oneshot relay = Oneshot.__new__(Oneshot)
    cdef ChannelState state = new_state(0)
    cdef Receiver receiver = Receiver.__new__(Receiver)
    cdef Member member
    relay.attach(state)
    member = relay.join(receiver, False)
    member.channel.capacity = 1
    return new_sender(state), receiver
