"""The blocking ends: a channel is all that is needed between plain threads and coroutines."""

import asyncio
import gc
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from helpers import PLAIN_LOOPS, new_loop, parked, settle

import routines
from routines import Aborted, ChannelClosed, Timeout, _core, channel, go, select, sleep, spawn


@pytest.fixture
def threads():
    """Runs functions in threads; each has ended when the test has."""
    with ThreadPoolExecutor(16) as pool:
        yield pool


def until_waiting(end, *, senders=0, receivers=0):
    """Blocks this thread until so many others wait on the channel."""
    deadline = time.monotonic() + 30
    while (end.stats().waiting_senders, end.stats().waiting_receivers) != (senders, receivers):
        assert time.monotonic() < deadline, end
        time.sleep(0.0005)


def test_two_threads_without_any_loop(threads):
    tx, rx = channel()
    sending = threads.submit(lambda: [tx.send_blocking(number) for number in range(100)])
    assert [rx.recv_blocking() for _ in range(100)] == list(range(100))
    sending.result(30)


async def test_a_thread_sends_to_a_coroutine(threads, start):
    tx, rx = channel()

    def produce():
        with tx:
            for number in range(300):
                tx.send_blocking(number)

    async def consume():
        return [value async for value in rx]

    producing = threads.submit(produce)
    assert await start(consume()) == list(range(300))
    producing.result(30)


async def test_a_coroutine_sends_to_a_thread(threads, start):
    tx, rx = channel(2)

    def consume():
        got = []
        with pytest.raises(ChannelClosed):
            while True:
                got.append(rx.recv_blocking())
        return got

    async def produce():
        with tx:
            for number in range(300):
                await tx.send(number)

    consuming = asyncio.wrap_future(threads.submit(consume))
    await start(produce())
    assert await consuming == list(range(300))


async def test_threads_and_coroutines_wait_in_one_queue(threads):
    tx, rx = channel()
    order = []

    def in_thread(name):
        order.append((name, rx.recv_blocking()))

    async def in_routine(name):
        order.append((name, await rx.recv()))

    waiting = []
    for number in range(6):
        if number % 2:
            waiting.append(asyncio.wrap_future(threads.submit(in_thread, number)))
        else:
            waiting.append(go(in_routine, number))
        await parked(rx, receivers=number + 1)
    for number in range(6):
        await tx.send(number)
    await asyncio.gather(*waiting)
    assert sorted(order) == [(number, number) for number in range(6)]


def test_what_can_be_done_at_once_is():
    tx, rx = channel(2)
    tx.send_blocking("a")
    tx.send_blocking("b", timeout=0)
    with pytest.raises(Timeout, match="send_blocking"):
        tx.send_blocking("c", timeout=0)
    assert [rx.recv_blocking(), rx.recv_blocking(timeout=0)] == ["a", "b"]
    with pytest.raises(Timeout, match="recv_blocking"):
        rx.recv_blocking(timeout=0)
    ch = routines.Channel(1)
    ch.send_blocking("both ends")
    assert ch.recv_blocking() == "both ends"
    assert (tx.stats().sent, tx.stats().received) == (2, 2)


@pytest.mark.parametrize("seconds", [0.02, timedelta(milliseconds=20)])
def test_a_timeout_is_never_early_and_leaves_nothing_behind(seconds):
    tx, rx = channel()
    for operation in (lambda: rx.recv_blocking(seconds), lambda: tx.send_blocking("v", seconds)):
        begun = time.monotonic()
        with pytest.raises(Timeout, match="0.02 s"):
            operation()
        assert time.monotonic() - begun >= 0.02
        assert tx.stats().waiting_senders == tx.stats().waiting_receivers == 0
    with pytest.raises(routines.RecvError):
        rx.try_recv()


@pytest.mark.parametrize("bad, error", [(-1, ValueError), (float("nan"), ValueError), ("soon", TypeError)])
def test_a_bad_timeout_has_no_effect(bad, error):
    tx, rx = channel(1)
    with pytest.raises(error, match="timeout"):
        tx.send_blocking("v", timeout=bad)
    with pytest.raises(error, match="timeout"):
        rx.recv_blocking(timeout=bad)
    assert tx.stats().sent == 0


async def test_on_a_loops_own_thread_it_refuses():
    tx, rx = channel(1)
    with pytest.raises(RuntimeError, match="send_blocking.*event loop.*await"):
        tx.send_blocking("v")
    tx.try_send("there")
    with pytest.raises(RuntimeError, match="recv_blocking.*event loop.*await"):
        rx.recv_blocking()
    with pytest.raises(RuntimeError, match="join_blocking.*event loop.*await"):
        spawn(asyncio.sleep(0)).join_blocking()
    assert rx.try_recv() == "there"


@pytest.mark.parametrize("closing", ["last sender", "channel", "own handle"])
def test_a_blocked_receiver_learns_that_the_channel_closes(threads, closing):
    tx, rx = channel()
    cause = LookupError("why")
    receiving = threads.submit(rx.recv_blocking)
    until_waiting(rx, receivers=1)
    if closing == "last sender":
        tx.close(cause)
    elif closing == "channel":
        tx.channel.close(cause)
    else:
        rx.close(cause)
    with pytest.raises(ChannelClosed):
        receiving.result(30)


def test_a_blocked_sender_learns_that_nobody_receives(threads):
    tx, rx = channel()
    sending = threads.submit(tx.send_blocking, "v")
    until_waiting(tx, senders=1)
    rx.close()
    with pytest.raises(ChannelClosed, match="nobody can receive"):
        sending.result(30)


async def test_a_select_meets_blocked_threads(threads):
    tx, rx = channel()
    other_tx, other_rx = channel()
    sending = asyncio.wrap_future(threads.submit(tx.send_blocking, "from a thread"))
    chosen = await select(rx, other_rx, timeout=30)
    assert (chosen.index, chosen.value) == (0, "from a thread")
    await sending
    receiving = asyncio.wrap_future(threads.submit(other_rx.recv_blocking))
    await parked(other_rx, receivers=1)
    chosen = await select(rx, other_tx.case("to a thread"), timeout=30)
    assert chosen.index == 1
    assert await receiving == "to a thread"


@pytest.mark.parametrize("capacity", [0, 1, 3, float("inf")])
def test_many_threads_lose_nothing_and_keep_each_ones_order(threads, capacity):
    tx, rx = channel(capacity)
    senders, receivers, count = 4, 4, 500

    def produce(number, mine):
        with mine:
            for turn in range(count):
                mine.send_blocking((number, turn), timeout=60 if turn % 3 else None)

    def consume():
        got = []
        while True:
            try:
                got.append(rx.recv_blocking(timeout=60))
            except ChannelClosed:
                return got

    consuming = [threads.submit(consume) for _ in range(receivers)]
    for number in range(senders):
        threads.submit(produce, number, tx.clone())
    tx.close()
    got = [each.result(60) for each in consuming]
    assert sorted(itertools.chain.from_iterable(got)) == [
        (number, turn) for number in range(senders) for turn in range(count)
    ]
    for mine in got:
        for number in range(senders):
            turns = [turn for sender, turn in mine if sender == number]
            assert turns == sorted(turns)


def test_timeouts_that_race_with_values_lose_nothing(threads):
    tx, rx = channel()
    count = 2_000

    def produce():
        sent = []
        for number in range(count):
            try:
                tx.send_blocking(number, timeout=0.0002)
                sent.append(number)
            except Timeout:
                pass
        tx.close()
        return sent

    def consume():
        got = []
        while True:
            try:
                got.append(rx.recv_blocking(timeout=0.0002))
            except Timeout:
                continue
            except ChannelClosed:
                return got

    producing, consuming = threads.submit(produce), threads.submit(consume)
    assert producing.result(60) == consuming.result(60)


async def test_a_thread_waits_for_a_routine(threads):
    async def work(outcome):
        await sleep(0.001)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def join(routine, timeout=None):
        return threads.submit(routine.join_blocking, timeout)

    assert await asyncio.wrap_future(join(spawn(work("done")))) == "done"
    with pytest.raises(LookupError, match="its own"):
        await asyncio.wrap_future(join(spawn(work(LookupError("its own")))))
    slow = spawn(sleep(60))
    with pytest.raises(Timeout, match="join_blocking"):
        await asyncio.wrap_future(join(slow, 0.005))
    waiting = [join(slow) for _ in range(3)]
    await settle()
    slow.abort("enough")
    for each in waiting:
        with pytest.raises(Aborted, match="enough"):
            await asyncio.wrap_future(each)
    finished = spawn(work(1))
    await finished
    assert await asyncio.wrap_future(join(finished, 0)) == 1


CTRL_C = """
import os, signal, sys, threading, time
from routines import channel

tx, rx = channel()
end, operation = (rx, rx.recv_blocking) if sys.argv[1] == "recv" else (tx, lambda: tx.send_blocking("v"))

def interrupt():
    while not (end.stats().waiting_receivers or end.stats().waiting_senders):
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupt).start()
try:
    operation()
except KeyboardInterrupt:
    print("interrupted", end.stats().waiting_receivers, end.stats().waiting_senders)
if sys.argv[1] == "recv":
    threading.Thread(target=rx.recv_blocking, daemon=True).start()
    while not end.stats().waiting_receivers:
        time.sleep(0.001)
    tx.send_blocking("v")
    print(end.stats().sent)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="os.kill ends a process there")
@pytest.mark.parametrize("operation", ["recv", "send"])
def test_ctrl_c_ends_a_blocked_main_thread(operation):
    done = run_script(CTRL_C, operation)
    assert done.stdout.split("\n")[0] == "interrupted 0 0", done.stderr
    assert done.returncode == 0


BLOCKED_AT_EXIT = """
import threading, time
from routines import channel

tx, rx = channel()
threading.Thread(target=rx.recv_blocking, daemon=True).start()
while not rx.stats().waiting_receivers:
    time.sleep(0.001)
print("leaving")
"""


def test_the_interpreter_exits_while_daemon_threads_are_blocked():
    done = run_script(BLOCKED_AT_EXIT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "leaving\n", "")


def run_script(script, *arguments):
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(routines.__file__))},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_a_signal_handler_that_returns_does_not_end_the_wait(threads):
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        pytest.skip("needs signals on the main thread")
    tx, rx = channel()
    heard = []
    before = signal.signal(signal.SIGUSR1, lambda *_: heard.append("signal"))

    def disturb():
        until_waiting(rx, receivers=1)
        os.kill(os.getpid(), signal.SIGUSR1)
        while not heard:
            time.sleep(0.001)
        tx.send_blocking("value")

    try:
        disturbing = threads.submit(disturb)
        assert rx.recv_blocking(timeout=30) == "value"
        disturbing.result(30)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert heard == ["signal"]


@pytest.mark.parametrize("kind", PLAIN_LOOPS)
def test_a_thread_that_ran_a_loop_before_may_block_again(kind):
    tx, rx = channel(1)
    outcomes = []

    async def inside():
        with pytest.raises(RuntimeError, match="event loop"):
            tx.send_blocking("inside")
        with pytest.raises(RuntimeError, match="event loop"):
            rx.recv_blocking()

    def work():
        for _ in range(2):
            tx.send_blocking("outside")
            outcomes.append(rx.recv_blocking())
            with asyncio.Runner(loop_factory=lambda: new_loop(kind)) as runner:
                runner.run(inside())

    thread = threading.Thread(target=work)  # a fresh one: no loop has run there yet
    thread.start()
    thread.join()
    assert outcomes == ["outside", "outside"]
    assert tx.stats().sent == 2


def test_a_value_that_came_when_a_signal_handler_raised_goes_back(threads):
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        pytest.skip("needs signals on the main thread")
    tx, rx = channel(1)

    def handle(*_):
        tx.try_send("value")
        raise LookupError("from the handler")

    def disturb():
        until_waiting(rx, receivers=1)
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        disturbing = threads.submit(disturb)
        with pytest.raises(LookupError, match="from the handler"):
            rx.recv_blocking(timeout=30)
        disturbing.result(30)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert rx.try_recv() == "value"


async def test_what_a_thread_is_blocked_on_is_not_awaited_by_another(threads):
    _tx, rx = channel()
    routine = go(rx.recv)

    def waiting():
        return [
            each
            for each in gc.get_objects()
            if type(each) is _core.JoinPark and "waiting" in repr(each) and repr(routine) in repr(each)
        ]

    blocked = threads.submit(routine.join_blocking, 30)
    while not (found := waiting()):
        await asyncio.sleep(0.001)
    with pytest.raises(RuntimeError, match="is awaited already, by <a blocked thread>"):
        await found[0]
    routine.abort("enough")
    with pytest.raises(Aborted, match="enough"):
        await asyncio.wrap_future(blocked)
