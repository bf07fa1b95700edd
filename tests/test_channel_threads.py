"""Channels between threads: what may be called from any thread, and two loops that share a channel."""

import asyncio
import math
import sys
import sysconfig
import threading
import time

import pytest
from helpers import outcome, parked, until

from routines import ChannelClosed, RecvError, SendError, channel, spawn, yield_now


async def receive(rx):
    return await rx.recv()


async def send(tx, value):
    return await tx.send(value)


@pytest.fixture(autouse=True)
def threads_switch_often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


class Thread(threading.Thread):
    """A thread whose exception is raised where it is joined."""

    def __init__(self, function, *args):
        super().__init__(daemon=True)
        self.function, self.args, self.error, self.result = function, args, None, None
        self.start()

    def run(self):
        try:
            self.result = self.function(*self.args)
        except BaseException as error:
            self.error = error

    def join(self, timeout=30):
        super().join(timeout)
        assert not self.is_alive(), "the thread is stuck"
        if self.error is not None:
            raise self.error
        return self.result


def in_thread(function, *args):
    return Thread(function, *args).join()


# --- try_* and close from a thread without a loop


async def test_try_send_from_a_thread_wakes_a_waiting_receiver_promptly(start):
    tx, rx = channel()
    receiving = start(receive(rx))
    await parked(rx, receivers=1)

    def send_soon():
        time.sleep(0.005)
        tx.try_send("from a thread")

    before = time.monotonic()
    thread = Thread(send_soon)
    assert await receiving == "from a thread", "and nothing else turns this loop"
    assert time.monotonic() - before < 2
    thread.join()


async def test_try_recv_from_a_thread_wakes_a_waiting_sender_promptly(start):
    tx, rx = channel()
    sending = start(send(tx, "to a thread"))
    await parked(tx, senders=1)

    def receive_soon():
        time.sleep(0.005)
        return rx.try_recv()

    thread = Thread(receive_soon)
    await sending
    assert thread.join() == "to a thread"


# There an object that another thread lets go of is freed by the thread that made it, when that runs again: ours is asleep.
DROP = pytest.param(
    "drop",
    marks=pytest.mark.skipif(
        bool(sysconfig.get_config_var("Py_GIL_DISABLED")), reason="not at once on free-threaded builds"
    ),
)


@pytest.mark.parametrize("what", ["close", DROP])
async def test_closing_from_a_thread_wakes_everybody_promptly(what, start):
    tx, rx = channel()
    waiting = [start(receive(rx)) for _ in range(5)]
    await parked(rx, receivers=5)
    held = [tx]
    del tx

    def close_soon():
        time.sleep(0.005)
        if what == "close":
            held[0].close()
        else:
            held.clear()

    thread = Thread(close_soon)
    outcomes = [await outcome(each) for each in waiting]
    assert all(isinstance(each, ChannelClosed) for each in outcomes)
    thread.join()


async def test_closing_the_receiver_from_a_thread_wakes_senders(start):
    tx, rx = channel(1)
    tx.try_send(0)
    waiting = [start(send(tx, 1)) for _ in range(3)]
    await parked(tx, senders=3)
    thread = Thread(rx.close)
    outcomes = [await outcome(each) for each in waiting]
    assert all(isinstance(each, ChannelClosed) for each in outcomes)
    thread.join()


def test_try_send_and_try_recv_work_in_a_thread_without_a_loop():
    tx, rx = channel(1)
    in_thread(tx.try_send, 1)
    with pytest.raises(SendError):
        in_thread(tx.try_send, 2)
    assert in_thread(rx.try_recv) == 1
    with pytest.raises(RecvError):
        in_thread(rx.try_recv)
    in_thread(tx.close)
    with pytest.raises(ChannelClosed):
        in_thread(rx.try_recv)


async def test_a_thread_feeds_a_consumer_in_order(start):
    tx, rx = channel(math.inf)
    total = 5000

    def feed():
        for number in range(total):
            tx.try_send(number)
        tx.close()

    async def consume():
        return [value async for value in rx]

    consuming = start(consume())
    thread = Thread(feed)
    assert await consuming == list(range(total))
    thread.join()


async def test_a_thread_drains_a_producer_in_order(start):
    tx, rx = channel(4)
    total = 2000

    async def produce():
        for number in range(total):
            await tx.send(number)
        tx.close()

    def drain():
        got = []
        while True:
            try:
                got.append(rx.try_recv())
            except RecvError:
                time.sleep(0)
            except ChannelClosed:
                return got

    thread = Thread(drain)
    await start(produce())
    await until(lambda: not thread.is_alive())
    assert thread.join() == list(range(total))


async def test_four_threads_feed_one_consumer_and_nothing_is_lost(start):
    tx, rx = channel(math.inf)
    total = 1000

    def feed(own, name):
        for number in range(total):
            own.try_send((name, number))
        own.close()

    async def consume():
        return [value async for value in rx]

    consuming = start(consume())
    threads = [Thread(feed, tx.clone(), name) for name in range(4)]
    tx.close()
    got = await consuming
    assert sorted(got) == [(name, number) for name in range(4) for number in range(total)]
    for name in range(4):
        assert [number for source, number in got if source == name] == list(range(total))
    for thread in threads:
        thread.join()


async def test_stats_and_repr_from_a_thread():
    tx, rx = channel(4)
    stop = []

    def look():
        seen = 0
        while not stop:
            stats = rx.stats()
            assert stats.sent - stats.received == stats.buffered
            assert repr(rx)
            assert 0 <= len(rx) <= 4
            seen += 1
        return seen

    thread = Thread(look)

    async def produce():
        for number in range(2000):
            await tx.send(number)
        tx.close()

    spawn(produce())
    assert [value async for value in rx] == list(range(2000))
    stop.append(True)
    assert thread.join() > 0


# --- two loops


def run_loop_in_thread(function, *args):
    return Thread(lambda: asyncio.run(function(*args)))


@pytest.mark.parametrize("capacity", [0, 1, 64, math.inf])
async def test_two_loops_in_two_threads_share_a_channel(capacity, start):
    tx, rx = channel(capacity)
    total = 500

    async def produce():
        for number in range(total):
            await tx.send(number)
        tx.close()

    thread = run_loop_in_thread(produce)

    async def consume():
        return [value async for value in rx]

    assert await start(consume()) == list(range(total))
    thread.join()


@pytest.mark.parametrize("capacity", [0, 64])
async def test_two_loops_exchange_batches(capacity, start):
    tx, rx = channel(capacity)
    total = 2000

    async def produce():
        sent = await tx.send_many(range(total))
        tx.close()
        return sent

    thread = run_loop_in_thread(produce)

    async def consume():
        got = []
        async for batch in rx.batches(50):
            got += batch
        return got

    assert await start(consume()) == list(range(total))
    assert thread.join() == total


async def test_ping_pong_between_two_loops(start):
    there_tx, there_rx = channel()
    back_tx, back_rx = channel()

    async def echo():
        async with back_tx:
            async for value in there_rx:
                await back_tx.send(value)

    thread = run_loop_in_thread(echo)

    async def play():
        for number in range(200):
            await there_tx.send(number)
            assert await back_rx.recv() == number
        there_tx.close()
        return await back_rx.recv_ok()

    assert await start(play()) == (None, False)
    thread.join()


async def test_waiters_of_two_loops_stand_in_one_line(start):
    tx, rx = channel()
    order = []

    async def other_loop():
        value = await rx.recv()
        order.append(("other", value))
        await rx.wait_closed()

    first = start(receive(rx))
    await parked(rx, receivers=1)
    thread = run_loop_in_thread(other_loop)
    await parked(rx, receivers=2)
    last = start(receive(rx))
    await parked(rx, receivers=3)
    for value in range(3):
        tx.try_send(value)
    assert (await first, await last) == (0, 2)
    await until(lambda: order)
    assert order == [("other", 1)]
    tx.close()
    thread.join()


async def test_cancelling_in_one_loop_while_the_other_sends_loses_nothing(start):
    tx, rx = channel()
    total = 1000

    async def produce():
        for number in range(total):
            await tx.send(number)
        tx.close()

    got = []

    async def consume():
        async for value in rx:
            got.append(value)

    thread = run_loop_in_thread(produce)
    consuming = start(consume())
    rounds = 0
    while not consuming.done():
        for _ in range(rounds % 7):
            await yield_now()
        consuming.cancel()
        result = await outcome(consuming)
        rounds += 1
        if isinstance(result, asyncio.CancelledError):
            consuming = start(consume())
            if rounds > 200:
                await consuming
    thread.join()
    assert got == list(range(total))


async def test_a_routine_ended_by_close_from_another_loop(start):
    tx, rx = channel()

    async def other_loop():
        await until(lambda: rx.stats().waiting_receivers == 1)
        tx.close(LookupError("from the other loop"))

    receiving = start(receive(rx))
    thread = run_loop_in_thread(other_loop)
    error = await outcome(receiving)
    assert isinstance(error, ChannelClosed)
    assert isinstance(error.__cause__, LookupError)
    thread.join()


async def test_routines_of_two_loops_have_their_own_current():
    from routines import current

    here = []

    async def look():
        mine = current()
        for _ in range(50):
            await yield_now()
            assert current() is mine
            assert asyncio.current_task() is mine
        return mine.id

    async def main():
        return await asyncio.gather(*(spawn(look()) for _ in range(20)))

    thread = run_loop_in_thread(main)
    here = await main()
    there = thread.join()
    assert len(set(here) | set(there)) == 40
