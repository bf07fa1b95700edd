"""`send_many`, `recv_many` and `batches`: many values under one wake-up."""

import asyncio
import math

import pytest
from helpers import outcome, parked, settle, until

from routines import ChannelClosed, channel, spawn, yield_now

capacities = pytest.mark.parametrize("capacity", [0, 1, 64, math.inf])
bounded = pytest.mark.parametrize("capacity", [0, 1, 64])


async def send(tx, value):
    return await tx.send(value)


async def send_many(tx, values):
    return await tx.send_many(values)


async def receive(rx):
    return await rx.recv()


async def receive_many(rx, most):
    return await rx.recv_many(most)


async def receive_all(rx):
    return [value async for value in rx]


# --- send_many


@capacities
async def test_send_many_sends_all_in_order_and_returns_how_many(capacity, start):
    tx, rx = channel(capacity)
    sending = start(send_many(tx, range(300)))
    assert [await rx.recv() for _ in range(300)] == list(range(300))
    assert await sending == 300


@pytest.mark.parametrize("values", [[], (), range(0), iter([]), ""])
async def test_send_many_of_nothing_sends_nothing(values):
    tx, _rx = channel()
    assert await tx.send_many(values) == 0
    assert tx.stats().sent == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: [1, 2, 3],
        lambda: (1, 2, 3),
        lambda: range(1, 4),
        lambda: {1: "a", 2: "b", 3: "c"},
        lambda: (number for number in (1, 2, 3)),
        lambda: map(int, "123"),
    ],
    ids=["list", "tuple", "range", "dict", "generator", "map"],
)
async def test_send_many_takes_any_iterable(make):
    tx, rx = channel(3)
    assert await tx.send_many(make()) == 3
    assert [rx.try_recv() for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize("what", [None, 42, object()])
async def test_send_many_of_what_is_no_iterable_is_a_type_error(what):
    tx, _rx = channel(3)
    with pytest.raises(TypeError):
        await tx.send_many(what)
    assert len(tx) == 0


@bounded
async def test_send_many_fills_the_buffer_and_then_waits(capacity, start):
    tx, rx = channel(capacity)
    sending = start(send_many(tx, range(capacity + 10)))
    await parked(tx, senders=1)
    assert len(rx) == capacity
    assert tx.stats().sent == capacity
    assert not sending.done()
    assert [await rx.recv() for _ in range(capacity + 10)] == list(range(capacity + 10))
    assert await sending == capacity + 10


async def test_send_many_serves_waiting_receivers_first_in_first_out(start):
    tx, rx = channel()
    receiving = [start(receive(rx)) for _ in range(5)]
    await parked(rx, receivers=5)
    assert await tx.send_many("abcde") == 5
    assert await asyncio.gather(*receiving) == list("abcde")


async def test_send_many_into_an_unbounded_channel_does_not_wait():
    tx, rx = channel(math.inf)
    assert await tx.send_many(range(100)) == 100
    assert len(rx) == 100


@bounded
async def test_a_batch_waits_in_line_behind_earlier_senders(capacity, start):
    tx, rx = channel(capacity)
    for value in range(capacity):
        tx.try_send(value)
    sending = [start(send(tx, "one"))]
    await parked(tx, senders=1)
    sending.append(start(send_many(tx, ["two", "three"])))
    await parked(tx, senders=2)
    sending.append(start(send(tx, "four")))
    await parked(tx, senders=3)
    received = [await rx.recv() for _ in range(capacity + 4)]
    assert received == [*range(capacity), "one", "two", "three", "four"]
    assert await asyncio.gather(*sending) == [None, 2, None]


async def test_a_cancelled_send_many_has_sent_a_prefix(start):
    tx, rx = channel(2)
    sending = start(send_many(tx, range(10)))
    await parked(tx, senders=1)
    assert await rx.recv() == 0
    await parked(tx, senders=1)
    sending.cancel()
    assert isinstance(await outcome(sending), asyncio.CancelledError)
    assert tx.stats().waiting_senders == 0
    rest = await rx.recv_many(100)
    assert rest == list(range(1, 1 + len(rest)))
    assert tx.stats().sent == 1 + len(rest)
    assert len(rest) == 2


async def test_a_cancelled_unbuffered_send_many_has_sent_what_was_taken(start):
    tx, rx = channel()
    sending = start(send_many(tx, range(10)))
    taken = [await rx.recv() for _ in range(4)]
    await parked(tx, senders=1)
    sending.cancel()
    assert isinstance(await outcome(sending), asyncio.CancelledError)
    assert taken == [0, 1, 2, 3]
    stats = tx.stats()
    assert (stats.sent, stats.received, stats.waiting_senders, stats.buffered) == (4, 4, 0, 0)


async def test_closing_tells_send_many_how_many_went(start):
    tx, rx = channel(3)
    sending = start(send_many(tx, range(10)))
    await parked(tx, senders=1)
    assert await rx.recv() == 0
    await parked(tx, senders=1)
    rx.close()
    error = await outcome(sending)
    assert isinstance(error, ChannelClosed)
    assert error.sent == 4


async def test_send_many_on_a_closed_channel_says_that_none_went():
    tx, rx = channel(3)
    rx.close()
    with pytest.raises(ChannelClosed) as caught:
        await tx.send_many([1, 2])
    assert caught.value.sent == 0


async def test_send_has_no_count_on_its_error():
    tx, rx = channel(3)
    rx.close()
    with pytest.raises(ChannelClosed) as caught:
        await tx.send(1)
    assert not caught.value.sent


async def test_a_huge_send_many_gives_way():
    tx, rx = channel(math.inf)
    ticks = []
    running = [True]

    async def tick():
        while running:
            ticks.append(len(rx))
            await yield_now()

    ticking = spawn(tick())
    await yield_now()

    async def send_a_lot():
        return await tx.send_many(range(200_000))

    assert await spawn(send_a_lot()) == 200_000
    running.clear()
    await ticking
    under_way = [seen for seen in ticks if 0 < seen < 200_000]
    assert len(under_way) >= 10, "others ran while it was under way"
    assert await rx.recv_many(10**6) == list(range(200_000))


async def test_a_huge_send_many_lets_plain_tasks_and_timers_run(start):
    tx, rx = channel(math.inf)
    fired = []
    asyncio.get_running_loop().call_later(0.001, lambda: fired.append(len(rx)))

    sending = start(send_many(tx, range(1_000_000)))
    await until(lambda: fired)
    assert fired[0] < 1_000_000
    sending.cancel()
    await asyncio.wait([sending])
    rest = await rx.recv_many(10**7)
    assert rest == list(range(len(rest)))


async def test_an_endless_send_many_can_be_stopped(start):
    import itertools

    tx, rx = channel(4)
    sending = start(send_many(tx, itertools.count()))
    assert [await rx.recv() for _ in range(1000)] == list(range(1000))
    rx.close()
    error = await outcome(sending)
    assert isinstance(error, ChannelClosed)
    assert error.sent >= 1000


async def test_an_iterable_that_fails_has_sent_a_prefix(start):
    tx, rx = channel(10)

    def stumble():
        yield 0
        yield 1
        raise LookupError("in the iterable")

    assert isinstance(await outcome(start(send_many(tx, stumble()))), LookupError)
    rest = [rx.try_recv() for _ in range(len(rx))]
    assert rest == list(range(len(rest)))
    await tx.send("usable")
    assert await rx.recv() == "usable"
    assert tx.stats().waiting_senders == 0


async def test_an_iterable_that_fails_after_the_batch_parked_leaves_no_waiter(start):
    tx, rx = channel(1)

    def stumble():
        yield 0
        yield 1
        yield 2
        raise LookupError("in the iterable")

    sending = start(send_many(tx, stumble()))
    got = []
    await until(lambda: len(rx) or sending.done())
    while not sending.done() or len(rx):
        if len(rx):
            got.append(await rx.recv())
        await settle(2)
    assert isinstance(sending.exception(), LookupError)
    assert got == list(range(len(got)))
    assert tx.stats().waiting_senders == 0


async def test_an_iterable_may_use_its_own_channel(start):
    tx, rx = channel(4)
    seen = []

    def meddle():
        for number in range(8):
            while len(rx):
                seen.append(rx.try_recv())
            yield number

    sending = start(send_many(tx, meddle()))
    await settle()
    while not sending.done() or len(rx):
        seen.append(await rx.recv())
        await settle()
    assert await sending == 8
    assert seen == list(range(8))


async def test_an_iterable_that_closes_its_channel_ends_the_batch():
    tx, rx = channel(10)

    def cut():
        yield 0
        yield 1
        rx.close()
        yield 2

    with pytest.raises(ChannelClosed) as caught:
        await tx.send_many(cut())
    assert caught.value.sent <= 2
    assert tx.closed


async def test_an_iterable_that_sends_on_its_own_channel_breaks_nothing():
    tx, rx = channel(10)

    def meddle():
        for number in range(3):
            tx.try_send(("inner", number))
            yield ("outer", number)

    assert await tx.send_many(meddle()) == 3
    received = [rx.try_recv() for _ in range(len(rx))]
    assert [value for kind, value in received if kind == "inner"] == [0, 1, 2]
    assert [value for kind, value in received if kind == "outer"] == [0, 1, 2]


async def test_an_iterable_that_parks_another_sender_or_cancels_us_breaks_nothing(start):
    tx, rx = channel(2)

    def meddle():
        yield 0
        sending.cancel()
        yield 1
        yield 2
        yield 3

    sending = start(send_many(tx, meddle()))
    await settle()
    got = []
    while not sending.done() or len(rx):
        if len(rx):
            got.append(rx.try_recv())
        await settle(2)
    await asyncio.wait([sending])
    assert got == list(range(len(got)))
    assert tx.stats().waiting_senders == 0


# --- recv_many


@pytest.mark.parametrize("capacity", [64, math.inf])
async def test_recv_many_takes_all_that_is_there(capacity):
    tx, rx = channel(capacity)
    await tx.send_many(range(10))
    assert await rx.recv_many(100) == list(range(10))
    assert len(rx) == 0


@pytest.mark.parametrize("capacity", [64, math.inf])
async def test_recv_many_takes_no_more_than_asked(capacity):
    tx, rx = channel(capacity)
    await tx.send_many(range(10))
    assert await rx.recv_many(4) == [0, 1, 2, 3]
    assert await rx.recv_many(1) == [4]
    assert await rx.recv_many(100) == [5, 6, 7, 8, 9]


@bounded
async def test_recv_many_takes_the_values_of_parked_senders_too(capacity, start):
    tx, rx = channel(capacity)
    for value in range(capacity):
        tx.try_send(value)
    sending = [start(send(tx, capacity + number)) for number in range(10)]
    await parked(tx, senders=10)
    assert await rx.recv_many(1000) == list(range(capacity + 10))
    await asyncio.gather(*sending)
    stats = rx.stats()
    assert (stats.waiting_senders, stats.buffered) == (0, 0)
    assert (stats.sent, stats.received) == (capacity + 10, capacity + 10)


@bounded
async def test_recv_many_takes_only_as_many_parked_values_as_asked(capacity, start):
    tx, rx = channel(capacity)
    for value in range(capacity):
        tx.try_send(value)
    sending = [start(send(tx, capacity + number)) for number in range(10)]
    await parked(tx, senders=10)
    assert await rx.recv_many(capacity + 3) == list(range(capacity + 3))
    assert await rx.recv_many(1000) == list(range(capacity + 3, capacity + 10))
    await asyncio.gather(*sending)


@bounded
async def test_recv_many_takes_a_parked_batch_too(capacity, start):
    tx, rx = channel(capacity)
    sending = start(send_many(tx, range(capacity + 50)))
    await parked(tx, senders=1)
    got = await rx.recv_many(capacity + 1)
    assert got == list(range(len(got)))
    assert len(got) >= 1
    while len(got) < capacity + 50:
        got += await rx.recv_many(1000)
    assert got == list(range(capacity + 50))
    assert await sending == capacity + 50


@capacities
async def test_recv_many_waits_for_at_least_one(capacity, start):
    tx, rx = channel(capacity)
    receiving = start(receive_many(rx, 10))
    await parked(rx, receivers=1)
    await tx.send("first")
    assert await receiving == ["first"]


@capacities
async def test_values_and_batches_to_batches_keep_their_order(capacity, start):
    tx, rx = channel(capacity)

    async def produce():
        number = 0
        for size in (1, 5, 2, 100, 3, 64, 1):
            if size == 1:
                await tx.send(number)
            else:
                await tx.send_many(range(number, number + size))
            number += size
        tx.close()
        return number

    async def consume():
        got = []
        sizes = iter([1, 2, 3, 7, 50, 100, 1000] * 100)
        while True:
            try:
                most = next(sizes)
                batch = await rx.recv_many(most)
            except ChannelClosed:
                return got
            assert 1 <= len(batch) <= most
            got += batch

    producing = start(produce())
    got = await start(consume())
    assert got == list(range(await producing))


async def test_recv_many_of_a_closed_channel_takes_the_rest_and_then_raises():
    tx, rx = channel(8)
    await tx.send_many(range(5))
    tx.close()
    assert await rx.recv_many(3) == [0, 1, 2]
    assert await rx.recv_many(3) == [3, 4]
    with pytest.raises(ChannelClosed):
        await rx.recv_many(3)


@pytest.mark.parametrize("most", [0, -1])
async def test_recv_many_of_less_than_one_is_a_value_error(most):
    tx, rx = channel(1)
    tx.try_send(1)
    with pytest.raises(ValueError):
        await rx.recv_many(most)
    with pytest.raises(ValueError):
        async for _ in rx.batches(most):
            pass
    assert len(rx) == 1


@pytest.mark.parametrize("most", [None, "3", 1.5, object()])
async def test_recv_many_of_no_number_is_a_type_error(most):
    tx, rx = channel(1)
    tx.try_send(1)
    with pytest.raises(TypeError):
        await rx.recv_many(most)
    with pytest.raises(TypeError):
        async for _ in rx.batches(most):
            pass
    assert len(rx) == 1


async def test_recv_many_of_more_than_there_can_ever_be_takes_all():
    tx, rx = channel(4)
    for most in (10**12, 2**62, 2**70):
        await tx.send_many(range(4))
        assert await rx.recv_many(most) == [0, 1, 2, 3]


async def test_a_parked_recv_many_that_is_cancelled_leaves_no_waiter(start):
    tx, rx = channel(4)
    receiving = start(receive_many(rx, 10))
    await parked(rx, receivers=1)
    receiving.cancel()
    assert isinstance(await outcome(receiving), asyncio.CancelledError)
    await tx.send_many([1, 2])
    assert await rx.recv_many(10) == [1, 2]


async def test_each_result_of_recv_many_is_a_list_of_its_own():
    tx, rx = channel(4)
    await tx.send_many([1, 2])
    first = await rx.recv_many(10)
    first.append("mine")
    await tx.send_many([3])
    assert await rx.recv_many(10) == [3]
    assert first == [1, 2, "mine"]


# --- batches


@capacities
async def test_batches_end_when_closed_and_drained(capacity, start):
    tx, rx = channel(capacity)

    async def consume():
        return [batch async for batch in rx.batches(7)]

    consuming = start(consume())
    await tx.send_many(range(100))
    tx.close()
    batches = await consuming
    assert all(1 <= len(batch) <= 7 for batch in batches)
    assert [value for batch in batches for value in batch] == list(range(100))


async def test_batches_of_a_full_buffer_are_full():
    tx, rx = channel(10)
    await tx.send_many(range(10))
    tx.close()
    assert [batch async for batch in rx.batches(4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


async def test_batches_can_be_left_and_nothing_is_lost():
    tx, rx = channel(10)
    await tx.send_many(range(10))
    async for batch in rx.batches(3):
        assert batch == [0, 1, 2]
        break
    assert await rx.recv_many(100) == list(range(3, 10))


async def test_a_cancelled_batches_loop_leaves_no_waiter(start):
    tx, rx = channel()

    async def consume():
        async for _ in rx.batches(3):
            pass

    consuming = start(consume())
    await parked(rx, receivers=1)
    consuming.cancel()
    assert isinstance(await outcome(consuming), asyncio.CancelledError)
    assert tx.stats().waiting_receivers == 0


async def test_unused_batches_are_silent():
    _tx, rx = channel()
    rx.batches(3)


async def test_a_batch_does_not_starve_single_receivers(start):
    tx, rx = channel()
    single = start(receive(rx))
    await parked(rx, receivers=1)
    many = start(receive_many(rx, 100))
    await parked(rx, receivers=2)
    sending = start(send_many(tx, range(5)))
    assert await single == 0
    got = await many
    while len(got) < 4:
        got += await rx.recv_many(100)
    assert got == [1, 2, 3, 4]
    assert await sending == 5
