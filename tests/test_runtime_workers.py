"""A runtime: worker threads with a loop each, routines spread over them, and the way they end."""

import asyncio
import gc
import inspect
import math
import os
import signal
import subprocess
import sys
import threading
import time
import weakref

import pytest

import routines
from routines import (
    Aborted,
    Runtime,
    RuntimeClosed,
    RuntimeConfig,
    SpawnError,
    Timeout,
    _deadlock,
    channel,
    current,
    go,
    run,
    runtime,
    select,
    sleep,
    spawn,
    timeout,
)


async def give(value=None):
    return value


async def where():
    return threading.current_thread().name, runtime()


async def hang(ended=None):
    try:
        await sleep(600)
    finally:
        if ended is not None:
            ended.append(current().id)


@pytest.fixture(params=["stock", "uvloop"])
def factory(request):
    if request.param == "stock":
        return None
    return pytest.importorskip("uvloop").new_event_loop


def two(factory=None, **options):
    return RuntimeConfig(worker_threads=2, loop_factory=factory, **options)


# --- configuration


@pytest.mark.parametrize(
    "field, bad",
    [
        ("worker_threads", 0),
        ("worker_threads", -1),
        ("worker_threads", 1.5),
        ("worker_threads", True),
        ("worker_threads", "2"),
        ("thread_name", ""),
        ("thread_name", 7),
        ("enable_io", None),
        ("enable_time", 1),
        ("loop_factory", "uvloop"),
        ("debug", "yes"),
        ("detect_deadlock", 1),
    ],
)
def test_nonsense_is_refused_by_the_name_of_its_field(field, bad):
    with pytest.raises(ValueError, match=field):
        RuntimeConfig(**{field: bad})


def test_a_config_cannot_be_changed():
    config = RuntimeConfig()
    with pytest.raises(AttributeError):
        config.worker_threads = 2
    assert config == RuntimeConfig(worker_threads=1)


@pytest.mark.parametrize("start", [Runtime, lambda config: run(give(), config=config)])
def test_a_config_of_another_kind_is_refused(start):
    with pytest.raises(TypeError, match="config must be a RuntimeConfig"):
        start({"worker_threads": 2})


def test_a_loop_factory_that_fails_leaves_no_thread():
    before = threading.active_count()

    def fail():
        raise LookupError("no loop")

    with pytest.raises(LookupError, match="no loop"):
        Runtime(two(fail))
    deadline = time.monotonic() + 10
    while threading.active_count() > before:
        assert time.monotonic() < deadline
        time.sleep(0.001)


# --- running


def test_workers_are_threads_with_a_loop_each(factory):
    with Runtime(RuntimeConfig(worker_threads=3, thread_name="mine", loop_factory=factory)) as rt:
        seen = [rt.spawn(where(), worker=which).join_blocking() for which in (0, 1, "mine-2", 2)]
        assert seen == [(f"mine-{number}", rt) for number in (0, 1, 2, 2)]
        loops = {rt.spawn(give(), worker=number).get_loop() for number in range(3)}
        assert len(loops) == 3
        if factory is not None:
            assert {type(loop).__module__.split(".")[0] for loop in loops} == {"uvloop"}
        assert "mine-0, mine-1, mine-2" in repr(rt)
    assert "shut down" in repr(rt)


def test_the_least_loaded_worker_is_taken():
    with Runtime(RuntimeConfig(worker_threads=3)) as rt:
        started = [rt.spawn(hang()) for _ in range(9)]
        loops = [routine.get_loop() for routine in started]
        assert {loops.count(loop) for loop in loops} == {3}


@pytest.mark.parametrize("which", [3, -1, "routines-3", True, 1.5])
def test_a_worker_that_does_not_exist(which):
    with Runtime(RuntimeConfig(worker_threads=3)) as rt:
        coro = give()
        with pytest.raises(ValueError, match="routines-0, routines-1, routines-2"):
            rt.spawn(coro, worker=which)
        assert inspect.getcoroutinestate(coro) == inspect.CORO_CLOSED  # no "never awaited" follows


def test_run_waits_for_main_and_leaves_the_rest_running(factory):
    with Runtime(two(factory)) as rt:
        tx, rx = channel()

        async def serve():
            while True:
                await tx.send("served")

        async def main():
            go(serve)
            return await rx.recv(), threading.current_thread().name

        assert rt.run(main) == ("served", "routines-0")
        assert rt.run(main()) == ("served", "routines-0")
        with pytest.raises(LookupError, match="its own"):
            rt.run(fail(LookupError("its own")))
        with pytest.raises(SpawnError, match="Runtime.run"):
            rt.run(lambda: 7)


async def fail(error):
    raise error


async def test_run_inside_a_running_loop_is_refused():
    with Runtime() as rt:
        for main in (give(), give):
            with pytest.raises(RuntimeError, match=r"Runtime\.run\(\) was called while an event loop runs"):
                rt.run(main)


@pytest.mark.parametrize("bad", [None, 7, give, lambda: None])
def test_spawn_refuses_what_is_no_coroutine(bad):
    with Runtime() as rt:
        with pytest.raises(SpawnError):
            rt.spawn(bad)


def test_routines_on_all_workers_share_a_channel(factory):
    tx, rx = channel(4)

    async def produce(mine, number):
        with mine:
            for turn in range(200):
                await mine.send((number, turn))

    async def consume(mine):
        return [value async for value in mine]

    with Runtime(RuntimeConfig(worker_threads=4, loop_factory=factory)) as rt:
        consuming = [rt.spawn(consume(rx.clone()), worker=number) for number in range(4)]
        for number in range(8):
            rt.spawn(produce(tx.clone(), number))
        tx.close()
        got = [each.join_blocking(60) for each in consuming]
    values = [value for part in got for value in part]
    assert sorted(values) == [(number, turn) for number in range(8) for turn in range(200)]
    for part in got:
        for number in range(8):
            assert [each for each in part if each[0] == number] == sorted(
                each for each in part if each[0] == number
            )


def test_a_routine_awaits_one_on_another_worker(factory):
    async def slow(value):
        await sleep(0.002)
        return value

    async def main():
        rt = runtime()
        assert await rt.spawn(slow("awaited"), worker=1) == "awaited"
        assert await rt.spawn(slow("joined"), worker=1).join(30) == "joined"
        chosen = await select(rt.spawn(slow("selected"), worker=1), timeout=30)
        assert chosen.value == "selected"
        hanging = rt.spawn(hang(), worker=1)
        with pytest.raises(Timeout):
            await hanging.join(0.002)
        return await asyncio.gather(*(rt.spawn(slow(number)).join() for number in range(10)))

    with Runtime(two(factory)) as rt:
        assert rt.run(main) == list(range(10))


def test_run_with_a_config_makes_the_caller_worker_0(factory):
    tx, rx = channel()
    ended = []

    async def produce():
        try:
            while True:
                await tx.send(threading.current_thread().name)
        finally:
            ended.append(threading.current_thread().name)

    async def main():
        rt = runtime()
        assert (await where())[0] == threading.main_thread().name
        for number in range(3):
            rt.spawn(produce(), worker=number)
        names = set()
        while len(names) < 3:
            names.add(await rx.recv())
        return names, rt

    config = RuntimeConfig(worker_threads=3, loop_factory=factory)
    names, rt = run(main, config=config)
    assert names == {threading.main_thread().name, "routines-1", "routines-2"}
    assert sorted(ended) == sorted(names)
    with pytest.raises(RuntimeClosed):
        rt.spawn(give())
    with pytest.raises(LookupError):
        run(fail(LookupError()), config=config)


def test_what_ends_on_one_worker_may_need_another_for_it():
    tx, rx = channel()

    async def needs_worker_0():
        try:
            await sleep(600)
        finally:
            await tx.send("last words")

    async def main():
        started = runtime().spawn(needs_worker_0(), worker=1)
        while started.state != "sleep":
            await sleep(0.001)
        go(listen)

    heard = []

    async def listen():
        try:
            await sleep(600)
        finally:
            heard.append(await rx.recv())

    run(main, config=two())
    assert heard == ["last words"]


async def test_a_plain_loop_has_a_runtime_too():
    here = runtime()
    assert runtime() is here
    assert await here.spawn(give(7)) == 7
    assert (await asyncio.to_thread(lambda: here.spawn(where()).join_blocking(30)))[1] is here
    with pytest.raises(RuntimeError, match="plain asyncio loop"):
        here.shutdown()
    with pytest.raises(RuntimeError, match="while an event loop runs"):
        here.run(give())


def test_without_a_loop_there_is_no_runtime():
    with pytest.raises(RuntimeError):
        runtime()


# --- what is switched off


def test_io_that_is_switched_off(factory):
    async def main():
        with pytest.raises(RuntimeError, match="create_connection.*enable_io=False"):
            await asyncio.open_connection("127.0.0.1", 9)
        with pytest.raises(RuntimeError, match="enable_io=False"):
            await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        with pytest.raises(RuntimeError, match="enable_io=False"):
            await asyncio.create_subprocess_exec(sys.executable, "-V")
        await sleep(0.001)
        return await asyncio.to_thread(lambda: "threads still work")

    config = RuntimeConfig(enable_io=False, loop_factory=factory)
    assert run(main, config=config) == "threads still work"
    with Runtime(config) as rt:
        assert rt.run(main) == "threads still work"


def test_time_that_is_switched_off(factory):
    async def main():
        tx, rx = channel(1)
        match = "enable_time=False"
        with pytest.raises(RuntimeError, match=match):
            await sleep(0.001)
        with pytest.raises(RuntimeError, match=match):
            await asyncio.sleep(0.001)
        with pytest.raises(RuntimeError, match=match):
            await select(rx, timeout=1)
        with pytest.raises(RuntimeError, match=match):
            await spawn(give()).join(timeout=1)
        with pytest.raises(RuntimeError, match=match):
            async with timeout(1):
                pass
        with pytest.raises(RuntimeError, match=match):
            async with asyncio.timeout(1):
                pass
        with pytest.raises(RuntimeError, match=match):
            routines.after(1)
        with pytest.raises(RuntimeError, match=match):
            routines.Ticker(1)
        await asyncio.sleep(0)
        await tx.send(1)
        assert rx.stats().waiting_receivers == 0
        return (await select(rx)).value

    config = RuntimeConfig(enable_time=False, loop_factory=factory)
    assert run(main, config=config) == 1
    with Runtime(config) as rt:
        assert rt.run(main) == 1


# --- the end


def test_shutdown_runs_every_finally(factory):
    ended = []
    with Runtime(two(factory)) as rt:
        hanging = [rt.spawn(hang(ended)) for _ in range(50)]
        for routine in hanging:
            while routine.state != "sleep":
                time.sleep(0.0005)
    assert sorted(ended) == sorted(routine.id for routine in hanging)
    with pytest.raises(Aborted, match="the runtime is shut down"):
        hanging[0].join_blocking()


def test_after_the_shutdown_every_call_is_refused():
    with Runtime(two()) as rt:
        rt.shutdown()
        for call in (
            lambda: rt.spawn(give()),
            lambda: rt.run(give()),
            lambda: rt.run(give),
            rt.shutdown,
            rt.__enter__,
        ):
            with pytest.raises(RuntimeClosed, match="was shut down; start a new one"):
                call()


def test_what_is_started_during_the_shutdown_ends_too():
    ended = []

    async def stubborn():
        try:
            await sleep(600)
        finally:
            go(hang, ended)

    rt = Runtime()
    first = rt.spawn(stubborn())
    while first.state != "sleep":
        time.sleep(0.0005)
    rt.shutdown(timeout=30)
    assert first.done()
    assert len(ended) <= 1


def test_spawn_races_with_the_shutdown():
    for _ in range(20):
        rt = Runtime(two())
        started, refused = [], []

        def spawn_many(rt=rt, started=started, refused=refused):
            while not refused:
                try:
                    started.append(rt.spawn(hang()))
                except RuntimeClosed:
                    refused.append(True)

        thread = threading.Thread(target=spawn_many)
        thread.start()
        while not started:
            time.sleep(0)
        rt.shutdown(timeout=30)
        thread.join(30)
        assert refused
        assert all(routine.done() for routine in started)


def test_a_routine_that_swallows_its_abort_is_listed_by_name():
    release, released = channel()

    async def swallow():
        current().set_name("the stubborn one")
        while True:
            try:
                return await released.recv()
            except asyncio.CancelledError:
                pass

    with Runtime() as rt:
        routine = rt.spawn(swallow())
        while routine.state != "chan receive":
            time.sleep(0.0005)
        with pytest.raises(Timeout, match=r"after 0\.02 s .*routines-0.*the stubborn one"):
            rt.shutdown(timeout=0.02)
        with pytest.raises(RuntimeClosed):
            rt.spawn(give())
    release.send_blocking("go")
    assert routine.join_blocking(30) == "go"


@pytest.mark.parametrize("bad", [-1, float("nan")])
def test_a_bad_timeout_leaves_the_runtime_running(bad):
    with Runtime() as rt:
        with pytest.raises(ValueError, match="timeout"):
            rt.shutdown(bad)
        assert rt.run(give(1)) == 1


def test_shutdown_on_an_own_thread_is_refused():
    async def main():
        with pytest.raises(RuntimeError, match="call it from the outside"):
            runtime().shutdown()
        return "still running"

    with Runtime() as rt:
        assert rt.run(main) == "still running"


def test_a_worker_that_dies_says_of_what(monkeypatch):
    reported = []
    monkeypatch.setattr(threading, "excepthook", reported.append)
    with Runtime(two()) as rt:
        with pytest.raises((RuntimeError, SystemExit)):
            rt.run(fail(SystemExit("enough")))
        worker = rt._workers[0]
        worker.thread.join(30)
        with pytest.raises(RuntimeClosed, match="routines-0 has died of SystemExit"):
            rt.spawn(give(), worker=0)
        assert rt.spawn(where()).join_blocking(30)[0] == "routines-1"
    assert [type(each.exc_value) for each in reported] == [SystemExit]


def test_a_main_whose_worker_dies_of_another_says_so(monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda _: None)

    async def main():
        asyncio.get_running_loop().call_soon(sys.exit, "enough")
        await sleep(600)

    with Runtime() as rt:
        with pytest.raises(RuntimeError, match=r"routines-0 has died of SystemExit\('enough'\)") as caught:
            rt.run(main)
        assert type(caught.value.__cause__) is SystemExit


def test_a_main_that_fails_while_deadlocks_are_looked_for_fails():
    with pytest.raises(KeyError, match="its own"):
        run(fail(KeyError("its own")), config=RuntimeConfig(detect_deadlock=True))


def test_a_main_that_aborts_itself_is_aborted():
    async def main():
        current().abort("itself")
        await sleep(600)

    with Runtime() as rt:
        with pytest.raises(Aborted, match="itself"):
            rt.run(main)
        assert rt.run(give("goes on")) == "goes on"


def test_a_main_that_raises_keyboard_interrupt_is_not_waited_for_again(monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    with Runtime() as rt, pytest.raises(KeyboardInterrupt):
        rt.run(fail(KeyboardInterrupt()))


def test_a_worker_that_does_not_start_closes_main_unstarted():
    loops = iter([asyncio.SelectorEventLoop])

    def factory():
        return next(loops, fail_to_make)()

    def fail_to_make():
        raise LookupError("no loop")

    main = give()
    with pytest.raises(LookupError, match="no loop"):
        run(main, config=two(factory))
    assert inspect.getcoroutinestate(main) == inspect.CORO_CLOSED


def test_plain_tasks_end_with_their_worker_as_well():
    async def plain():
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError as error:
            return error.args

    async def main():
        task = asyncio.Task(plain(), loop=asyncio.get_running_loop())
        await asyncio.sleep(0)
        return task

    with Runtime() as rt:
        task = rt.run(main)
    assert task.result() == ("the runtime is shut down",)


class Refusing(asyncio.SelectorEventLoop):
    """A loop that other threads cannot reach for a while."""

    refuses = False

    def call_soon_threadsafe(self, *args, **options):
        if self.refuses:
            raise RuntimeError("not now")
        return super().call_soon_threadsafe(*args, **options)


def test_a_loop_that_refuses_to_be_ended_says_why():
    rt = Runtime(RuntimeConfig(loop_factory=Refusing))
    worker = rt._workers[0]
    worker.loop.refuses = True
    with pytest.raises(RuntimeError, match="not now"):
        rt.shutdown()
    worker.loop.refuses = False
    worker.ask_to_stop()
    worker.thread.join(30)
    assert worker.loop.is_closed()


def test_a_loop_that_refuses_to_be_looked_at_is_reported():
    loops = iter([asyncio.SelectorEventLoop, Refusing])
    reported = channel(math.inf)

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reported[0].try_send(context["exception"]))
        refusing = runtime()._workers[1].loop
        refusing.refuses = True
        error = await reported[1].recv()
        refusing.refuses = False
        return error

    error = run(main, config=two(lambda: next(loops)(), detect_deadlock=True))
    assert type(error) is RuntimeError
    assert str(error) == "not now"


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="no such signal")
def test_a_signal_handler_may_wake_somebody_while_there_is_a_main_thread(monkeypatch):
    ended = threading.Thread(target=int)
    ended.start()
    ended.join()
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        assert _deadlock._handles_signals()
        monkeypatch.setattr(threading, "main_thread", lambda: ended)
        assert not _deadlock._handles_signals()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_runtime_that_nobody_holds_goes_on():
    tx, rx = channel()
    weakref_to = weakref.ref(Runtime())
    gc.collect()
    rt = weakref_to()
    routine = rt.spawn(rx.recv())
    del rt
    gc.collect()
    tx.send_blocking("still there", timeout=30)
    assert routine.join_blocking(30) == "still there"
    weakref_to().shutdown(30)


def script(source):
    return subprocess.run(
        [sys.executable, "-c", source],
        env=os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(routines.__file__))},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="os.kill ends a process there")
def test_ctrl_c_cancels_main_of_a_runtime():
    done = script("""
import asyncio, os, signal, threading
from routines import Runtime, sleep

async def main():
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        await sleep(60)
    finally:
        print("finally", flush=True)

with Runtime() as rt:
    try:
        rt.run(main)
    except KeyboardInterrupt:
        print("interrupted")
    async def give(): return 7
    print(rt.run(give))
""")
    assert done.stdout == "finally\ninterrupted\n7\n", done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_child_has_no_workers():
    done = script("""
import asyncio, os
from routines import Runtime, RuntimeClosed, run, runtime

async def give(): return 7

async def here(): return runtime()

rt = Runtime()
loop = asyncio.new_event_loop()
plain = loop.run_until_complete(here())
if os.fork() == 0:
    assert loop.run_until_complete(here()) is plain
    assert "running" in repr(plain), "it has lost no thread"
    try:
        rt.spawn(give())
    except RuntimeClosed:
        os._exit(run(give))
    os._exit(1)
loop.close()
_, status = os.wait()
print(os.waitstatus_to_exitcode(status), rt.run(give))
rt.shutdown()
""")
    assert done.stdout == "7 7\n", done.stderr


def test_the_interpreter_exits_with_a_runtime_running():
    done = script("""
import routines
rt = routines.Runtime(routines.RuntimeConfig(worker_threads=3))
tx, rx = routines.channel()
for _ in range(10):
    rt.spawn(rx.recv())
print("leaving")
""")
    assert (done.returncode, done.stdout) == (0, "leaving\n"), done.stderr
    assert "Fatal" not in done.stderr


def test_signals_arrive_on_the_main_thread_of_run():
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        pytest.skip("needs signals on the main thread")
    tx, rx = channel(1)

    async def main():
        asyncio.get_running_loop().add_signal_handler(
            signal.SIGUSR1, tx.try_send, threading.current_thread().name
        )
        os.kill(os.getpid(), signal.SIGUSR1)
        return await rx.recv()

    assert run(main, config=two()) == threading.main_thread().name


def test_a_runtime_between_two_runs_is_not_looked_at():
    with Runtime(RuntimeConfig(detect_deadlock=True)) as rt:
        for number in range(2):
            assert rt.run(give(number)) == number
            deadline = time.monotonic() + 10
            while rt._watch._ticking and time.monotonic() < deadline:
                time.sleep(0.001)
            assert not rt._watch._ticking
