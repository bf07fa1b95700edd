# Counters of the compiled core and the snapshots of them that users get. Imports nothing.

cdef extern from *:
    """
    /* All counting goes through here. ROUTINES_NO_COUNTERS leaves it out: a build to measure its cost, and not to be used. */
    #ifdef ROUTINES_NO_COUNTERS
    #  define routines_count(counter) ((void)(counter))
    #  define routines_count_many(counter, number) ((void)(counter), (void)(number))
    #  define routines_count_back(counter) ((void)(counter))
    #else
    #  define routines_count(counter) ((void)++(counter))
    #  define routines_count_many(counter, number) ((void)((counter) += (unsigned long long)(number)))
    #  define routines_count_back(counter) ((void)--(counter))
    #endif
    """
    void increment "routines_count"(unsigned long long counter) noexcept
    void increase "routines_count_many"(unsigned long long counter, Py_ssize_t number) noexcept
    void decrement "routines_count_back"(unsigned long long counter) noexcept


ctypedef struct SchedulerCounters:
    # Counted from the scheduler's start; a routine that another thread collects is counted there.
    unsigned long long spawned
    unsigned long long completed
    unsigned long long failed
    unsigned long long aborted
    unsigned long long switches
    unsigned long long parks
    unsigned long long budget_yields
    unsigned long long selects


cdef class Traffic:
    # What went over the channels that were made in one place. Each of those channels has it, so counting costs no look-up.
    cdef unsigned long long sends
    cdef unsigned long long receives
    cdef Py_ssize_t channels            # that live


# Of channels made where no event loop ran: on plain threads, or before a program began.
cdef Traffic outside


cdef class RuntimeStats:
    cdef readonly unsigned long long routines_spawned
    cdef readonly unsigned long long routines_active
    cdef readonly unsigned long long routines_completed
    cdef readonly unsigned long long routines_failed
    cdef readonly unsigned long long routines_aborted
    cdef readonly unsigned long long switches
    cdef readonly unsigned long long parks
    cdef readonly unsigned long long budget_yields
    cdef readonly unsigned long long ready
    cdef readonly unsigned long long timers
    cdef readonly unsigned long long channels
    cdef readonly unsigned long long sends
    cdef readonly unsigned long long receives
    cdef readonly unsigned long long selects
    cdef readonly tuple workers
    cdef readonly double uptime
    cdef int add(self, RuntimeStats other) except -1
    cdef tuple _fields(self)


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
