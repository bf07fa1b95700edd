# The system's monotonic clock, in nanoseconds. Imports nothing, and is read without the GIL as well.

cdef extern from *:
    """
    #include <time.h>

    static inline long long routines_monotonic(void)
    {
    #if PY_VERSION_HEX >= 0x030D0000
        PyTime_t now;
        (void)PyTime_MonotonicRaw(&now);
        return (long long)now;
    #else
        return (long long)_PyTime_GetMonotonicClock();
    #endif
    }

    /* One that goes on by less than a microsecond at a time: before 3.13 the other does so by sixteen milliseconds on Windows. */
    static inline long long routines_fine_clock(void)
    {
    #if defined(MS_WINDOWS) && PY_VERSION_HEX < 0x030D0000
        return (long long)_PyTime_GetPerfCounter();
    #else
        return routines_monotonic();
    #endif
    }

    /* The system's clock, read in a fraction of the time where it may be some milliseconds old. */
    static inline long long routines_coarse_clock(void)
    {
    #ifdef CLOCK_MONOTONIC_COARSE
        struct timespec now;
        if (clock_gettime(CLOCK_MONOTONIC_COARSE, &now) == 0) {
            return (long long)now.tv_sec * 1000000000 + now.tv_nsec;
        }
    #endif
        return routines_monotonic();
    }
    """
    long long routines_monotonic() noexcept nogil
    long long routines_fine_clock() noexcept nogil
    long long routines_coarse_clock() noexcept nogil
