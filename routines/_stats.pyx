# cython: language_level=3, binding=False, embedsignature=True, embedsignature.format=clinic
"""Snapshots of the counters that the compiled core keeps."""

cimport cython

outside = Traffic.__new__(Traffic)


@cython.final
@cython.no_gc
cdef class Traffic:
    """Not for users: what went over the channels that were made in one place."""


@cython.final
cdef class ChannelStats:
    """What a channel has done and what it holds, at one instant; made by ``stats()`` of any of its ends.

    Attributes:
        sent: values that senders have handed over since the channel was made, in whatever way they did.
        received: values that receivers have taken, in whatever way they did.
        waiting_senders: operations that are parked because nobody takes their value.
        waiting_receivers: operations that are parked because there is nothing to take.
        senders: open senders; a `Channel` counts as one.
        receivers: open receivers; a `Channel` counts as one.
        capacity: values that the buffer can hold; ``math.inf`` where it has no bound.
        buffered: values in the buffer.
        closed: whether no further value can be sent.
    """

    def __init__(self):
        raise TypeError("ChannelStats is a snapshot; call stats() of a channel, a sender or a receiver")

    cdef tuple _fields(self):
        return (self.sent, self.received, self.waiting_senders, self.waiting_receivers,
                self.senders, self.receivers, self.capacity, self.buffered, self.closed)

    def __eq__(self, other):
        if not isinstance(other, ChannelStats):
            return NotImplemented
        return self._fields() == (<ChannelStats>other)._fields()

    def __hash__(self):
        return hash(self._fields())

    def __repr__(self):
        return (
            f"ChannelStats(sent={self.sent}, received={self.received}, "
            f"waiting_senders={self.waiting_senders}, waiting_receivers={self.waiting_receivers}, "
            f"senders={self.senders}, receivers={self.receivers}, capacity={self.capacity}, "
            f"buffered={self.buffered}, closed={self.closed})"
        )


@cython.final
cdef class RuntimeStats:
    """What a runtime has done and what lives in it, at one instant; made by `Runtime.stats`.

    ``routines_active``, ``ready``, ``timers`` and ``channels`` are what lives now; the others count from the start.

    Attributes:
        routines_spawned: routines that were started.
        routines_active: routines that are not done.
        routines_completed: routines that returned.
        routines_failed: routines that raised.
        routines_aborted: routines that were stopped: by `Routine.abort`, by ``cancel``, or as nothing could wake them any more.
        switches: how often a routine was stepped: entered, or gone on with.
        parks: how often a routine stopped to wait for something.
        budget_yields: how often an operation gave way to others although it could have gone on, because its routine had done
            so many of them without waiting.
        ready: routines, and plain tasks woken by a channel, that wait for their turn.
        timers: sleeps, timeouts, tickers and the like that have not come yet.
        channels: channels that were made here and still exist.
        sends: values sent over channels that were made here, in whatever way and from whatever thread.
        receives: values received over those channels, likewise.
        selects: selects and turns of a `Selector` that came to an outcome.
        workers: the same for each worker; in one of those it is empty.
        uptime: seconds since the runtime was started; of a plain asyncio loop, since routines were first used on it.

    A channel belongs to the worker on whose loop it was made. One that was made where no loop ran, on a plain thread or before
    the program began, belongs to no worker: it is in the sums of every runtime of the process alone.
    """

    def __init__(self):
        raise TypeError("RuntimeStats is a snapshot; call stats() of a runtime")

    cdef int add(self, RuntimeStats other) except -1:
        self.routines_spawned += other.routines_spawned
        self.routines_active += other.routines_active
        self.routines_completed += other.routines_completed
        self.routines_failed += other.routines_failed
        self.routines_aborted += other.routines_aborted
        self.switches += other.switches
        self.parks += other.parks
        self.budget_yields += other.budget_yields
        self.ready += other.ready
        self.timers += other.timers
        self.channels += other.channels
        self.sends += other.sends
        self.receives += other.receives
        self.selects += other.selects
        return 0

    cdef tuple _fields(self):
        return (self.routines_spawned, self.routines_active, self.routines_completed, self.routines_failed,
                self.routines_aborted, self.switches, self.parks, self.budget_yields, self.ready, self.timers,
                self.channels, self.sends, self.receives, self.selects, self.workers, self.uptime)

    def __eq__(self, other):
        if not isinstance(other, RuntimeStats):
            return NotImplemented
        return self._fields() == (<RuntimeStats>other)._fields()

    def __hash__(self):
        return hash(self._fields())

    def __repr__(self):
        return (
            f"RuntimeStats(routines_spawned={self.routines_spawned}, routines_active={self.routines_active}, "
            f"routines_completed={self.routines_completed}, routines_failed={self.routines_failed}, "
            f"routines_aborted={self.routines_aborted}, switches={self.switches}, parks={self.parks}, "
            f"budget_yields={self.budget_yields}, ready={self.ready}, timers={self.timers}, channels={self.channels}, "
            f"sends={self.sends}, receives={self.receives}, selects={self.selects}, workers={self.workers!r}, "
            f"uptime={self.uptime:.3f})"
        )
