"""The ends of a channel as objects: clones, `Channel`, what they tell about themselves."""

import copy
import dataclasses
import math
import pickle
import weakref

import pytest
from helpers import collect, parked

from routines import Channel, ChannelClosed, ChannelStats, Receiver, Sender, channel


async def receive(rx):
    return await rx.recv()


async def send(tx, value):
    return await tx.send(value)


# --- clones


async def test_cloned_receivers_share_the_values():
    tx, rx = channel(4)
    other = rx.clone()
    assert type(other) is Receiver
    await tx.send_many([1, 2, 3])
    assert [await rx.recv(), await other.recv(), await rx.recv()] == [1, 2, 3]
    assert len(rx) == len(other) == 0


async def test_cloned_senders_feed_one_channel():
    tx, rx = channel(4)
    other = tx.clone()
    assert type(other) is Sender
    assert other is not tx
    await tx.send(1)
    await other.send(2)
    assert await rx.recv_many(4) == [1, 2]


async def test_clones_of_clones_count():
    tx, rx = channel()
    clones = [tx]
    for _ in range(5):
        clones.append(clones[-1].clone())
    assert rx.stats().senders == 6
    while clones:
        assert not rx.closed
        clones.pop().close()
    assert rx.closed


# --- Channel


async def test_a_channel_object_has_the_methods_of_both_ends(start):
    ch = Channel(4)
    await ch.send(1)
    ch.try_send(2)
    assert await ch.send_many([3, 4]) == 2
    assert len(ch) == 4
    assert await ch.recv() == 1
    assert ch.try_recv() == 2
    assert await ch.recv_ok() == (3, True)
    assert await ch.recv_many(4) == [4]
    await ch.send_many([5, 6, 7])
    ch.close()
    async for value in ch:
        assert value == 5
        break
    assert [batch async for batch in ch.batches(2)] == [[6, 7]]
    await ch.wait_closed()


def test_a_channel_object_counts_as_one_of_each_end():
    ch = Channel()
    stats = ch.stats()
    assert (stats.senders, stats.receivers) == (1, 1)
    tx, rx = ch.sender(), ch.receiver()
    assert type(tx) is Sender
    assert type(rx) is Receiver
    stats = ch.stats()
    assert (stats.senders, stats.receivers) == (2, 2)
    del ch
    collect()
    stats = tx.stats()
    assert (stats.senders, stats.receivers) == (1, 1)
    assert not rx.closed
    tx.close()
    assert rx.closed


def test_a_fresh_channel_has_one_of_each_end():
    tx, rx = channel()
    stats = tx.stats()
    assert (stats.senders, stats.receivers) == (1, 1)
    assert rx.stats() == stats


def test_dropping_a_channel_object_alone_closes_for_its_other_ends():
    ch = Channel()
    rx = ch.receiver()
    assert not rx.closed
    del ch
    collect()
    assert rx.closed


def test_both_ends_know_the_same_channel():
    tx, rx = channel(3)
    assert isinstance(tx.channel, Channel)
    assert tx.channel.capacity == 3
    assert tx.channel.stats() == rx.channel.stats() == tx.stats()
    assert repr(tx.channel) == repr(rx.channel)


def test_the_channel_property_does_not_count_as_an_end():
    tx, rx = channel()
    held = [tx.channel, rx.channel, tx.clone().channel]
    collect()
    stats = tx.stats()
    assert (stats.senders, stats.receivers) == (1, 1)
    del tx
    collect()
    assert rx.closed
    assert held[0].stats().senders == 0


def test_dropping_what_the_channel_property_gave_closes_nothing():
    tx, rx = channel(1)
    for _ in range(5):
        assert tx.channel.capacity == 1
        assert rx.channel.capacity == 1
    collect()
    tx.try_send(1)
    assert rx.try_recv() == 1


async def test_what_the_channel_property_gives_works_as_a_channel():
    tx, rx = channel(2)
    view = tx.channel
    view.try_send(1)
    await view.send(2)
    assert rx.try_recv() == 1
    assert await view.recv() == 2
    further = view.sender()
    assert tx.stats().senders == 2
    further.close()
    assert not rx.closed
    view.close()
    assert tx.closed
    assert rx.closed


async def test_new_ends_of_a_closed_channel_do_not_open_it_again():
    ch = Channel(1)
    ch.close()
    for make in (ch.sender, ch.receiver, ch.channel.sender, ch.channel.receiver):
        try:
            end = make()
        except ChannelClosed:
            continue
        assert end.closed
    assert ch.closed


async def test_an_end_is_not_an_end_of_the_other_kind():
    tx, rx = channel()
    for name in ("recv", "try_recv", "recv_many", "recv_ok", "batches", "__aiter__"):
        assert not hasattr(tx, name)
    for name in ("send", "try_send", "send_many"):
        assert not hasattr(rx, name)


async def test_go_style_channel_passes_values_between_routines(start):
    ch = Channel()
    sending = start(send(ch, "through one object"))
    assert await ch.recv() == "through one object"
    await sending


# --- what an end tells


def test_ends_are_always_true():
    tx, rx = channel()
    ch = Channel()
    assert tx
    assert rx
    assert ch
    tx.close()
    rx.close()
    ch.close()
    assert tx
    assert rx
    assert ch


async def test_len_counts_what_is_buffered():
    tx, rx = channel(4)
    assert len(tx) == len(rx) == len(tx.channel) == 0
    await tx.send_many([1, 2, 3])
    assert len(tx) == len(rx) == len(tx.channel) == 3
    await rx.recv()
    assert len(tx) == 2


async def test_len_does_not_count_parked_senders(start):
    tx, rx = channel()
    sending = start(send(tx, 1))
    await parked(tx, senders=1)
    assert len(rx) == 0
    await rx.recv()
    await sending


async def test_stats_tell_the_state(start):
    tx, rx = channel(2)
    clone = tx.clone()
    stats = tx.stats()
    assert type(stats) is ChannelStats
    assert stats != "something else"
    assert dataclass_free(stats) == {
        "sent": 0,
        "received": 0,
        "waiting_senders": 0,
        "waiting_receivers": 0,
        "senders": 2,
        "receivers": 1,
        "capacity": 2,
        "buffered": 0,
        "closed": False,
    }
    sending = [start(send(tx, number)) for number in range(4)]
    await parked(tx, senders=2)
    stats = rx.stats()
    assert (stats.sent, stats.buffered, stats.waiting_senders) == (2, 2, 2)
    assert await rx.recv_many(4) == [0, 1, 2, 3]
    receiving = start(receive(rx))
    await parked(rx, receivers=1)
    stats = rx.stats()
    assert (stats.sent, stats.received, stats.waiting_receivers) == (4, 4, 1)
    tx.close()
    clone.close()
    stats = rx.stats()
    assert stats.closed
    assert (stats.senders, stats.waiting_receivers) == (0, 0)
    for each in sending:
        await each
    with pytest.raises(ChannelClosed):
        await receiving


def dataclass_free(stats):
    names = (
        "sent", "received", "waiting_senders", "waiting_receivers", "senders", "receivers",
        "capacity", "buffered", "closed",
    )  # fmt: skip
    return {name: getattr(stats, name) for name in names}


def test_stats_cannot_be_changed():
    tx, _rx = channel()
    stats = tx.stats()
    with pytest.raises((AttributeError, TypeError, dataclasses.FrozenInstanceError)):
        stats.sent = 5


def test_stats_are_a_snapshot():
    tx, _rx = channel(1)
    before = tx.stats()
    tx.try_send(1)
    assert before.sent == 0
    assert tx.stats().sent == 1


@pytest.mark.parametrize("capacity", [0, 1, 64, math.inf])
async def test_sent_and_received_count_every_way(capacity, start):
    tx, rx = channel(capacity)

    async def send_each_way():
        await tx.send(1)
        await tx.send_many([2, 3, 4, 5])
        while True:
            try:
                tx.try_send(6)
                break
            except Exception:
                from routines import yield_now

                await yield_now()
        await tx.send_many(range(7, 17))
        tx.close()

    sending = start(send_each_way())
    got = [await rx.recv(), (await rx.recv_ok())[0]]
    got += await rx.recv_many(1)
    while len(got) < 6:
        got.append(await anext(rx))
    await parked(rx, senders=1 if capacity in (0, 1) else 0)
    got.append(rx.try_recv())
    async for batch in rx.batches(3):
        got += batch
        if len(got) > 12:
            break
    async for value in rx:
        got.append(value)
    await sending
    assert got == list(range(1, 17))
    stats = tx.stats()
    assert (stats.sent, stats.received) == (16, 16)


def test_the_repr_tells_kind_capacity_buffer_ends_and_state():
    tx, rx = channel(3)
    tx.try_send(1)
    for end, kind in ((tx, "Sender"), (rx, "Receiver"), (tx.channel, "Channel")):
        text = repr(end)
        assert kind in text
        assert "3" in text
        assert "1" in text
        assert "closed" not in text
    tx.close()
    assert "closed" in repr(tx)
    assert "closed" in repr(tx.channel)


async def test_the_repr_tells_who_waits(start):
    tx, rx = channel()
    receiving = start(receive(rx))
    await parked(rx, receivers=1)
    assert "1 waiting" in repr(rx) or "waiting_receivers=1" in repr(rx)
    await tx.send(1)
    await receiving


def test_the_repr_of_an_unbounded_and_an_unbuffered_channel_differ():
    assert "unbounded" in repr(channel(math.inf)[0]) or "inf" in repr(channel(math.inf)[0])
    assert repr(channel(0)[0]) != repr(channel(math.inf)[0])


def test_the_repr_of_two_channels_differ():
    assert repr(channel()[0]) != repr(channel()[0])


async def test_the_repr_does_not_call_into_the_values():
    class Hostile:
        def __repr__(self):
            raise AssertionError

    tx, rx = channel(1)
    tx.try_send(Hostile())
    assert repr(tx)
    assert repr(rx)


# --- as Python objects


@pytest.mark.parametrize("kind", [Sender, Receiver, Channel])
def test_kinds_take_a_subscript_for_annotations(kind):
    assert kind[int] is not None
    assert "int" in repr(kind[int])


def test_a_subscripted_channel_makes_a_channel():
    assert Channel[int](3).capacity == 3


@pytest.mark.parametrize("kind", [Sender, Receiver])
def test_ends_cannot_be_made_by_hand(kind):
    with pytest.raises(TypeError):
        kind()


@pytest.mark.parametrize("kind", [Sender, Receiver, Channel])
def test_bare_objects_are_harmless(kind):
    try:
        bare = kind.__new__(kind)
    except TypeError:
        return
    for name in (
        "close", "clone", "stats", "try_recv", "send", "recv", "__repr__", "__len__", "wait_closed",
        "recv_ok", "sender", "receiver", "__aiter__", "__enter__",
    ):  # fmt: skip
        method = getattr(bare, name, None)
        for arguments in ((), (1,)):
            try:
                if method is not None:
                    made = method(*arguments)
                    if hasattr(made, "close"):
                        made.close()
            except Exception:
                pass
    for name in ("closed", "capacity", "channel"):
        try:
            getattr(bare, name)
        except Exception:
            pass
    collect()


@pytest.mark.parametrize("kind", ["sender", "receiver"])
def test_ends_can_be_referenced_weakly_and_hashed(kind):
    tx, rx = channel()
    end = tx if kind == "sender" else rx
    assert weakref.ref(end)() is end
    assert {end: 1}[end] == 1
    assert end == end
    assert end != end.clone()


def test_attributes_of_the_contract_cannot_be_written():
    tx, rx = channel()
    for end in (tx, rx, Channel()):
        for name in ("capacity", "closed", "channel"):
            with pytest.raises((AttributeError, TypeError)):
                setattr(end, name, 1)


@pytest.mark.parametrize("copy_it", [copy.copy, copy.deepcopy, pickle.dumps])
def test_an_end_is_neither_copied_nor_pickled_into_nonsense(copy_it):
    tx, rx = channel(1)
    try:
        copy_it(tx)
    except TypeError:
        pass
    collect()
    tx.try_send(1)
    assert rx.try_recv() == 1
