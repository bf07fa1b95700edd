"""Operations that are made and dropped: a warning at once, and nothing has happened."""

import asyncio
import gc
import warnings
import weakref

import pytest
from helpers import Value, collect, recorded_warnings, settle

from routines import channel, sleep, spawn


async def give(value=None):
    return value


def make(name, tx, rx):
    return {
        "send": lambda: tx.send(1),
        "send_many": lambda: tx.send_many([1, 2]),
        "recv": lambda: rx.recv(),
        "recv_ok": lambda: rx.recv_ok(),
        "recv_many": lambda: rx.recv_many(3),
        "sender.wait_closed": lambda: tx.wait_closed(),
        "receiver.wait_closed": lambda: rx.wait_closed(),
        "sleep": lambda: sleep(1000),
    }[name]()


names = pytest.mark.parametrize(
    "name",
    [
        "send", "send_many", "recv", "recv_ok", "recv_many", "sender.wait_closed",
        "receiver.wait_closed", "sleep",
    ],
)  # fmt: skip


@names
async def test_a_dropped_operation_warns_at_once_and_does_nothing(name):
    tx, rx = channel(4)
    tx.try_send(0)
    before = tx.stats()
    gc.disable()
    try:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            make(name, tx, rx)
            assert [each.category for each in seen] == [RuntimeWarning], "promptly, no collection"
        await settle()
        assert tx.stats() == before
    finally:
        gc.enable()


@names
def test_a_dropped_operation_warns_without_a_loop_too(name):
    tx, rx = channel(4)
    with recorded_warnings() as seen:
        make(name, tx, rx)
    assert [each.category for each in seen] == [RuntimeWarning]


@names
async def test_the_warning_says_which_operation_was_never_awaited(name):
    tx, rx = channel(4)
    with recorded_warnings() as seen:
        make(name, tx, rx)
    (warning,) = seen
    assert "never awaited" in str(warning.message)
    if name != "sleep":
        assert "hannel" in str(warning.message)
    if not name.endswith("wait_closed"):
        assert name[:3] in str(warning.message), "send, rec(ei)v(e) or sleep"


@names
async def test_every_one_of_many_dropped_operations_warns(name):
    tx, rx = channel(4)
    with recorded_warnings() as seen:
        for _ in range(10):
            make(name, tx, rx)
        held = [make(name, tx, rx) for _ in range(10)]
        del held
    assert len(seen) == 20


@names
async def test_an_awaited_operation_does_not_warn(name):
    tx, rx = channel(4)
    if name.startswith("recv"):
        tx.try_send(0)
    with recorded_warnings() as seen:
        if name.endswith("wait_closed"):
            tx.close()
        if name == "sleep":
            await sleep(0)
        else:
            await make(name, tx, rx)
        collect()
    assert not seen


@names
async def test_a_cancelled_operation_does_not_warn(name, start):
    tx, rx = channel()
    with recorded_warnings() as seen:

        async def wait():
            await make(name, tx, rx)

        waiting = start(wait())
        await settle()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        del waiting
        await settle()
    assert not seen


async def test_a_dropped_join_warns():
    routine = spawn(give(1))
    with recorded_warnings() as seen:
        routine.join()
    assert [each.category for each in seen] == [RuntimeWarning]
    assert await routine == 1


async def test_a_dropped_send_lets_its_value_go():
    tx, _rx = channel(4)
    value = Value()
    reference = weakref.ref(value)
    with recorded_warnings():
        tx.send(value)
        del value
        assert reference() is None


async def test_warnings_as_errors_are_unraisable_and_break_nothing():
    import sys

    tx, rx = channel(4)
    caught = []
    hook, sys.unraisablehook = sys.unraisablehook, caught.append
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tx.send(1)
    finally:
        sys.unraisablehook = hook
        kinds = [type(each.exc_value) for each in caught]
        caught.clear()
    assert kinds == [RuntimeWarning]
    await tx.send(2)
    assert await rx.recv() == 2


async def test_an_operation_can_be_closed_unawaited_as_a_coroutine_can():
    tx, rx = channel(4)
    with recorded_warnings() as seen:
        operation = tx.send(1)
        if hasattr(operation, "close"):
            operation.close()
            del operation
            collect()
            assert not seen
    assert len(rx) == 0


async def test_an_operation_dropped_on_a_closed_channel_warns_too():
    tx, rx = channel(4)
    tx.close()
    rx.close()
    with recorded_warnings() as seen:
        tx.send(1)
        rx.recv()
    assert len(seen) == 2


async def test_a_routine_that_never_started_gives_no_never_awaited_warning():
    tx, rx = channel()
    with recorded_warnings() as seen:

        async def receive():
            return await rx.recv()

        routine = spawn(receive())
        routine.abort()
        await asyncio.wait([routine])
        del routine
    assert not seen
    assert not tx.closed
