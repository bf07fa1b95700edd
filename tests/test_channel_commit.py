"""The commit rule in detail: what a cancellation that comes too late does, and who gets a value nobody can take."""

import asyncio
import gc
import itertools
import math

import pytest
from helpers import outcome, parked, settle, until

from routines import RecvError, SendError, channel, spawn, yield_now


async def receive(rx):
    return await rx.recv()


async def send(tx, value):
    return await tx.send(value)


# --- too late


async def test_a_late_cancellation_is_raised_at_a_bare_yield(start):
    tx, rx = channel()
    trace = []

    async def work():
        trace.append(await rx.recv())
        await asyncio.sleep(0)
        trace.append("never")

    working = start(work())
    await parked(rx, receivers=1)
    tx.try_send("value")
    working.cancel()
    result = await outcome(working)
    if trace[-1] == "never":
        pytest.fail("the next suspension was not cancelled")
    assert isinstance(result, asyncio.CancelledError)
    assert trace == ["value"]


@pytest.mark.parametrize("suspend", [yield_now, lambda: asyncio.sleep(1000), settle])
async def test_a_late_cancellation_is_raised_at_any_suspension(start, suspend):
    tx, rx = channel()
    trace = []

    async def work():
        trace.append(await rx.recv())
        await suspend()
        await suspend()
        await suspend()
        trace.append("never")

    working = start(work())
    await parked(rx, receivers=1)
    tx.try_send("value")
    working.cancel()
    assert isinstance(await outcome(working), asyncio.CancelledError)
    assert trace == ["value"]


async def test_a_late_cancellation_keeps_its_message(start):
    tx, rx = channel()

    async def work():
        await rx.recv()
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError as error:
            return error.args

    working = start(work())
    await parked(rx, receivers=1)
    tx.try_send("value")
    working.cancel("the message")
    assert await working == ("the message",)


async def test_a_late_cancellation_is_raised_once(start):
    tx, rx = channel()
    trace = []

    async def work():
        await rx.recv()
        for _ in range(3):
            try:
                await settle(2)
            except asyncio.CancelledError:
                trace.append("cancelled")
            else:
                trace.append("fine")

    working = start(work())
    await parked(rx, receivers=1)
    tx.try_send("value")
    working.cancel()
    await working
    assert trace == ["cancelled", "fine", "fine"]


async def test_two_late_cancellations_count_as_two_and_raise_once(start):
    tx, rx = channel()
    trace = []

    async def work():
        await rx.recv()
        trace.append(asyncio.current_task().cancelling())
        for _ in range(2):
            try:
                await settle(2)
            except asyncio.CancelledError:
                trace.append("cancelled")
        trace.append(asyncio.current_task().cancelling())

    working = start(work())
    await parked(rx, receivers=1)
    tx.try_send("value")
    working.cancel()
    working.cancel()
    await working
    assert trace == [2, "cancelled", 2]


async def test_a_late_cancellation_half_taken_back_is_still_raised(start):
    tx, rx = channel()

    async def work():
        await rx.recv()
        asyncio.current_task().uncancel()
        await settle()

    working = start(work())
    await parked(rx, receivers=1)
    tx.try_send("value")
    working.cancel()
    working.cancel()
    assert isinstance(await outcome(working), asyncio.CancelledError)


async def test_a_late_cancellation_then_a_new_one_after_uncancel(start):
    tx, rx = channel()
    trace = []

    async def work():
        trace.append(await rx.recv())
        asyncio.current_task().uncancel()
        await settle()
        trace.append("survived the first")
        await asyncio.get_running_loop().create_future()

    working = start(work())
    await parked(rx, receivers=1)
    tx.try_send("value")
    working.cancel()
    await until(lambda: len(trace) == 2)
    await settle()
    working.cancel()
    assert isinstance(await outcome(working), asyncio.CancelledError)
    assert trace == ["value", "survived the first"]


async def test_in_a_chain_of_coroutines_the_value_reaches_the_innermost_caller(start):
    tx, rx = channel()
    trace = []

    async def inner():
        value = await rx.recv()
        trace.append(value)
        return value

    async def middle():
        try:
            return await inner()
        finally:
            trace.append("finally")

    async def outer():
        value = await middle()
        await asyncio.get_running_loop().create_future()
        return value

    working = start(outer())
    await parked(rx, receivers=1)
    tx.try_send("value")
    working.cancel()
    assert isinstance(await outcome(working), asyncio.CancelledError)
    assert trace == ["value", "finally"]


async def test_wait_for_gives_the_value_or_leaves_it_in_the_channel(start):
    tx, rx = channel()
    for _ in range(20):
        got = []

        async def receive_in_time(got=got):
            try:
                got.append(await asyncio.wait_for(rx.recv(), 0.001))
            except TimeoutError:
                pass

        receiving = start(receive_in_time())
        await until(lambda got=got, r=receiving: rx.stats().waiting_receivers or r.done())
        sent = False
        while not sent and not receiving.done():
            try:
                tx.try_send("value")
                sent = True
            except SendError:
                await asyncio.sleep(0)
        await receiving
        assert len(got) == sent


async def test_a_parked_send_taken_and_cancelled_has_happened(start):
    tx, rx = channel()
    sending = start(send(tx, "value"))
    await parked(tx, senders=1)
    assert rx.try_recv() == "value"
    sending.cancel()
    assert await outcome(sending) is None
    assert tx.stats().sent == 1


async def test_a_gather_cancelled_at_hand_over_gives_values_to_their_takers(start):
    tx, rx = channel()
    got = []

    async def take():
        got.append(await rx.recv())

    gathered = asyncio.gather(*(start(take()) for _ in range(3)))
    await parked(rx, receivers=3)
    tx.try_send(0)
    tx.try_send(1)
    gathered.cancel()
    assert isinstance(await outcome(gathered), asyncio.CancelledError)
    assert got == [0, 1]
    assert rx.stats().waiting_receivers == 0


async def test_an_eager_or_nested_driver_does_not_lose_the_value():
    tx, rx = channel()

    async def outer():
        inner = asyncio.Task(receive(rx))
        try:
            return await inner
        except asyncio.CancelledError:
            return ("taken by the inner task", await inner)

    routine = spawn(outer())
    await parked(rx, receivers=1)
    tx.try_send("value")
    routine.cancel()
    result = await outcome(routine)
    assert "value" in (result if isinstance(result, tuple) else (result,))


# --- values that nobody can take go back


def step(coroutine):
    """One step of a coroutine that is driven by hand; what it yielded."""
    return coroutine.send(None)


def test_a_hand_driven_receive_gets_its_value():
    tx, rx = channel()
    coroutine = receive(rx)
    step(coroutine)
    assert rx.stats().waiting_receivers == 1
    tx.try_send("value")
    with pytest.raises(StopIteration) as caught:
        step(coroutine)
    assert caught.value.value == "value"


def test_a_hand_driven_send_completes():
    tx, rx = channel()
    coroutine = send(tx, "value")
    step(coroutine)
    assert rx.try_recv() == "value"
    with pytest.raises(StopIteration):
        step(coroutine)


def test_a_value_goes_back_into_a_buffer_that_a_collection_fills_meanwhile():
    tx, rx = channel(math.inf)
    coroutine = receive(rx)
    step(coroutine)
    tx.try_send(0)
    sent = itertools.count(1)
    tx.try_send(next(sent))

    def fill(phase, _details):
        if phase == "stop":
            made.append([{} for _ in range(5)])  # so that the next object made begins a collection again
            return
        while len(rx) < 2**9:
            # To the brim: the memory doubles.
            tx.try_send(next(sent))
            if len(rx) & (len(rx) - 1) == 0:
                break

    # Else a list comes from those that the interpreter keeps, and begins no collection.
    made = [[] for _ in range(1000)]
    threshold = gc.get_threshold()
    gc.callbacks.append(fill)
    gc.set_threshold(1)
    try:
        coroutine.close()
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.remove(fill)
    assert [rx.try_recv() for _ in range(len(rx))] == list(range(next(sent)))


def test_a_hand_driven_operation_resumed_too_early_is_not_complete():
    tx, rx = channel()
    coroutine = receive(rx)
    step(coroutine)
    try:
        step(coroutine)
    except RuntimeError:
        assert rx.stats().waiting_receivers == 0
        return
    tx.try_send("value")
    with pytest.raises(StopIteration) as caught:
        step(coroutine)
    assert caught.value.value == "value"


@pytest.mark.parametrize("end", ["close", "throw", "drop"])
def test_a_hand_driven_receive_ended_while_parked_leaves_no_waiter(end):
    tx, rx = channel()
    coroutine = receive(rx)
    step(coroutine)
    finish(coroutine, end)
    del coroutine
    assert tx.stats().waiting_receivers == 0
    with pytest.raises(SendError):
        tx.try_send("nobody")


@pytest.mark.parametrize("end", ["close", "throw", "drop"])
def test_a_hand_driven_send_ended_while_parked_sends_nothing(end):
    tx, rx = channel()
    coroutine = send(tx, "value")
    step(coroutine)
    finish(coroutine, end)
    del coroutine
    assert tx.stats().waiting_senders == 0
    with pytest.raises(RecvError):
        rx.try_recv()


def finish(coroutine, end):
    if end == "close":
        coroutine.close()
    elif end == "throw":
        with pytest.raises(LookupError):
            coroutine.throw(LookupError())


@pytest.mark.parametrize("end", ["close", "throw"])
@pytest.mark.parametrize("capacity", [1, 4, float("inf")])
def test_a_value_that_a_hand_driven_receive_cannot_take_goes_back_to_the_front(end, capacity):
    tx, rx = channel(capacity)
    coroutine = receive(rx)
    step(coroutine)
    tx.try_send("first")
    tx.try_send("second")
    finish(coroutine, end)
    assert rx.try_recv() == "first"
    assert rx.try_recv() == "second"


@pytest.mark.parametrize("end", ["close", "throw"])
def test_a_value_of_an_unbuffered_channel_goes_back_too(end):
    tx, rx = channel()
    coroutine = receive(rx)
    step(coroutine)
    tx.try_send("value")
    finish(coroutine, end)
    assert rx.try_recv() == "value"
    with pytest.raises(RecvError):
        rx.try_recv()


@pytest.mark.parametrize("end", ["close", "throw"])
async def test_a_value_that_goes_back_reaches_the_next_waiting_receiver(end, start):
    tx, rx = channel()
    coroutine = receive(rx)
    step(coroutine)
    waiting = start(receive(rx))
    await parked(rx, receivers=2)
    tx.try_send("value")
    # Outside of any task: one that runs is taken for the driver of what it ends.
    asyncio.get_running_loop().call_soon(finish, coroutine, end)
    await until(waiting.done)
    assert await waiting == "value"


async def test_a_hand_driven_batch_goes_back_in_order():
    tx, rx = channel(4)

    async def receive_many():
        return await rx.recv_many(3)

    coroutine = receive_many()
    step(coroutine)
    tx.try_send(1)
    tx.try_send(2)
    coroutine.close()
    assert await rx.recv_many(10) == [1, 2]


def test_a_value_that_goes_back_to_a_channel_without_receivers_is_dropped():
    tx, rx = channel()
    coroutine = receive(rx)
    step(coroutine)
    tx.try_send("value")
    rx.close()
    coroutine.close()
    assert tx.closed
    assert len(tx) == 0


async def test_any_driver_of_coroutines_can_drive_an_operation(start):
    """A scheduler of somebody else's: it sees a future-like object and waits for it."""
    tx, rx = channel()

    class Driven:
        def __await__(self):
            coroutine = receive(rx)
            while True:
                try:
                    yielded = coroutine.send(None)
                except StopIteration as stop:
                    return stop.value
                yield yielded

    async def work():
        return await Driven()

    working = start(work())
    await tx.send("through a foreign driver")
    assert await working == "through a foreign driver"
