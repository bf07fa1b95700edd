"""Nobody starves: routines that never block still give way to everything else."""

import asyncio
import socket
import threading
import time

import pytest
from helpers import settle, until

from routines import channel, go, runtime, spawn, yield_now


def hog_a_buffer(stop):
    """A routine whose operations always complete at once."""
    tx, rx = channel(1)

    async def hog():
        rounds = 0
        while not stop:
            await tx.send(rounds)
            await rx.recv()
            rounds += 1
        return rounds

    return hog()


def hog_by_yielding(stop):
    async def hog():
        rounds = 0
        while not stop:
            await yield_now()
            rounds += 1
        return rounds

    return hog()


def hog_by_spawning(stop):
    """A line of routines, each of which spawns the next."""

    async def hog(rounds, end):
        if stop:
            end.try_send(rounds)
        else:
            spawn(hog(rounds + 1, end))

    async def begin():
        tx, rx = channel(1)
        spawn(hog(1, tx))
        return await rx.recv()

    return begin()


def hog_by_ping_pong(stop):
    async def echo(rx, tx):
        async for value in rx:
            await tx.send(value)

    async def play():
        there_tx, there_rx = channel()
        back_tx, back_rx = channel()
        spawn(echo(there_rx, back_tx))
        rounds = 0
        while not stop:
            await there_tx.send(rounds)
            assert await back_rx.recv() == rounds
            rounds += 1
        return rounds

    return play()


def hog_by_batches(stop):
    tx, rx = channel(64)

    async def hog():
        rounds = 0
        while not stop:
            await tx.send_many(range(64))
            await rx.recv_many(64)
            rounds += 1
        return rounds

    return hog()


hogs = pytest.mark.parametrize(
    "hog", [hog_a_buffer, hog_by_yielding, hog_by_spawning, hog_by_ping_pong, hog_by_batches]
)


@hogs
async def test_a_hog_lets_another_routine_run(hog, start):
    stop = []

    async def end():
        for _ in range(5):
            await yield_now()
        stop.append(True)

    hogging = start(hog(stop))
    await spawn(end())
    assert await hogging > 0


@hogs
async def test_a_hog_lets_a_plain_task_run(hog, start):
    stop = []

    async def end():
        for _ in range(5):
            await asyncio.sleep(0)
        stop.append(True)

    hogging = start(hog(stop))
    await asyncio.Task(end())
    assert await hogging > 0


@hogs
async def test_a_hog_lets_a_timer_fire(hog, start):
    stop = []
    asyncio.get_running_loop().call_later(0.005, stop.append, True)
    before = time.monotonic()
    assert await start(hog(stop)) > 0
    assert time.monotonic() - before < 2


@hogs
async def test_a_hog_lets_a_socket_be_served(hog, start):
    stop = []
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    loop = asyncio.get_running_loop()

    async def serve():
        stop.append(await loop.sock_recv(ours, 10))

    serving = asyncio.Task(serve())
    hogging = start(hog(stop))
    await settle(2)
    theirs.send(b"enough")
    assert await hogging > 0
    await serving
    assert stop == [b"enough"]
    ours.close()
    theirs.close()


@hogs
async def test_a_hog_hears_a_call_from_a_thread(hog, start):
    stop = []
    loop = asyncio.get_running_loop()
    thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(stop.append, True))
    hogging = start(hog(stop))
    await settle(2)
    thread.start()
    assert await hogging > 0
    thread.join()


async def test_sockets_keep_being_served_while_many_routines_saturate_the_loop():
    stop = []
    hogging = [spawn(hog_by_ping_pong(stop)) for _ in range(20)]
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)
    echo_reader, echo_writer = await asyncio.open_connection(sock=theirs)

    async def echo():
        while data := await echo_reader.read(100):
            echo_writer.write(data)
        echo_writer.close()

    echoing = asyncio.Task(echo())
    worst = 0.0
    for _ in range(20):
        before = time.monotonic()
        writer.write(b"ping")
        assert await reader.readexactly(4) == b"ping"
        worst = max(worst, time.monotonic() - before)
    stop.append(True)
    await asyncio.gather(*hogging)
    writer.close()
    await echoing
    assert worst < 1.0, "a round trip takes some turns of the loop, not seconds"


async def test_a_producer_into_an_unbounded_channel_lets_its_consumer_run():
    tx, rx = channel(float("inf"))
    lag = []

    async def produce():
        for number in range(20_000):
            await tx.send(number)
            if number % 100 == 0:
                lag.append(len(rx))
        tx.close()

    producing = spawn(produce())
    expected = 0
    async for value in rx:
        assert value == expected
        expected += 1
    await producing
    assert expected == 20_000
    assert max(lag) < 20_000 - 100, "the producer gave way before it was through"


async def test_a_try_send_loop_that_yields_once_in_a_while_is_served(start):
    tx, rx = channel(1)

    async def poll():
        got = []
        while len(got) < 100:
            try:
                got.append(rx.try_recv())
            except Exception:
                await yield_now()
        return got

    async def send():
        for number in range(100):
            await tx.send(number)

    polling = start(poll())
    await start(send())
    assert await polling == list(range(100))


async def test_the_budget_is_not_seen_by_operations():
    tx, rx = channel(10_000)
    for number in range(10_000):
        assert await tx.send(number) is None
    for number in range(10_000):
        assert await rx.recv() == number


async def test_values_that_are_sent_together_count_one_by_one_against_the_budget(start):
    tx, _rx = channel(float("inf"))
    seen = []

    async def look():
        seen.append(len(tx))

    looking = start(look())
    for _ in range(10):
        await tx.send_many(range(100))
    await looking
    assert seen[0] <= 300


async def test_a_routine_out_of_budget_can_be_cancelled_and_loses_nothing(start):
    tx, rx = channel(float("inf"))
    sent = []

    async def produce():
        while True:
            await tx.send(len(sent))
            sent.append(len(sent))

    producing = start(produce())
    await until(lambda: len(sent) > 1000)
    producing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await producing
    assert await rx.recv_many(10**9) == sent or len(sent) + 1 == tx.stats().sent


async def test_a_consumer_out_of_budget_can_be_cancelled_and_loses_nothing(start):
    tx, rx = channel(float("inf"))
    total = 100_000
    await tx.send_many(range(total))
    got = []

    async def consume():
        async for value in rx:
            got.append(value)

    consuming = start(consume())
    await until(lambda: len(got) > 1000)
    consuming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consuming
    assert len(got) < total, "it was cancelled under way"
    rest = []
    while len(rx):
        rest += await rx.recv_many(10**6)
    assert got + rest == list(range(total))


@pytest.mark.bodies("routine")
async def test_one_out_of_budget_gives_way_to_routines_and_not_to_the_loop():
    """A turn of the loop polls for I/O, which costs more than all that the budget lets a step do."""
    tx, rx = channel(float("inf"))
    order = []

    async def beside():
        order.append("beside")
        await yield_now()
        order.append("beside again")

    async def send_and_receive():
        for _ in range(130):
            await tx.send(None)
        order.append("sent")
        for _ in range(130):
            await rx.recv()
        order.append("received")

    asyncio.get_running_loop().call_soon(order.append, "loop")
    both = [go(send_and_receive), go(beside)]
    for routine in both:
        await routine
    await asyncio.sleep(0)
    assert order == ["beside", "sent", "beside again", "received", "loop"]


@pytest.mark.bodies("routine")
async def test_each_step_has_a_budget_of_its_own():
    tx, rx = channel(1)
    before = runtime().stats().budget_yields
    for _ in range(300):
        await tx.send(None)
        await rx.recv()
        await yield_now()
    assert runtime().stats().budget_yields == before
