"""What Go's own tests of `sync`, `context`, `errgroup` and `semaphore` ask, asked of ours.

Provenance: the Go project's test suites, BSD licence. Each test names the file and the scenario it follows; the code here is
our own, in our vocabulary, and nothing was translated line by line. Where Go panics, the contract names an exception.
"""

import asyncio

import pytest
from helpers import settle, until

from routines import (
    Cond,
    Mutex,
    Once,
    RWMutex,
    Semaphore,
    WaitGroup,
    channel,
    context,
    go,
    group,
    sleep,
    yield_now,
)
from routines.context import Cancelled, DeadlineExceeded

# --- src/sync/mutex_test.go, rwmutex_test.go


async def test_hammer_mutex():
    """TestMutex: many lock and unlock at once, some by trying."""
    mutex, count = Mutex(), 0

    async def hammer(loops):
        nonlocal count
        for turn in range(loops):
            if turn % 3 == 0:
                if mutex.try_lock():
                    mutex.unlock()
                continue
            async with mutex:
                seen = count
                await yield_now()
                count = seen + 1

    wg = WaitGroup()
    for _ in range(10):
        wg.go(hammer, 60)
    await wg.wait()
    assert count == 10 * 40


async def test_mutex_fairness():
    """TestMutexFairness: one that locks again and again does not starve another that wants it now and then."""
    mutex, stop, turns = Mutex(), False, 0

    async def hog():
        while not stop:
            async with mutex:
                await yield_now()

    async def polite():
        nonlocal turns
        for _ in range(10):
            await yield_now()
            async with mutex:
                turns += 1

    hogging = go(hog)
    await asyncio.wait_for(go(polite), 10)
    stop = True
    await hogging
    assert turns == 10


@pytest.mark.parametrize(
    "misuse",
    ["mutex", "rwmutex unlock", "rwmutex runlock", "after lock and unlock", "read, unlocked for writing"],
)
async def test_mutex_misuse(misuse):
    """TestMutexMisuse: unlocking what is not locked is fatal."""
    mutex, lock = Mutex(), RWMutex()
    with pytest.raises(RuntimeError, match="unlock"):
        if misuse == "mutex":
            mutex.unlock()
        elif misuse == "rwmutex unlock":
            lock.unlock()
        elif misuse == "rwmutex runlock":
            lock.runlock()
        elif misuse == "after lock and unlock":
            await mutex.lock()
            mutex.unlock()
            mutex.unlock()
        else:
            await lock.rlock()
            lock.unlock()


@pytest.mark.parametrize("readers", [1, 3, 10])
async def test_parallel_readers(readers):
    """TestParallelReaders: all readers get in while none has left."""
    lock = RWMutex()
    inside, unlock, left = channel(), channel(), channel()

    async def read():
        async with lock.reading():
            await inside[0].send(True)
            await unlock[1].recv()
        await left[0].send(True)

    for _ in range(readers):
        go(read)
    for _ in range(readers):
        await inside[1].recv()
    for _ in range(readers):
        await unlock[0].send(True)
    for _ in range(readers):
        await left[1].recv()
    assert lock.try_lock()


@pytest.mark.parametrize("readers", [1, 3, 10])
async def test_hammer_rwmutex(readers):
    """HammerRWMutex: never a writer beside anybody."""
    lock, activity = RWMutex(), 0

    async def read():
        nonlocal activity
        for _ in range(20):
            async with lock.reading():
                activity += 1
                assert 1 <= activity < 10_000
                await yield_now()
                activity -= 1

    async def write():
        nonlocal activity
        for _ in range(20):
            async with lock:
                activity += 10_000
                assert activity == 10_000
                await yield_now()
                activity -= 10_000

    async with group() as g:
        g.go(write)
        for _ in range(readers // 2):
            g.go(read)
        g.go(write)
        for _ in range(readers - readers // 2):
            g.go(read)


# --- src/sync/waitgroup_test.go


async def test_wait_group():
    """TestWaitGroup: two of them, back and forth, used again and again."""
    first, second = WaitGroup(), WaitGroup()
    for _ in range(4):
        first.add(8)
        second.add(8)
        exited = []

        async def work(exited=exited):
            first.done()
            await second.wait()
            exited.append(True)

        for _ in range(8):
            go(work)
        await first.wait()
        for _ in range(8):
            assert not exited, "it was let go too soon"
            second.done()
        await until(lambda exited=exited: len(exited) == 8)


async def test_wait_group_misuse():
    """TestWaitGroupMisuse: a negative counter panics."""
    wg = WaitGroup()
    wg.add(1)
    wg.done()
    with pytest.raises(ValueError):
        wg.done()


async def test_wait_group_race():
    """TestWaitGroupRace: done by the routines themselves."""
    for _ in range(100):
        wg, count = WaitGroup(), 0

        async def work(wg=wg):
            nonlocal count
            count += 1
            wg.done()

        wg.add(1)
        go(work)
        wg.add(1)
        go(work)
        await wg.wait()
        assert count == 2


# --- src/sync/cond_test.go


async def test_cond_signal():
    """TestCondSignal: each signal wakes one."""
    mutex = Mutex()
    cond, running, awake = Cond(mutex), channel(2), channel(2)

    async def wait():
        async with mutex:
            running[0].try_send(True)
            await cond.wait()
            awake[0].try_send(True)

    for _ in range(2):
        go(wait)
    for _ in range(2):
        await running[1].recv()
    for left in (2, 1):
        assert len(awake[1]) == 0
        await mutex.lock()
        cond.signal()
        mutex.unlock()
        await awake[1].recv()
        await settle()
        assert len(awake[1]) == 0, f"{left} too many were woken"
    cond.signal()


async def test_cond_signal_generations():
    """TestCondSignalGenerations: they are woken in the order in which they began to wait."""
    mutex = Mutex()
    cond, running, awake = Cond(mutex), channel(100), channel(100)

    async def wait(number):
        async with mutex:
            running[0].try_send(True)
            await cond.wait()
            awake[0].try_send(number)

    for number in range(100):
        go(wait, number)
        if number > 0:
            assert await awake[1].recv() == number - 1
        await running[1].recv()
        async with mutex:
            cond.signal()
    assert await awake[1].recv() == 99


async def test_cond_broadcast():
    """TestCondBroadcast: all wake, round after round."""
    mutex = Mutex()
    cond, running, awake, stop = Cond(mutex), channel(20), channel(20), False

    async def wait(number):
        async with mutex:
            while not stop:
                running[0].try_send(number)
                await cond.wait()
                awake[0].try_send(number)

    waiting = [go(wait, number) for number in range(20)]
    for _ in range(3):
        for _ in range(20):
            await running[1].recv()
        async with mutex:
            cond.broadcast()
        assert {await awake[1].recv() for _ in range(20)} == set(range(20))
    for _ in range(20):
        await running[1].recv()
    async with mutex:
        stop = True
        cond.broadcast()
    for each in waiting:
        await each


async def test_cond_race():
    """TestRace: three that wake each other over one variable."""
    mutex = Mutex()
    cond, x = Cond(mutex), 0

    async def first():
        nonlocal x
        async with mutex:
            x = 1
            await cond.wait()
            assert x == 2
            x = 3
            cond.signal()

    async def second():
        nonlocal x
        while True:
            async with mutex:
                if x == 1:
                    x = 2
                    cond.signal()
                    return
            await yield_now()

    async def third():
        while True:
            async with mutex:
                if x == 2:
                    await cond.wait()
                    assert x == 3
                    return
                if x == 3:
                    return
            await yield_now()

    async with group() as g:
        for each in (first, second, third):
            g.go(each)


# --- src/sync/once_test.go


async def test_once():
    """TestOnce: of ten at once, one does it, and all see that it was done."""
    once, done = Once(), 0

    async def do():
        nonlocal done
        done += 1

    async def run():
        await once.do(do)
        assert done == 1

    async with group() as g:
        for _ in range(10):
            g.go(run)
    assert done == 1


async def test_once_panic():
    """TestOncePanic and OnceFunc: one that fails is done, and it is not called again; OnceFunc fails each time."""
    once, calls = Once(), 0

    async def fail():
        nonlocal calls
        calls += 1
        raise KeyError("failed")

    for _ in range(2):
        with pytest.raises(KeyError):
            await once.do(fail)
    assert calls == 1


# --- src/context/context_test.go


async def test_context_with_cancel():
    """XTestWithCancel, XTestParentFinishesChild: one cancels what is below, and nothing beside or above."""
    parent, cancel = context.with_cancel(context.background())
    child, stop_child = context.with_cancel(parent)
    below = context.with_value(child, "key", "value")
    timed, stop_timed = context.with_timeout(below, 60)
    beside, stop_beside = context.with_cancel(parent)
    everything = (parent, child, below, timed, beside)
    assert all(ctx.err() is None for ctx in everything)
    stop_child()
    assert [isinstance(ctx.err(), Cancelled) for ctx in everything] == [False, True, True, True, False]
    cancel()
    assert all(isinstance(ctx.err(), Cancelled) for ctx in everything)
    assert below.value("key") == timed.value("key") == "value"
    late, _ = context.with_cancel(parent)
    assert isinstance(late.err(), Cancelled)
    stop_timed()
    stop_beside()


async def test_context_deadline():
    """XTestDeadline: wrapped in whatever, it is exceeded in time."""
    ctx, cancel = context.with_timeout(context.background(), 0.001)
    wrapped = context.with_value(context.with_timeout(ctx, 60)[0], 1, 2)
    await wrapped.done().recv_ok()
    assert isinstance(wrapped.err(), DeadlineExceeded)
    cancel()
    assert isinstance(wrapped.err(), DeadlineExceeded)


async def test_context_cause():
    """XTestCause: the first cause from above or here is the one that stays."""
    first, second = ValueError("first"), ValueError("second")
    parent, cancel_parent = context.with_cancel(context.background())
    child, cancel_child = context.with_cancel(parent)
    cancel_child(second)
    cancel_parent(first)
    assert (parent.cause(), child.cause()) == (first, second)
    parent, cancel_parent = context.with_cancel(context.background())
    child, cancel_child = context.with_cancel(parent)
    cancel_parent(first)
    cancel_child(second)
    assert (parent.cause(), child.cause()) == (first, first)


# --- golang.org/x/sync: errgroup/errgroup_test.go, semaphore/semaphore_test.go


async def test_errgroup_first_error():
    """TestZeroGroup, TestWithContext: the first error is the one that is returned, and the others are told to end."""
    ended = []

    async def other():
        try:
            await sleep(60)
        finally:
            ended.append(True)

    async def fail(error):
        raise error

    first = ValueError("errgroup_test: 1")
    with pytest.raises(ValueError) as caught:
        async with group() as g:
            g.go(other)
            await yield_now()
            g.go(fail, first)
    assert caught.value is first
    assert ended == [True]


async def test_errgroup_go_limit():
    """TestGoLimit: no more than the limit run at once."""
    active = 0

    async def work():
        nonlocal active
        active += 1
        assert active <= 4
        await yield_now()
        active -= 1

    async with group(limit=4) as g:
        for _ in range(64):
            g.go(work)


async def test_semaphore_weighted():
    """TestWeighted: no more than there is, whoever takes how much."""
    semaphore, taken = Semaphore(4), 0

    async def hammer(k):
        nonlocal taken
        for _ in range(10):
            await semaphore.acquire(k)
            taken += k
            assert taken <= 4
            await yield_now()
            taken -= k
            semaphore.release(k)

    async with group() as g:
        for k in (1, 2, 3, 4, 1, 2):
            g.go(hammer, k)


async def test_semaphore_large_acquire_does_not_starve():
    """TestLargeAcquireDoesntStarve: one that wants all gets it, though small ones never leave all free."""
    semaphore, running = Semaphore(4), True

    async def small():
        while running:
            await semaphore.acquire()
            await yield_now()
            semaphore.release()

    async with group() as g:
        for _ in range(4):
            g.go(small)
        await yield_now()
        await semaphore.acquire(4)
        running = False
        semaphore.release(4)


async def test_semaphore_release_of_what_was_not_acquired():
    """TestWeightedPanic: releasing more than is held panics."""
    with pytest.raises(RuntimeError):
        Semaphore(1).release()
