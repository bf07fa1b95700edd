"""`run`, the entry point."""

import asyncio
import subprocess
import sys
import textwrap

import pytest

import routines
from routines import Routine, SpawnError, channel, current, run, sleep, spawn


async def give(value=None):
    return value


def test_run_gives_the_result_of_a_coroutine_and_of_an_async_function():
    assert run(give(42)) == 42

    async def main():
        return "main"

    assert run(main) == "main"


def test_main_is_a_routine():
    async def main():
        return current(), asyncio.current_task()

    routine, task = run(main)
    assert type(routine) is Routine
    assert routine is task


def test_run_raises_what_main_raises():
    error = LookupError("mine")

    async def main():
        raise error

    with pytest.raises(LookupError) as caught:
        run(main)
    assert caught.value is error


def test_run_installs_the_task_factory():
    async def main():
        task = asyncio.create_task(give(1))
        return type(task), await task

    assert run(main) == (Routine, 1)


def test_run_aborts_and_awaits_every_other_routine():
    trace = []

    async def left(wait):
        try:
            await wait
        finally:
            await sleep(0)
            trace.append("cleaned")

    async def main():
        tx, rx = channel()
        main.ends = tx, rx
        spawn(left(rx.recv()))
        spawn(left(sleep(1000)))
        asyncio.create_task(left(asyncio.sleep(1000)))
        spawn(left(asyncio.get_running_loop().create_future()))
        await asyncio.sleep(0.001)
        return "result"

    assert run(main) == "result"
    assert trace == ["cleaned"] * 4


def test_run_closes_its_loop():
    async def main():
        return asyncio.get_running_loop()

    assert run(main).is_closed()


def test_run_closes_the_loop_after_a_failure():
    async def main():
        main.loop = asyncio.get_running_loop()
        raise LookupError

    with pytest.raises(LookupError):
        run(main)
    assert main.loop.is_closed()


def test_run_finishes_async_generators():
    trace = []

    async def generate():
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            trace.append("closed")

    async def main():
        main.generator = generate()
        await main.generator.__anext__()

    run(main)
    assert trace == ["closed"]


def test_run_works_in_another_thread():
    import threading

    results = []
    thread = threading.Thread(target=lambda: results.append(run(give("elsewhere"))))
    thread.start()
    thread.join()
    assert results == ["elsewhere"]


def test_each_run_has_a_fresh_loop():
    async def main():
        return asyncio.get_running_loop()

    assert run(main) is not run(main)


async def test_run_inside_a_running_loop_is_a_runtime_error():
    coro = give()
    with pytest.raises(RuntimeError):
        run(coro)
    coro.close()


@pytest.mark.parametrize("what", [None, 42, object(), lambda: 42])
def test_run_refuses_what_is_no_main(what):
    with pytest.raises((SpawnError, TypeError)):
        run(what)


def test_a_failure_that_nobody_retrieved_is_reported_before_run_returns(caplog):
    async def fail():
        raise LookupError("nobody looked")

    async def main():
        spawn(fail())
        await asyncio.sleep(0.001)

    run(main)
    assert "nobody looked" in caplog.text


def test_run_leaves_no_event_loop_installed_in_the_thread():
    run(give)
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()


def run_script(source, **kwargs):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(source)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        **kwargs,
    )


def test_ctrl_c_cancels_main_runs_finally_and_raises_keyboard_interrupt():
    done = run_script(
        """
        import signal
        from routines import channel, run, sleep, spawn

        async def left(rx):
            try:
                await rx.recv()
            finally:
                await sleep(0)
                print("left behind, cleaned")

        async def main():
            tx, rx = channel()
            spawn(left(rx))
            await sleep(0.001)
            signal.raise_signal(signal.SIGINT)
            try:
                await sleep(1000)
            finally:
                print("main cleaned")
                tx.stats()

        try:
            run(main)
        except KeyboardInterrupt:
            print("interrupted")
        """
    )
    assert done.stderr == ""
    assert done.stdout.split("\n") == ["main cleaned", "left behind, cleaned", "interrupted", ""]


def test_ctrl_c_reaches_a_main_that_never_blocks():
    done = run_script(
        """
        import os, signal, threading
        from routines import run, yield_now

        async def main():
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
            while True:
                await yield_now()

        try:
            run(main)
        except KeyboardInterrupt:
            print("interrupted")
        """
    )
    assert done.stderr == ""
    assert done.stdout == "interrupted\n"


def test_the_interpreter_exits_cleanly_with_routines_parked_for_ever():
    done = run_script(
        """
        import asyncio
        from routines import channel, spawn, sleep

        async def receive(rx):
            await rx.recv()

        async def main():
            global kept, tx, rx
            tx, rx = channel(4)
            kept = spawn(receive(rx))
            await asyncio.sleep(0)

        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        print("end")
        """
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "end\n"


EXITS = {
    "a loop that was never closed": """
        import asyncio
        from routines import channel, sleep, spawn
        tx, rx = channel()

        async def receive():
            try:
                await rx.recv()
            finally:
                print("finally")

        async def main():
            global kept
            kept = [spawn(receive()), spawn(sleep_long()), asyncio.ensure_future(receive())]
            for _ in range(5):
                await asyncio.sleep(0)

        async def sleep_long():
            await sleep(1000)

        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        """,
    "a channel full of itself": """
        from routines import Channel, channel
        ch = Channel(4)
        ch.try_send(ch)
        tx, rx = channel(float("inf"))
        tx.try_send((tx, rx, ch))
        """,
    "a daemon thread in the middle of a loop": """
        import asyncio, threading, time
        from routines import channel, yield_now, spawn
        tx, rx = channel()

        async def main():
            async def receive():
                async for _ in rx:
                    pass
            spawn(receive())
            while True:
                await tx.send(1)
        threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()
        time.sleep(0.05)
        """,
    "sys.exit in a routine": """
        import sys
        from routines import run, sleep, spawn

        async def leave():
            sys.exit(0)

        async def main():
            spawn(leave())
            await sleep(1000)

        run(main)
        """,
}


@pytest.mark.parametrize("how", EXITS)
def test_the_interpreter_exits_without_a_crash(how):
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(EXITS[how])],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Fatal" not in done.stderr
    assert "AttributeError" not in done.stderr


def test_everything_the_package_names_can_be_imported():
    for name in routines.__all__:
        assert getattr(routines, name) is not None


def test_main_is_cancelled_and_awaited_where_another_routine_exits():
    ended = []

    tx, rx = routines.channel()

    async def waits():
        async def leave():
            raise SystemExit(3)

        routines.go(leave)
        try:
            await rx.recv()
        finally:
            await routines.yield_now()
            ended.append("main")

    with pytest.raises(SystemExit):
        routines.run(waits)
    assert ended == ["main"]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_main_is_cancelled_and_awaited_where_another_routine_interrupts_the_loop(kind):
    seen = []

    async def interrupt():
        raise kind

    async def main():
        spawn(interrupt())
        try:
            await sleep(60)
        except asyncio.CancelledError:
            await sleep(0)
            seen.append("cancelled")
            raise

    with pytest.raises(kind):
        run(main)
    assert seen == ["cancelled"]
