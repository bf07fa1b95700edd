"""The collector runs between any two steps, and finds garbage whose end uses the channels that are in use."""

import contextlib
import gc
import math

import pytest
from helpers import behind, clear, collect, outcome, settle

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


# --- somebody acts in the middle of one call, at each object in turn that it makes


class Within:
    """In its block `act` is called by the collector, once, at the so-manyth object made. Since 3.12 it comes between two lines."""

    def __init__(self, act, number):
        self.act, self.left = act, number
        # Else a list comes from those that the interpreter keeps, and begins no collection.
        self.made = [[] for _ in range(200)]

    def __call__(self, phase, _details):
        if phase == "stop":
            # So that the next object made begins a collection again.
            self.made.append([set() for _ in range(5)])
            return
        self.left -= 1
        if self.left == -1:
            self.act()

    def __enter__(self):
        self.threshold = gc.get_threshold()
        gc.callbacks.append(self)
        gc.set_threshold(1)

    def __exit__(self, *_):
        gc.set_threshold(*self.threshold)
        gc.callbacks.remove(self)


@pytest.fixture(params=range(8))
def number(request):
    """Of the object at which it comes; none of these calls makes as many."""
    collect()
    return request.param


def result_of(operation):
    """Drive an operation by hand to its result; None: it waits."""
    try:
        while Park.send(operation, None) is None:
            pass
    except StopIteration as stop:
        return stop.value
    return None


def test_one_that_gives_up_while_its_channel_closes_leaves_the_others_to_be_failed(number):
    tx, rx = channel()
    waiting = [park(rx.recv()) for _ in range(3)]
    with Within(waiting.pop(1).close, number):
        tx.close()
    assert rx.stats().waiting_receivers == 0
    for each in waiting:
        with pytest.raises(ChannelClosed):
            result_of(each)


def test_of_two_closes_one_inside_of_the_other_one_counts(number):
    ch = Channel()
    waiting = [park(ch.recv()) for _ in range(2)]
    with Within(lambda: ch.close(KeyError()), number):
        ch.close(ValueError())
    causes = set()
    for each in waiting:
        with pytest.raises(ChannelClosed) as failure:
            result_of(each)
        causes.add(type(failure.value.__cause__))
    assert causes in ({KeyError}, {ValueError})


@pytest.mark.parametrize("taken", [2, 5])
def test_a_batch_has_what_others_leave_while_its_list_is_made(number, taken):
    ch = Channel(8)
    for value in range(5):
        ch.try_send(value)
    others = []
    operation = ch.recv_many(5)
    with Within(lambda: others.extend(ch.try_recv() for _ in range(min(taken, len(ch)))), number):
        values = result_of(operation)
    if values is None:
        assert (others, ch.stats().waiting_receivers) == ([0, 1, 2, 3, 4], 1)
        ch.try_send("later")
        assert result_of(operation) == ["later"]
    else:
        assert values + others == [0, 1, 2, 3, 4] or others + values == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("many", [False, True])
def test_a_channel_that_is_closed_while_its_buffer_grows_takes_nothing_more(number, many):
    ch = Channel(8)
    for value in range(4):
        ch.try_send(value)
    operation = ch.send_many(iter((4,)))  # no list that is free again before its buffer grows
    failure, closed_over = None, []

    def close():
        closed_over.append(len(ch))
        ch.close()

    with Within(close, number):
        try:
            if many:
                result_of(operation)
            else:
                ch.try_send(4)
        except ChannelClosed as error:
            failure = error
    operation.close()
    assert len(ch) == 4 + (failure is None)
    assert (failure is not None) == (closed_over == [4])
    assert not many or failure is None or failure.sent == 0


def test_a_send_many_that_is_driven_while_it_makes_its_list_sends_each_value_once(number):
    ch = Channel(8)
    operation = ch.send_many([1, 2, 3])
    results, refused = [], []

    def drive():
        try:
            results.append(result_of(operation))
        except RuntimeError as error:
            refused.append(str(error))

    with Within(drive, number):
        drive()
    assert set(results) == {3}
    assert all("awaited" in each for each in refused), refused
    assert result_of(ch.recv_many(9)) == [1, 2, 3]


def test_a_receiver_made_while_the_last_one_goes_lets_senders_in_and_loses_what_they_sent(number):
    tx, rx = channel(4)
    for value in range(4):
        tx.try_send(value)
    waiting = [park(tx.send(value)) for value in range(4, 8)]
    late = []

    def revive():
        with contextlib.suppress(ChannelClosed, SendError):
            late.append(tx.channel.receiver())
            tx.try_send("more")
            late[0].try_recv()

    with Within(revive, number):
        rx.close()
    for each in late:
        each.close()
    assert tx.closed
    assert (len(rx), rx.stats().waiting_senders) == (0, 0)
    for each in waiting:
        with contextlib.suppress(ChannelClosed):
            assert result_of(each) is None
        assert each.done()


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


def test_what_the_collector_has_cleared_counts_and_takes_nothing():
    _tx, rx = broadcast(1)
    clear(rx.channel)
    assert rx.stats().sent == 0
    tx, rx = oneshot()
    clear(behind(rx, "ChannelState", "Member"))
    with contextlib.suppress(SendError, ChannelClosed):
        tx.try_send("to nobody")
    assert len(rx) == 0
