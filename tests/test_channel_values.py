"""Values are the users' objects: hostile ones, cyclic ones, and what becomes of them."""

import asyncio
import gc
import math
import sys
import weakref

import pytest
from helpers import Value, collect, outcome, parked, recorded_warnings, settle, until

from routines import Channel, RecvError, SendError, channel, spawn


async def receive(rx):
    return await rx.recv()


async def send(tx, value):
    return await tx.send(value)


class unraisable_errors:
    """Collects what would be printed as "Exception ignored in"."""

    def __enter__(self):
        self.kinds = []
        self._hook = sys.unraisablehook
        sys.unraisablehook = lambda unraisable: self.kinds.append(unraisable.exc_type)
        return self.kinds

    def __exit__(self, *exc_info):
        sys.unraisablehook = self._hook


class Stubborn:
    """Raises when it is deleted."""

    def __del__(self):
        raise ZeroDivisionError


class Meddler:
    """Uses the channel it is in when it is deleted."""

    def __init__(self, tx, rx, log):
        self.ends = tx, rx
        self.log = log

    def __del__(self):
        tx, rx = self.ends
        for use in (
            lambda: tx.try_send("from __del__"),
            rx.try_recv,
            tx.stats,
            lambda: len(rx),
            lambda: repr(tx),
            tx.clone,
            rx.clone,
        ):
            try:
                self.log.append(use())
            except Exception as error:
                self.log.append(error)


# --- values that raise or meddle when they go


def test_a_value_whose_del_raises_does_no_harm_when_its_channel_goes():
    tx, rx = channel(4)
    for _ in range(4):
        tx.try_send(Stubborn())
    with unraisable_errors() as kinds:
        del tx, rx
        collect()
    assert kinds == [ZeroDivisionError] * 4


def test_a_value_whose_del_raises_does_no_harm_when_the_receiver_closes():
    tx, rx = channel(4)
    for _ in range(4):
        tx.try_send(Stubborn())
    with unraisable_errors() as kinds:
        rx.close()
    assert kinds == [ZeroDivisionError] * 4
    assert tx.closed
    assert len(tx) == 0


async def test_a_value_whose_del_raises_does_no_harm_while_it_is_parked(start):
    tx, rx = channel()
    sending = start(send(tx, Stubborn()))
    await parked(tx, senders=1)
    with unraisable_errors() as kinds:
        sending.cancel()
        assert isinstance(await outcome(sending), asyncio.CancelledError)
        del sending
        await settle()
        collect()
    assert kinds == [ZeroDivisionError]
    assert tx.stats().waiting_senders == 0


@pytest.mark.parametrize("capacity", [1, 4, math.inf])
def test_a_value_that_uses_its_channel_while_it_goes_breaks_nothing(capacity):
    tx, rx = channel(capacity)
    log = []
    tx.try_send(Meddler(tx, rx, log))
    del [rx.try_recv()][:]
    assert log
    log.clear()
    while True:
        try:
            rx.try_recv()
        except RecvError:
            break
    tx.try_send("usable")
    assert rx.try_recv() == "usable"


def test_values_that_use_their_channel_while_it_is_closed_break_nothing():
    tx, rx = channel(8)
    log = []
    for _ in range(8):
        tx.try_send(Meddler(tx, rx, log))
    rx.close()
    assert len(log) == 8 * 7
    assert tx.closed
    log.clear()
    assert len(tx) == 0


def test_values_that_use_their_channel_while_it_is_collected_break_nothing():
    tx, rx = channel(8)
    log = []
    for _ in range(8):
        tx.try_send(Meddler(tx, rx, log))
    del tx, rx
    collect()
    assert len(log) == 8 * 7
    log.clear()
    collect()


async def test_values_dropped_by_a_cancelled_batch_may_use_the_channel(start):
    tx, rx = channel(2)
    log = []

    async def send_many():
        await tx.send_many([Meddler(tx, rx, log) for _ in range(10)])

    sending = start(send_many())
    await parked(tx, senders=1)
    sending.cancel()
    assert isinstance(await outcome(sending), asyncio.CancelledError)
    del sending
    await settle()
    collect()
    assert log
    assert tx.stats().waiting_senders == 0
    rx.close()
    log.clear()


async def test_a_value_that_spawns_and_sends_while_it_goes():
    tx, rx = channel(4)
    got = []

    class Herald:
        def __del__(self):
            spawn(send(tx, "the last word"))

    other_tx, other_rx = channel(1)
    other_tx.try_send(Herald())
    other_rx.close()
    got.append(await rx.recv())
    assert got == ["the last word"]


async def test_a_value_that_closes_the_channel_while_it_is_dropped():
    tx, rx = channel(4)

    class Closer:
        def __del__(self):
            tx.close()
            rx.close()

    tx.try_send(Closer())
    tx.try_send(Closer())
    rx.close()
    assert tx.closed
    assert len(rx) == 0


async def test_a_value_that_cancels_its_receiver_while_it_is_dropped(start):
    tx, rx = channel()

    class Canceller:
        def __del__(self):
            receiving.cancel()

    async def receive_and_drop():
        await rx.recv()
        await asyncio.get_running_loop().create_future()

    receiving = start(receive_and_drop())
    await parked(rx, receivers=1)
    tx.try_send(Canceller())
    assert isinstance(await outcome(receiving), asyncio.CancelledError)


@pytest.mark.parametrize("method", ["__eq__", "__hash__", "__bool__", "__len__", "__repr__", "__iter__"])
async def test_values_are_never_asked_anything(method, start):
    def explode(*args):
        raise AssertionError(method)

    hostile = type("Hostile", (), {method: explode})
    for capacity in (0, 1, 64, math.inf):
        tx, rx = channel(capacity)
        value = hostile()
        sending = start(send(tx, value))
        assert await rx.recv() is value
        await sending
        if capacity:
            tx.try_send(value)
            assert (await rx.recv_many(5))[0] is value
            tx.try_send(value)
            assert rx.try_recv() is value
        receiving = start(receive(rx))
        await parked(rx, receivers=1)
        await tx.send_many([value])
        assert await receiving is value


async def test_an_awaitable_value_is_not_awaited():
    tx, rx = channel(3)
    future = asyncio.get_running_loop().create_future()
    operation = tx.send(1)
    for value in (future, operation):
        await tx.send(value)
    assert await rx.recv() is future
    assert await rx.recv() is operation
    await operation
    assert await rx.recv() == 1


# --- references


@pytest.mark.parametrize("capacity", [0, 1, 64, math.inf])
async def test_a_received_value_is_held_by_its_receiver_only(capacity, start):
    tx, rx = channel(capacity)
    for how in ("recv", "recv_ok", "recv_many", "iterate", "try_recv"):
        value = Value(how)
        reference = weakref.ref(value)
        sending = start(send(tx, value))
        del value
        await until(lambda: len(rx) or tx.stats().waiting_senders)
        if how == "recv":
            got = await rx.recv()
        elif how == "recv_ok":
            got = await rx.recv_ok()
        elif how == "recv_many":
            got = await rx.recv_many(4)
        elif how == "iterate":
            got = await anext(rx)
        else:
            got = rx.try_recv()
        await sending
        assert reference() is not None
        del got, sending
        await settle()
        if reference() is not None:
            collect()
        assert reference() is None, how


@pytest.mark.parametrize("capacity", [0, 1, 64, math.inf])
async def test_a_value_handed_to_a_waiting_receiver_is_held_by_it_only(capacity, start):
    tx, rx = channel(capacity)

    async def take():
        value = await rx.recv()
        reference = weakref.ref(value)
        del value
        await settle()
        return reference

    receiving = start(take())
    await parked(rx, receivers=1)
    tx.try_send(Value())
    reference = await receiving
    await settle()
    assert reference() is None


async def test_reference_counts_come_back():
    value = Value()
    before = sys.getrefcount(value)
    for capacity in (0, 1, 64, math.inf):
        tx, rx = channel(capacity)
        for _ in range(50):
            sending = spawn(send(tx, value))
            assert await rx.recv() is value
            await sending
        if capacity:
            for _ in range(50):
                tx.try_send(value)
                assert rx.try_recv() is value
                await tx.send_many([value])
                assert (await rx.recv_many(1))[0] is value
    del sending, tx, rx
    await settle()
    collect()
    assert sys.getrefcount(value) == before


async def test_none_and_ints_keep_their_reference_counts():
    tx, rx = channel(64)
    number = 12345678901
    before = sys.getrefcount(number)
    for _ in range(1000):
        await tx.send(number)
        assert await rx.recv_ok() == (number, True)
    await settle()
    assert abs(sys.getrefcount(number) - before) <= 2


# --- cycles


def test_a_channel_inside_its_own_buffer_is_collected():
    for pick in (lambda tx, rx: tx, lambda tx, rx: rx, lambda tx, rx: (tx, rx, tx.channel)):
        tx, rx = channel(4)
        witness = Value()
        reference = weakref.ref(witness)
        tx.try_send(pick(tx, rx))
        tx.try_send(witness)
        del tx, rx, witness
        collect()
        assert reference() is None


def test_a_channel_object_inside_itself_is_collected():
    ch = Channel(4)
    witness = Value()
    reference = weakref.ref(witness)
    ch.try_send(ch)
    ch.try_send(witness)
    del ch, witness
    collect()
    assert reference() is None


def test_channels_inside_each_other_are_collected():
    one, other = Channel(2), Channel(2)
    witness = Value()
    reference = weakref.ref(witness)
    one.try_send(other)
    other.try_send(one)
    other.try_send(witness)
    del one, other, witness
    collect()
    assert reference() is None


async def test_a_parked_value_that_holds_its_channel_is_collected():
    with recorded_warnings():
        tx, rx = channel()
        witness = Value()
        reference = weakref.ref(witness)
        spawn(send(tx, (tx, rx, witness)))
        await parked(tx, senders=1)
        del tx, rx, witness
        collect()
        await settle()
        collect()
        assert reference() is None


def test_garbage_with_ends_in_every_place_is_collected_without_harm():
    for capacity in (0, 1, math.inf):
        for pick in (
            lambda tx, rx: (tx,),
            lambda tx, rx: (rx,),
            lambda tx, rx: (tx, rx),
            lambda tx, rx: (rx, tx),
            lambda tx, rx: (tx.channel, rx),
            lambda tx, rx: (tx.clone(), rx.clone(), tx, rx),
        ):
            tx, rx = channel(capacity)
            knot = Value()
            knot.itself, knot.ends = knot, pick(tx, rx)
            reference = weakref.ref(knot)
            if capacity:
                tx.try_send(knot)
            del knot, tx, rx
            collect()
            assert reference() is None


def test_a_long_chain_of_channels_is_freed_without_overflowing_the_stack():
    tail = None
    for _ in range(100_000):
        tx, rx = channel(1)
        tx.try_send(tail)
        tail = (tx, rx)
    del tx, rx
    tail = None
    collect()


def test_a_hundred_thousand_buffered_values_are_freed_at_once():
    tx, rx = channel(math.inf)
    for number in range(100_000):
        tx.try_send([number])
    rx.close()
    assert len(tx) == 0


async def test_ten_thousand_parked_senders_are_freed():
    with recorded_warnings():
        tx, rx = channel()
        waiting = [spawn(send(tx, number)) for number in range(10_000)]
        await parked(tx, senders=10_000)
        for each in waiting:
            each.cancel()
        await asyncio.wait(waiting)
        del waiting
        assert tx.stats().waiting_senders == 0


async def test_cancelling_in_any_order_keeps_the_line(start):
    tx, rx = channel()
    waiting = [start(receive(rx)) for _ in range(20)]
    await parked(rx, receivers=20)
    for number in (0, 19, 10, 11, 9, 1, 18):
        waiting[number].cancel()
    await settle()
    left = [each for each in waiting if not each.done()]
    assert rx.stats().waiting_receivers == len(left) == 13
    for value in range(13):
        tx.try_send(value)
    with pytest.raises(SendError):
        tx.try_send("too many")
    assert [await each for each in left] == list(range(13))


def test_operations_create_no_garbage_cycles():
    async def main():
        tx, rx = channel(4)

        async def echo():
            async for value in rx:
                del value

        routine = spawn(echo())
        for number in range(20):
            await tx.send(number)
            await tx.send_many([number])
        tx.close()
        await routine
        await settle()

    asyncio.run(main())
    collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        loop = asyncio.SelectorEventLoop()
        loop.run_until_complete(main())
        del gc.garbage[:]
        gc.disable()
        loop.run_until_complete(main())
        gc.collect()
        kinds = {type(each).__name__ for each in gc.garbage if type(each).__module__.startswith("routines")}
        loop.close()
    finally:
        gc.enable()
        gc.set_debug(0)
        del gc.garbage[:]
        collect()
    assert not kinds
