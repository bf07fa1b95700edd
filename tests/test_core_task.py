"""A routine is a task: everything that asyncio documents about `asyncio.Task`."""

import asyncio
import contextlib
import contextvars
import gc
import io
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import pytest
from helpers import collect, parked, settle, until

import routines
from routines import Aborted, Routine, Selector, channel, current, select, spawn, yield_now


async def give(value=None):
    return value


async def fail(error):
    raise error


async def for_ever():
    await asyncio.get_running_loop().create_future()


# --- state and outcome


async def test_a_routine_is_done_after_its_end_only():
    routine = spawn(give())
    assert not routine.done()
    await routine
    assert routine.done()
    assert not routine.cancelled()


async def test_result_of_a_routine_under_way_is_an_invalid_state():
    routine = spawn(give(1))
    with pytest.raises(asyncio.InvalidStateError):
        routine.result()
    with pytest.raises(asyncio.InvalidStateError):
        routine.exception()
    await routine
    assert routine.result() == 1
    assert routine.exception() is None


async def test_the_exception_of_a_routine_is_raised_as_it_was():
    error = LookupError("mine")
    routine = spawn(fail(error))
    with pytest.raises(LookupError) as caught:
        await routine
    assert caught.value is error
    assert routine.exception() is error
    assert not routine.cancelled()
    with pytest.raises(LookupError):
        routine.result()


async def test_the_traceback_of_a_failure_names_the_line_that_raised():
    routine = spawn(fail(LookupError("mine")))
    with pytest.raises(LookupError) as caught:
        await routine
    names = [entry.name for entry in caught.traceback]
    assert "fail" in names


async def test_a_cancelled_routine_says_so_everywhere():
    routine = spawn(for_ever())
    await settle()
    assert routine.cancel()
    assert not routine.done(), "cancel only asks"
    with pytest.raises(asyncio.CancelledError):
        await routine
    assert routine.done()
    assert routine.cancelled()
    with pytest.raises(asyncio.CancelledError):
        routine.result()
    with pytest.raises(asyncio.CancelledError):
        routine.exception()


async def test_a_routine_can_be_awaited_many_times():
    routine = spawn(give(1))
    assert [await routine, await routine] == [1, 1]

    failed = spawn(fail(LookupError()))
    for _ in range(2):
        with pytest.raises(LookupError):
            await failed


async def test_many_await_one_routine(start):
    tx, rx = channel()
    routine = spawn(receive(rx))

    async def look():
        return await routine

    waiting = [start(look()) for _ in range(5)]
    await settle()
    await tx.send("shared")
    assert await asyncio.gather(*waiting) == ["shared"] * 5


async def receive(rx):
    return await rx.recv()


async def test_a_routine_awaiting_itself_is_an_error():
    async def bite():
        await asyncio.current_task()

    with pytest.raises(RuntimeError, match="await on itself"):
        await spawn(bite())


async def test_asyncio_takes_a_routine_for_a_future():
    routine = spawn(give(1))
    assert asyncio.isfuture(routine)
    assert asyncio.ensure_future(routine) is routine
    assert await routine == 1


async def test_a_routine_can_be_referenced_weakly():
    routine = spawn(give())
    reference = weakref.ref(routine)
    assert reference() is routine
    await routine
    del routine
    await settle()
    collect()
    assert reference() is None


async def test_a_finished_routine_lets_go_of_its_coroutine_frame():
    class Local:
        pass

    kept = []

    async def hold():
        local = Local()
        kept.append(weakref.ref(local))
        await yield_now()

    routine = spawn(hold())
    await routine
    await settle()
    collect()
    assert kept[0]() is None
    assert routine.done()


# --- cancelling


async def test_cancel_returns_false_where_the_routine_is_done():
    routine = spawn(give())
    await routine
    assert routine.cancel() is False
    assert not routine.cancelled()


async def test_the_message_of_cancel_reaches_the_routine():
    seen = []

    async def listen():
        try:
            await for_ever()
        except asyncio.CancelledError as error:
            seen.append(error.args)
            raise

    routine = spawn(listen())
    await settle()
    routine.cancel("because")
    with pytest.raises(asyncio.CancelledError) as caught:
        await routine
    assert seen == [("because",)]
    assert caught.value.args == ("because",)


async def test_cancelling_counts_requests_and_uncancel_takes_them_back():
    counts = []

    async def stubborn():
        me = asyncio.current_task()
        for _ in range(2):
            try:
                await for_ever()
            except asyncio.CancelledError:
                counts.append(me.cancelling())
        counts.append(me.uncancel())
        counts.append(me.uncancel())
        counts.append(me.uncancel())
        return "survived"

    routine = spawn(stubborn())
    assert routine.cancelling() == 0
    await settle()
    routine.cancel()
    await settle()
    routine.cancel()
    assert await routine == "survived"
    assert counts == [1, 2, 1, 0, 0]


async def test_uncancel_down_to_zero_clears_a_pending_cancellation():
    async def regret():
        me = asyncio.current_task()
        me.cancel()
        assert me.cancelling() == 1
        assert me.uncancel() == 0
        await yield_now()
        await settle()
        return "went on"

    assert await spawn(regret()) == "went on"


async def test_a_routine_cancelled_before_it_started_never_runs():
    ran = []

    async def note():
        ran.append(True)

    routine = spawn(note())
    assert routine.cancel()
    with pytest.raises(asyncio.CancelledError):
        await routine
    assert not ran
    assert routine.cancelled()


async def test_a_routine_that_cancels_itself_is_stopped_at_its_next_suspension():
    reached = []

    async def stop():
        asyncio.current_task().cancel()
        reached.append("after cancel")
        await asyncio.sleep(0)
        reached.append("after the suspension")

    routine = spawn(stop())
    with pytest.raises(asyncio.CancelledError):
        await routine
    assert reached == ["after cancel"]


async def test_a_ready_routine_is_cancelled_before_its_next_step():
    steps = []

    async def count():
        while True:
            steps.append(len(steps))
            await yield_now()

    async def cancel(routine):
        routine.cancel()

    routine = spawn(count())
    spawn(cancel(routine))
    with pytest.raises(asyncio.CancelledError):
        await routine
    assert steps == [0]


async def test_a_routine_that_swallows_its_cancellation_goes_on():
    async def swallow():
        try:
            await for_ever()
        except asyncio.CancelledError:
            pass
        await yield_now()
        return "still here"

    routine = spawn(swallow())
    await settle()
    routine.cancel()
    assert await routine == "still here"
    assert not routine.cancelled()
    assert routine.cancelling() == 1


async def test_cancelling_a_routine_cancels_the_future_it_awaits():
    future = asyncio.get_running_loop().create_future()

    async def wait():
        await future

    routine = spawn(wait())
    await settle()
    routine.cancel()
    assert future.cancelled()
    with pytest.raises(asyncio.CancelledError):
        await routine


async def test_cancelling_a_routine_cancels_the_routine_it_awaits():
    inner = spawn(for_ever())

    async def wait():
        await inner

    outer = spawn(wait())
    await settle()
    outer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await outer
    assert inner.cancelled()


async def test_cancelling_a_routine_cancels_the_plain_task_it_awaits():
    inner = asyncio.Task(for_ever())

    async def wait():
        await inner

    outer = spawn(wait())
    await settle()
    outer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await outer
    assert inner.cancelled()


async def test_a_cancelled_future_cancels_the_routine_that_awaits_it():
    future = asyncio.get_running_loop().create_future()

    async def wait():
        await future

    routine = spawn(wait())
    await settle()
    future.cancel()
    with pytest.raises(asyncio.CancelledError):
        await routine
    assert routine.cancelled()


async def test_cleaning_up_may_await():
    trace = []

    async def clean():
        try:
            await for_ever()
        finally:
            await yield_now()
            trace.append("first")
            await asyncio.sleep(0)
            trace.append("second")

    routine = spawn(clean())
    await settle()
    routine.cancel()
    with pytest.raises(asyncio.CancelledError):
        await routine
    assert trace == ["first", "second"]


# --- callbacks


async def test_done_callbacks_run_in_order_with_the_routine():
    seen = []
    routine = spawn(give())
    routine.add_done_callback(lambda done: seen.append((1, done)))
    routine.add_done_callback(lambda done: seen.append((2, done)))
    await routine
    await settle()
    assert seen == [(1, routine), (2, routine)]


async def test_a_callback_added_after_the_end_runs_soon_but_not_at_once():
    seen = []
    routine = spawn(give())
    await routine
    routine.add_done_callback(seen.append)
    assert not seen
    await settle()
    assert seen == [routine]


async def test_removed_callbacks_do_not_run():
    seen = []
    routine = spawn(give())
    routine.add_done_callback(seen.append)
    routine.add_done_callback(seen.append)
    assert routine.remove_done_callback(seen.append) == 2
    assert routine.remove_done_callback(seen.append) == 0
    await routine
    await settle()
    assert not seen


async def test_a_callback_runs_in_the_context_it_was_given():
    name = contextvars.ContextVar("name", default="nobody")
    context = contextvars.copy_context()
    context.run(name.set, "theirs")
    name.set("ours")
    seen = []
    routine = spawn(give())
    routine.add_done_callback(lambda _: seen.append(name.get()))
    routine.add_done_callback(lambda _: seen.append(name.get()), context=context)
    await routine
    await settle()
    assert seen == ["ours", "theirs"]


async def test_a_callback_that_raises_is_reported_and_stops_nothing(reports):
    seen = []

    def explode(_):
        raise ZeroDivisionError("in a callback")

    routine = spawn(give(1))
    routine.add_done_callback(explode)
    routine.add_done_callback(seen.append)
    assert await routine == 1
    await settle()
    assert seen == [routine]
    assert [type(report["exception"]) for report in reports] == [ZeroDivisionError]
    reports.clear()


async def test_a_callback_may_spawn_and_cancel():
    seen = []
    other = spawn(for_ever())

    async def note():
        seen.append("spawned by a callback")

    def act(_):
        spawn(note())
        other.cancel()

    routine = spawn(give())
    routine.add_done_callback(act)
    await asyncio.wait([other])
    await settle()
    assert seen == ["spawned by a callback"]


async def test_callbacks_that_remove_each_other_while_they_are_scheduled():
    routine = spawn(give())
    seen = []

    def first(done):
        done.remove_done_callback(second)
        seen.append("first")

    def second(done):
        seen.append("second")

    routine.add_done_callback(first)
    routine.add_done_callback(second)
    await routine
    await settle()
    assert seen[0] == "first"


async def test_removing_a_callback_whose_comparison_changes_the_list_is_safe():
    routine = spawn(give())

    class Meddler:
        def __call__(self, _):
            pass

        def __eq__(self, other):
            routine.add_done_callback(print_nothing)
            return True

        __hash__ = None

    def print_nothing(_):
        pass

    for _ in range(3):
        routine.add_done_callback(Meddler())
    routine.remove_done_callback(lambda _: None)
    await routine
    await settle()


# --- names, coroutine, context, loop, stack, repr


async def test_the_name_can_be_changed_and_is_a_string():
    routine = spawn(give())
    routine.set_name("new name")
    assert routine.get_name() == "new name"
    routine.set_name(12)
    assert routine.get_name() == "12"
    await routine


async def test_get_coro_gives_the_coroutine():
    coro = give()
    routine = spawn(coro)
    assert routine.get_coro() is coro
    await routine


async def test_get_loop_gives_the_running_loop():
    routine = spawn(give())
    assert routine.get_loop() is asyncio.get_running_loop()
    await routine


async def test_get_context_gives_the_context_it_runs_in():
    context = contextvars.copy_context()
    routine = spawn(give(), context=context)
    assert routine.get_context() is context
    await routine


async def test_get_stack_of_a_parked_routine_shows_where_it_waits():
    routine = spawn(for_ever())
    await settle()
    frames = routine.get_stack()
    assert frames[0].f_code.co_name == "for_ever"
    assert routine.get_stack(limit=1) == frames[:1]
    routine.cancel()
    await asyncio.wait([routine])


async def test_get_stack_of_a_routine_parked_on_a_channel_shows_where_it_waits():
    tx, rx = channel()
    routine = spawn(receive(rx))
    await settle()
    assert [frame.f_code.co_name for frame in routine.get_stack()] == ["receive"]
    await tx.send(None)
    await routine
    assert routine.get_stack() == []


async def test_print_stack_writes_to_a_file():
    routine = spawn(for_ever())
    await settle()
    text = io.StringIO()
    routine.print_stack(file=text)
    assert "for_ever" in text.getvalue()
    routine.cancel()
    await asyncio.wait([routine])


async def test_print_stack_of_a_failed_routine_shows_its_traceback():
    routine = spawn(fail(LookupError("mine")))
    await asyncio.wait([routine])
    text = io.StringIO()
    routine.print_stack(file=text)
    assert "fail" in text.getvalue()
    routine.exception()


async def test_the_repr_tells_name_state_and_coroutine():
    routine = spawn(for_ever(), name="worker 7")
    await settle()
    assert "worker 7" in repr(routine)
    assert "for_ever" in repr(routine)
    assert "io wait" in repr(routine) or "pending" in repr(routine)
    routine.cancel()
    await asyncio.wait([routine])
    assert "done" in repr(routine) or "cancelled" in repr(routine)


async def test_the_repr_works_in_every_state():
    texts = []

    async def look():
        texts.append(repr(asyncio.current_task()))
        await yield_now()
        raise LookupError("mine")

    routine = spawn(look())
    texts.append(repr(routine))
    await asyncio.wait([routine])
    texts.append(repr(routine))
    routine.exception()
    assert all(routine.get_name() in text for text in texts)


async def test_anyio_finds_the_attributes_it_looks_for():
    future = asyncio.get_running_loop().create_future()

    async def wait():
        await future

    routine = spawn(wait())
    assert routine._asyncio_future_blocking is False
    await settle()
    assert routine._fut_waiter is future
    assert routine._must_cancel is False
    future.set_result(None)
    await routine
    assert routine._fut_waiter is None


async def test_must_cancel_is_seen_while_a_cancellation_is_pending():
    routine = spawn(for_ever())
    routine.cancel()
    assert routine._must_cancel is True
    await asyncio.wait([routine])


# --- what a coroutine may yield


class Yields:
    """An awaitable that yields one raw object."""

    def __init__(self, value):
        self.value = value

    def __await__(self):
        return (yield self.value)


async def wait_for_object(awaitable):
    return await awaitable


@pytest.mark.parametrize("what", [42, "text", object()])
async def test_a_bad_yield_is_raised_inside_the_routine(what):
    with pytest.raises(RuntimeError, match="got bad yield"):
        await spawn(wait_for_object(Yields(what)))


async def test_a_future_yielded_without_await_is_an_error():
    future = asyncio.get_running_loop().create_future()
    with pytest.raises(RuntimeError, match="yield was used instead of yield from"):
        await spawn(wait_for_object(Yields(future)))


async def test_a_future_of_another_loop_is_refused():
    other = asyncio.SelectorEventLoop()
    future = other.create_future()
    with pytest.raises(RuntimeError, match="attached to a different loop"):
        await spawn(wait_for_object(future))
    other.close()


async def test_a_generator_yielded_is_an_error():
    def generate():
        yield 1

    with pytest.raises(RuntimeError, match="yield was used instead of yield from|bad yield"):
        await spawn(wait_for_object(Yields(generate())))


async def test_a_routine_that_yields_what_another_waits_for_is_told_so():
    tx, rx = channel()
    operation = rx.recv()
    waiting = spawn(wait_for_object(operation))
    await until(lambda: rx.stats().waiting_receivers == 1)
    with pytest.raises(RuntimeError, match="is awaited already, by"):
        await spawn(wait_for_object(Yields(operation)))
    await tx.send(1)
    assert await waiting == 1


async def test_a_routine_goes_on_after_a_bad_yield():
    async def survive():
        try:
            await Yields(42)
        except RuntimeError:
            pass
        await yield_now()
        return "went on"

    assert await spawn(survive()) == "went on"


async def test_a_cancellation_takes_the_place_of_the_error_of_a_bad_yield():
    routine = spawn(wait_for_object(Yields(42)))

    async def cancel():
        assert routine.state == "ready"
        routine.cancel()

    await spawn(cancel())
    with pytest.raises(asyncio.CancelledError):
        await routine
    assert routine.cancelled()


async def test_a_bad_yield_does_not_take_the_place_of_a_cancellation_that_waits():
    tx, rx = channel()
    got = []

    async def receive_and_yield():
        got.append(await rx.recv())
        try:
            await Yields(42)
        except asyncio.CancelledError:
            got.append("cancelled there")
            raise

    routine = spawn(receive_and_yield())
    await parked(rx, receivers=1)
    tx.try_send("value")
    routine.cancel()
    await asyncio.wait([routine])
    assert routine.cancelled()
    assert got == ["value", "cancelled there"]


class Settled:
    """An awaitable that has completed its operation before it hands that to whoever drives it, as another thread may."""

    def __await__(self):
        tx, rx = channel()
        operation = rx.recv()
        assert operation.send(None) is operation
        tx.try_send("value")
        yield operation
        try:
            operation.send(None)
        except StopIteration as ended:
            return ended.value


async def test_an_operation_that_is_complete_before_its_driver_has_it_returns(start):
    assert await start(wait_for_object(Settled())) == "value"


@pytest.mark.bodies("routine")
async def test_an_operation_that_is_complete_before_its_driver_has_it_returns_before_a_cancellation():
    got = []

    async def cancelled():
        current().cancel()
        got.append(await Settled())
        await asyncio.sleep(60)

    routine = spawn(cancelled())
    await asyncio.wait([routine])
    assert routine.cancelled()
    assert got == ["value"]


@pytest.mark.parametrize("when", ["as an operation was complete", "by itself"])
async def test_a_cancellation_that_waits_meets_a_future_that_calls_back_at_once(when):
    class AtOnce(asyncio.Future):
        def add_done_callback(self, callback, *, context=None):
            self.set_result("done")
            callback(self)

    tx, rx = channel()
    got = []

    async def receive_and_wait():
        got.append(await rx.recv())
        if when == "by itself":
            current().cancel()
        got.append(await AtOnce())

    routine = spawn(receive_and_wait())
    await parked(rx, receivers=1)
    tx.try_send("value")
    if when != "by itself":
        routine.cancel()
    await asyncio.wait([routine])
    assert routine.cancelled()
    assert got == ["value"]


# --- what asyncio sees


async def test_all_tasks_lists_live_routines_in_every_state():
    tx, rx = channel()
    parked = spawn(receive(rx))
    waiting = spawn(for_ever())
    ready = spawn(give())
    await until(lambda: rx.stats().waiting_receivers == 1)
    fresh = spawn(give())
    known = asyncio.all_tasks()
    assert {parked, waiting, fresh} <= known
    assert ready not in known or not ready.done()
    await tx.send(1)
    waiting.cancel()
    await asyncio.wait([parked, waiting, fresh])
    assert not asyncio.all_tasks() & {parked, waiting, fresh, ready}


# Ways in which an asyncio may keep its tasks that none of those has that these tests run on.
OTHERS = {
    "in Python alone": """
sys.modules["_asyncio"] = None
import asyncio
""",
    "in no set": """
import asyncio
kept = []
asyncio._register_task = kept.append
asyncio.all_tasks = lambda loop=None: {each for each in kept if not each.done()}
""",
}


@pytest.mark.parametrize("way", OTHERS)
def test_all_tasks_lists_routines_of_an_asyncio_that_keeps_its_tasks(way):
    program = f"""
import sys
{OTHERS[way]}
import routines

async def main():
    routine = routines.go(routines.sleep, 5)
    await routines.yield_now()
    assert {{routine, routines.current()}} <= asyncio.all_tasks()

routines.run(main)
"""
    environment = os.environ | {"PYTHONPATH": str(Path(routines.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, timeout=50)
    assert (done.returncode, done.stderr) == (0, b"")


async def test_current_task_is_the_routine_inside_and_the_caller_outside():
    outside = asyncio.current_task()

    async def look():
        inside = asyncio.current_task()
        await yield_now()
        assert asyncio.current_task() is inside
        return inside

    routine = spawn(look())
    assert await routine is routine
    assert asyncio.current_task() is outside


async def test_current_task_is_restored_when_a_routine_fails():
    outside = asyncio.current_task()
    routine = spawn(fail(LookupError()))
    with pytest.raises(LookupError):
        await routine
    assert asyncio.current_task() is outside


async def test_no_current_task_in_a_loop_callback():
    seen = []
    spawn(give())
    asyncio.get_running_loop().call_soon(lambda: seen.append(asyncio.current_task()))
    await settle()
    assert seen == [None]


def test_asyncio_run_cancels_what_is_left_and_runs_every_finally():
    trace = []

    async def left(name, wait):
        try:
            await wait()
        finally:
            await asyncio.sleep(0)
            trace.append(name)

    async def main():
        tx, rx = channel()
        full_tx, full_rx = channel()
        main.keep = (tx, rx, full_tx, full_rx)
        spawn(left("receiving", rx.recv))
        spawn(left("sending", lambda: full_tx.send(1)))
        spawn(left("waiting", for_ever))
        spawn(left("sleeping", lambda: asyncio.sleep(1000)))
        spawn(left("yielding", yield_for_ever))
        await settle()
        return "done"

    async def yield_for_ever():
        while True:
            await yield_now()

    assert asyncio.run(main()) == "done"
    assert sorted(trace) == ["receiving", "sending", "sleeping", "waiting", "yielding"]


def test_asyncio_run_of_a_failing_main_still_cleans_up():
    trace = []

    async def left(rx):
        try:
            await rx.recv()
        finally:
            trace.append("cleaned")

    async def main():
        tx, rx = channel()
        main.keep = tx
        spawn(left(rx))
        await settle()
        raise LookupError("main")

    with pytest.raises(LookupError):
        asyncio.run(main())
    assert trace == ["cleaned"]


async def test_subscripts_are_for_annotations():
    assert Routine[int] is not None


async def test_libraries_may_take_a_routine_for_a_task():
    routine = spawn(asyncio.sleep(0))
    assert isinstance(routine, asyncio.Task)
    assert isinstance(routine, asyncio.Future)
    assert isinstance(routine, Routine)
    assert asyncio.isfuture(routine)
    assert type(routine) is Routine
    await routine


async def test_the_loop_s_debug_mode_keeps_where_a_routine_was_made(world, reports):
    loop = asyncio.get_running_loop()
    loop.set_debug(False)
    assert Routine(asyncio.sleep(0))._source_traceback is None
    loop.set_debug(True)
    made = Routine(asyncio.sleep(0))
    assert made._source_traceback[-1].name == "test_the_loop_s_debug_mode_keeps_where_a_routine_was_made"
    assert f"spawned at {__file__}" in repr(made)

    async def fail():
        raise LookupError

    failed = spawn(fail())
    await settle()
    del failed
    collect()
    assert reports.pop()["source_traceback"][-1].filename == __file__


async def test_a_cancellation_shows_in_the_repr_until_it_was_taken_back():
    async def resist():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        assert " cancelling " in repr(current())
        current().uncancel()
        assert " cancelling " not in repr(current())

    routine = spawn(resist())
    await settle()
    assert " cancelling " not in repr(routine)
    routine.cancel()
    assert " cancelling " in repr(routine)
    await routine
    assert " cancelling " not in repr(routine)


async def test_no_name_is_the_default_one():
    routine = spawn(asyncio.sleep(0), name="given")
    assert routine.get_name() == "given"
    routine.set_name(None)
    assert routine.get_name() == f"Routine-{routine.id}"
    await routine


def wait_for_the_abort_of(routine):
    with pytest.raises(Aborted):
        routine.join_blocking()


async def test_what_waits_for_a_routine_without_being_a_task_is_not_in_the_call_graph():
    async def hold():
        await asyncio.get_running_loop().create_future()

    async def choose():
        return await select(held)

    held = spawn(hold())
    choosing = spawn(choose())
    selector = Selector(held)
    blocked = threading.Thread(target=wait_for_the_abort_of, args=[held])
    blocked.start()
    await until(lambda: any(repr(each).startswith("<join operation") for each in gc.get_objects()))
    await until(lambda: choosing.state == "select")
    assert held._asyncio_awaited_by is None
    held.abort()
    with pytest.raises(Aborted):
        await choosing
    blocked.join(10)
    assert not blocked.is_alive()
    del selector


async def test_who_awaits_a_routine_is_told_as_asyncio_s_call_graph_asks():
    async def hold():
        await asyncio.get_running_loop().create_future()

    held = spawn(hold())
    assert held._asyncio_awaited_by is None

    async def wait():
        await held

    waiting = [spawn(wait()), asyncio.Task(wait()), spawn(held.join())]
    await settle()
    assert held._asyncio_awaited_by == set(waiting)
    held.cancel()
    await asyncio.wait(waiting)
    assert held._asyncio_awaited_by is None
    waiting[2].exception()
