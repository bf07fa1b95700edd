"""The exceptions: their family, their texts, and the parts they carry."""

import asyncio
import copy
import pickle

import pytest

import routines
from routines import (
    Aborted,
    ChannelClosed,
    Deadlock,
    Error,
    Lagged,
    RecvError,
    RuntimeClosed,
    SelectError,
    SendError,
    SpawnError,
    Timeout,
    channel,
    spawn,
)

FAMILY = [
    ChannelClosed, SendError, RecvError, SelectError, SpawnError, Aborted, Timeout, Lagged, Deadlock,
    RuntimeClosed,
]  # fmt: skip


@pytest.mark.parametrize("kind", FAMILY)
def test_every_error_derives_from_the_base(kind):
    assert issubclass(kind, Error)
    assert issubclass(kind, Exception)
    assert kind.__module__.startswith("routines")
    assert kind.__doc__


def test_the_base_is_an_exception_of_its_own():
    assert Error.__bases__ == (Exception,)


def test_timeout_is_a_timeout_error_too():
    assert issubclass(Timeout, TimeoutError)
    assert issubclass(Timeout, asyncio.TimeoutError)


def test_errors_of_one_kind_are_not_caught_as_another():
    for kind in FAMILY:
        for other in FAMILY:
            assert kind is other or not issubclass(kind, other)


def test_aborted_is_no_cancellation():
    assert not issubclass(Aborted, asyncio.CancelledError)


@pytest.mark.parametrize("kind", FAMILY)
def test_every_error_is_exported(kind):
    assert kind.__name__ in routines.__all__


def test_spawn_error_and_aborted_and_lagged_carry_their_parts():
    assert SpawnError("why").reason == "why"
    assert Aborted("why").reason == "why"
    assert Lagged(3).missed == 3
    assert "why" in str(SpawnError("why"))
    assert "why" in str(Aborted("why"))
    assert "3" in str(Lagged(3))


def every_channel_error():
    tx, rx = channel(1)
    with pytest.raises(RecvError) as caught:
        rx.try_recv()
    yield caught.value, tx
    tx.try_send(1)
    with pytest.raises(SendError) as caught:
        tx.try_send(2)
    yield caught.value, tx
    rx.close()
    with pytest.raises(ChannelClosed) as caught:
        tx.try_send(3)
    yield caught.value, tx
    tx, rx = channel()
    tx.close()
    with pytest.raises(ChannelClosed) as caught:
        rx.try_recv()
    yield caught.value, rx


def test_a_channel_error_names_its_channel_and_the_way_out():
    for error, end in every_channel_error():
        assert repr(end.channel) in str(error), str(error)
        assert repr(error) == f"{type(error).__name__}({str(error)!r})"
        assert error.channel is not None
        assert error.channel.stats() == end.stats()
        assert len(str(error)) > len(repr(end.channel)) + 10


def test_a_channel_error_does_not_hold_the_channel_open():
    tx, rx = channel()
    with pytest.raises(SendError) as caught:
        tx.try_send(1)
    del tx
    assert rx.closed
    assert caught.value.channel is not None


@pytest.mark.parametrize(
    "error",
    [
        ChannelClosed("gone"), ChannelClosed("gone", sent=3), SendError("full"), RecvError("empty"), SpawnError("why"), Aborted("why"),
        Timeout("late"), Lagged(3), SelectError("nothing"), Deadlock("dump"), RuntimeClosed("closed"),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_errors_can_be_pickled_and_copied(error):
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        for name in ("reason", "missed", "sent"):
            assert getattr(twin, name, None) == getattr(error, name, None)


def test_a_channel_error_with_its_channel_can_be_pickled():
    for error, _ in every_channel_error():
        twin = pickle.loads(pickle.dumps(error))
        assert type(twin) is type(error)
        assert str(twin) == str(error)


async def test_aborted_names_the_routine():
    async def for_ever():
        await asyncio.get_running_loop().create_future()

    routine = spawn(for_ever(), name="the stopped one")
    await asyncio.sleep(0)
    routine.abort("enough")
    with pytest.raises(Aborted) as caught:
        await routine.join()
    assert caught.value.routine is routine
    assert caught.value.reason == "enough"
    assert "the stopped one" in str(caught.value)
    assert "enough" in str(caught.value)
    assert str(Aborted()) == "the routine was aborted"


def test_errors_are_handled_by_except_star_and_groups():
    with pytest.raises(ExceptionGroup) as caught:
        raise ExceptionGroup("several", [SendError("full"), Timeout("late")])
    assert caught.group_contains(TimeoutError)
    assert caught.group_contains(Error)
