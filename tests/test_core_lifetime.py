"""Who keeps a routine alive, and how one that nothing can wake is collected."""

import asyncio
import contextvars
import gc
import sys
import weakref
from collections.abc import Coroutine

import pytest
from helpers import collect, live, outcome, parked, recorded_warnings, settle, until

from routines import Aborted, ChannelClosed, Routine, channel, current, group, sleep, spawn, yield_now
from routines._core import scheduler_for
from routines._ring import Ring


def resource_warnings(seen):
    return [str(each.message) for each in seen if issubclass(each.category, ResourceWarning)]


# --- fire and forget


async def test_a_ready_routine_survives_a_collection():
    ran = []

    async def note():
        ran.append(True)

    spawn(note())
    collect()
    await settle()
    assert ran


async def test_a_yielding_routine_survives_collections():
    ran = []

    async def note():
        for _ in range(5):
            await yield_now()
            collect()
        ran.append(True)

    spawn(note())
    await until(lambda: ran)


async def test_a_sleeping_routine_survives_a_collection():
    ran = []

    async def note():
        await sleep(0.002)
        ran.append(True)

    spawn(note())
    await settle()
    collect()
    await until(lambda: ran)


async def test_a_routine_that_waits_for_a_forgotten_future_survives_a_collection():
    ran = []
    futures = []

    async def note():
        future = asyncio.get_running_loop().create_future()
        futures.append(weakref.ref(future))
        await future
        ran.append(True)

    spawn(note())
    await settle()
    collect()
    assert futures[0]() is not None, "the routine is kept, and so is what it waits for"
    futures[0]().set_result(None)
    await until(lambda: ran)


async def test_a_routine_that_waits_for_a_thread_survives_a_collection():
    ran = []

    async def note():
        await asyncio.to_thread(lambda: None)
        ran.append(True)

    spawn(note())
    collect()
    await until(lambda: ran)


async def test_a_routine_parked_on_a_reachable_channel_survives_a_collection():
    tx, rx = channel()
    got = []

    async def receive(rx):
        got.append(await rx.recv())

    spawn(receive(rx))
    await parked(rx, receivers=1)
    del rx
    collect()
    await tx.send("still there")
    await settle()
    assert got == ["still there"]


async def test_a_routine_that_joins_a_living_routine_survives_a_collection():
    got = []
    future = asyncio.get_running_loop().create_future()

    async def wait():
        return await future

    async def join():
        got.append(await spawn(wait()).join())

    spawn(join())
    await settle()
    collect()
    future.set_result("joined")
    await until(lambda: got)
    assert got == ["joined"]


async def test_a_chain_of_forgotten_routines_works_to_its_end():
    end_tx, end_rx = channel()

    async def pass_on(rx, tx):
        async with tx:
            async for value in rx:
                await tx.send(value + 1)

    first_tx, rx = channel()
    for _ in range(50):
        tx, further = channel()
        spawn(pass_on(rx, tx))
        rx = further
    spawn(pass_on(rx, end_tx))
    del tx, rx, further, end_tx
    await settle()
    collect()
    await first_tx.send(0)
    assert await end_rx.recv() == 51
    first_tx.close()
    assert await end_rx.recv_ok() == (None, False)


# --- finished routines go


async def test_a_finished_routine_is_freed_without_a_collection(start):
    class Result:
        pass

    async def give():
        await yield_now()
        return Result()

    routine = spawn(give())
    result = weakref.ref(await routine)
    reference = weakref.ref(routine)
    gc.disable()
    try:
        del routine
        await settle()
        assert reference() is None
        assert result() is None
    finally:
        gc.enable()


async def test_an_aborted_routine_is_freed():
    tx, rx = channel()

    async def receive():
        await rx.recv()

    routine = spawn(receive())
    await parked(rx, receivers=1)
    routine.abort()
    await asyncio.wait([routine])
    reference = weakref.ref(routine)
    del routine
    await settle()
    collect()
    assert reference() is None


# --- routines that nothing can wake


async def leak(kind):
    """Parks for ever on a channel that only this frame knows."""
    tx, rx = channel()
    try:
        if kind == "recv":
            await rx.recv()
        elif kind == "recv_ok":
            await rx.recv_ok()
        elif kind == "recv_many":
            await rx.recv_many(3)
        elif kind == "async for":
            async for _ in rx:
                pass
        elif kind == "batches":
            async for _ in rx.batches(3):
                pass
        elif kind == "send":
            await tx.send(1)
        elif kind == "send_many":
            await tx.send_many([1, 2])
        elif kind == "wait_closed":
            await tx.wait_closed()
    finally:
        leak.ended.append(kind)
        del tx, rx


kinds = pytest.mark.parametrize(
    "kind",
    ["recv", "recv_ok", "recv_many", "async for", "batches", "send", "send_many", "wait_closed"],
)


@kinds
async def test_a_leaked_routine_is_collected_and_its_finally_blocks_run(kind):
    leak.ended = []
    with recorded_warnings() as seen:
        reference = weakref.ref(spawn(leak(kind)))
        await settle()
        assert reference() is not None
        collect()
        assert leak.ended == [kind]
        assert reference() is None
        await settle()
    assert len(resource_warnings(seen)) == 1, [str(each.message) for each in seen]
    assert len(seen) == 1


async def test_the_leak_warning_names_the_routine_and_where_it_is_blocked():
    leak.ended = []
    with recorded_warnings() as seen:
        spawn(leak("recv"), name="the forgotten one")
        await settle()
        collect()
    (message,) = resource_warnings(seen)
    assert "the forgotten one" in message
    assert "chan receive" in message
    assert "test_core_lifetime.py" in message


async def test_a_leaked_routine_is_not_reported_to_the_exception_handler(reports):
    leak.ended = []
    with recorded_warnings():
        spawn(leak("recv"))
        await settle()
        collect()
        await settle()
    assert reports == []


async def test_two_routines_that_wait_for_each_other_are_collected_together():
    ended = []

    async def wait(rx, tx):
        try:
            await tx.send(await rx.recv())
        finally:
            ended.append(True)

    with recorded_warnings() as seen:
        a_tx, a_rx = channel()
        b_tx, b_rx = channel()
        spawn(wait(a_rx, b_tx))
        spawn(wait(b_rx, a_tx))
        del a_tx, a_rx, b_tx, b_rx
        await settle()
        collect()
        await settle()
        collect()
    assert ended == [True, True]
    assert resource_warnings(seen)


async def test_a_routine_that_joins_a_leaked_routine_does_not_disappear_without_a_word():
    ended = []

    async def wait():
        tx, rx = channel()
        try:
            await rx.recv()
        finally:
            ended.append("inner")
            del tx

    async def join():
        try:
            await spawn(wait()).join()
        finally:
            ended.append("outer")

    with recorded_warnings() as seen:
        spawn(join())
        await settle()
        collect()
        await settle()
        collect()
        await settle()
    assert "inner" in ended
    assert "outer" in ended
    assert resource_warnings(seen)


async def test_a_leaked_routine_that_holds_much_frees_it():
    leak.ended = []

    class Held:
        pass

    kept = []

    async def hold():
        held = Held()
        kept.append(weakref.ref(held))
        await leak("recv")
        return held

    with recorded_warnings():
        spawn(hold())
        await settle()
        collect()
    assert kept[0]() is None


async def test_a_thousand_leaked_routines_are_collected():
    leak.ended = []
    with recorded_warnings() as seen:
        for _ in range(1000):
            spawn(leak("recv"))
        await settle(20)
        collect()
        await settle()
    assert len(leak.ended) == 1000
    assert len(resource_warnings(seen)) == 1000


async def test_a_leaked_routine_that_refuses_to_end_does_no_harm():
    trace = []

    async def refuse():
        tx, rx = channel()
        try:
            await rx.recv()
        finally:
            trace.append("finally")
            try:
                await yield_now()
            except BaseException:
                trace.append("could not wait")
            del tx

    unraisable = []
    hook, sys.unraisablehook = sys.unraisablehook, unraisable.append
    try:
        with recorded_warnings():
            spawn(refuse())
            await settle()
            collect()
            await settle()
            collect()
    finally:
        sys.unraisablehook = hook
        unraisable.clear()
    assert trace[0] == "finally"
    assert await spawn(give(1)) == 1


async def give(value):
    return value


async def test_a_leaked_routine_may_spawn_while_it_ends():
    trace = []

    async def note():
        trace.append("spawned while it ended")

    async def last_wish():
        tx, rx = channel()
        try:
            await rx.recv()
        finally:
            spawn(note())
            del tx

    with recorded_warnings():
        spawn(last_wish())
        await settle()
        collect()
        await until(lambda: trace)


async def test_a_forgotten_plain_task_parked_for_ever_is_asyncios_to_report(reports):
    async def park():
        tx, rx = channel()
        try:
            await rx.recv()
        finally:
            ended.append(True)
            del tx

    ended = []
    asyncio.Task(park())
    await settle()
    collect()
    await settle()
    assert ended == [True]
    assert ["pending" in report["message"] for report in reports] == [True]
    reports.clear()


async def test_a_forgotten_plain_task_is_not_woken_by_what_goes_with_it(reports):
    tx, rx = channel()
    task = asyncio.Task(rx.recv(), loop=asyncio.get_running_loop())
    task.add_done_callback(lambda _, sender=tx: sender)
    await parked(rx, receivers=1)
    collect()  # now the collector comes to the task before its operation
    del task, tx, rx
    collect()  # the task is cleared, then the sender goes: that closes the channel, on which the operation still waits
    await settle()
    assert "destroyed but it is pending" in reports.pop()["message"]


async def test_a_held_handle_keeps_a_leaked_routine_parked():
    leak.ended = []
    routine = spawn(leak("recv"))
    await settle()
    collect()
    assert not leak.ended
    assert not routine.done()
    routine.abort()
    await asyncio.wait([routine])
    assert leak.ended == ["recv"]


@pytest.mark.bodies("routine")
async def test_warnings_as_errors_do_not_lose_the_finally_blocks():
    import warnings

    leak.ended = []
    unraisable = []
    hook, sys.unraisablehook = sys.unraisablehook, unraisable.append
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            spawn(leak("recv"))
            await settle()
            collect()
    finally:
        sys.unraisablehook = hook
        kinds = [type(each.exc_value) for each in unraisable]
        unraisable.clear()
    assert leak.ended == ["recv"]
    assert kinds == [ResourceWarning]


async def test_no_routine_is_left_behind_by_many_short_lives():
    collect()
    before = sum(type(each) is Routine for each in gc.get_objects())
    await asyncio.gather(*(spawn(give(n)) for n in range(1000)))
    await settle()
    collect()
    after = sum(type(each) is Routine for each in gc.get_objects())
    assert after <= before


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="None is immortal, and nobody counts")
def test_refusing_to_await_a_finished_yield_again_keeps_no_reference():
    operation = yield_now()
    assert next(operation) is None
    assert next(operation, "finished") == "finished"
    before = sys.getrefcount(None)
    for _ in range(1000):
        with pytest.raises(RuntimeError, match="reuse"):
            next(operation)
    assert sys.getrefcount(None) < before + 500


async def test_the_ring_does_not_grow_with_the_wake_ups_of_plain_tasks():
    tx, rx = channel()

    async def receive():
        for _ in range(200):
            await rx.recv()

    receiving = asyncio.create_task(receive())
    for _ in range(200):
        await tx.send(None)
    await receiving
    scheduler = scheduler_for(asyncio.get_running_loop())
    (ring,) = [each for each in gc.get_referents(scheduler) if type(each) is Ring]
    (slots,) = gc.get_referents(ring)
    assert len(slots) <= 16


async def test_routines_that_have_waited_for_futures_are_let_go():
    async def wait(future):
        await future

    futures = [asyncio.get_running_loop().create_future() for _ in range(4)]
    references = [weakref.ref(spawn(wait(future))) for future in futures]
    await settle()
    assert all(reference() is not None for reference in references)
    for future in futures:
        future.set_result(None)
        await settle()
    collect()
    assert [reference() for reference in references] == [None] * 4


@pytest.mark.parametrize("parked", [False, True])
def test_the_collector_knows_a_routine_that_a_drain_has_started_and_left(parked):
    """While a drain runs it need not: so that starting many costs no look at them all."""
    started = []

    async def wait():
        await sleep(60)

    async def start_and_stop():
        if parked:
            await asyncio.sleep(0.001)
        started.append(spawn(wait()))
        raise KeyboardInterrupt

    loop = asyncio.new_event_loop()
    Routine(start_and_stop(), loop=loop)
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    assert gc.is_tracked(started[0])
    loop.run_until_complete(asyncio.sleep(0))
    assert gc.is_tracked(started[0])
    started[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(started[0])
    loop.close()


async def test_the_collector_knows_a_routine_that_has_been_stepped():
    tx, rx = channel()

    async def start():
        routine = spawn(rx.recv())
        await yield_now()
        tracked = gc.is_tracked(routine)
        await tx.send(1)
        return tracked, await routine

    assert await spawn(start()) == (True, 1)


def test_what_a_drain_left_behind_is_collected_with_its_loop():
    class Marker:
        pass

    async def never(marker, loop):
        await asyncio.sleep(marker)

    async def start_and_stop(loop):
        marker = Marker()
        watched.append(weakref.ref(marker))
        spawn(never(marker, loop))
        raise KeyboardInterrupt

    def run():
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda *_: None)
        Routine(start_and_stop(loop), loop=loop)
        try:
            loop.run_forever()
        except KeyboardInterrupt:
            loop.close()

    watched = []
    with recorded_warnings():
        run()
        collect()
    assert watched[0]() is None


@pytest.mark.bodies("routine")
@pytest.mark.parametrize("held", [False, True])
async def test_one_aborted_before_its_first_step_lets_go_of_what_it_was_called_with(held):
    """Else whoever keeps the routine keeps the channel open, and those who receive wait for ever."""
    tx, rx = channel()

    async def send(tx):
        with tx:
            await tx.send(1)

    async with group(limit=1 if held else None) as g:
        if held:
            g.go(settle)
        routine = g.go(send, tx.clone())
        routine.abort("too early")
        await outcome(routine.join())
    assert routine.cancelled()
    assert rx.stats().senders == 1
    tx.close()
    with pytest.raises(ChannelClosed):
        await rx.recv()
    with pytest.raises(Aborted, match="too early"):
        await routine.join()


async def test_a_leaked_routine_that_is_to_end_without_a_word_does():
    """As a task with that attribute: who sets it knows that nobody will wake it."""
    leak.ended = []
    with recorded_warnings() as seen:
        spawn(leak("recv"))._log_destroy_pending = False
        await settle()
        collect()
    assert leak.ended == ["recv"]
    assert seen == []


async def test_a_leaked_routine_is_collected_inside_of_its_own_context():
    class Wait(Coroutine):
        """No native one: that would be closed by the collector itself."""

        def __init__(self):
            self.sender, receiver = channel()
            self.operation = receiver.recv()

        def send(self, value):
            return self.operation.send(value)

        def throw(self, *error):
            return self.operation.throw(*error)

        def close(self):
            ended.append(place.get())
            self.operation.close()

        def __await__(self):
            return self.operation

    place = contextvars.ContextVar("place")
    context = contextvars.copy_context()
    context.run(place.set, "its own")
    ended = []
    with recorded_warnings() as seen:
        spawn(Wait(), context=context)
        await settle()
        context.run(collect)
    assert ended == ["its own"]
    assert len(resource_warnings(seen)) == 1


@pytest.mark.bodies("routine")
async def test_a_routine_finalized_by_hand_before_its_first_step_is_known_to_the_collector():
    ran = []

    async def run():
        ran.append("ran")

    with recorded_warnings() as seen:
        routine = spawn(run())
        routine.__del__()
    assert routine.cancelled()
    assert gc.is_tracked(routine)
    await settle()
    assert ran == []
    assert len(resource_warnings(seen)) == 1


def test_giving_way_without_await_is_warned_of():
    with pytest.warns(RuntimeWarning, match=r"yield_now\(\) was never awaited"):
        yield_now()


async def test_a_routine_that_has_returned_itself_is_collected():
    async def return_itself(wrap):
        return wrap(current())

    collect()
    before = live(Routine)
    for wrap in (lambda routine: routine, lambda routine: (routine, "and more"), lambda routine: [routine]):
        returning = spawn(return_itself(wrap))
        await returning
        del returning
        collect()
    cancelled = spawn(sleep(60))
    cancelled.cancel((cancelled,))
    await asyncio.wait([cancelled])
    del cancelled
    await settle()
    collect()
    assert live(Routine) == before
