"""The collector runs between any two steps, and finds garbage whose end uses the channels that are in use."""

import gc
import math

import pytest
from helpers import behind, clear, outcome, settle

from routines import (
    Channel,
    ChannelClosed,
    Cond,
    Mutex,
    Receiver,
    RecvError,
    Selector,
    SendError,
    broadcast,
    channel,
    go,
    oneshot,
    select,
    sleep,
    timeout,
    watch,
    yield_now,
)
from routines._broadcast import Broadcast, Oneshot, Watched
from routines._core import Park


@pytest.fixture
def collecting():
    """A collection at every second allocation of what the collector tracks."""
    before = gc.get_threshold()
    gc.set_threshold(1)
    yield
    gc.set_threshold(*before)


class Meddler:
    """Garbage in a cycle; when it is collected it sends and receives, as often as it can."""

    def __init__(self, tx, rx, seen):
        self.cycle, self.tx, self.rx, self.seen = self, tx, rx, seen

    def __del__(self):
        if len(self.seen) > 100:
            return  # or a consumer that makes meddlers would be fed by them for ever
        try:
            self.tx.try_send("meddled")
        except (SendError, ChannelClosed):
            pass
        else:
            self.seen.append(("sent", "meddled"))
        try:
            self.seen.append(("received", self.rx.try_recv()))
        except (RecvError, ChannelClosed):
            pass


@pytest.mark.parametrize("capacity", [0, 1, 3, math.inf])
async def test_nothing_is_lost_while_the_collector_meddles(capacity, start, collecting):
    tx, rx = channel(capacity)
    seen, received = [], []

    async def produce():
        for value in range(30):
            Meddler(tx, rx, seen)
            await tx.send(value)
        Meddler(tx, rx, seen)
        await tx.send_many(range(30, 60))

    async def consume():
        while True:
            Meddler(tx, rx, seen)
            received.append(await rx.recv())

    producer, consumer = start(produce()), start(consume())
    await producer
    gc.collect()
    await settle()
    consumer.cancel()
    await outcome(consumer)
    rest = []
    while True:
        try:
            rest.append(rx.try_recv())
        except RecvError:
            break
    sent = list(range(60)) + [value for way, value in seen if way == "sent"]
    got = received + rest + [value for way, value in seen if way == "received"]
    assert sorted(map(str, got)) == sorted(map(str, sent))
    stats = tx.stats()
    assert (stats.waiting_senders, stats.waiting_receivers, stats.buffered) == (0, 0, 0)
    assert stats.sent == stats.received == len(sent)


async def test_selects_and_selectors_go_on_while_the_collector_runs(start, collecting):
    pairs = [channel(place) for place in range(3)]
    got = []

    async def produce(tx, base):
        for value in range(base, base + 20):
            await tx.send(value)
            await yield_now()

    async def choose():
        receivers = [rx for _, rx in pairs]
        for _ in range(30):
            got.append((await select(*receivers, timeout=10)).value)
        selector = Selector(*receivers)
        for _ in range(30):
            got.append((await selector.next()).value)

    everybody = [start(produce(tx, 100 * place)) for place, (tx, _) in enumerate(pairs)]
    await start(choose())
    for each in everybody:
        await each
    assert sorted(got) == sorted(100 * place + value for place in range(3) for value in range(20))
    assert all(tx.stats().waiting_receivers == 0 for tx, _ in pairs)


async def test_closing_joining_and_timing_out_go_on_while_the_collector_runs(start, collecting):
    ch = Channel()
    waiting = [start(outcome(ch.recv())) for _ in range(10)]
    await settle()
    ch.close()
    for each in waiting:
        assert isinstance(await each, ChannelClosed)
    routines_ = [go(sleep, 0) for _ in range(10)]
    for each in routines_:
        await each.join(timeout=10)
    with pytest.raises(TimeoutError):
        async with timeout(0.001):
            await Channel().recv()


def park(operation):
    """Drive an operation by hand to where it waits, so that no coroutine is there to close it before it is collected."""
    while True:
        step = Park.send(operation, None)
        if step is not None:
            return operation


def idle_selects():
    """Selects that are older than whatever is made after this: the collector clears the oldest first."""
    channels = [Channel(1) for _ in range(3)]
    for ch in channels:
        ch.try_send(None)
    operations = [select(ch, ch) for ch in channels]
    for operation in operations:
        with pytest.raises(StopIteration):
            park(operation)
    gc.collect()


def a_select_over_channels():
    park(select(Channel(), Channel()))


def a_select_that_sends_its_channels():
    first, second = Channel(), Channel()
    park(select(first.case(second), second.case(first)))


def a_select_that_was_collected_and_used_again():
    async def wait(own):
        await select(Channel(), Channel())

    own = Channel(1)
    coroutine = wait(own)
    own.try_send(coroutine)
    coroutine.send(None)
    del own, coroutine
    gc.collect()
    park(select(Channel(), Channel()))


def an_operation_that_waits_for_a_close():
    ch = Channel(1)
    ch.try_send(ch)
    park(ch.wait_closed())
    park(ch.clone().wait_closed())


def a_built_select():
    builder = select()
    gc.collect()
    park(builder.recv(Channel()).recv(Channel()).send(Channel(), builder).run())


def two_selects_over_the_same_channels():
    first, second = Channel(), Channel()
    park(select(first, second))
    park(select(first, second))


def a_select_over_a_subscription():
    tx, rx = broadcast(2)
    park(select(rx, Channel()))
    park(rx.clone().recv())
    tx.try_send([tx, rx])


def a_selector_that_waits():
    selector = Selector()
    gc.collect()
    for _ in range(3):
        selector.add(Channel())
    park(selector.next())


def a_selector_in_its_own_channels():
    channels = [Channel() for _ in range(3)]
    selector = Selector(*channels)
    for ch in channels:
        selector.add(ch.case(selector))


def two_selectors_over_the_same_channels():
    channels = [Channel(1) for _ in range(3)]
    selectors = [Selector(*channels) for _ in range(2)]
    for ch in channels:
        ch.try_send(selectors)


def subscribers_in_their_own_values():
    tx, rx = broadcast(4)
    subscribers = [rx, rx.clone(), tx.subscribe()]
    for _ in range(4):
        tx.try_send([tx, subscribers])


@pytest.mark.parametrize(
    "make",
    [
        a_select_over_channels,
        a_select_that_sends_its_channels,
        a_select_that_was_collected_and_used_again,
        an_operation_that_waits_for_a_close,
        a_built_select,
        two_selects_over_the_same_channels,
        a_select_over_a_subscription,
        a_selector_that_waits,
        a_selector_in_its_own_channels,
        two_selectors_over_the_same_channels,
        subscribers_in_their_own_values,
    ],
)
def test_what_waits_is_collected_together_with_what_it_waits_for(make):
    idle_selects()
    before = len(
        [each for each in gc.get_objects() if isinstance(each, Park | Channel | Receiver | Selector)]
    )
    for _ in range(5):
        make()
        gc.collect()
    after = len([each for each in gc.get_objects() if isinstance(each, Park | Channel | Receiver | Selector)])
    assert after <= before


# --- garbage is cleared in any order, and what dies later still uses what was cleared before

relays = pytest.mark.parametrize(
    "make",
    [lambda: broadcast(2), lambda: broadcast(2, lossless=True), lambda: watch(0), oneshot],
    ids=["broadcast", "lossless", "watch", "oneshot"],
)


def lost(attempt):
    """Whether it is refused, as where nobody is at the other end."""
    try:
        attempt()
    except (ChannelClosed, SendError, RecvError):
        return True
    return False


@relays
def test_ends_outlive_what_stood_between_them(make):
    tx, rx = make()
    other = rx.clone()
    batch = other.recv_many(2)
    batch.send(None)
    tx.try_send("handed over")
    relay = tx.channel
    clear(relay)
    assert "0 buffered, senders=0, receivers=0" in repr(relay)
    assert len(relay) == 0
    assert relay.closed
    with pytest.raises(StopIteration) as fetched:
        batch.send(None)
    assert fetched.value.value == ["handed over"]
    for attempt in (lambda: tx.try_send("to nobody"), rx.try_recv, other.try_recv, rx.clone):
        lost(attempt)
    assert relay.stats().sent == 0
    for end in (tx, other, rx):
        end.close()


@pytest.mark.parametrize("make", [lambda: broadcast(2), lambda: watch(0)], ids=["broadcast", "watch"])
def test_ends_outlive_what_joined_them_to_the_channel(make):
    tx, rx = make()
    other = tx.subscribe()
    clear(behind(other, "ChannelState", "Member"))
    assert other.stats().buffered == 0
    tx.try_send("value")
    assert rx.try_recv() == "value"
    assert lost(other.try_recv)
    for end in (other, tx, rx):
        end.close()


@pytest.mark.parametrize("kind", [Broadcast, Watched, Oneshot])
def test_what_was_never_filled_is_as_what_was_cleared(kind):
    relay = kind.__new__(kind)
    assert relay.closed
    assert relay.stats() == kind.__new__(kind).stats()
    assert "closed" not in repr(relay)


def test_operations_that_were_cleared_are_given_up_without_harm():
    mutex = Mutex()
    assert mutex.try_lock()
    operation = mutex.lock()
    operation.send(None)
    clear(operation)
    operation.close()
    cond = Cond(mutex)
    operation = cond.wait()
    operation.send(None)
    clear(operation)
    operation.close()
