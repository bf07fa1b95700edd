"""Broadcast: every subscriber sees every value, and what becomes of one that is too slow."""

import asyncio
import gc
import math
import weakref

import pytest
from helpers import Value, collect, collection_at, outcome, parked, settle

from routines import (
    ChannelClosed,
    Lagged,
    Receiver,
    RecvError,
    Selector,
    Sender,
    SendError,
    Subscription,
    broadcast,
    select,
)


async def receive(rx):
    return await rx.recv()


async def listen(rx):
    return [value async for value in rx]


async def send(tx, *values):
    for value in values:
        await tx.send(value)


async def test_every_subscriber_gets_every_value_in_order(start):
    tx, first = broadcast(4)
    listening = [start(listen(each)) for each in (first, tx.subscribe(), first.clone())]
    await parked(tx, receivers=3)
    with tx:
        for number in range(20):
            await tx.send(number)
            await settle(2)
    assert [await each for each in listening] == [list(range(20))] * 3


async def test_a_subscriber_gets_what_is_sent_from_its_subscription_on():
    tx, first = broadcast(8)
    await send(tx, 1, 2)
    second = tx.subscribe()
    third = first.clone()
    await send(tx, 3)
    assert await first.recv_many(9) == [1, 2, 3]
    assert await second.recv_many(9) == [3]
    assert await third.recv_many(9) == [3]


async def test_a_slow_subscriber_is_told_how_many_it_missed_and_goes_on():
    tx, slow = broadcast(3)
    await send(tx, *range(10))
    with pytest.raises(Lagged) as caught:
        await slow.recv()
    assert caught.value.missed == 7
    assert await slow.recv_many(9) == [7, 8, 9]
    await send(tx, 10)
    assert await slow.recv() == 10


@pytest.mark.parametrize(
    "way", ["recv", "try_recv", "recv_ok", "recv_many", "next", "batches", "select", "builder", "selector"]
)
async def test_each_way_of_receiving_reports_a_lag_once_and_then_goes_on(way):
    tx, slow = broadcast(2)
    selector = Selector(slow)
    await send(tx, *range(5))

    async def once():
        match way:
            case "recv" | "recv_ok":
                return await getattr(slow, way)()
            case "try_recv":
                return slow.try_recv()
            case "recv_many":
                return (await slow.recv_many(1))[0]
            case "next":
                return await anext(slow)
            case "batches":
                return (await anext(slow.batches(1)))[0]
            case "select":
                return (await select(slow)).value
            case "builder":
                return await select().recv(slow, on_close=lambda: "closed").run()
            case "selector":
                return (await selector.next()).value

    with pytest.raises(Lagged) as caught:
        await once()
    assert caught.value.missed == 3
    value = await once()
    assert value == ((3, True) if way == "recv_ok" else 3)


async def test_a_subscriber_that_never_reads_holds_up_nobody_and_keeps_capacity_values():
    tx, never = broadcast(2)
    reader = tx.subscribe()
    values = [Value(number) for number in range(50)]
    seen = [weakref.ref(each) for each in values]
    while values:
        await tx.send(values.pop(0))
        assert (await reader.recv()).label == 50 - len(values) - 1
    collect()
    assert sum(each() is not None for each in seen) == len(never) == len(tx) == 2


async def test_a_value_goes_when_the_last_subscriber_has_taken_it():
    tx, first = broadcast(8)
    second = tx.subscribe()
    value = Value()
    gone = weakref.ref(value)
    tx.try_send(value)
    del value
    await first.recv()
    assert gone() is not None and len(tx) == 1
    await second.recv()
    collect()
    assert gone() is None and len(tx) == 0


async def test_what_only_a_closed_subscription_had_yet_to_take_goes():
    tx, first = broadcast(8)
    second = tx.subscribe()
    await send(tx, 1, 2, 3)
    await first.recv_many(2)
    second.close()
    assert len(tx) == 1
    assert await first.recv() == 3
    assert len(tx) == 0


# --- lossless


async def test_lossless_a_sender_waits_for_the_slowest(start):
    tx, fast = broadcast(2, lossless=True)
    slow = tx.subscribe()

    async def send_all():
        return await tx.send_many(range(5))

    sending = start(send_all())
    await parked(tx, senders=1)
    assert await fast.recv_many(9) == [0, 1]
    with pytest.raises(SendError):
        tx.try_send("refused")
    assert [slow.try_recv() for _ in range(3)] == [0, 1, 2], (
        "a place that is free is filled by who waits for it"
    )
    assert await fast.recv_many(9) == [2, 3, 4]
    assert await sending == 5
    assert await listen_to(slow, 2) == [3, 4]


async def listen_to(rx, count):
    return [await rx.recv() for _ in range(count)]


async def test_lossless_a_waiting_subscriber_gets_what_a_slow_one_made_room_for(start):
    tx, fast = broadcast(1, lossless=True)
    slow = tx.subscribe()
    await tx.send(1)
    sending = start(send(tx, 2))
    await parked(tx, senders=1)
    assert await fast.recv() == 1
    waiting = start(receive(fast))
    await parked(fast, receivers=1)
    assert slow.try_recv() == 1
    assert await waiting == 2
    await sending


@pytest.mark.parametrize("how", ["close", "drop"])
async def test_lossless_a_subscriber_that_never_reads_blocks_until_it_is_gone(how, start):
    tx, reader = broadcast(1, lossless=True)
    never = tx.subscribe()
    listening = start(listen(reader))
    sending = start(send(tx, *range(4)))
    await parked(tx, senders=1)
    if how == "close":
        never.close()
    del never
    await sending
    tx.close()
    assert await listening == [0, 1, 2, 3]


async def test_lossless_all_that_a_subscriber_waits_for_comes_once_a_slow_one_is_gone(start):
    tx, slow = broadcast(1, lossless=True)
    fast = tx.subscribe()
    await tx.send(1)
    assert fast.try_recv() == 1
    waiting = [start(receive(fast)) for _ in range(3)]
    sending = [start(send(tx, value)) for value in (2, 3, 4)]
    await parked(fast, receivers=3, senders=3)
    slow.close()
    assert [await each for each in waiting] == [2, 3, 4]
    await asyncio.wait(sending)
    assert tx.stats().waiting_senders == tx.stats().buffered == 0


async def test_lossless_a_cancelled_sender_has_not_sent(start):
    tx, rx = broadcast(1, lossless=True)
    await tx.send(1)
    sending = start(send(tx, "not sent"))
    await parked(tx, senders=1)
    sending.cancel()
    await outcome(sending)
    assert tx.stats().waiting_senders == 0
    assert rx.try_recv() == 1
    with pytest.raises(RecvError):
        rx.try_recv()


async def test_lossless_a_selector_that_waits_to_send_is_told_of_room(start):
    tx, rx = broadcast(1, lossless=True)
    await tx.send(1)
    selector = Selector(tx.case(2))

    async def turn():
        return (await selector.next()).ok

    waiting = start(turn())
    await settle()
    assert rx.try_recv() == 1
    assert await waiting is True
    assert rx.try_recv() == 2


async def test_lossless_a_send_case_of_a_select_waits_for_room(start):
    tx, rx = broadcast(1, lossless=True)
    assert (await select(tx.case(1))).ok
    assert (await select(tx.case(2), default="full")).value == "full"

    async def choose():
        return await select(tx.case(2))

    waiting = start(choose())
    await parked(tx, senders=1)
    assert rx.try_recv() == 1
    assert (await waiting).ok
    assert rx.try_recv() == 2


# --- closing


async def test_closed_a_subscriber_gets_what_is_left_and_then_the_cause():
    tx, rx = broadcast(4)
    cause = ValueError("why")
    await send(tx, 1, 2)
    tx.close(cause)
    assert not rx.closed
    assert await rx.recv_many(9) == [1, 2]
    assert rx.closed
    await rx.wait_closed()
    for operation in (rx.recv(), rx.recv_many(1)):
        with pytest.raises(ChannelClosed) as caught:
            await operation
        assert caught.value.__cause__ is cause
        assert caught.value.channel is tx.channel
    assert await rx.recv_ok() == (None, False)


async def test_a_lag_comes_before_what_is_left_of_a_closed_channel():
    tx, rx = broadcast(2)
    await send(tx, *range(5))
    tx.close()
    with pytest.raises(Lagged):
        await rx.recv()
    assert await listen(rx) == [3, 4]


@pytest.mark.parametrize("how", ["close", "drop", "with"])
async def test_the_last_sender_wakes_waiting_subscribers(how, start):
    tx, first = broadcast(1)
    second = tx.subscribe()
    twin = tx.clone()
    waiting = [start(outcome(first.recv())), start(listen(second))]
    await parked(tx, receivers=2)
    tx.close()
    await settle()
    assert not any(each.done() for each in waiting), "there is another sender"
    if how == "close":
        twin.close()
    elif how == "with":
        with twin:
            pass
    del twin
    assert isinstance(await waiting[0], ChannelClosed)
    assert await waiting[1] == []


async def test_the_last_subscription_closes_the_channel_for_senders(start):
    tx, first = broadcast(1, lossless=True)
    second = tx.subscribe()
    await tx.send(1)
    sending = start(outcome(tx.send(2)))
    await parked(tx, senders=1)
    first.close()
    assert not tx.closed
    cause = KeyError("gone")
    second.close(cause)
    error = await sending
    assert isinstance(error, ChannelClosed) and error.__cause__ is cause
    assert tx.closed
    await tx.wait_closed()
    with pytest.raises(ChannelClosed):
        tx.subscribe()
    with pytest.raises(ChannelClosed):
        tx.clone()
    with pytest.raises(ChannelClosed):
        tx.try_send(3)


async def test_closing_a_subscription_wakes_what_waits_through_it_and_nobody_else(start):
    tx, first = broadcast(2)
    second = first.clone()
    waiting, other = start(outcome(first.recv())), start(receive(second))
    await parked(tx, receivers=2)
    first.close()
    assert isinstance(await waiting, ChannelClosed)
    await tx.send(1)
    assert await other == 1
    with pytest.raises(ChannelClosed):
        first.clone()


# --- select


async def test_select_over_two_subscriptions_of_one_channel_takes_from_one(start):
    tx, first = broadcast(4)
    second = tx.subscribe()

    async def choose():
        return await select(first, second)

    waiting = start(choose())
    await parked(first, receivers=1)
    await tx.send("value")
    chosen = await waiting
    assert chosen.value == "value" and chosen.ok
    left = second if chosen.source is first else first
    assert left.try_recv() == "value", "the other subscription still has it"
    assert (await select(first, second, default=None)).index == -1


async def test_a_selector_sees_every_value_of_every_subscription(start):
    tx, first = broadcast(8)
    second = tx.subscribe()
    selector = Selector(first, second)
    seen = {0: [], 1: []}

    async def follow():
        async for chosen in selector:
            if chosen.ok:
                seen[chosen.index].append(chosen.value)
            else:
                selector.remove(chosen.index)

    following = start(follow())
    await settle()
    await send(tx, *range(6))
    await settle()
    tx.close()
    await following
    assert seen == {0: list(range(6)), 1: list(range(6))}


async def test_a_lossy_send_is_always_ready_in_select():
    tx, rx = broadcast(1)
    for number in range(3):
        assert (await select(tx.case(number), default="never")).ok
    with pytest.raises(Lagged):
        rx.try_recv()
    assert rx.try_recv() == 2


# --- cancellation


async def test_a_cancelled_receive_has_taken_nothing(start):
    tx, rx = broadcast(2)
    waiting = start(receive(rx))
    await parked(rx, receivers=1)
    waiting.cancel()
    await outcome(waiting)
    assert rx.stats().waiting_receivers == 0
    await tx.send(1)
    assert await rx.recv() == 1


async def test_a_cancellation_after_the_hand_over_lets_the_value_through(start):
    tx, rx = broadcast(2)
    taken = []

    async def body():
        taken.append(await rx.recv())
        await asyncio.sleep(3600)

    waiting = start(body())
    await parked(rx, receivers=1)
    tx.try_send("kept")
    waiting.cancel()
    assert isinstance(await outcome(waiting), asyncio.CancelledError)
    assert taken == ["kept"]


async def test_a_value_that_a_coroutine_driven_by_hand_gives_up_is_first_again():
    tx, rx = broadcast(4)
    operation = rx.recv()
    while operation.send(None) is None:
        pass  # it gave way
    await send(tx, 1, 2)
    operation.close()
    assert [await rx.recv(), await rx.recv()] == [1, 2]


# --- what it looks like


async def test_ends_are_senders_and_receivers_of_one_channel():
    tx, rx = broadcast(3)
    assert isinstance(tx, Sender) and isinstance(rx, Receiver) and type(rx) is Subscription
    assert tx.channel is rx.channel is tx.clone().channel
    assert tx.capacity == rx.capacity == tx.channel.capacity == 3
    assert bool(tx) and bool(rx) and bool(tx.channel)
    assert broadcast(math.inf)[0].capacity == math.inf


async def test_stats_and_repr_tell_the_state(start):
    tx, first = broadcast(3)
    second = tx.subscribe()
    await send(tx, 1, 2)
    await first.recv()
    stats = second.stats()
    assert (stats.sent, stats.received, stats.buffered, stats.receivers, stats.senders) == (2, 1, 2, 2, 1)
    assert (len(first), len(second), len(tx)) == (1, 2, 2)
    assert "1/3 buffered" in repr(first) and "2/3 buffered" in repr(tx) and "receivers=2" in repr(tx.channel)
    await first.recv()
    waiting = start(receive(first))
    await parked(first, receivers=1)
    assert tx.stats().waiting_receivers == 1 and second.stats().waiting_receivers == 0
    assert "1 waiting to receive" in repr(tx)
    tx.close()
    await outcome(waiting)
    assert tx.stats().closed and "closed" in repr(second) and "closed" in repr(tx.channel)


async def test_the_channel_of_the_ends_tells_the_state(start):
    tx, rx = broadcast(2, lossless=True)
    await send(tx, 1, 2)
    assert len(tx.channel) == 2
    sending = start(send(tx, 3))
    await parked(tx, senders=1)
    assert repr(tx.channel).endswith(" 2 buffered, senders=1, receivers=1, 1 waiting to send>")
    assert await rx.recv_many(3) == [1, 2, 3]
    await sending
    assert len(rx.channel) == 0
    twin = rx.clone()
    rx.close()
    tx.try_send(4)
    assert (len(rx), rx.stats().receivers, len(twin)) == (0, 1, 1)


def test_a_batch_that_was_handed_over_is_fetched_though_its_subscription_was_closed():
    tx, rx = broadcast(2)
    other = tx.subscribe()
    operation = rx.recv_many(5)
    operation.send(None)
    tx.try_send(1)
    rx.close()
    tx.try_send(2)
    with pytest.raises(StopIteration) as fetched:
        operation.send(None)
    assert fetched.value.value == [1]
    assert other.try_recv() == 1


async def test_nonsense_is_refused():
    for capacity, error in (
        (0, ValueError),
        (-1, ValueError),
        (1.5, TypeError),
        ("1", TypeError),
        (True, TypeError),
    ):
        with pytest.raises(error):
            broadcast(capacity)
    for kind in (Subscription, type(broadcast(1)[0])):
        with pytest.raises(TypeError):
            kind()
        made = kind.__new__(kind)
        with pytest.raises(RuntimeError):
            made.clone() if kind is Subscription else made.subscribe()


async def test_unbounded_keeps_everything():
    tx, rx = broadcast(math.inf)
    second = rx.clone()
    await tx.send_many(range(1000))
    assert await rx.recv_many(2000) == list(range(1000))
    assert await listen_to(second, 1000) == list(range(1000))
    assert len(tx) == 0


# --- lifetime


def test_a_closed_channel_is_freed_without_the_collector():
    gc.disable()
    try:
        gone = []
        for lossless in (False, True):
            tx, rx = broadcast(2, lossless=lossless)
            value = Value()
            gone.append(weakref.ref(value))
            tx.try_send(value)
            gone.append(weakref.ref(rx))
            gone.append(weakref.ref(tx))
            del value, tx, rx
        assert [each() for each in gone] == [None] * 6
    finally:
        gc.enable()


def test_a_cycle_through_a_broadcast_is_collected():
    tx, rx = broadcast(4)
    value = Value()
    gone = weakref.ref(value)
    value.ends = tx, rx, tx.subscribe(), Selector(rx)
    tx.try_send(value)
    del value, tx, rx
    collect()
    assert gone() is None


async def test_a_value_whose_end_sends_again_does_no_harm():
    tx, rx = broadcast(1)

    class Vengeful:
        def __del__(self):
            tx.try_send("last words")

    tx.try_send(Vengeful())
    tx.try_send("next")
    assert rx.channel.stats().sent == 3
    with pytest.raises(Lagged):
        rx.try_recv()
    assert rx.try_recv() == "last words"


@pytest.mark.bodies("routine")
@pytest.mark.loops("stock")
async def test_a_routine_that_nothing_can_wake_is_reported_and_collected(start):
    tx, rx = broadcast(1)
    ended = []

    async def wait_for_ever(end, other):
        try:
            await end.recv()
        finally:
            ended.append(True)

    start(wait_for_ever(rx, tx))
    await parked(rx, receivers=1)
    del tx, rx
    with pytest.warns(ResourceWarning, match="Broadcast"):
        collect()
        await settle()
    assert ended == [True]


# --- what a collection does in between


@pytest.mark.parametrize("all_ends", [True, False])
@pytest.mark.parametrize("allocation", range(1, 9))
def test_a_subscription_to_a_channel_that_ends_while_it_is_made_is_closed(allocation, all_ends):
    tx, rx = broadcast(2)
    made = []

    def close():
        tx.close(LookupError("why"))
        if all_ends:
            rx.close()

    with collection_at(allocation, close):
        try:
            made.append(rx.clone())
        except ChannelClosed:
            pass
    tx.close()
    for late in made:
        assert late.closed
        with pytest.raises(ChannelClosed):
            late.try_recv()
        late.close()
    rx.close()
    assert tx.stats().receivers == 0


@pytest.mark.parametrize("allocation", range(1, 9))
def test_a_subscription_that_is_made_while_the_last_one_closes_the_channel_is_closed(allocation):
    tx, rx = broadcast(1, lossless=True)
    tx.try_send(1)
    sending = tx.send(2)
    sending.send(None)
    late = []

    def subscribe():
        try:
            late.append(tx.subscribe())
        except ChannelClosed:
            pass

    with collection_at(allocation, subscribe):
        rx.close()
    with pytest.raises(ChannelClosed if tx.closed else StopIteration):
        sending.send(None)
    assert tx.stats().receivers == len(late)
    for each in late:
        assert each.closed == tx.closed
        each.close()
    assert tx.closed
    assert tx.stats().receivers == 0
