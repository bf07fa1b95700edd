"""WaitGroup, Once and Cond."""

import asyncio
import random
import re
import weakref

import pytest
from helpers import block_of, collect, outcome, recorded_warnings, settle, until

import routines
from routines import Aborted, Cond, Mutex, Once, SpawnError, WaitGroup, dump, go, spawn, yield_now
from routines._groups import Countdown, ZeroPark
from routines._sync import SignalPark


def waiting(thing):
    found = re.search(r"(\d+) waiting", repr(thing))
    return int(found[1]) if found else 0


async def nothing():
    pass


async def hold(lock):
    async with lock:
        pass


# --- WaitGroup


async def test_it_waits_for_all(start):
    wg, done = WaitGroup(), []

    async def work(number):
        await yield_now()
        done.append(number)

    routines_started = [wg.go(work, number) for number in range(5)]
    await wg.wait()
    assert sorted(done) == list(range(5))
    assert all(routine.done() for routine in routines_started)


async def test_counting_by_hand(start):
    wg = WaitGroup()
    wg.add(2)
    waiter = start(wg.wait())
    await until(lambda: waiting(wg) == 1)
    wg.done()
    await settle()
    assert not waiter.done()
    wg.add(-1)
    await waiter
    assert "0 to go" in repr(wg)


async def test_a_routine_that_somebody_joins_is_counted_all_the_same(start):
    async def join():
        await routine.join()

    wg, gate = WaitGroup(), Mutex()
    await gate.lock()
    routine = wg.go(hold, gate)
    joining = start(join())
    await until(lambda: routine._asyncio_awaited_by)
    waiter = start(wg.wait())
    await until(lambda: waiting(wg) == 1)
    gate.unlock()
    await joining
    await waiter


async def test_a_routine_that_is_done_does_not_keep_its_wait_group():
    wg = WaitGroup()
    watched = weakref.ref(wg)
    routine = wg.go(nothing)
    await wg.wait()
    del wg
    assert watched() is None
    assert routine.done()


async def test_waiting_for_nothing_is_over_at_once():
    await WaitGroup().wait()


async def test_any_number_may_wait_and_it_can_be_used_again(start):
    wg = WaitGroup()
    for _ in range(2):
        wg.add()
        waiters = [start(wg.wait()) for _ in range(4)]
        await until(lambda: waiting(wg) == 4)
        wg.done()
        await asyncio.gather(*waiters)


async def test_below_zero_is_refused_and_changes_nothing():
    wg = WaitGroup()
    with pytest.raises(ValueError, match="needs an add"):
        wg.done()
    wg.add(2)
    with pytest.raises(ValueError, match="count 3 down"):
        wg.add(-3)
    assert "2 to go" in repr(wg)
    with pytest.raises(OverflowError):
        wg.add(2**63 - 2)
    with pytest.raises(TypeError):
        wg.add("one")
    assert "2 to go" in repr(wg)


async def test_a_routine_counts_however_it_ends(reports):
    wg = WaitGroup()

    async def fail():
        raise KeyError("failed")

    async def block():
        await asyncio.sleep(10)

    failed, aborted, returned = wg.go(fail), wg.go(block), wg.go(nothing)
    await yield_now()
    aborted.abort("enough")
    await wg.wait()
    assert returned.result() is None
    with pytest.raises(KeyError):
        await failed.join()
    with pytest.raises(Aborted):
        await aborted.join()
    never_started = wg.go(nothing)
    never_started.cancel()
    await wg.wait()
    assert never_started.cancelled()


async def test_its_routines_are_joined_like_any_other():
    wg = WaitGroup()

    async def give():
        await yield_now()
        return 42

    routine = wg.go(give)
    joined = [go(routine.join) for _ in range(3)]
    assert (await routines.select(routine)).value == 42
    assert [await each for each in joined] == [42] * 3
    await wg.wait()


async def test_what_is_no_async_function_is_refused_and_not_counted():
    wg = WaitGroup()
    with pytest.raises(SpawnError, match="not an async function"):
        wg.go(lambda: None)
    with pytest.raises(SpawnError):
        wg.go(42)
    with pytest.raises(TypeError):
        wg.go()
    await wg.wait()


def test_a_wait_group_starts_nothing_without_a_loop():
    with pytest.raises(SpawnError, match="no event loop"):
        WaitGroup().go(nothing)


async def test_coroutines_and_keywords_are_taken_as_by_go():
    wg, seen = WaitGroup(), []

    async def note(*args, **kwargs):
        seen.append((args, kwargs))

    wg.go(note, 1, two=2)
    wg.go(note(3))
    await wg.wait()
    assert seen == [((1,), {"two": 2}), ((3,), {})]


async def test_a_function_that_counts_itself_down_as_well_is_reported(reports):
    wg = WaitGroup()

    async def work():
        wg.done()

    routine = wg.go(work)
    await wg.wait()
    await routine
    (report,) = reports
    reports.clear()
    assert isinstance(report["exception"], ValueError)
    assert "counts itself" in report["message"]
    assert report["task"] is routine


async def test_a_cancelled_waiter_leaves_nothing_behind(start):
    wg = WaitGroup()
    wg.add()
    waiter = start(outcome(wg.wait()))
    await until(lambda: waiting(wg) == 1)
    waiter.cancel()
    assert isinstance(await waiter, asyncio.CancelledError)
    assert waiting(wg) == 0
    wg.done()


async def test_a_wait_group_is_named_in_a_dump():
    wg = WaitGroup()
    wg.add()
    waiter = spawn(wg.wait())
    await until(lambda: waiting(wg) == 1)
    assert waiter.state == "join"
    assert re.search(r"on <WaitGroup #\d+ 1 to go, 1 waiting", block_of(dump(), waiter))
    wg.done()
    await waiter


async def test_one_that_waits_for_a_count_nobody_can_reach_is_collected():
    ended = []

    async def leak():
        wg = WaitGroup()
        wg.add()
        try:
            await wg.wait()
        finally:
            ended.append(True)

    with recorded_warnings() as seen:
        spawn(leak())
        await settle()
        collect()
    assert ended == [True]
    assert [each.category for each in seen] == [ResourceWarning]


async def test_a_routine_of_a_wait_group_that_nothing_can_wake_counts_down():
    wg = WaitGroup()

    async def leak():
        lock = Mutex()
        await lock.lock()
        await lock.lock()

    with recorded_warnings() as seen:
        wg.go(leak)
        await settle()
        assert "1 to go" in repr(wg)
        collect()
        await wg.wait()
    assert [each.category for each in seen] == [ResourceWarning]


async def test_a_wait_group_in_use_survives_a_collection():
    wg, future = WaitGroup(), asyncio.get_running_loop().create_future()

    async def work():
        await future

    async def wait(wg):
        await wg.wait()
        return "done"

    wg.go(work)
    waiter = go(wait, wg)
    del wg
    await settle()
    collect()
    future.set_result(None)
    assert await waiter == "done"


# --- Once


async def test_it_is_done_once_and_all_get_the_outcome(start):
    once, calls = Once(), []

    async def load(number):
        calls.append(number)
        await yield_now()
        return number

    results = await asyncio.gather(*[start(once.do(load, number)) for number in range(5)])
    assert calls == [0]
    assert results == [0] * 5
    assert await once.do(load, 7) == 0


async def test_a_failure_is_kept_like_a_result(start):
    once, calls = Once(), []

    async def fail(*, text):
        calls.append(text)
        raise KeyError(text)

    for _ in range(3):
        with pytest.raises(KeyError, match="first"):
            await once.do(fail, text="first")
    assert calls == ["first"]


async def test_a_cancelled_caller_takes_it_from_nobody(start):
    once, future = Once(), asyncio.get_running_loop().create_future()

    async def load():
        return await future

    first, second = start(outcome(once.do(load))), start(outcome(once.do(load)))
    await settle()
    first.cancel()
    await settle()
    assert isinstance(await first, asyncio.CancelledError)
    future.set_result("loaded")
    assert await second == "loaded"


async def test_it_is_done_though_nobody_waits_any_more(start):
    once, future = Once(), asyncio.get_running_loop().create_future()

    async def load():
        return await future

    only = start(outcome(once.do(load)))
    await settle()
    only.cancel()
    await only
    future.set_result("loaded")
    assert await once.do(nothing) == "loaded"


async def test_once_a_function_that_is_not_async_is_refused_the_next_one_is_taken():
    once = Once()
    with pytest.raises(SpawnError):
        await once.do(lambda: None)

    async def give():
        return 1

    assert await once.do(give) == 1


async def test_a_function_that_asks_for_its_own_outcome_is_told():
    once = Once()

    async def load():
        await once.do(load)

    with pytest.raises(RuntimeError, match="itself"):
        await once.do(load)


async def test_the_repr_of_a_once_tells_how_far_it_is(reports):
    once, future = Once(), asyncio.get_running_loop().create_future()

    async def load():
        return await future

    assert repr(once) == "<Once not done>"
    doing = go(once.do, load)
    await settle()
    assert repr(once).startswith("<Once doing <Routine ")
    future.set_result(1)
    await doing
    assert repr(once) == "<Once done>"
    failed, stopped = Once(), Once()

    async def fail():
        raise KeyError("x")

    with pytest.raises(KeyError):
        await failed.do(fail)
    assert repr(failed) == "<Once done, raised=KeyError('x')>"

    async def stop():
        routines.current().abort()
        await yield_now()

    with pytest.raises(Aborted):
        await stopped.do(stop)
    assert repr(stopped) == "<Once done, aborted>"


# --- Cond


async def test_a_signal_wakes_the_one_that_waited_longest(start):
    mutex = Mutex()
    cond, order = Cond(mutex), []

    async def wait(number):
        async with mutex:
            await cond.wait()
            assert not mutex.try_lock()
            order.append(number)

    tasks = []
    for number in range(3):
        tasks.append(start(wait(number)))
        await until(lambda number=number: "unlocked" in repr(mutex) and cond_waiting(cond) == number + 1)
    cond.signal()
    await settle()
    assert order == [0]
    async with mutex:
        cond.signal()
        await settle()
        assert order == [0], "the mutex is not free yet"
    await settle()
    assert order == [0, 1]
    cond.signal()
    await asyncio.gather(*tasks)
    cond.signal()
    cond.broadcast()
    assert order == [0, 1, 2]
    assert mutex.try_lock()


def cond_waiting(cond):
    found = re.match(r"<Cond #\d+ (\d+) waiting", repr(cond))
    return int(found[1]) if found else 0


async def test_a_broadcast_wakes_all_in_order(start):
    mutex = Mutex()
    cond, order = Cond(mutex), []

    async def wait(number):
        async with mutex:
            await cond.wait()
            order.append(number)
            await yield_now()

    tasks = []
    for number in range(5):
        tasks.append(start(wait(number)))
        await until(lambda number=number: cond_waiting(cond) == number + 1)
    cond.broadcast()
    await asyncio.gather(*tasks)
    assert order == list(range(5))


async def test_waiting_without_the_mutex_is_refused():
    cond = Cond(Mutex())
    with pytest.raises(RuntimeError, match="not locked"):
        await cond.wait()
    with pytest.raises(RuntimeError, match="not locked"):
        await cond.wait_for(lambda: False)
    assert await cond.wait_for(lambda: "true already") == "true already"


@pytest.mark.parametrize("wrong", [None, 1, asyncio.Lock, routines.RWMutex()])
def test_a_cond_is_made_over_a_mutex(wrong):
    with pytest.raises(TypeError, match="Mutex"):
        Cond(wrong)


async def test_wait_for_asks_until_it_is_true(start):
    mutex = Mutex()
    cond, items = Cond(mutex), []

    async def take():
        async with mutex:
            return await cond.wait_for(lambda: len(items) >= 3 and items)

    taking = start(take())
    for item in range(3):
        async with mutex:
            items.append(item)
            cond.signal()
        await settle()
    assert await taking == [0, 1, 2]


async def test_a_predicate_that_raises_leaves_the_mutex_locked(start):
    mutex = Mutex()
    cond = Cond(mutex)

    async def take():
        async with mutex:
            with pytest.raises(ZeroDivisionError):
                await cond.wait_for(lambda: 1 / 0)
            assert not mutex.try_lock()

    await start(take())
    assert mutex.try_lock()


async def test_one_that_is_cancelled_has_the_mutex_again_when_it_raises(start):
    mutex = Mutex()
    cond, seen = Cond(mutex), []

    async def wait():
        async with mutex:
            try:
                await cond.wait()
            except asyncio.CancelledError as error:
                seen.append((mutex.try_lock(), error.args))
                raise

    task = start(wait())
    await until(lambda: cond_waiting(cond) == 1)
    await mutex.lock()
    task.cancel("why")
    await settle()
    assert seen == [], "the mutex is not free yet"
    mutex.unlock()
    error = await outcome(task)
    assert isinstance(error, asyncio.CancelledError)
    assert seen == [(False, ("why",))]
    assert mutex.try_lock()


async def test_one_that_is_cancelled_over_a_free_mutex(start):
    mutex = Mutex()
    cond = Cond(mutex)

    async def wait():
        async with mutex:
            await cond.wait()

    task = start(wait())
    await until(lambda: cond_waiting(cond) == 1)
    task.cancel()
    assert isinstance(await outcome(task), asyncio.CancelledError)
    assert mutex.try_lock()


async def test_one_that_is_cancelled_after_its_signal_passes_it_on(start):
    mutex = Mutex()
    cond, woken = Cond(mutex), []

    async def wait(name):
        async with mutex:
            await cond.wait()
            woken.append(name)

    first = start(wait("first"))
    await until(lambda: cond_waiting(cond) == 1)
    second = start(wait("second"))
    await until(lambda: cond_waiting(cond) == 2)
    async with mutex:
        cond.signal()
        first.cancel()
    assert isinstance(await outcome(first), asyncio.CancelledError)
    await second
    assert woken == ["second"]


async def test_one_that_is_cancelled_after_a_broadcast_passes_nothing_on(start):
    mutex = Mutex()
    cond, woken = Cond(mutex), []

    async def wait(name):
        async with mutex:
            await cond.wait()
            woken.append(name)

    first = start(wait("first"))
    await until(lambda: cond_waiting(cond) == 1)
    await mutex.lock()
    cond.broadcast()
    late = start(wait("late"))
    await settle()
    first.cancel()
    mutex.unlock()
    assert isinstance(await outcome(first), asyncio.CancelledError)
    await until(lambda: cond_waiting(cond) == 1)
    await settle()
    assert woken == []
    cond.signal()
    await late


async def test_a_cancellation_that_meets_a_finished_wait_comes_at_the_next_suspension(start):
    mutex = Mutex()
    cond, seen = Cond(mutex), []

    async def wait():
        async with mutex:
            await cond.wait()
            seen.append("woken")
            await asyncio.sleep(10)

    task = start(wait())
    await until(lambda: cond_waiting(cond) == 1)
    cond.signal()
    task.cancel()
    assert isinstance(await outcome(task), asyncio.CancelledError)
    assert seen == ["woken"]
    assert mutex.try_lock()


async def test_a_condition_is_named_in_a_dump():
    mutex = Mutex()
    cond = Cond(mutex)

    async def wait():
        async with mutex:
            await cond.wait()

    routine = spawn(wait())
    await until(lambda: cond_waiting(cond) == 1)
    assert routine.state == "chan receive"
    assert f"on {cond!r}" in block_of(dump(), routine)
    async with mutex:
        cond.signal()
        assert f"on {mutex!r}" in block_of(dump(), routine)
    await routine


async def test_one_that_waits_for_a_condition_nobody_can_reach_is_collected():
    ended = []

    async def wait(mutex, cond):
        async with mutex:
            try:
                await cond.wait()
            finally:
                ended.append(mutex.try_lock())

    with recorded_warnings() as seen:
        mutex = Mutex()
        cond = Cond(mutex)
        spawn(wait(mutex, cond))
        spawn(wait(mutex, cond))
        del mutex, cond
        await settle()
        collect()
        await settle()
    assert ended == [False, False], "each had the mutex in its finally block"
    assert {each.category for each in seen} == {ResourceWarning}


async def test_closing_one_by_hand(start):
    mutex = Mutex()
    cond = Cond(mutex)

    async def wait():
        async with mutex:
            await cond.wait()

    coroutine = wait()
    coroutine.send(None)
    assert cond_waiting(cond) == 1
    coroutine.close()
    assert cond_waiting(cond) == 0
    assert mutex.try_lock()
    mutex.unlock()
    await mutex.lock()
    operation = cond.wait()
    operation.send(None)
    cond.signal()
    with pytest.raises(KeyError):
        operation.throw(KeyError())
    assert not mutex.try_lock(), "what runs on after it has the mutex"
    mutex.unlock()


def test_one_made_by_new_alone_does_no_harm():
    cond = Cond.__new__(Cond)
    repr(cond)
    cond.signal()
    cond.broadcast()
    with pytest.raises(RuntimeError, match="over a Mutex"):
        cond.wait()
    assert "0 to go" in repr(WaitGroup.__new__(WaitGroup))
    assert repr(Countdown.__new__(Countdown)).endswith(" not made>")


@pytest.mark.parametrize("kind", [ZeroPark, SignalPark])
async def test_operations_cannot_be_made_by_hand(kind):
    operation = kind.__new__(kind)
    with pytest.raises(RuntimeError, match="by hand"):
        await operation
    assert repr(operation).endswith(", done>")


async def test_random_cancellations_lose_no_signal(start, seed):
    """A bounded buffer over a mutex and two conditions, as in textbooks; whoever is not cancelled gets through."""
    randoms = random.Random(seed)
    mutex = Mutex()
    filled, emptied = Cond(mutex), Cond(mutex)
    items, sent, received = [], 0, 0

    async def produce():
        nonlocal sent
        for _ in range(10):
            async with mutex:
                await emptied.wait_for(lambda: len(items) < 2)
                items.append(sent)
                sent += 1
                filled.signal()

    async def consume():
        nonlocal received
        while True:
            async with mutex:
                await filled.wait_for(lambda: items)
                items.pop()
                received += 1
                emptied.signal()

    producers = [start(produce()) for _ in range(6)]
    consumers = [start(consume()) for _ in range(6)]
    victims = randoms.sample(producers, 2) + randoms.sample(consumers, 4)
    for victim in victims:
        for _ in range(randoms.randrange(6)):
            await yield_now()
        victim.cancel()
    results = await asyncio.gather(*producers, return_exceptions=True)
    assert all(each is None or isinstance(each, asyncio.CancelledError) for each in results)
    await until(lambda: received == sent)
    for consumer in consumers:
        consumer.cancel()
    await asyncio.gather(*consumers, return_exceptions=True)
    assert sent >= 40
    assert mutex.try_lock()
