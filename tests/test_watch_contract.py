"""Watch: the newest value, and waiting for a newer one."""

import gc
import weakref

import pytest
from helpers import Value, collect, outcome, parked, settle

from routines import (
    ChannelClosed,
    Receiver,
    RecvError,
    Selector,
    Sender,
    WatchReceiver,
    WatchSender,
    select,
    watch,
)


async def follow(rx):
    return [value async for value in rx]


async def changed(rx):
    return await rx.changed()


async def test_the_initial_value_is_there_and_no_change():
    tx, rx = watch("initial")
    assert rx.value == tx.value == "initial"
    with pytest.raises(RecvError):
        rx.try_recv()


async def test_a_change_is_reported_once_to_each_receiver():
    tx, first = watch(0)
    second = tx.subscribe()
    await tx.send(1)
    assert [await first.changed(), await second.changed()] == [1, 1]
    for each in (first, second):
        with pytest.raises(RecvError):
            each.try_recv()
        assert each.value == 1


async def test_what_came_in_between_is_skipped():
    tx, rx = watch(0)
    assert await tx.send_many(range(1, 100)) == 99
    assert await rx.recv_many(10) == [99]


async def test_who_was_woken_and_has_not_run_yet_gets_the_newest(start):
    tx, rx = watch(0)
    waiting = start(changed(rx))
    await parked(rx, receivers=1)
    for number in range(1, 5):
        tx.try_send(number)
    assert await waiting == 4
    with pytest.raises(RecvError):
        rx.try_recv()


async def test_looking_at_the_value_does_not_swallow_the_change():
    tx, rx = watch(0)
    await tx.send(1)
    assert rx.value == 1
    assert await rx.changed() == 1


async def test_the_same_value_again_is_a_change():
    tx, rx = watch(0)
    await tx.send(0)
    assert await rx.changed() == 0


async def test_several_coroutines_on_one_receiver_share_its_changes(start):
    tx, rx = watch(0)
    waiting = [start(changed(rx)) for _ in range(2)]
    await parked(rx, receivers=2)
    await tx.send(1)
    assert await waiting[0] == 1
    assert not waiting[1].done()
    await tx.send(2)
    assert await waiting[1] == 2


async def test_following_ends_with_the_last_value_of_a_closed_channel(start):
    tx, rx = watch(0)
    following = start(follow(rx))
    await parked(rx, receivers=1)
    with tx:
        await tx.send(1)
        await settle()
        tx.try_send(2)
    assert await following == [1, 2]
    assert rx.value == tx.value == 2
    assert rx.closed


async def test_closed_with_a_cause_it_still_gives_the_value_not_received_yet():
    tx, rx = watch(0)
    cause = OSError("lost")
    tx.try_send(1)
    tx.close(cause)
    assert await rx.changed() == 1
    with pytest.raises(ChannelClosed) as caught:
        await rx.changed()
    assert caught.value.__cause__ is cause
    with pytest.raises(ChannelClosed):
        rx.clone()


async def test_waiting_receivers_wake_when_the_last_sender_goes(start):
    tx, rx = watch(0)
    twin = tx.clone()
    waiting = start(outcome(rx.changed()))
    await parked(rx, receivers=1)
    del tx
    await settle()
    assert not waiting.done()
    del twin
    assert isinstance(await waiting, ChannelClosed)


async def test_it_closes_for_senders_with_its_last_receiver():
    tx, rx = watch(0)
    twin = rx.clone()
    rx.close()
    await tx.send(1)
    assert twin.value == 1
    del twin
    await tx.wait_closed()
    for operation in (lambda: tx.try_send(2), tx.subscribe, tx.clone):
        with pytest.raises(ChannelClosed):
            operation()
    assert tx.value == 1


async def test_a_clone_has_not_received_what_the_original_has_not():
    tx, rx = watch(0)
    await tx.send(1)
    twin, fresh = rx.clone(), tx.subscribe()
    assert await twin.changed() == await rx.changed() == 1
    with pytest.raises(RecvError):
        fresh.try_recv()


async def test_select_and_selector_are_told_of_a_change(start):
    tx, rx = watch(0)
    assert (await select(rx, default=None)).index == -1

    async def choose():
        return (await select(rx)).value

    choosing = start(choose())
    await parked(rx, receivers=1)
    tx.try_send(1)
    assert await choosing == 1
    selector = Selector(rx)

    async def turn():
        return (await selector.next()).value

    turning = start(turn())
    await settle()
    tx.try_send(2)
    assert await turning == 2
    tx.try_send(3)
    tx.try_send(4)
    assert await turn() == 4
    assert (await select(tx.case(5), default="never")).ok
    assert await select().recv(rx, lambda value: value + 1).run() == 6


async def test_a_cancelled_wait_leaves_the_change_for_the_next(start):
    tx, rx = watch(0)
    waiting = start(changed(rx))
    await parked(rx, receivers=1)
    waiting.cancel()
    await outcome(waiting)
    assert rx.stats().waiting_receivers == 0
    tx.try_send(1)
    assert await rx.changed() == 1


async def test_ends_stats_and_repr():
    tx, rx = watch(0)
    assert isinstance(tx, Sender) and isinstance(rx, Receiver)
    assert tx.channel is rx.channel
    await tx.send_many([1, 2, 3])
    await rx.changed()
    stats = rx.stats()
    assert (stats.sent, stats.received, stats.buffered, stats.capacity) == (3, 1, 0, 1)
    tx.try_send(4)
    assert len(rx) == 1
    for each in (tx, rx, tx.channel):
        assert "receivers=1" in repr(each)
    for kind in (WatchSender, WatchReceiver):
        with pytest.raises(TypeError):
            kind()
        with pytest.raises(RuntimeError):
            print(kind.__new__(kind).value)


def test_old_values_go_at_once_and_the_channel_with_its_ends():
    gc.disable()
    try:
        tx, rx = watch(old := Value())
        gone = [weakref.ref(old)]
        del old
        tx.try_send(new := Value())
        gone.append(weakref.ref(new))
        del new
        assert gone[0]() is None and gone[1]() is not None
        del tx, rx
        assert gone[1]() is None
    finally:
        gc.enable()


def test_a_cycle_through_a_watch_is_collected():
    value = Value()
    gone = weakref.ref(value)
    value.ends = *watch(value), None
    del value
    collect()
    assert gone() is None


async def test_a_value_whose_end_sends_again_does_no_harm():
    class Vengeful:
        def __del__(self):
            tx.try_send("last words")

    tx, rx = watch(Vengeful())
    tx.try_send("next")
    assert await rx.changed() == "last words"
    assert tx.stats().sent == 2
