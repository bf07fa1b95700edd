# A short wait, awake, for another thread. Stands on the clock.
#
# Two threads that answer one another within microseconds spend most of their time asleep in the kernel and on the way out of it:
# over the selector, over a lock, over the GIL. So a thread that others have woken lately looks for a moment, without the GIL,
# whether they do again, as Go's scheduler and adaptive mutexes do ("spinning"). A wait in vain costs at most as much as the sleep
# that it was to save, and the thread then does without for a while, longer each time: who is seldom woken seldom waits like this.
#
# Everything but the wait itself happens under the GIL.

from ._clock cimport routines_fine_clock


cdef extern from *:
    """
    #if defined(_MSC_VER)
    #  include <intrin.h>
    #  define ROUTINES_LINGER_LOCAL __declspec(thread)
    #  define routines_look(place) (*(volatile long *)(place))
    #  define routines_note(place, value) ((void)(*(volatile long *)(place) = (value)))
    #  define routines_add(place, number) ((void)_InterlockedExchangeAdd((place), (number)))
    #  if defined(_M_ARM64)
    #    define routines_relax() __yield()
    #  else
    #    define routines_relax() _mm_pause()
    #  endif
    #else
    #  define ROUTINES_LINGER_LOCAL __thread
    #  define routines_look(place) __atomic_load_n((place), __ATOMIC_ACQUIRE)
    #  define routines_note(place, value) __atomic_store_n((place), (value), __ATOMIC_RELEASE)
    #  define routines_add(place, number) ((void)__atomic_fetch_add((place), (number), __ATOMIC_RELAXED))
    #  if defined(__x86_64__) || defined(__i386__)
    #    define routines_relax() __builtin_ia32_pause()
    #  elif defined(__aarch64__)
    #    define routines_relax() __asm__ __volatile__("isb" ::: "memory")
    #  else
    #    define routines_relax() __asm__ __volatile__("" ::: "memory")
    #  endif
    #endif

    /* How long a thread looks for a wake-up; and how long where it has woken one that slept, which answers later: coming out of
       sleep takes that long on a machine of somebody else's. */
    #define ROUTINES_LINGER_NS 20000
    #define ROUTINES_LINGER_FOR_SLEEPER_NS 100000
    #define ROUTINES_LINGER_LOOKS 16
    /* So many waits in vain are nothing yet; after each further one twice as many go without, up to 63. */
    #define ROUTINES_LINGER_MISSES 2
    #define ROUTINES_LINGER_MISSES_MAX 8

    static long routines_lingering_most = 0;    /* threads at once */
    static long routines_lingering_now = 0;
    static long routines_let_go = 1;            /* twice how often a thread of ours has let go of the GIL, and one: never 0 */
    static long routines_linger_common = 0;     /* waits in vain in a row, of whichever thread has waited last */
    /* Of this thread: whether it has asked before; its own waits in vain in a row; how many it still goes without; and whether it
       has woken one that slept since it waited last. */
    static ROUTINES_LINGER_LOCAL int routines_linger_asked = 0;
    static ROUTINES_LINGER_LOCAL long routines_linger_misses = 0;
    static ROUTINES_LINGER_LOCAL long routines_linger_skips = 0;
    static ROUTINES_LINGER_LOCAL int routines_woke_sleeper = 0;

    /* One processor is left to who has the GIL; of two none, as one of two that talk to each other has it. */
    static inline void routines_linger_among(long processors)
    {
        routines_lingering_most = processors > 2 ? processors - 1 : processors > 1 ? 2 : 0;
    }

    static inline long routines_skips_after(long misses)
    {
        return misses > ROUTINES_LINGER_MISSES ? (1 << (misses - ROUTINES_LINGER_MISSES)) - 1 : 0;
    }

    /* In the child of a fork, where no other thread runs. */
    static inline void routines_forget_lingerers(void)
    {
        routines_lingering_now = 0;
    }

    /* The GIL has just been released, by a thread that waits. */
    static inline void routines_has_let_go(void)
    {
        routines_add(&routines_let_go, 2);
    }

    /* Whether to linger this time. A thread that is new begins with what the others have found: many live for a few waits. */
    static inline int routines_may_linger(void)
    {
        if (!routines_linger_asked) {
            routines_linger_asked = 1;
            routines_linger_misses = routines_look(&routines_linger_common);
            routines_linger_skips = routines_skips_after(routines_linger_misses);
        }
        if (routines_linger_skips != 0) {
            routines_linger_skips--;
            routines_woke_sleeper = 0;
            return 0;
        }
        return routines_look(&routines_lingering_now) < routines_lingering_most;
    }

    /* This thread wakes one that sleeps. */
    static inline void routines_wakes_sleeper(void)
    {
        routines_woke_sleeper = 1;
    }

    /* Wake one that lingers; ``signal`` is where it looks. */
    static inline void routines_signal(long *signal)
    {
        routines_note(signal, routines_look(&routines_let_go));
    }

    /* Whether ``place`` differs from ``value`` before so many nanoseconds are over. */
    static inline int routines_changes(long *place, long value, long long longest)
    {
        long long deadline = 0;
        for (;;) {
            for (int look = 0; look < ROUTINES_LINGER_LOOKS; look++) {
                if (routines_look(place) != value) return 1;
                routines_relax();
            }
            if (deadline == 0) deadline = routines_fine_clock() + longest;
            else if (routines_fine_clock() >= deadline) return 0;
        }
    }

    /* Look at ``signal``, without the GIL, until it is not 0 or the time is over. */
    static inline void routines_linger(long *signal)
    {
        int found;
        routines_add(&routines_lingering_now, 1);
        routines_has_let_go();
        found = routines_changes(signal, 0, ROUTINES_LINGER_NS);
        if (!found && routines_woke_sleeper && routines_linger_misses <= ROUTINES_LINGER_MISSES) {
            /* Late, and the other is awake from now on: this says nothing of what the next wait is worth. */
            found = routines_changes(signal, 0, ROUTINES_LINGER_FOR_SLEEPER_NS - ROUTINES_LINGER_NS);
        }
        else if (found) {
            routines_linger_misses = 0;
            routines_note(&routines_linger_common, 0);
        }
        routines_woke_sleeper = 0;
        routines_add(&routines_lingering_now, -1);
        if (found) {
            /* Whoever waked has the GIL, and most often lets go of it soon; to wait for it asleep is what is not wanted. */
            routines_changes(&routines_let_go, routines_look(signal), ROUTINES_LINGER_NS);
            return;
        }
        if (routines_linger_misses < ROUTINES_LINGER_MISSES_MAX) routines_linger_misses++;
        routines_note(&routines_linger_common, routines_linger_misses);
        routines_linger_skips = routines_skips_after(routines_linger_misses);
    }
    """
    void routines_linger_among(long processors) noexcept
    void routines_forget_lingerers() noexcept
    void routines_has_let_go() noexcept nogil
    bint routines_may_linger() noexcept
    void routines_signal(long *signal) noexcept
    void routines_wakes_sleeper() noexcept
    void routines_linger(long *signal) noexcept nogil
