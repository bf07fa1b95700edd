# Channels, their ends, and the operations on them. Stands on the core.

from cpython.object cimport PyObject

from ._core cimport Park, TimerTarget, WaitQueue
from ._ring cimport Ring
from ._stats cimport ChannelStats, Traffic, decrement, increase, increment


cdef class ChannelState(Ring):
    # What all ends of one channel share. It is its own buffer: a ring of the values that wait.
    cdef WaitQueue senders              # parked ChannelParks that have a value to give
    cdef WaitQueue receivers            # parked ChannelParks that want one
    cdef WaitQueue watchers             # parked wait_closed(); None until there is one
    cdef WaitQueue receive_watches      # Watches of selectors; None until there is one
    cdef WaitQueue send_watches
    cdef Feed feed                      # what stands behind it, where its senders and receivers are not all of it
    cdef Py_ssize_t capacity            # values; PY_SSIZE_T_MAX where it has no bound
    cdef Py_ssize_t open_senders
    cdef Py_ssize_t open_receivers
    cdef bint closed                    # no value can be sent any more
    cdef object cause                   # why, where close() was told
    cdef object creation_site           # in debug mode
    cdef unsigned long long id
    cdef unsigned long long sent
    cdef unsigned long long received
    cdef Traffic traffic                # where it was made: all that went over the channels of that place


cdef class ChannelPark(Park):
    # A node in one of the two queues of a channel.
    cdef ChannelState channel
    cdef End end                        # keeps the end open while the operation is under way; None when it is idle
    cdef object value                   # to give, or received
    cdef bint failed                    # settled as the channel was closed; a receive with a value: it has missed so many
    cdef bint many                      # a parked sender with more than one value to give

    cdef object next_value(self)
    cdef Py_ssize_t give_values(self, ChannelState channel) noexcept
    cdef bint has_more(self) noexcept
    cdef bint goes_through(self, End end) noexcept      # it was made with this handle


cdef class Watch(Park):
    # A selector's standing interest in a channel: told when the channel becomes ready, and offered what comes while it waits.
    cdef ChannelState channel
    cdef End end
    cdef object value                   # what a sending case sends
    cdef bint sends

    cdef bint waits(self) noexcept                  # the selector is parked
    cdef int became_ready(self) except -1           # it may be ready now; no operation was made
    cdef int take_value(self, object value) except -1   # 1: taken, the selector was waiting
    cdef int give_value(self, ChannelPark receiver) except -1   # 1: it put its value, or a failure, into the receiver


cdef class Feed(TimerTarget):
    # What stands behind a channel: a timer that feeds it, or what passes values on from one channel to others.
    cdef int stop_feed(self) except -1              # nobody can receive any more
    cdef object view(self)                          # what users see as the channel; None: a Channel
    cdef ChannelStats snapshot(self)                # None: what the channel itself counts
    cdef int fill(self, list values, Py_ssize_t at_most) except -1  # append what is there


cdef class SendCase:
    # What tx.case(value) makes: a send as a case of a select.
    cdef End end
    cdef object value


cdef class End:
    cdef ChannelState state
    cdef bint counts_sender             # still counted in state.open_senders
    cdef bint counts_receiver
    cdef bint end_closed                # this handle was closed itself
    cdef bint receives                  # a Receiver, which still receives what is buffered once the channel is closed
    cdef SendPark spare_send            # idle operations to use again
    cdef ReceivePark spare_receive
    cdef object __weakref__

    cdef int drop_sender(self, object cause) except -1
    cdef int drop_receiver(self, object cause) except -1


cdef class SendPark(ChannelPark):
    pass


cdef class ReceivePark(ChannelPark):
    cdef unsigned char mode             # RECEIVE_…
    cdef Py_ssize_t at_most             # of a batch


cdef class Receiver(End):
    pass


cdef class Sender(End):
    pass


cdef class Channel(End):
    pass


# What a select does with a channel: look, do, wait, and tell of an error.
cdef bint somebody_waits(WaitQueue watches) noexcept
cdef int receive_into(ChannelState channel, End end, ChannelPark park) except -1
cdef int send_from(ChannelState channel, object value) except -1
cdef int tell_receivers(ChannelState channel) except -1
cdef int tell_senders(ChannelState channel) except -1
cdef int put_back(ChannelState channel, object value) except -1
cdef object closed_error(ChannelState channel, End end, str operation)
cdef object view_of(ChannelState state)
cdef ChannelState new_state(object capacity)
cdef Sender new_sender(ChannelState state)
cdef int close_state(ChannelState channel, object cause) except -1
cdef int refill(ChannelState channel) except -1
cdef int feed_value(ChannelState channel, object value) except -1


# Over borrowed pointers: a select looks at each of its cases, and counting each up and down again is a third of that.
cdef inline bint receive_ready(PyObject *end) noexcept:
    """Whether a receive would return, or raise, at once."""
    return (
        (<End>end).state.used != 0 or (<End>end).state.senders.first is not None
        or (<End>end).state.closed or (<End>end).end_closed
        or ((<End>end).state.send_watches is not None and somebody_waits((<End>end).state.send_watches))
    )


cdef inline bint send_ready(PyObject *end) noexcept:
    """Whether a send would return, or raise, at once."""
    return (
        (<End>end).state.receivers.first is not None or (<End>end).state.used < (<End>end).state.capacity
        or (<End>end).state.closed or (<End>end).end_closed
        or ((<End>end).state.receive_watches is not None and somebody_waits((<End>end).state.receive_watches))
    )


cdef inline void count_sent(ChannelState channel) noexcept:
    increment(channel.sent)
    increment(channel.traffic.sends)


cdef inline void count_received(ChannelState channel) noexcept:
    increment(channel.received)
    increment(channel.traffic.receives)


cdef inline void count_sent_many(ChannelState channel, Py_ssize_t values) noexcept:
    increase(channel.sent, values)
    increase(channel.traffic.sends, values)


cdef inline void count_received_many(ChannelState channel, Py_ssize_t values) noexcept:
    increase(channel.received, values)
    increase(channel.traffic.receives, values)


cdef inline void uncount_received(ChannelState channel) noexcept:
    decrement(channel.received)
    decrement(channel.traffic.receives)
