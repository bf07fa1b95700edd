"""Sending and receiving: order, hand-over, and what each operation returns, at every capacity."""

import asyncio
import math

import pytest
from helpers import outcome, parked, settle, until

from routines import (
    Channel,
    ChannelClosed,
    Receiver,
    RecvError,
    Sender,
    SendError,
    channel,
    spawn,
    yield_now,
)

capacities = pytest.mark.parametrize("capacity", [0, 1, 64, math.inf])
bounded = pytest.mark.parametrize("capacity", [0, 1, 64])
buffered = pytest.mark.parametrize("capacity", [1, 64, math.inf])


async def send_all(tx, values):
    for value in values:
        await tx.send(value)
    tx.close()


async def receive_all(rx):
    return [value async for value in rx]


async def receive(rx):
    return await rx.recv()


async def send(tx, value):
    return await tx.send(value)


# --- making channels


def test_a_channel_is_unbuffered_by_default():
    tx, rx = channel()
    assert type(tx) is Sender
    assert type(rx) is Receiver
    assert tx.capacity == rx.capacity == 0


@capacities
def test_a_channel_knows_its_capacity(capacity):
    tx, rx = channel(capacity)
    assert tx.capacity == rx.capacity == tx.channel.capacity == capacity
    assert Channel(capacity).capacity == capacity


def test_capacity_may_be_given_by_name():
    assert channel(capacity=3)[0].capacity == 3
    assert Channel(capacity=3).capacity == 3


@pytest.mark.parametrize("make", [channel, Channel])
@pytest.mark.parametrize("capacity", [-1, -100])
def test_a_negative_capacity_is_a_value_error(make, capacity):
    with pytest.raises(ValueError, match=str(capacity)):
        make(capacity)


@pytest.mark.parametrize("make", [channel, Channel])
@pytest.mark.parametrize("capacity", [1.5, 3.0, "1", None, [1], object(), 1j])
def test_a_capacity_that_is_no_int_is_a_type_error(make, capacity):
    with pytest.raises(TypeError):
        make(capacity)


@pytest.mark.parametrize("capacity", [math.nan, -math.inf])
def test_infinity_is_the_only_float_that_is_a_capacity(capacity):
    with pytest.raises((TypeError, ValueError)):
        channel(capacity)


def test_an_enormous_capacity_costs_nothing_until_it_is_used():
    tx, rx = channel(2**62)
    tx.try_send(1)
    assert rx.try_recv() == 1
    try:
        tx, rx = channel(10**30)
    except (ValueError, OverflowError):
        return
    tx.try_send(1)
    assert rx.try_recv() == 1


def test_a_channel_can_be_made_and_used_without_a_loop():
    tx, rx = channel(2)
    tx.try_send(1)
    assert rx.try_recv() == 1
    tx.close()
    assert rx.closed


# --- order


@capacities
async def test_values_arrive_in_the_order_they_were_sent(capacity, start):
    tx, rx = channel(capacity)
    sending = start(send_all(tx, range(500)))
    assert await start(receive_all(rx)) == list(range(500))
    await sending


@bounded
async def test_waiting_senders_are_served_in_the_order_they_came(capacity, start):
    tx, rx = channel(capacity)
    for value in range(capacity):
        tx.try_send(value)
    sending = [start(send(tx, capacity + number)) for number in range(20)]
    await parked(tx, senders=20)
    assert [await rx.recv() for _ in range(capacity + 20)] == list(range(capacity + 20))
    await asyncio.gather(*sending)


@capacities
async def test_waiting_receivers_are_served_in_the_order_they_came(capacity, start):
    tx, rx = channel(capacity)
    receiving = [start(receive(rx)) for _ in range(20)]
    await parked(rx, receivers=20)
    for value in range(20):
        await tx.send(value)
    assert await asyncio.gather(*receiving) == list(range(20))


async def test_routines_and_plain_tasks_wait_in_one_line():
    tx, rx = channel()
    receiving = []
    for number in range(20):
        make = spawn if number % 2 else asyncio.Task
        receiving.append(make(receive(rx)))
        await parked(rx, receivers=number + 1)
    for value in range(20):
        await tx.send(value)
    assert await asyncio.gather(*receiving) == list(range(20))


@bounded
async def test_a_late_sender_does_not_overtake_a_waiting_one(capacity, start):
    tx, rx = channel(capacity)
    for value in range(capacity):
        tx.try_send(value)
    waiting = start(send(tx, "first"))
    await parked(tx, senders=1)
    with pytest.raises(SendError):
        tx.try_send("overtaker")
    if capacity:
        assert rx.try_recv() == 0
        # The freed slot is the waiting sender's.
        with pytest.raises(SendError):
            tx.try_send("overtaker")
        rest = [rx.try_recv() for _ in range(capacity)]
        assert rest == [*range(1, capacity), "first"]
    else:
        assert rx.try_recv() == "first"
    await waiting


async def test_nobody_takes_a_value_between_hand_over_and_wake_up(start):
    tx, rx = channel()
    waiting = start(receive(rx))
    await parked(rx, receivers=1)
    tx.try_send("for the waiting one")
    with pytest.raises(RecvError):
        rx.try_recv()
    assert await waiting == "for the waiting one"


async def test_an_unbuffered_send_completes_only_when_the_value_is_taken(start):
    tx, rx = channel()
    sending = start(send(tx, 1))
    await settle()
    assert not sending.done()
    assert tx.stats().sent == 0
    assert await rx.recv() == 1
    await sending
    assert tx.stats().sent == 1


async def test_a_buffered_send_completes_at_once_while_there_is_room():
    tx, rx = channel(2)
    await tx.send(1)
    await tx.send(2)
    assert len(rx) == 2
    sending = spawn(send(tx, 3))
    await parked(tx, senders=1)
    assert len(rx) == 2
    assert await rx.recv() == 1
    await sending
    assert len(rx) == 2


async def test_an_unbounded_channel_never_blocks_a_sender():
    tx, rx = channel(math.inf)
    for value in range(10_000):
        await tx.send(value)
    assert len(rx) == 10_000
    assert await rx.recv_many(20_000) == list(range(10_000))


@capacities
async def test_send_returns_none(capacity, start):
    tx, rx = channel(capacity)
    sending = start(send(tx, "value"))
    assert await rx.recv() == "value"
    assert await sending is None


@capacities
async def test_any_object_is_a_value(capacity, start):
    values = [
        None, False, 0, 1.5, (), (1, 2), [], "", StopIteration(3), StopIteration, KeyError("key"),
        KeyError, NotImplemented, ..., asyncio.get_running_loop().create_future(), range, 2**80,
        asyncio.CancelledError(), GeneratorExit(), StopAsyncIteration(), float("nan"),
    ]  # fmt: skip
    tx, rx = channel(capacity)
    values += [tx, rx, channel]

    async def send_each():
        for value in values:
            await tx.send(value)

    async def receive_each():
        await yield_now()
        return [await rx.recv() for _ in values]

    sending = start(send_each())
    received = await start(receive_each())
    await sending
    assert len(received) == len(values)
    assert all(ours is theirs for ours, theirs in zip(values, received, strict=True))


@capacities
async def test_any_object_passes_through_every_way_of_receiving(capacity, start):
    values = [None, (), (1,), StopIteration(3), StopIteration, StopAsyncIteration(), KeyError("key")]
    tx, rx = channel(capacity)

    async def send_each(times):
        for _ in range(times):
            for value in values:
                await tx.send(value)

    sending = start(send_each(4))
    assert [await rx.recv_ok() for _ in values] == [(value, True) for value in values]
    got = []
    async for value in rx:
        got.append(value)
        if len(got) == len(values):
            break
    assert got == values
    got = []
    while len(got) < len(values):
        got += await rx.recv_many(len(values) - len(got))
    assert got == values
    got = []
    while len(got) < len(values):
        try:
            got.append(rx.try_recv())
        except RecvError:
            await yield_now()
    assert got == values
    await sending


# --- try_send and try_recv


def test_try_send_on_an_unbuffered_channel_needs_somebody_receiving():
    tx, _rx = channel()
    with pytest.raises(SendError):
        tx.try_send(1)


async def test_try_send_hands_over_to_a_waiting_receiver(start):
    tx, rx = channel()
    receiving = start(receive(rx))
    await parked(rx, receivers=1)
    assert tx.try_send(1) is None
    with pytest.raises(SendError):
        tx.try_send(2)
    assert await receiving == 1


def test_try_send_fills_the_buffer_and_no_more():
    tx, rx = channel(3)
    for value in range(3):
        tx.try_send(value)
    with pytest.raises(SendError):
        tx.try_send(3)
    assert [rx.try_recv() for _ in range(3)] == [0, 1, 2]
    with pytest.raises(RecvError):
        rx.try_recv()


async def test_try_recv_takes_from_a_waiting_sender(start):
    tx, rx = channel()
    sending = start(send(tx, "parked"))
    await parked(tx, senders=1)
    assert rx.try_recv() == "parked"
    await sending


async def test_try_recv_from_a_full_buffer_lets_the_next_sender_in(start):
    tx, rx = channel(1)
    tx.try_send(1)
    sending = start(send(tx, 2))
    await parked(tx, senders=1)
    assert rx.try_recv() == 1
    assert len(rx) == 1
    assert rx.try_recv() == 2
    await sending


def test_the_errors_of_try_name_the_channel():
    tx, rx = channel(1)
    with pytest.raises(RecvError) as empty:
        rx.try_recv()
    tx.try_send(1)
    with pytest.raises(SendError) as full:
        tx.try_send(2)
    assert repr(rx.channel) in str(full.value)
    assert full.value.channel is not None
    assert empty.value.channel is not None
    assert "hannel" in str(empty.value)


# --- recv_ok and iteration


@capacities
async def test_recv_ok_tells_a_value_from_the_end(capacity, start):
    tx, rx = channel(capacity)
    sending = start(send_all(tx, [None, 0]))
    assert await rx.recv_ok() == (None, True)
    assert await rx.recv_ok() == (0, True)
    assert await rx.recv_ok() == (None, False)
    assert await rx.recv_ok() == (None, False)
    await sending


@capacities
async def test_iteration_ends_when_closed_and_drained(capacity, start):
    tx, rx = channel(capacity)
    receiving = start(receive_all(rx))
    await start(send_all(tx, range(10)))
    assert await receiving == list(range(10))
    assert await receive_all(rx) == [], "an ended iteration stays ended"


async def test_iteration_can_be_left_and_taken_up_again():
    tx, rx = channel(4)
    for value in range(4):
        tx.try_send(value)
    tx.close()
    async for value in rx:
        assert value == 0
        break
    assert await receive_all(rx) == [1, 2, 3]


async def test_several_iterations_over_one_receiver_share_the_values(start):
    tx, rx = channel()
    receiving = [start(receive_all(rx)) for _ in range(3)]
    await start(send_all(tx, range(30)))
    shares = await asyncio.gather(*receiving)
    assert sorted(value for share in shares for value in share) == list(range(30))


async def test_anext_receives_and_stops_at_the_end():
    tx, rx = channel(1)
    tx.try_send("value")
    tx.close()
    assert await anext(rx) == "value"
    assert await anext(rx, "default") == "default"
    with pytest.raises(StopAsyncIteration):
        await anext(rx)


async def test_a_receiver_is_its_own_iterator_or_makes_one():
    tx, rx = channel(2)
    tx.try_send(1)
    iterator = aiter(rx)
    assert await anext(iterator) == 1
    tx.close()
    with pytest.raises(StopAsyncIteration):
        await anext(iterator)


# --- operations as awaitables


async def test_an_operation_can_be_awaited_once_only():
    tx, rx = channel(4)
    operation = tx.send(1)
    await operation
    with pytest.raises(RuntimeError, match="already awaited"):
        await operation
    assert len(rx) == 1

    receiving = rx.recv()
    assert await receiving == 1
    with pytest.raises(RuntimeError, match="already awaited"):
        await receiving


async def test_an_operation_stays_used_when_its_end_has_made_others_since():
    tx, rx = channel(8)
    used = [tx.send(1), tx.send(2)]
    for operation in used:
        await operation
    for number in range(3):
        await tx.send(number)
    for operation in used:
        with pytest.raises(RuntimeError, match="already awaited"):
            await operation
    assert len(rx) == 5
    taken = rx.recv()
    await taken
    await rx.recv()
    with pytest.raises(RuntimeError, match="already awaited"):
        await taken
    assert len(rx) == 3


async def test_an_operation_awaited_by_two_is_refused_to_the_second(start):
    tx, rx = channel()
    operation = rx.recv()

    async def wait():
        return await operation

    first = start(wait())
    await parked(rx, receivers=1)
    second = start(wait())
    assert isinstance(await outcome(second), RuntimeError)
    tx.try_send("for the first")
    assert await first == "for the first"


async def test_an_operation_does_nothing_until_it_is_awaited():
    tx, rx = channel(1)
    operation = tx.send("later")
    assert len(rx) == 0
    await settle()
    assert tx.stats().sent == 0
    await operation
    assert rx.try_recv() == "later"


async def test_operations_may_be_held_and_awaited_in_any_order():
    tx, rx = channel(3)
    operations = [tx.send(number) for number in range(3)]
    for operation in reversed(operations):
        await operation
    assert [rx.try_recv() for _ in range(3)] == [2, 1, 0]


async def test_an_operation_may_be_awaited_by_another_than_its_maker(start):
    tx, rx = channel()
    operation = rx.recv()

    async def wait():
        return await operation

    receiving = start(wait())
    await tx.send("passed on")
    assert await receiving == "passed on"


async def test_an_operation_works_through_a_generator_based_awaitable(start):
    tx, rx = channel()

    class Wrapped:
        def __await__(self):
            value = yield from rx.recv().__await__()
            return value * 2

    async def wait():
        return await Wrapped()

    receiving = start(wait())
    await tx.send(21)
    assert await receiving == 42


async def test_a_woken_receiver_can_park_again_at_once(start):
    tx, rx = channel()

    async def receive_three():
        return [await rx.recv() for _ in range(3)]

    receiving = start(receive_three())
    for value in range(3):
        await tx.send(value)
    assert await receiving == [0, 1, 2]


async def test_one_routine_may_send_to_itself_through_a_buffer(start):
    async def talk_to_oneself():
        tx, rx = channel(1)
        for value in range(300):
            await tx.send(value)
            assert await rx.recv() == value
        return "done"

    assert await start(talk_to_oneself()) == "done"


@capacities
async def test_many_producers_and_consumers_lose_and_double_nothing(capacity, start):
    tx, rx = channel(capacity)

    async def produce(own, number):
        with own:
            for value in range(50):
                await own.send((number, value))

    producing = [start(produce(tx.clone(), number)) for number in range(10)]
    tx.close()
    shares = await asyncio.gather(*(start(receive_all(rx.clone())) for _ in range(7)))
    await asyncio.gather(*producing)
    received = [value for share in shares for value in share]
    assert sorted(received) == [(n, value) for n in range(10) for value in range(50)]
    for share in shares:
        for number in range(10):
            own = [value for source, value in share if source == number]
            assert own == sorted(own), "one consumer sees one producer's values in order"


async def test_a_pipeline_of_a_hundred_stages_passes_values_in_order():
    async def stage(rx, tx):
        async with tx:
            async for value in rx:
                await tx.send(value + 1)

    first, rx = channel()
    for _ in range(100):
        tx, further = channel()
        spawn(stage(rx, tx))
        rx = further
    spawn(send_all(first, range(20)))
    del tx
    assert await receive_all(rx) == [value + 100 for value in range(20)]


@pytest.mark.parametrize("method", ["try_send", "send", "close"])
async def test_wrong_calls_are_type_errors(method):
    tx, _rx = channel(1)
    with pytest.raises(TypeError):
        getattr(tx, method)(1, 2, 3)
    assert len(tx) == 0


async def test_closing_in_the_middle_of_everything_ends_everybody(start):
    tx, rx = channel()
    waiting = [start(receive(rx)) for _ in range(5)]
    await parked(rx, receivers=5)
    tx.close()
    await until(lambda: all(each.done() for each in waiting))
    assert all(isinstance(each.exception(), ChannelClosed) for each in waiting)


async def test_an_operation_that_somebody_has_kept_is_not_used_again():
    tx, rx = channel(4)
    sending, receiving = tx.send(1), rx.recv()
    await sending
    assert await receiving == 1
    again, other = tx.send(2), rx.recv()
    assert again is not sending
    assert other is not receiving
    await again
    assert await other == 2
