"""The dump that SIGQUIT prints, where the configuration asks for it."""

import os
import signal
import subprocess
import sys
import threading

import pytest
from helpers import PLAIN_LOOPS, new_loop

from routines import Runtime, RuntimeConfig, channel, go, run, set_debug, yield_now

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGQUIT"), reason="no SIGQUIT here")


@pytest.fixture(autouse=True)
def debug_is_off_again():
    yield
    set_debug(False)


@pytest.fixture
def seen():
    """What a handler of the user's got, which was there before."""
    numbers = []
    before = signal.signal(signal.SIGQUIT, lambda number, _: numbers.append(number))
    yield numbers
    signal.signal(signal.SIGQUIT, before)


@pytest.mark.parametrize("kind", PLAIN_LOOPS)
def test_it_prints_the_dump_while_the_program_runs(kind, capsys, seen):
    async def wait_here(rx):
        await rx.recv()

    async def main():
        _tx, rx = channel()
        go(wait_here, rx)
        await yield_now()
        os.kill(os.getpid(), signal.SIGQUIT)
        await yield_now()

    run(main, config=RuntimeConfig(debug=True, loop_factory=lambda: new_loop(kind)))
    printed = capsys.readouterr().err
    assert "routine" in printed
    assert "await rx.recv()" in printed
    assert "spawned at" in printed
    assert seen == []
    os.kill(os.getpid(), signal.SIGQUIT)
    assert seen == [signal.SIGQUIT]


def test_only_where_it_is_asked_for(capsys, seen):
    async def main():
        os.kill(os.getpid(), signal.SIGQUIT)
        await yield_now()

    run(main)
    assert seen == [signal.SIGQUIT]
    assert capsys.readouterr().err == ""


def test_the_last_runtime_to_end_gives_the_handler_back(capsys, seen):
    with Runtime(RuntimeConfig(debug=True)):
        with Runtime(RuntimeConfig(debug=True)):
            pass
        os.kill(os.getpid(), signal.SIGQUIT)
        assert "routines" in capsys.readouterr().err
    os.kill(os.getpid(), signal.SIGQUIT)
    assert seen == [signal.SIGQUIT]


def test_a_runtime_that_ended_on_another_thread_does_not_keep_the_signal(capsys, seen):
    rt = Runtime(RuntimeConfig(debug=True))
    ending = threading.Thread(target=rt.shutdown)
    ending.start()
    ending.join()
    os.kill(os.getpid(), signal.SIGQUIT)
    assert seen == [signal.SIGQUIT]
    assert capsys.readouterr().err == ""


def test_a_runtime_of_another_thread_leaves_the_signal_alone(seen):
    def elsewhere():
        with Runtime(RuntimeConfig(debug=True)):
            pass

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    os.kill(os.getpid(), signal.SIGQUIT)
    assert seen == [signal.SIGQUIT]


def test_a_handler_that_somebody_has_set_meanwhile_stays():
    before = signal.getsignal(signal.SIGQUIT)
    with Runtime(RuntimeConfig(debug=True)):
        signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    assert signal.signal(signal.SIGQUIT, before) is signal.SIG_IGN


def test_it_is_printed_where_the_signal_comes_while_stderr_is_written(capfd, monkeypatch, seen):
    class Busy:
        def write(self, text):
            raise RuntimeError("reentrant call")

    monkeypatch.setattr(sys, "stderr", Busy())
    with Runtime(RuntimeConfig(debug=True)):
        os.kill(os.getpid(), signal.SIGQUIT)
    assert capfd.readouterr().err.startswith("0 routines\n")


def test_where_there_is_no_such_signal_nothing_is_installed(seen, monkeypatch):
    number = signal.SIGQUIT
    before = signal.getsignal(number)
    monkeypatch.delattr(signal, "SIGQUIT")
    with Runtime(RuntimeConfig(debug=True)):
        assert signal.getsignal(number) is before


IDLE = """
import routines, sys
from routines import RuntimeConfig, channel, run
async def main():
    tx, rx = channel()
    print("parked", flush=True)
    await rx.recv()
if sys.argv[1] == "uvloop":
    import uvloop
    factory = uvloop.new_event_loop
else:
    factory = None
run(main, config=RuntimeConfig(debug=True, loop_factory=factory))
"""


@pytest.mark.parametrize("kind", PLAIN_LOOPS)
def test_an_idle_program_prints_it_as_well_and_goes_on(kind):
    with subprocess.Popen(
        [sys.executable, "-c", IDLE, kind], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "parked\n"
        for _ in range(2):
            process.send_signal(signal.SIGQUIT)
            lines = [process.stderr.readline()]
            while "spawned at" not in lines[-1]:
                assert lines[-1], lines
                lines.append(process.stderr.readline())
            assert any("in main" in line for line in lines)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
