"""Starting routines: `spawn`, `go`, `current`, `yield_now`, the task factory, and what they refuse."""

import _thread
import asyncio
import functools
import gc
import os
import subprocess
import sys
import types
import weakref

import pytest
from helpers import collect, recorded_warnings, settle, until

import routines
from routines import Routine, SpawnError, channel, current, go, spawn, yield_now
from routines._core import scheduler_for


async def give(value=None):
    return value


# --- spawn and go


async def test_spawn_returns_before_the_routine_runs():
    ran = []

    async def note():
        ran.append(True)

    routine = spawn(note())
    assert not ran
    assert not routine.done()
    await routine
    assert ran


async def test_spawned_routines_start_in_the_order_they_were_spawned():
    order = []

    async def note(number):
        order.append(number)

    spawned = [spawn(note(number)) for number in range(50)]
    await asyncio.gather(*spawned)
    assert order == list(range(50))


async def test_a_routine_spawned_by_a_routine_starts_after_those_already_ready():
    order = []

    async def parent():
        order.append("parent")
        spawn(note("child"))

    async def note(name):
        order.append(name)

    spawn(parent())
    spawn(note("sibling"))
    await settle()
    assert order == ["parent", "sibling", "child"]


async def test_go_passes_positional_and_keyword_arguments():
    async def collect_all(*args, **kwargs):
        return args, kwargs

    routine = go(collect_all, 1, 2, name="not the routine's", context=3)
    assert await routine == ((1, 2), {"name": "not the routine's", "context": 3})


async def test_go_takes_a_coroutine_too():
    assert await go(give(7)) == 7


async def test_go_takes_partials_bound_methods_and_async_callables():
    class Worker:
        async def work(self, value):
            return value

        async def __call__(self, value):
            return -value

    assert await go(functools.partial(give, 1)) == 1
    assert await go(Worker().work, 2) == 2
    assert await go(Worker(), 3) == -3


async def test_go_raises_what_a_wrong_call_raises():
    with pytest.raises(TypeError, match="argument"):
        go(give, 1, 2, 3)


async def test_spawn_gives_the_name_it_is_told():
    named = spawn(give(), name="worker 1")
    assert named.get_name() == "worker 1"
    await named


async def test_unnamed_routines_have_different_names():
    one, other = spawn(give()), spawn(give())
    assert one.get_name() != other.get_name()
    assert isinstance(one.get_name(), str)
    await asyncio.gather(one, other)


async def test_ids_are_numbers_that_never_repeat():
    seen = {spawn(give()).id for _ in range(100)}
    await settle()
    seen |= {spawn(give()).id for _ in range(100)}
    await settle()
    assert len(seen) == 200
    assert all(type(each) is int for each in seen)


async def test_any_object_can_be_a_result():
    values = [(), (1, 2), None, StopIteration(3), ValueError("a value"), ValueError, NotImplemented]
    for value in values:
        assert await spawn(give(value)) is value
        assert await spawn(give(value)).join() is value


async def test_a_routine_may_spawn_a_deep_line_of_routines():
    async def descend(depth):
        if depth == 0:
            return 0
        return 1 + await spawn(descend(depth - 1))

    assert await spawn(descend(2000)) == 2000


async def test_a_deep_chain_of_awaits_runs_and_parks_inside_a_routine():
    async def descend(depth):
        if depth == 0:
            await yield_now()
            return 0
        return 1 + await descend(depth - 1)

    assert await spawn(descend(100)) == 100


# --- what cannot be spawned


@pytest.mark.parametrize("what", [None, 42, "text", object(), [give], give])
async def test_spawn_refuses_what_is_no_coroutine_and_says_what_it_got(what):
    with pytest.raises(SpawnError) as caught:
        spawn(what)
    message = str(caught.value)
    assert type(what).__name__ in message or repr(what) in message
    assert "coroutine" in message
    assert caught.value.reason


@pytest.mark.parametrize("what", [None, 42, "text", object()])
async def test_go_refuses_what_cannot_be_called(what):
    with pytest.raises(SpawnError, match=r"(?i)async|coroutine"):
        go(what)


async def test_go_refuses_a_function_that_is_not_async():
    def plain():
        return 42

    with pytest.raises(SpawnError, match=r"(?i)async|coroutine") as caught:
        go(plain)
    assert "plain" in str(caught.value) or "int" in str(caught.value)


async def test_go_refuses_an_async_generator_function():
    async def generate():
        yield 1

    with pytest.raises(SpawnError, match=r"(?i)async|coroutine"):
        go(generate)


async def test_spawn_refuses_an_async_generator_and_a_plain_generator():
    async def generate():
        yield 1

    with pytest.raises(SpawnError):
        spawn(generate())
    with pytest.raises(SpawnError):
        spawn(number for number in range(3))


async def test_go_refuses_a_call_that_returns_something_else():
    class Odd:
        def __call__(self):
            return "no coroutine"

    with pytest.raises(SpawnError, match="str|no coroutine"):
        go(Odd())


async def test_spawn_refuses_a_future():
    future = asyncio.get_running_loop().create_future()
    with pytest.raises(SpawnError):
        spawn(future)


async def test_a_coroutine_that_is_under_way_cannot_be_spawned_again():
    coro = asyncio.sleep(0)

    async def twice():
        await coro

    under_way = twice()
    first = spawn(under_way)
    await first
    try:
        second = spawn(under_way)
    except SpawnError:
        return
    with pytest.raises((SpawnError, RuntimeError)):
        await second


async def test_a_coroutine_spawned_twice_runs_once_and_the_second_spawn_is_an_error():
    runs = []

    async def count():
        runs.append(1)
        await yield_now()
        return "ran"

    coro = count()
    first = spawn(coro)
    try:
        second = spawn(coro)
    except SpawnError:
        pass
    else:
        with pytest.raises((SpawnError, RuntimeError)):
            await second
    assert await first == "ran"
    assert runs == [1]


def test_spawn_without_a_loop_says_so_and_closes_the_coroutine():
    with recorded_warnings() as seen:
        coro = give()
        with pytest.raises(SpawnError, match=r"(?i)loop"):
            spawn(coro)
        assert coro.cr_frame is None, "the coroutine was closed"
        del coro
        collect()
    assert not seen


def test_go_without_a_loop_says_so_and_leaves_no_never_awaited_warning():
    with recorded_warnings() as seen:
        with pytest.raises(SpawnError, match=r"(?i)loop"):
            go(give, 1)
        with pytest.raises(SpawnError, match=r"(?i)loop"):
            go(give())
        collect()
    assert not seen


def test_spawn_error_without_a_loop_does_not_depend_on_an_earlier_loop():
    async def main():
        await spawn(give())

    asyncio.run(main())
    with pytest.raises(SpawnError, match=r"(?i)loop"):
        spawn(give())


async def test_a_refused_spawn_leaves_the_scheduler_as_it_was():
    for _ in range(10):
        with pytest.raises(SpawnError):
            spawn(object())
    assert await spawn(give(3)) == 3


# --- the constructor asyncio knows


async def test_the_constructor_makes_a_routine_as_a_task_class_does():
    loop = asyncio.get_running_loop()
    routine = Routine(give(5), loop=loop, name="made by hand")
    assert routine.get_name() == "made by hand"
    assert routine.get_loop() is loop
    assert await routine == 5


async def test_the_constructor_finds_the_running_loop():
    assert await Routine(give(5)) == 5


@pytest.mark.parametrize("what", [None, 42, object(), give])
async def test_the_constructor_refuses_bad_input_with_a_type_error(what):
    with pytest.raises(TypeError, match="coroutine was expected"):
        Routine(what, loop=asyncio.get_running_loop())


def test_the_constructor_on_a_loop_that_does_not_run_yet_starts_when_it_does(loop):
    routine = Routine(give("later"), loop=loop)
    assert not routine.done()
    assert loop.run_until_complete(routine) == "later"


async def test_a_bare_routine_object_is_harmless():
    try:
        bare = Routine.__new__(Routine)
    except TypeError:
        return
    for use in ("done", "get_name", "cancel", "__repr__"):
        try:
            getattr(bare, use)()
        except Exception:
            pass
    collect()


async def test_an_initialised_routine_cannot_be_initialised_again():
    coro = give("second")
    routine = spawn(give("first"))
    try:
        routine.__init__(coro)
    except Exception:
        pass
    coro.close()
    assert await routine == "first"


# --- current


async def test_current_is_the_routine_that_runs():
    async def look():
        return current()

    routine = spawn(look())
    assert await routine is routine


@pytest.mark.bodies("task")
async def test_current_is_none_in_a_plain_task():
    assert current() is None
    await spawn(give())
    assert current() is None


def test_current_is_none_outside_any_loop():
    assert current() is None


async def test_current_is_none_in_a_loop_callback():
    seen = []
    asyncio.get_running_loop().call_soon(lambda: seen.append(current()))
    await spawn(give())
    await settle()
    assert seen == [None]


async def test_asyncio_knows_the_current_routine_too():
    async def look():
        before = asyncio.current_task()
        await yield_now()
        return before, asyncio.current_task()

    routine = spawn(look())
    assert await routine == (routine, routine)


# --- yield_now


async def test_yielding_lets_the_other_ready_routines_run(start):
    order = []

    async def count(name):
        for number in range(3):
            order.append((name, number))
            await yield_now()

    await asyncio.gather(start(count("a")), start(count("b")))
    assert order == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]


async def test_yielding_returns_none():
    assert await yield_now() is None


async def test_a_thousand_yields_are_a_thousand_switches(start):
    turns = []

    async def count(name):
        for _ in range(1000):
            turns.append(name)
            await yield_now()

    await asyncio.gather(start(count(0)), start(count(1)))
    assert turns == [0, 1] * 1000


async def test_a_bare_asyncio_sleep_zero_yields_as_well():
    order = []

    async def count(name):
        for _ in range(2):
            order.append(name)
            await asyncio.sleep(0)

    await asyncio.gather(spawn(count("a")), spawn(count("b")))
    assert order == ["a", "b", "a", "b"]


async def test_a_yielding_routine_can_be_cancelled(start):
    async def for_ever():
        while True:
            await yield_now()

    started = start(for_ever())
    await settle()
    started.cancel()
    with pytest.raises(asyncio.CancelledError):
        await started


# --- the task factory


def run_with_factory(loop, main):
    loop.set_task_factory(routines.task_factory)
    return loop.run_until_complete(main)


def test_the_task_factory_makes_create_task_return_routines(loop):
    async def main():
        task = asyncio.create_task(give(9), name="made by asyncio")
        assert type(task) is Routine
        assert task.get_name() == "made by asyncio"
        return await task

    assert run_with_factory(loop, main()) == 9


def test_the_main_coroutine_is_a_routine_under_the_factory(loop):
    async def main():
        return current(), asyncio.current_task()

    routine, task = run_with_factory(loop, main())
    assert type(routine) is Routine
    assert routine is task


def test_task_groups_wait_for_and_ensure_future_use_the_factory(loop):
    async def main():
        async with asyncio.TaskGroup() as group:
            child = group.create_task(give(1))
        ensured = asyncio.ensure_future(give(2))
        return type(child), type(ensured), await asyncio.wait_for(give(3), 1), await ensured

    assert run_with_factory(loop, main()) == (Routine, Routine, 3, 2)


def test_the_factory_passes_the_context_on(loop):
    import contextvars

    name = contextvars.ContextVar("name")
    context = contextvars.copy_context()
    context.run(name.set, "theirs")

    async def look():
        return name.get()

    async def main():
        return await asyncio.create_task(look(), context=context)

    assert run_with_factory(loop, main()) == "theirs"


def test_create_task_on_the_loop_object_works_under_the_factory(loop):
    async def main():
        return await asyncio.get_running_loop().create_task(give(4), name="on the loop")

    assert run_with_factory(loop, main()) == 4


async def test_a_coroutine_made_of_a_generator_may_be_spawned():
    @types.coroutine
    def old():
        yield
        return "value"

    assert await spawn(old()) == "value"


# --- where and how it is made


@pytest.mark.loops("stock")
async def test_a_routine_that_no_python_code_has_spawned_shows_no_place():
    async def look():
        shown.append(repr(current()))

    shown = []
    spawn_here = scheduler_for(asyncio.get_running_loop()).spawn
    routines.set_debug(True)
    try:
        spawn(look())
        await until(lambda: shown)
        _thread.start_new_thread(spawn_here, (look(),))
        await until(lambda: len(shown) == 2)
    finally:
        routines.set_debug(False)
    assert ["spawned at" in each for each in shown] == [True, False]


@pytest.mark.loops("stock", "uvloop")
@pytest.mark.bodies("routine")
async def test_a_spawn_without_memory_leaves_the_scheduler_as_it_was():
    testcapi = pytest.importorskip(
        "_testcapi", reason="this interpreter cannot fail allocations", exc_type=ImportError
    )
    scheduler = scheduler_for(asyncio.get_running_loop())
    started = []
    failed = 0
    gc.disable()
    try:
        allocation = 1
        while len(started) < 20:  # the ring has grown several times by then
            coroutine = give(len(started))
            load = scheduler.load
            routine = None
            testcapi.set_nomemory(allocation, allocation + 1)
            try:
                routine = spawn(coroutine)
            except MemoryError:
                failed += 1
            finally:
                testcapi.remove_mem_hooks()
            if routine is None:
                allocation += 1
                coroutine.close()
                assert scheduler.load == load
            else:
                allocation = 1
                started.append(routine)
    finally:
        gc.enable()
    assert failed
    assert [await each for each in started] == list(range(len(started)))


REGISTERING = """
import asyncio
from routines import _core, go

async def nothing():
    pass

async def main():
    seen = []
    _core.register_each(seen.append)
    routine = go(nothing)
    assert seen == [routine]
    _core.register_each(None)
    await go(nothing)
    assert seen == [routine]

asyncio.run(main())
"""


def test_whoever_asks_is_told_of_each_new_routine():
    done = subprocess.run(
        [sys.executable, "-c", REGISTERING],
        env=os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(routines.__file__))},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# --- a loop that takes no attributes


class Bare(asyncio.SelectorEventLoop):
    def __setattr__(self, name, value):
        if name.startswith("_routines"):
            raise AttributeError(name)
        super().__setattr__(name, value)


def test_a_loop_that_takes_no_attributes_is_known_until_it_is_closed_and_another_comes():
    async def main():
        tx, rx = channel()
        sending = go(tx.send, "value")
        assert scheduler_for(sending.get_loop()) is scheduler_for(sending.get_loop())
        return await rx.recv(), await sending.join()

    def run():
        loop = Bare()
        assert loop.run_until_complete(main()) == ("value", None)
        assert loop.run_until_complete(main()) == ("value", None)
        loop.close()
        return weakref.ref(loop)

    first = run()
    second = run()
    collect()
    assert first() is None
    assert second() is not None
