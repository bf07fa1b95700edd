# Counters of the compiled core and the snapshots of them that users get. Imports nothing.

ctypedef struct SchedulerCounters:
    # Counted from the scheduler's start; written by its own thread only.
    unsigned long long spawned
    unsigned long long completed
    unsigned long long failed
    unsigned long long aborted
    unsigned long long switches
    unsigned long long parks
    unsigned long long budget_yields


cdef class ChannelStats:
    cdef readonly unsigned long long sent
    cdef readonly unsigned long long received
    cdef readonly Py_ssize_t waiting_senders
    cdef readonly Py_ssize_t waiting_receivers
    cdef readonly Py_ssize_t senders
    cdef readonly Py_ssize_t receivers
    cdef readonly object capacity
    cdef readonly Py_ssize_t buffered
    cdef readonly bint closed
    cdef tuple _fields(self)
