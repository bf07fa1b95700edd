"""Locks, groups and counts across the threads of a runtime."""

import asyncio
import threading
import time

import pytest
from helpers import until

import routines
from routines import (
    Cond,
    Mutex,
    Once,
    Runtime,
    RuntimeConfig,
    RWMutex,
    Semaphore,
    WaitGroup,
    group,
    yield_now,
)

WORKERS = 3


@pytest.fixture
def runtime():
    with Runtime(RuntimeConfig(worker_threads=WORKERS)) as made:
        yield made


def run_everywhere(runtime, work, each=4):
    """Runs ``work(number)`` as so many routines on each worker, and returns the results."""

    async def main():
        started = [
            runtime.spawn(work(worker * each + n), worker=worker)
            for worker in range(WORKERS)
            for n in range(each)
        ]
        return [await routine.join() for routine in started]

    return runtime.run(main)


@pytest.mark.parametrize(
    "make", [Mutex, RWMutex, lambda: Semaphore(1)], ids=["Mutex", "RWMutex", "Semaphore"]
)
def test_one_thread_at_a_time_holds_it(runtime, make):
    lock, inside = make(), []

    async def work(number):
        for _ in range(30):
            async with lock:
                inside.append(number)
                assert inside == [number]
                await yield_now()
                inside.remove(number)
        return number

    assert run_everywhere(runtime, work) == list(range(WORKERS * 4))


def test_a_readers_writer_lock_between_threads(runtime):
    lock, readers, writers = RWMutex(), [], []

    async def work(number):
        for turn in range(30):
            if turn % 3 == 0:
                async with lock:
                    writers.append(number)
                    assert (readers, writers) == ([], [number])
                    await yield_now()
                    writers.remove(number)
            else:
                async with lock.reading():
                    readers.append(number)
                    assert not writers
                    await yield_now()
                    readers.remove(number)

    run_everywhere(runtime, work)
    assert lock.try_lock()


def test_a_wait_group_of_routines_on_all_threads(runtime):
    wg, seen = WaitGroup(), []

    async def member(number):
        await yield_now()
        seen.append((number, threading.current_thread().name))

    async def work(number):
        for _ in range(10):
            wg.go(member, number)
        await wg.wait()

    run_everywhere(runtime, work)
    assert len(seen) == WORKERS * 4 * 10
    assert len({name for _, name in seen}) == WORKERS


def test_done_from_a_plain_thread(runtime):
    wg = WaitGroup()
    wg.add(1)

    async def main():
        thread = threading.Thread(target=wg.done)
        thread.start()
        await wg.wait()
        thread.join()

    runtime.run(main)


def test_a_queue_over_a_condition_between_threads(runtime):
    mutex = Mutex()
    filled, items, got = Cond(mutex), [], []

    async def consume(_):
        for _ in range(20):
            async with mutex:
                await filled.wait_for(lambda: items)
                got.append(items.pop())

    async def main():
        consumers = [runtime.spawn(consume(worker), worker=worker) for worker in range(WORKERS)]
        for number in range(WORKERS * 20):
            async with mutex:
                items.append(number)
                if number % 7 == 0:
                    filled.broadcast()
                else:
                    filled.signal()
        for consumer in consumers:
            await consumer.join()

    runtime.run(main)
    assert sorted(got) == list(range(WORKERS * 20))


def test_once_for_all_threads(runtime):
    once, calls = Once(), []

    async def load(number):
        calls.append(number)
        await yield_now()
        return number

    results = set(run_everywhere(runtime, lambda number: once.do(load, number)))
    assert len(calls) == 1
    assert results == set(calls)


def test_once_is_done_once_where_another_thread_comes_while_its_function_is_called(runtime):
    once, calls = Once(), []

    async def load():
        return "loaded"

    def begin(name):
        calls.append(name)
        if len(calls) == 1:
            second.append(runtime.spawn(once.do(begin, "second"), worker=1))
            deadline = time.monotonic() + 10
            while second[0].state != "chan receive" and time.monotonic() < deadline:
                time.sleep(0.001)
        return load()

    second = []
    assert runtime.spawn(once.do(begin, "first"), worker=0).join_blocking(10) == "loaded"
    assert second[0].join_blocking(10) == "loaded"
    assert calls == ["first"]


def test_a_group_whose_members_run_elsewhere(runtime):
    seen = []

    async def member():
        seen.append(threading.current_thread().name)
        await yield_now()

    async def start_one(g):
        g.go(member)

    async def main():
        async with group() as g:
            starters = [runtime.spawn(start_one(g), worker=worker) for worker in range(WORKERS)]
            for starter in starters:
                await starter.join()

    runtime.run(main)
    assert len(set(seen)) == WORKERS


def test_a_failure_on_another_thread_ends_the_block(runtime):
    ended = []

    async def block():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(threading.current_thread().name)

    async def fail():
        raise KeyError("elsewhere")

    async def start(g, what):
        g.go(what)

    async def main():
        with pytest.raises(KeyError, match="elsewhere"):
            async with group() as g:
                for worker in range(WORKERS):
                    await runtime.spawn(start(g, block), worker=worker).join()
                await yield_now()
                runtime.spawn(start(g, fail), worker=1)
                await asyncio.sleep(60)
        assert asyncio.current_task().cancelling() == 0

    runtime.run(main)
    assert len(set(ended)) == WORKERS


def test_abort_from_a_plain_thread(runtime):
    async def main():
        async with group() as g:
            member = g.go(asyncio.sleep, 60)
            threading.Thread(target=g.abort, args=["enough"]).start()
            await asyncio.sleep(60)
        await until(member.done)
        with pytest.raises(routines.Aborted, match="enough"):
            await member.join()

    runtime.run(main)


def test_cancellations_from_all_threads_lose_no_lock(runtime, seed):
    import random

    randoms = random.Random(seed)
    lock, inside = Mutex(), []

    async def work(number):
        try:
            for _ in range(20):
                async with lock:
                    inside.append(number)
                    assert inside == [number]
                    try:
                        await yield_now()
                    finally:
                        inside.remove(number)
        except asyncio.CancelledError:
            return "cancelled"

    async def main():
        started = [runtime.spawn(work(number), worker=number % WORKERS) for number in range(12)]
        await yield_now()
        for victim in randoms.sample(started, 6):
            victim.get_loop().call_soon_threadsafe(victim.cancel)
            await yield_now()
        for routine in started:
            try:
                assert await routine.join() in (None, "cancelled")
            except routines.Aborted:
                pass  # before its first step

    runtime.run(main)
    assert inside == []
    assert lock.try_lock()
