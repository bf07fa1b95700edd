"""Broadcast, watch and oneshot under random cancellation and across threads: nothing lost, nothing twice, nobody left behind."""

import asyncio
import random
import sys
import threading

import pytest
from helpers import MeddlingLoop, outcome, parked, settle

from routines import (
    ChannelClosed,
    Lagged,
    Routine,
    SendError,
    broadcast,
    channel,
    oneshot,
    select,
    stages,
    watch,
    yield_now,
)


@pytest.fixture
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


async def listen_on_and_on(rx, chance, seen, way):
    """Receives in one way or another until it is cancelled; each value that was received is in `seen`."""
    while True:
        match way:
            case "recv":
                seen.append(await rx.recv())
            case "many":
                seen.extend(await rx.recv_many(3))
            case "select":
                chosen = await select(rx, None)
                if not chosen.ok:
                    return
                seen.append(chosen.value)
        if chance.random() < 0.3:
            await yield_now()


@pytest.mark.parametrize("way", ["recv", "many", "select"])
@pytest.mark.parametrize("capacity", [1, 3])
async def test_cancelled_at_random_a_lossless_subscriber_gets_every_value_once(capacity, way, start, seed):
    chance = random.Random(seed)
    tx, first = broadcast(capacity, lossless=True)
    ends = [first, tx.subscribe(), tx.subscribe()]
    seen = [[] for _ in ends]

    async def send_all():
        with tx:
            for number in range(60):
                await tx.send(number)

    sending = start(send_all())
    listening = [start(listen_on_and_on(end, chance, got, way)) for end, got in zip(ends, seen, strict=True)]
    while not (sending.done() and all(len(each) == 60 for each in seen)):
        index = chance.randrange(len(ends))
        if chance.random() < 0.5:
            listening[index].cancel()
            await outcome(listening[index])
        if listening[index].done():
            await outcome(listening[index])
            listening[index] = start(listen_on_and_on(ends[index], chance, seen[index], way))
        await settle(chance.randrange(3))
    for each in listening:
        each.cancel()
        await outcome(each)
    assert seen == [list(range(60))] * 3
    assert tx.stats().waiting_senders == tx.stats().waiting_receivers == 0


async def test_cancelled_at_random_lossless_senders_send_each_value_once_or_not(start, seed):
    chance = random.Random(seed)
    tx, rx = broadcast(2, lossless=True)
    other = rx.clone()
    sent, got, also = [], [], []

    async def send_some(name):
        for number in range(1000):
            await tx.send((name, number))
            sent.append((name, number))

    for name in range(15):
        sending = start(send_some(name))
        for _ in range(chance.randrange(6)):
            if len(rx):
                got.append(rx.try_recv())
            if len(other) and chance.random() < 0.7:
                also.append(other.try_recv())
            await settle(chance.randrange(2))
        sending.cancel()
        await outcome(sending)
        while len(rx):
            got.append(rx.try_recv())
    while len(other):
        also.append(other.try_recv())
        while len(rx):
            got.append(rx.try_recv())
    assert got == also
    assert sorted(got) == sorted(sent)


async def test_cancelled_at_random_a_stage_passes_everything_while_it_is_wanted(start, seed):
    chance = random.Random(seed)
    tx, rx = channel(2)
    out = stages.batch(stages.map(lambda number: number, stages.merge(rx), workers=2), 4)
    seen = []

    async def send_all():
        with tx:
            await tx.send_many(range(80))

    async def receive_all():
        while True:
            seen.extend(await out.recv())

    sending, receiving = start(send_all()), start(receive_all())
    while len(seen) < 80:
        if chance.random() < 0.5:
            receiving.cancel()
            await outcome(receiving)
            receiving = start(receive_all())
        await settle(chance.randrange(3))
    await sending
    assert isinstance(await outcome(receiving), ChannelClosed)
    assert seen == list(range(80))


# --- threads


@pytest.mark.usefixtures("threads_switch_often")
@pytest.mark.loops("stock", "uvloop")
async def test_threads_and_coroutines_subscribe_to_threads(start):
    tx, first = broadcast(8, lossless=True)
    in_threads = [first, tx.subscribe()]
    in_loop = [tx.subscribe(), tx.subscribe()]

    def receive_all(rx):
        got = []
        try:
            while True:
                got.append(rx.recv_blocking())
        except ChannelClosed:
            return got

    async def listen(rx):
        return [value async for value in rx]

    def send_all(end, name):
        with end:
            for number in range(150):
                end.send_blocking((name, number))

    listening = [start(listen(each)) for each in in_loop]
    receiving = [Thread(receive_all, each) for each in in_threads]
    sending = [Thread(send_all, tx.clone(), name) for name in range(3)]
    tx.close()
    results = [await each for each in listening]
    for each in sending:
        each.join()
    results += [each.join() for each in receiving]
    assert all(each == results[0] for each in results), "all see one order"
    for name in range(3):
        assert [number for who, number in results[0] if who == name] == list(range(150))


@pytest.mark.usefixtures("threads_switch_often")
@pytest.mark.parametrize("capacity", [1, 4])
def test_across_threads_what_a_subscriber_gets_and_what_it_missed_is_everything(capacity):
    tx, first = broadcast(capacity)
    ends = [first, tx.subscribe(), tx.subscribe()]
    total = 3 * 400

    def receive_all(rx):
        got, missed = [], 0
        while True:
            try:
                got.append(rx.recv_blocking())
            except Lagged as error:
                assert error.missed > 0
                missed += error.missed
            except ChannelClosed:
                return got, missed

    def send_all(end, name):
        with end:
            for number in range(400):
                end.try_send((name, number))

    receiving = [Thread(receive_all, each) for each in ends]
    sending = [Thread(send_all, tx.clone(), name) for name in range(3)]
    tx.close()
    for each in sending:
        each.join()
    for each in receiving:
        got, missed = each.join()
        assert len(got) + missed == total
        assert len(set(got)) == len(got)
        for name in range(3):
            numbers = [number for who, number in got if who == name]
            assert numbers == sorted(numbers)


@pytest.mark.usefixtures("threads_switch_often")
def test_subscribing_and_leaving_while_other_threads_send():
    tx, keeper = broadcast(3)
    stop = threading.Event()

    def send_until_stopped(end):
        number = 0
        while not stop.is_set():
            end.try_send(number)
            number += 1

    def come_and_go():
        for _ in range(150):
            with tx.subscribe() as rx:
                last = -1
                for _ in range(3):
                    try:
                        value = rx.recv_blocking(timeout=10)
                    except Lagged:
                        continue
                    assert value > last
                    last = value

    sending = Thread(send_until_stopped, tx.clone())
    coming = [Thread(come_and_go) for _ in range(3)]
    try:
        for each in coming:
            each.join()
    finally:
        stop.set()
    sending.join()
    assert tx.stats().receivers == 1
    assert len(keeper) == 3


@pytest.mark.usefixtures("threads_switch_often")
@pytest.mark.loops("stock", "uvloop")
async def test_a_watch_set_by_threads_ends_with_the_last_value(start):
    tx, rx = watch(-1)
    twin = rx.clone()

    async def follow(end):
        return [value async for value in end]

    def set_all(end):
        with end:
            for number in range(400):
                end.try_send(number)

    following = [start(follow(each)) for each in (rx, twin)]
    await parked(rx, receivers=1)
    setting = Thread(set_all, tx)
    for each in following:
        seen = await each
        assert seen == sorted(set(seen)) and seen[-1] == 399
    setting.join()


@pytest.mark.usefixtures("threads_switch_often")
def test_of_many_threads_one_sends_into_a_oneshot():
    for _ in range(30):
        tx, rx = oneshot()
        barrier = threading.Barrier(4)

        def send(end, number, barrier=barrier):
            barrier.wait()
            try:
                end.send_blocking(number, timeout=10)
            except ChannelClosed:
                return None
            return number

        sending = [Thread(send, tx.clone(), number) for number in range(4)]
        sent = [each.join() for each in sending]
        sent = [each for each in sent if each is not None]
        assert sent == [rx.recv_blocking(timeout=10)]
        with pytest.raises(ChannelClosed):
            rx.try_recv()


async def test_an_asyncio_timeout_around_each_way_of_waiting_leaves_nothing_behind():
    tx, rx = broadcast(1, lossless=True)
    state_tx, state = watch(0)
    reply_tx, reply = oneshot()
    for operation in (rx.recv, state.changed, reply.recv, lambda: select(rx, state, reply)):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await operation()
    for end in (rx, state, reply):
        assert end.stats().waiting_receivers == 0
    assert not (tx.closed or state_tx.closed or reply_tx.closed)


# --- what another thread may do while one that waits is woken


@pytest.fixture
def meddling():
    made = MeddlingLoop()
    yield made
    made.close()


def waits(loop, end):
    """A routine that waits to receive, on a loop that does not run meanwhile."""
    waiting = Routine(outcome(end.recv()), loop=loop)
    loop.run_until_complete(asyncio.sleep(0))
    return waiting


@pytest.mark.parametrize("make", [lambda: broadcast(2), lambda: watch(0)], ids=["broadcast", "watch"])
def test_a_receiver_that_is_closed_while_another_is_served_is_passed_over(make, meddling):
    tx, first = make()
    second, third = tx.subscribe(), tx.subscribe()
    waiting = [waits(meddling, end) for end in (first, second, third)]
    meddling.meddle = second.close
    tx.try_send("value")
    got = meddling.run_until_complete(asyncio.gather(*waiting))
    assert (got[0], got[2]) == ("value", "value")
    assert isinstance(got[1], ChannelClosed)


def test_a_second_value_for_a_oneshot_that_is_sent_while_the_first_is_handed_over_is_refused(meddling):
    tx, rx = oneshot()
    twin, waiting, refused = tx.clone(), waits(meddling, rx), []

    def send_again():
        with pytest.raises((SendError, ChannelClosed)):
            twin.try_send("second")
        refused.append(True)

    meddling.meddle = send_again
    tx.try_send("first")
    assert refused
    assert meddling.run_until_complete(waiting) == "first"
    assert twin.closed
    with pytest.raises(ChannelClosed):
        rx.try_recv()
