"""Mutex, RWMutex and Semaphore: who gets them, in which order, and what a cancellation leaves behind."""

import asyncio
import gc
import random
import re
import weakref

import pytest
from helpers import block_of, collect, outcome, recorded_warnings, settle, until

import routines
from routines import Mutex, RWMutex, Semaphore, dump, go, spawn, yield_now


def waiting(lock):
    """How many wait for it."""
    found = re.search(r"(\d+) waiting", repr(lock))
    return int(found[1]) if found else 0


def acquire_of(lock):
    return lock.acquire if isinstance(lock, Semaphore) else lock.lock


def release_of(lock):
    return lock.release if isinstance(lock, Semaphore) else lock.unlock


def try_of(lock):
    return lock.try_acquire if isinstance(lock, Semaphore) else lock.try_lock


exclusive = pytest.mark.parametrize(
    "make", [Mutex, RWMutex, lambda: Semaphore(1)], ids=["Mutex", "RWMutex", "Semaphore"]
)


# --- what all of them do when one at a time may hold them


@exclusive
async def test_it_is_taken_and_given_back(make):
    lock = make()
    assert await acquire_of(lock)() is None
    assert not try_of(lock)()
    assert release_of(lock)() is None
    assert try_of(lock)()
    release_of(lock)()


@exclusive
async def test_the_block_holds_it_and_gives_it_back_also_after_an_error(make):
    lock = make()
    async with lock as entered:
        assert entered is None
        assert not try_of(lock)()
    with pytest.raises(KeyError):
        async with lock:
            raise KeyError
    assert try_of(lock)()


@exclusive
async def test_one_at_a_time_holds_it(make, start):
    lock, inside, most = make(), 0, 0

    async def work():
        nonlocal inside, most
        for _ in range(5):
            async with lock:
                inside += 1
                most = max(most, inside)
                await yield_now()
                inside -= 1

    await asyncio.gather(*[start(work()) for _ in range(8)])
    assert most == 1
    assert try_of(lock)()


@exclusive
async def test_those_who_wait_get_it_in_order(make, start):
    lock, order = make(), []
    await acquire_of(lock)()

    async def work(number):
        async with lock:
            order.append(number)

    tasks = []
    for number in range(6):
        tasks.append(start(work(number)))
        await until(lambda number=number: waiting(lock) == number + 1)
    release_of(lock)()
    assert not try_of(lock)(), "it was handed over, so nobody overtakes"
    await asyncio.gather(*tasks)
    assert order == list(range(6))


@exclusive
async def test_nothing_happens_before_it_is_awaited(make):
    lock = make()
    operation = acquire_of(lock)()
    assert try_of(lock)()
    release_of(lock)()
    await operation
    assert not try_of(lock)()


@exclusive
def test_an_operation_that_is_dropped_is_warned_of(make):
    lock = make()
    with recorded_warnings() as seen:
        acquire_of(lock)()
    assert [each.category for each in seen] == [RuntimeWarning]
    assert "never awaited" in str(seen[0].message)
    assert type(lock).__name__ in str(seen[0].message)


@exclusive
async def test_giving_back_what_is_not_held_is_refused(make):
    lock = make()
    with pytest.raises(RuntimeError, match="not"):
        release_of(lock)()
    async with lock:
        pass
    with pytest.raises(RuntimeError, match="not"):
        release_of(lock)()
    assert try_of(lock)()


@exclusive
async def test_a_waiter_that_is_cancelled_leaves_nothing_behind(make, start):
    lock = make()
    await acquire_of(lock)()
    tasks = [start(outcome(acquire_of(lock)())) for _ in range(3)]
    await until(lambda: waiting(lock) == 3)
    tasks[1].cancel()
    await until(lambda: waiting(lock) == 2)
    assert isinstance(await tasks[1], asyncio.CancelledError)
    release_of(lock)()
    assert await tasks[0] is None
    assert not tasks[2].done()
    release_of(lock)()
    assert await tasks[2] is None


@exclusive
async def test_a_cancellation_that_meets_a_granted_lock_comes_at_the_next_suspension(make, start):
    lock, seen = make(), []
    await acquire_of(lock)()

    async def work():
        await acquire_of(lock)()
        seen.append("held")
        try:
            await asyncio.sleep(10)
        finally:
            release_of(lock)()

    task = start(work())
    await until(lambda: waiting(lock) == 1)
    release_of(lock)()
    task.cancel()
    assert isinstance(await outcome(task), asyncio.CancelledError)
    assert seen == ["held"]
    assert try_of(lock)()


@exclusive
async def test_a_cancellation_before_the_first_step_takes_nothing(make, start):
    lock = make()

    async def work():
        await acquire_of(lock)()

    task = start(work())
    task.cancel()
    assert isinstance(await outcome(task), asyncio.CancelledError)
    assert try_of(lock)()


@exclusive
async def test_a_timeout_takes_nothing(make):
    lock = make()
    await acquire_of(lock)()
    with pytest.raises(routines.Timeout):
        async with routines.timeout(0.001):
            await acquire_of(lock)()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(acquire_of(lock)(), 0.001)
    assert waiting(lock) == 0
    release_of(lock)()
    assert try_of(lock)()


@exclusive
async def test_an_aborted_holder_gives_it_back_in_its_block(make):
    lock = make()

    async def hold():
        async with lock:
            await asyncio.sleep(10)

    holder = go(hold)
    await settle()
    taking = spawn(outcome(acquire_of(lock)()))
    await until(lambda: waiting(lock) == 1)
    holder.abort()
    assert await taking is None


@exclusive
async def test_one_that_was_granted_and_is_closed_by_hand_gives_it_back(make):
    lock = make()
    await acquire_of(lock)()
    operation = acquire_of(lock)()
    assert operation.send(None) is operation
    release_of(lock)()
    assert not try_of(lock)()
    operation.close()
    assert try_of(lock)()


@exclusive
async def test_one_that_is_driven_by_hand_and_thrown_into_gives_it_back(make):
    lock = make()
    await acquire_of(lock)()
    parked, granted = acquire_of(lock)(), acquire_of(lock)()
    granted.send(None)
    parked.send(None)
    release_of(lock)()
    with pytest.raises(KeyError):
        granted.throw(KeyError())
    with pytest.raises(KeyError):
        parked.throw(KeyError())
    assert try_of(lock)(), "the second was granted it after the first, and gave it back too"


@exclusive
async def test_an_operation_is_awaited_once(make):
    lock = make()
    operation = acquire_of(lock)()
    await operation
    with pytest.raises(RuntimeError, match="already awaited"):
        await operation
    release_of(lock)()


@exclusive
async def test_a_routine_that_waits_says_so(make):
    lock = make()
    await acquire_of(lock)()
    routine = spawn(outcome(acquire_of(lock)()), name="one that waits")
    await until(lambda: waiting(lock) == 1)
    assert routine.state == "chan receive"
    assert repr(lock) in repr(routine)
    assert f"on {lock!r}" in block_of(dump(), routine)
    release_of(lock)()
    await routine


@exclusive
async def test_the_repr_tells_the_state(make):
    lock = make()
    free = repr(lock)
    assert re.fullmatch(r"<(Mutex|RWMutex|Semaphore) #\d+ (unlocked|1/1 free)>", free)
    await acquire_of(lock)()
    assert re.search(r" #\d+ (locked|locked for writing|0/1 free)>$", repr(lock))
    assert repr(make()) != free, "two can be told apart"
    release_of(lock)()


@exclusive
def test_where_it_was_made_is_told_in_debug_mode(make):
    routines.set_debug(True)
    try:
        assert re.search(r"made at .*test_sync_locks\.py:\d+>$", repr(make()))
    finally:
        routines.set_debug(False)


@exclusive
async def test_a_loop_of_locking_gives_way(make):
    """Taking a free lock again and again must not keep the others from running."""
    lock, ticks = make(), 0

    async def tick():
        nonlocal ticks
        while not stop:
            ticks += 1
            await yield_now()

    stop = False
    ticking = go(tick)
    for _ in range(2_000):
        async with lock:
            pass
    stop = True
    await ticking
    assert ticks >= 10


@exclusive
async def test_it_goes_without_a_collection(make):
    gc.disable()
    try:
        lock = make()
        async with lock:
            pass
        async with lock:
            pass
        reference = weakref.ref(lock)
        del lock
        assert reference() is None
    finally:
        gc.enable()


@exclusive
async def test_routines_that_wait_for_a_lock_nobody_can_reach_are_collected(make):
    ended = []

    async def leak():
        lock = make()
        await acquire_of(lock)()
        try:
            await acquire_of(lock)()
        finally:
            ended.append(True)

    with recorded_warnings() as seen:
        spawn(leak(), name="the forgotten one")
        await settle()
        collect()
        await settle()
    assert ended == [True]
    (warning,) = seen
    assert warning.category is ResourceWarning
    assert "the forgotten one" in str(warning.message)
    assert "chan receive" in str(warning.message)


@exclusive
async def test_one_that_waits_for_a_lock_in_use_survives_a_collection(make):
    lock, got = make(), []
    await acquire_of(lock)()

    async def take():
        await acquire_of(lock)()
        got.append(True)

    go(take)
    await until(lambda: waiting(lock) == 1)
    collect()
    release_of(lock)()
    await until(lambda: got)


@exclusive
async def test_random_cancellations_lose_no_lock(make, start, seed):
    randoms = random.Random(seed)
    lock, inside, done = make(), 0, 0

    async def work():
        nonlocal inside, done
        for _ in range(6):
            async with lock:
                inside += 1
                assert inside == 1
                try:
                    for _ in range(randoms.randrange(3)):
                        await yield_now()
                finally:
                    inside -= 1
        done += 1

    tasks = [start(work()) for _ in range(20)]
    victims = randoms.sample(tasks, 12)
    for victim in victims:
        for _ in range(randoms.randrange(4)):
            await yield_now()
        victim.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(each is None or isinstance(each, asyncio.CancelledError) for each in results), results
    assert done >= 8
    assert inside == 0
    assert waiting(lock) == 0
    assert try_of(lock)()


# --- RWMutex


async def test_a_block_that_reads_says_of_what():
    lock = RWMutex()
    assert repr(lock.reading()) == f"<reading block of {lock!r}>"


async def test_readers_hold_it_together(start):
    lock, inside, most = RWMutex(), 0, 0

    async def read():
        nonlocal inside, most
        async with lock.reading():
            inside += 1
            most = max(most, inside)
            await yield_now()
            inside -= 1

    await asyncio.gather(*[start(read()) for _ in range(5)])
    assert most == 5
    assert lock.try_lock()


async def test_a_waiting_writer_stops_new_readers(start):
    lock, order = RWMutex(), []

    async def write():
        async with lock:
            order.append("writer")

    async def read(number):
        async with lock.reading():
            order.append(number)

    await lock.rlock()
    tasks = [start(write())]
    await until(lambda: waiting(lock) == 1)
    assert not lock.try_rlock()
    for number in range(2):
        tasks.append(start(read(number)))
        await until(lambda number=number: waiting(lock) == 2 + number)
    lock.runlock()
    await asyncio.gather(*tasks)
    assert order == ["writer", 0, 1]


async def test_readers_behind_a_writer_that_is_cancelled_go_on(start):
    lock = RWMutex()
    await lock.rlock()
    writer = start(outcome(lock.lock()))
    await until(lambda: waiting(lock) == 1)
    readers = [start(outcome(lock.rlock())) for _ in range(3)]
    await until(lambda: waiting(lock) == 4)
    writer.cancel()
    assert [await reader for reader in readers] == [None] * 3
    assert isinstance(await writer, asyncio.CancelledError)
    assert "for reading by 4" in repr(lock)


async def test_a_writer_is_followed_by_the_readers_up_to_the_next_writer(start):
    lock, order = RWMutex(), []
    await lock.lock()

    async def read(name):
        async with lock.reading():
            order.append(f"{name} in")
            await settle(2)
            order.append(f"{name} out")

    async def write(name):
        async with lock:
            order.append(name)

    tasks = []
    for make, name in [(read, "a"), (read, "b"), (write, "W"), (read, "c")]:
        tasks.append(start(make(name)))
        await until(lambda: waiting(lock) == len(tasks))
    lock.unlock()
    await asyncio.gather(*tasks)
    assert order == ["a in", "b in", "a out", "b out", "W", "c in", "c out"]


async def test_unlocking_the_wrong_way_is_refused():
    lock = RWMutex()
    with pytest.raises(RuntimeError, match="not locked for reading"):
        lock.runlock()
    async with lock:
        with pytest.raises(RuntimeError, match="not locked for reading"):
            lock.runlock()
    async with lock.reading():
        with pytest.raises(RuntimeError, match="not locked for writing"):
            lock.unlock()
    assert lock.try_lock()


async def test_random_cancellations_of_readers_and_writers(start, seed):
    randoms = random.Random(seed)
    lock, readers, writers = RWMutex(), 0, 0

    async def read():
        nonlocal readers
        async with lock.reading():
            readers += 1
            assert writers == 0
            try:
                await yield_now()
            finally:
                readers -= 1

    async def write():
        nonlocal writers
        async with lock:
            writers += 1
            assert (readers, writers) == (0, 1)
            try:
                await yield_now()
            finally:
                writers -= 1

    async def work():
        for _ in range(5):
            await (read() if randoms.random() < 0.7 else write())

    tasks = [start(work()) for _ in range(20)]
    for victim in randoms.sample(tasks, 12):
        for _ in range(randoms.randrange(4)):
            await yield_now()
        victim.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(each is None or isinstance(each, asyncio.CancelledError) for each in results), results
    assert (readers, writers, waiting(lock)) == (0, 0, 0)
    assert lock.try_lock()


# --- Semaphore


async def test_so_many_hold_it_at_once(start):
    semaphore, inside, most = Semaphore(3), 0, 0

    async def work():
        nonlocal inside, most
        async with semaphore:
            inside += 1
            most = max(most, inside)
            await yield_now()
            inside -= 1

    await asyncio.gather(*[start(work()) for _ in range(10)])
    assert most == 3
    assert "3/3 free" in repr(semaphore)


async def test_one_that_wants_many_is_not_overtaken(start):
    semaphore, order = Semaphore(3), []
    await semaphore.acquire(2)

    async def take(name, k):
        await semaphore.acquire(k)
        order.append(name)
        semaphore.release(k)

    many = start(take("many", 3))
    await until(lambda: waiting(semaphore) == 1)
    few = start(take("few", 1))
    await until(lambda: waiting(semaphore) == 2)
    assert not semaphore.try_acquire()
    semaphore.release()
    await settle()
    assert order == []
    semaphore.release()
    await asyncio.gather(many, few)
    assert order == ["many", "few"]


async def test_one_that_wants_many_makes_way_once_it_is_cancelled(start):
    semaphore = Semaphore(3)
    await semaphore.acquire(2)
    many = start(outcome(semaphore.acquire(k=3)))
    await until(lambda: waiting(semaphore) == 1)
    few = start(outcome(semaphore.acquire()))
    await until(lambda: waiting(semaphore) == 2)
    many.cancel()
    assert await few is None
    assert isinstance(await many, asyncio.CancelledError)
    assert "0/3 free" in repr(semaphore)


async def test_several_are_served_by_one_release(start):
    semaphore = Semaphore(4)
    await semaphore.acquire(4)
    tasks = [start(outcome(semaphore.acquire(k))) for k in (1, 2, 1)]
    await until(lambda: waiting(semaphore) == 3)
    semaphore.release(k=4)
    assert [await task for task in tasks] == [None] * 3


@pytest.mark.parametrize("wrong", [0, -1])
def test_a_semaphore_has_at_least_one_permit_and_gives_at_least_one(wrong):
    with pytest.raises(ValueError, match="at least 1"):
        Semaphore(wrong)
    semaphore = Semaphore(2)
    for method in (semaphore.acquire, semaphore.try_acquire, semaphore.release):
        with pytest.raises(ValueError, match="at least 1"):
            method(wrong)


@pytest.mark.parametrize("wrong", [1.0, "1", None, True])
def test_permits_are_counted_in_ints(wrong):
    with pytest.raises(TypeError, match="must be an int"):
        Semaphore(wrong)
    semaphore = Semaphore(2)
    for method in (semaphore.acquire, semaphore.try_acquire, semaphore.release):
        with pytest.raises(TypeError, match="must be an int"):
            method(wrong)


def test_more_than_there_are_can_never_be_acquired():
    semaphore = Semaphore(2)
    for method in (semaphore.acquire, semaphore.try_acquire):
        with pytest.raises(ValueError, match="never"):
            method(3)
    with pytest.raises(ValueError, match="counted"):
        Semaphore(2**70)


def test_more_than_were_taken_cannot_be_released():
    semaphore = Semaphore(2)
    assert semaphore.try_acquire()
    with pytest.raises(RuntimeError, match="release"):
        semaphore.release(2)
    semaphore.release()
    assert "2/2 free" in repr(semaphore)


# --- made by hand


@pytest.mark.parametrize("kind", [Mutex, RWMutex, Semaphore])
def test_one_made_by_new_alone_does_no_harm(kind):
    lock = kind.__new__(kind)
    repr(lock)
    if kind is Semaphore:
        with pytest.raises(ValueError, match="never"):
            lock.acquire()
        with pytest.raises(RuntimeError):
            lock.release()


async def test_operations_and_blocks_cannot_be_made_by_hand():
    from routines._sync import AcquirePark, Permits, ReadLock

    assert repr(Permits.__new__(Permits)).endswith(" not made>")
    with pytest.raises(TypeError, match="reading"):
        ReadLock()
    operation = AcquirePark.__new__(AcquirePark)
    repr(operation)
    with pytest.raises(RuntimeError, match="by hand"):
        await operation
    operation.close()
    with pytest.raises(RuntimeError, match="by hand"):
        async with ReadLock.__new__(ReadLock):
            pass
    with pytest.raises(RuntimeError, match="by hand"):
        ReadLock.__new__(ReadLock).__aexit__(None, None, None)


@pytest.mark.parametrize("kind", [Mutex, RWMutex, Semaphore])
def test_they_are_not_to_be_subclassed(kind):
    with pytest.raises(TypeError):
        type("Own", (kind,), {})
