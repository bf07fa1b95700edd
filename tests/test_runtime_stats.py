"""What a runtime counts."""

import asyncio
import gc
import math
import threading

import pytest
from helpers import collect, outcome, parked, settle, until

import routines
from routines import (
    RecvError,
    Runtime,
    RuntimeClosed,
    RuntimeConfig,
    RuntimeStats,
    Selector,
    SendError,
    channel,
    go,
    run,
    runtime,
    select,
    sleep,
    yield_now,
)
from routines._core import scheduler_for

FIELDS = [
    "routines_spawned", "routines_active", "routines_completed", "routines_failed", "routines_aborted", "switches", "parks",
    "budget_yields", "ready", "timers", "channels", "sends", "receives", "selects",
]  # fmt: skip


async def nothing():
    pass


async def changes(work):
    """What `work` adds to each count."""
    before = runtime().stats()
    await work()
    after = runtime().stats()
    return {
        name: getattr(after, name) - getattr(before, name)
        for name in FIELDS
        if getattr(after, name) != getattr(before, name) and name not in ("switches", "parks", "channels")
    }


def test_the_fields_are_those_of_the_contract():
    async def main():
        return runtime().stats()

    stats = run(main, config=RuntimeConfig(worker_threads=2))
    for each in (stats, *stats.workers):
        assert type(each) is RuntimeStats
        assert all(isinstance(getattr(each, name), int) for name in FIELDS)
        assert each.uptime > 0
        with pytest.raises(AttributeError):
            each.sends = 1
    assert len(stats.workers) == 2
    assert stats.workers[0].workers == ()
    for name in FIELDS[:10]:
        assert getattr(stats, name) == sum(getattr(each, name) for each in stats.workers)
    assert repr(stats).startswith("RuntimeStats(routines_spawned=1, routines_active=1, ")
    assert stats == stats and hash(stats) == hash(stats)
    assert stats != 1
    with pytest.raises(TypeError, match=r"call stats\(\)"):
        RuntimeStats()


async def test_every_way_of_sending_and_receiving_is_counted():
    async def work():
        tx, rx = channel(3)
        await tx.send(1)
        tx.try_send(2)
        assert await tx.send_many([3]) == 1
        with pytest.raises(SendError):
            tx.try_send(4)
        assert rx.try_recv() == 1
        assert await rx.recv() == 2
        assert await rx.recv_ok() == (3, True)
        with pytest.raises(RecvError):
            rx.try_recv()
        await tx.send_many("abc")
        assert await rx.recv_many(9) == ["a", "b", "c"]
        await asyncio.to_thread(tx.send_blocking, 5)
        assert await asyncio.to_thread(rx.recv_blocking) == 5
        await tx.send(6)
        assert (await select(rx)).value == 6
        await select(tx.case(7))
        assert await anext(rx) == 7

    assert await changes(work) == {"sends": 9, "receives": 9, "selects": 2}


async def test_a_send_that_was_cancelled_or_refused_does_not_count():
    async def work():
        tx, rx = channel()
        waiting = asyncio.ensure_future(tx.send(1))
        await parked(tx, senders=1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        rx.close()
        with pytest.raises(routines.ChannelClosed):
            await tx.send(2)

    counted = await changes(work)
    assert "sends" not in counted
    assert "receives" not in counted


async def test_selects_count_when_they_come_to_an_outcome():
    async def work():
        tx, rx = channel(1)
        assert await select(rx, default=None) is not None
        with pytest.raises(routines.Timeout):
            await select(rx, timeout=0)
        await select().recv(rx).default(lambda: 1).run()
        selector = Selector(rx)
        await tx.send(1)
        await selector.next()
        cancelled = asyncio.ensure_future(selector.next())
        await settle()
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        done = go(nothing)
        assert (await select(done)).source is done

    assert (await changes(work))["selects"] == 5


@pytest.mark.bodies("routine")
@pytest.mark.loops("stock", "uvloop")
async def test_routines_count_by_their_end():
    async def fails():
        raise ValueError

    async def work():
        _tx, rx = channel()
        ended = [go(nothing), go(fails), go(rx.recv), go(sleep, 60)]
        await settle()
        assert (runtime().stats().routines_active, runtime().stats().timers) == (active + 2, 1)
        ended[2].abort()
        ended[3].cancel()
        for each in ended:
            await asyncio.gather(each, return_exceptions=True)

    active = runtime().stats().routines_active
    assert await changes(work) == {
        "routines_spawned": 4,
        "routines_completed": 1,
        "routines_failed": 1,
        "routines_aborted": 2,
    }


@pytest.mark.bodies("routine")
async def test_switches_and_parks_count_exactly():
    before = runtime().stats()
    for _ in range(10):
        await yield_now()
    between = runtime().stats()
    assert (between.switches - before.switches, between.parks - before.parks) == (10, 0)
    _tx, rx = channel()
    waiting = go(rx.recv)
    await yield_now()
    after = runtime().stats()
    assert (after.switches - between.switches, after.parks - between.parks) == (2, 1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


async def test_giving_way_is_counted():
    tx, rx = channel(math.inf)
    before = runtime().stats().budget_yields
    for number in range(1000):
        await tx.send(number)
    await rx.recv_many(1000)
    assert 1000 / 128 - 2 < runtime().stats().budget_yields - before < 1000 / 128 + 2


async def test_what_lives_is_counted():
    collect()
    before = runtime().stats()
    kept = [channel() for _ in range(5)]
    ticker = routines.Ticker(60)
    late = routines.after(60)
    stats = runtime().stats()
    assert (stats.channels - before.channels, stats.timers - before.timers) == (7, 2)
    ticker.stop()
    del kept, ticker, late
    gc.collect()
    assert (runtime().stats().channels, runtime().stats().timers) == (before.channels, before.timers)


@pytest.mark.bodies("routine")
async def test_those_that_wait_for_their_turn_are_ready():
    assert runtime().stats().ready == 0
    started = [go(nothing) for _ in range(3)]
    assert runtime().stats().ready == 3
    await asyncio.gather(*started)


def test_what_no_loop_has_made_is_in_the_sum_alone():
    tx, rx = channel(8)
    tx.try_send("before the runtime began")
    with Runtime(RuntimeConfig(worker_threads=2)) as rt:
        before = rt.stats()
        assert (before.sends, before.channels, before.workers[0].channels) == (0, before.channels, 0)
        sender = threading.Thread(target=lambda: [tx.send_blocking(number) for number in range(5)])
        sender.start()
        sender.join()

        async def receive():
            return await rx.recv_many(9)

        assert len(rt.spawn(receive(), worker=1).join_blocking()) == 6
        stats = rt.stats()
        assert (stats.sends, stats.receives) == (5, 6)
        assert [(each.sends, each.receives) for each in stats.workers] == [(0, 0), (0, 0)]
        assert stats.channels >= 1


def test_a_channel_belongs_to_the_worker_that_made_it():
    async def make():
        return channel(2)

    async def send(tx):
        await tx.send_many("ab")

    with Runtime(RuntimeConfig(worker_threads=2)) as rt:
        tx, rx = rt.spawn(make(), worker=1).join_blocking()
        rt.spawn(send(tx), worker=0).join_blocking()
        assert rx.recv_blocking() == "a"
        stats = rt.stats()
        assert [(each.channels, each.sends, each.receives) for each in stats.workers] == [
            (0, 0, 0),
            (1, 2, 1),
        ]
        assert [each.routines_spawned for each in stats.workers] == [1, 1]
        del tx, rx
        gc.collect()
        assert rt.stats().workers[1].channels == 0


def test_a_runtime_that_has_done_nothing_counts_nothing():
    with Runtime(RuntimeConfig(worker_threads=3)) as rt:
        stats = rt.stats()
    assert all(getattr(stats, name) == 0 for name in FIELDS if name != "channels")
    with pytest.raises(RuntimeClosed):
        rt.stats()


@pytest.mark.bodies("task")
async def test_a_plain_loop_is_counted_as_well():
    rt = runtime()
    before = rt.stats()
    tx, rx = channel(1)
    await tx.send(1)
    await rx.recv()
    stats = rt.stats()
    assert (stats.sends - before.sends, stats.receives - before.receives, len(stats.workers)) == (1, 1, 1)


def test_snapshots_add_up_while_workers_are_busy():
    async def busy():
        while not stop:
            await go(nothing)

    stop = []
    with Runtime(RuntimeConfig(worker_threads=3)) as rt:
        working = [rt.spawn(busy(), worker=number) for number in range(3)]
        for _ in range(300):
            stats = rt.stats()
            for each in (stats, *stats.workers):
                ended = each.routines_completed + each.routines_failed + each.routines_aborted
                assert each.routines_spawned == each.routines_active + ended
            assert stats.switches == sum(each.switches for each in stats.workers)
        stop.append(True)
        for routine in working:
            routine.join_blocking()


async def test_wakes_of_other_threads_are_ready_until_the_loop_has_them():
    tx, rx = channel()
    waiting = go(rx.recv)
    await parked(rx, receivers=1)
    thread = threading.Thread(target=tx.send_blocking, args=[1])
    thread.start()
    thread.join()  # the loop cannot turn meanwhile
    assert runtime().stats().ready == 1
    assert await waiting == 1
    await until(lambda: runtime().stats().ready == 0)


async def test_a_broadcast_counts_each_sending_and_each_delivery_once():
    before = routines.runtime().stats()
    tx, first = routines.broadcast(4)
    second = first.clone()
    for value in range(3):
        await tx.send(value)
    for subscription in (first, second):
        for value in range(3):
            assert await subscription.recv() == value
    after = routines.runtime().stats()
    assert (after.sends - before.sends, after.receives - before.receives) == (3, 6)
    assert after.channels - before.channels == 1


async def test_those_that_have_given_way_to_the_loop_are_ready():
    async def give_way():
        await asyncio.sleep(0)

    async def look():
        return runtime().stats().ready

    giving_way = [go(give_way) for _ in range(5)]
    assert await go(look) == 5
    await asyncio.wait(giving_way)
    assert await go(look) == 0


async def test_a_scheduler_tells_whether_there_is_anybody_to_step(world):
    scheduler = scheduler_for(asyncio.get_running_loop())
    told = []

    def look():
        told.append((scheduler.quiet, scheduler.activity))

    async def look_in_a_callback():
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(lambda: (look(), future.set_result(None)))
        await future

    _tx, rx = channel()
    waiting = go(rx.recv)
    look()
    await parked(rx, receivers=1)
    await look_in_a_callback()
    await look_in_a_callback()
    sleeping = go(sleep, 60)
    await until(lambda: sleeping.state == "sleep")
    await look_in_a_callback()
    assert [quiet for quiet, _ in told] == [False, True, True, False]
    steps = [activity for _, activity in told]
    assert steps[0] < steps[1]
    assert steps[2] - steps[1] == (world.body == "routine"), "its own step between the looks, and no other"
    assert scheduler.thread_id == threading.get_ident()
    for each in (waiting, sleeping):
        each.abort()
        await outcome(each)
