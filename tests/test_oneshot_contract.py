"""Oneshot: one value, then closed."""

import gc
import weakref

import pytest
from helpers import Value, collect, outcome, parked, settle

from routines import ChannelClosed, Receiver, RecvError, Selector, Sender, SendError, oneshot, select


async def receive(rx):
    return await rx.recv()


async def test_one_value_and_then_closed():
    tx, rx = oneshot()
    assert type(tx) is Sender and type(rx) is Receiver
    await tx.send("value")
    assert tx.closed and not rx.closed
    with pytest.raises(ChannelClosed):
        await tx.send("second")
    with pytest.raises(ChannelClosed):
        tx.try_send("second")
    assert await rx.recv_ok() == ("value", True)
    assert await rx.recv_ok() == (None, False)
    assert rx.closed


async def test_a_waiting_receiver_gets_it_and_the_others_learn_that_it_is_over(start):
    tx, rx = oneshot()
    twin = rx.clone()
    waiting = [start(outcome(rx.recv())), start(outcome(twin.recv()))]
    await parked(rx, receivers=2)
    tx.try_send(1)
    assert await waiting[0] == 1
    assert isinstance(await waiting[1], ChannelClosed)


async def test_no_clone_of_the_sender_can_send_a_second_one():
    tx, rx = oneshot()
    twin = tx.clone()
    await twin.send(1)
    with pytest.raises(ChannelClosed):
        await tx.send(2)
    with pytest.raises(ChannelClosed):
        tx.clone()
    assert [value async for value in rx] == [1]


async def test_send_many_says_that_one_was_sent():
    tx, rx = oneshot()
    with pytest.raises(ChannelClosed) as caught:
        await tx.send_many(range(5))
    assert caught.value.sent == 1
    assert await rx.recv_many(5) == [0]


async def test_sending_never_waits_and_is_ready_in_select():
    tx, rx = oneshot()
    assert (await select(tx.case(7), default="never")).ok
    with pytest.raises(ChannelClosed):
        await select(tx.case(8), default="never")
    assert (await select(rx)).value == 7
    assert not (await select(rx)).ok


async def test_select_and_selector_wait_for_it(start):
    for kind in ("select", "selector"):
        tx, rx = oneshot()

        async def wait(rx=rx, kind=kind):
            return (await (select(rx) if kind == "select" else Selector(rx).next())).value

        waiting = start(wait())
        await settle()
        await tx.send(kind)
        assert await waiting == kind


@pytest.mark.parametrize("how", ["close", "drop"])
async def test_a_sender_that_goes_without_a_value_closes_it(how, start):
    tx, rx = oneshot()
    waiting = start(outcome(rx.recv()))
    await parked(rx, receivers=1)
    cause = ValueError("no answer") if how == "close" else None
    if how == "close":
        tx.close(cause)
    del tx
    error = await waiting
    assert isinstance(error, ChannelClosed) and error.__cause__ is cause
    with pytest.raises(ChannelClosed):
        rx.try_recv()


@pytest.mark.parametrize("how", ["close", "drop"])
async def test_a_receiver_that_goes_tells_the_sender(how, start):
    tx, rx = oneshot()

    async def watch_for_the_end():
        await tx.wait_closed()

    waiting = start(watch_for_the_end())
    await settle()
    if how == "close":
        rx.close()
    del rx
    await waiting
    with pytest.raises(ChannelClosed, match="nobody can receive"):
        await tx.send(1)


async def test_not_sent_yet_it_is_empty_and_open():
    tx, rx = oneshot()
    with pytest.raises(RecvError):
        rx.try_recv()
    assert not tx.closed and not rx.closed
    assert SendError is not None and tx.capacity == rx.capacity == 1


async def test_a_cancelled_receiver_leaves_the_value(start):
    tx, rx = oneshot()
    waiting = start(receive(rx))
    await parked(rx, receivers=1)
    waiting.cancel()
    await outcome(waiting)
    tx.try_send(1)
    assert await rx.recv() == 1


async def test_stats_and_repr():
    tx, rx = oneshot()
    twin = rx.clone()
    assert tx.channel is rx.channel
    assert (tx.stats().senders, tx.stats().receivers) == (1, 2)
    tx.try_send(1)
    assert len(tx) == len(rx) == 1
    assert "1/1 buffered" in repr(tx) and "closed" in repr(rx) and "closed" in repr(tx.channel)
    await twin.recv()
    stats = rx.stats()
    assert (stats.sent, stats.received, stats.buffered, stats.closed) == (1, 1, 0, True)


def test_it_is_freed_without_the_collector():
    gc.disable()
    try:
        gone = []
        for sent in (False, True):
            tx, rx = oneshot()
            value = Value()
            gone += [weakref.ref(value), weakref.ref(rx)]
            if sent:
                tx.try_send(value)
            del value, tx, rx
        assert [each() for each in gone] == [None] * 4
    finally:
        gc.enable()


def test_a_cycle_through_it_is_collected():
    value = Value()
    gone = weakref.ref(value)
    tx, rx = oneshot()
    value.ends = tx, rx
    tx.try_send(value)
    del value, tx, rx
    collect()
    assert gone() is None
