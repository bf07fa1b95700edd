# cython: language_level=3, binding=False, embedsignature=True, embedsignature.format=clinic
"""Snapshots of the counters that the compiled core keeps."""

cimport cython


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
