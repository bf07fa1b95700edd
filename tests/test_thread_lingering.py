"""A thread that others have just woken looks awake, for a moment, whether they do again: then a wake-up costs no trip through the kernel."""

import asyncio
import os
import subprocess
import sys
import threading
import time
import weakref
from contextlib import suppress
from pathlib import Path

import pytest
from helpers import PLAIN_LOOPS, new_loop

import routines
from routines import ChannelClosed, Runtime, RuntimeConfig, channel, run, spawn

PROCESSORS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
needs_two = pytest.mark.skipif(PROCESSORS < 2, reason="nobody lingers where there is one processor")


class Counting(asyncio.SelectorEventLoop):
    """Counts how often another thread has to wake it."""

    woken = 0

    def call_soon_threadsafe(self, callback, *args, context=None):
        self.woken += 1
        return super().call_soon_threadsafe(callback, *args, context=context)


async def answer(rx, tx):
    async for value in rx:
        await tx.send(value)


def ask_from_a_thread(tx, rx, rounds, answers):
    with tx:
        for number in range(rounds):
            tx.send_blocking(number)
            answers.append(rx.recv_blocking())


@needs_two
def test_a_question_finds_the_loop_awake():
    loop = Counting()
    rounds = 1_000
    answers = []

    async def main():
        tx, questions = channel()
        replies, rx = channel()
        answering = spawn(answer(questions, replies))
        asking = threading.Thread(target=ask_from_a_thread, args=(tx, rx, rounds, answers))
        asking.start()
        await answering.join()
        return asking

    try:
        for _ in range(20):  # a machine that is busy with others gives nobody the second processor
            loop.woken = 0
            answers.clear()
            loop.run_until_complete(main()).join(10)
            assert answers == list(range(rounds))
            if loop.woken < rounds / 2:
                break
        else:
            raise AssertionError(f"woken {loop.woken} times for {rounds} questions")
    finally:
        loop.close()


@pytest.mark.parametrize("kind", PLAIN_LOOPS)
def test_two_workers_that_keep_each_other_awake_leave_their_loops_a_turn(kind):
    over = threading.Event()
    with Runtime(RuntimeConfig(worker_threads=2, loop_factory=lambda: new_loop(kind))) as rt:
        (there, questions), (back, replies) = channel(), channel()

        async def ask():
            while not over.is_set():
                await there.send("a question")
                await replies.recv()
            there.close()

        async def sleep_beside():
            for _ in range(20):
                await asyncio.sleep(0.0005)

        answering = rt.spawn(answer(questions, back), worker=1)
        asking = rt.spawn(ask(), worker=0)
        sleeping = [rt.spawn(sleep_beside(), worker=worker) for worker in range(2)]
        for routine in sleeping:
            routine.join_blocking(timeout=30)
        over.set()
        asking.join_blocking(timeout=30)
        answering.join_blocking(timeout=30)


def test_what_comes_after_the_moment_is_over_is_received(loop):
    """Answers that come sooner and later, so that the other lingers, gives up, and does without."""
    tx, questions = channel()
    replies, rx = channel()
    answers = []
    pauses = [0] * 50 + [0.00002, 0.00005, 0.0002, 0.001] * 25 + [0] * 50

    def ask():
        with tx:
            for number, pause in enumerate(pauses):
                threading.Event().wait(pause)
                tx.send_blocking(number, timeout=30)
                answers.append(rx.recv_blocking(timeout=30))

    async def main():
        asking = threading.Thread(target=ask)
        asking.start()
        async for number in questions:
            if pauses[number]:
                await routines.sleep(pauses[number])
            await replies.send(number)
        return asking

    loop.run_until_complete(asyncio.wait_for(main(), 50)).join(10)
    assert answers == list(range(len(pauses)))


def test_many_threads_that_wait_for_one_another_all_go_on():
    rounds, threads = 300, 6
    ends = [channel() for _ in range(threads)]
    received = [[] for _ in range(threads)]

    def pass_on(place):
        for turn in range(rounds):
            value = ends[place][1].recv_blocking(timeout=30)
            received[place].append(value)
            if (place, turn) != (threads - 1, rounds - 1):
                ends[(place + 1) % threads][0].send_blocking(value + 1, timeout=30)

    passing = [threading.Thread(target=pass_on, args=(place,)) for place in range(threads)]
    for thread in passing:
        thread.start()
    ends[0][0].send_blocking(0)
    for thread in passing:
        thread.join(30)
    assert received == [list(range(place, rounds * threads, threads)) for place in range(threads)]


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="the system has no way to take processors away"
)
def test_threads_get_along_on_a_single_processor():
    program = (
        "import os, threading\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from test_thread_lingering import answer, ask_from_a_thread\n"
        "from routines import channel, run, spawn\n"
        "answers = []\n"
        "async def main():\n"
        "    tx, questions = channel()\n"
        "    replies, rx = channel()\n"
        "    answering = spawn(answer(questions, replies))\n"
        "    threading.Thread(target=ask_from_a_thread, args=(tx, rx, 200, answers)).start()\n"
        "    await answering.join()\n"
        "run(main())\n"
        "print(len(answers))\n"
    )
    paths = [str(Path(routines.__file__).parent.parent), str(Path(__file__).parent)]
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "200\n", "")


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_the_child_of_a_fork_during_a_conversation_can_hold_one_of_its_own():
    """The threads that lingered are not there any more, and are not counted."""
    over = threading.Event()
    tx, questions = channel()
    replies, rx = channel()

    def reply():
        with suppress(ChannelClosed):
            while True:
                replies.send_blocking(questions.recv_blocking())

    def converse():
        with tx:
            while not over.is_set():
                tx.send_blocking("a question")
                rx.recv_blocking()

    talking = [threading.Thread(target=each, daemon=True) for each in (reply, converse)]
    for thread in talking:
        thread.start()
    for _ in range(20):
        child = os.fork()
        if child == 0:
            answers = []

            async def main(answers=answers):
                there, mine = channel()
                back, theirs = channel()
                answering = spawn(answer(mine, back))
                threading.Thread(target=ask_from_a_thread, args=(there, theirs, 50, answers)).start()
                await answering.join()

            run(main())
            os._exit(0 if answers == list(range(50)) else 1)
        assert os.waitpid(child, 0)[1] == 0
    over.set()
    for thread in talking:
        thread.join(10)


def test_a_loop_that_lingers_keeps_nothing_of_whom_it_has_stepped():
    class Result:
        pass

    async def make():
        return Result()

    with Runtime() as rt:
        for _ in range(200):
            made = rt.spawn(make()).join_blocking()
            gone = weakref.ref(made)
            del made
            assert gone() is None


def test_after_a_conversation_slow_steps_still_leave_the_loop_a_turn(loop):
    steps_before_the_turn = []
    steps = 0

    async def compute():
        nonlocal steps
        for _ in range(60):
            begun = time.perf_counter()
            while time.perf_counter() < begun + 0.001:
                pass
            steps += 1
            await routines.yield_now()

    async def main():
        tx, questions = channel()
        replies, rx = channel()
        answering = spawn(answer(questions, replies))
        answers = []
        asking = threading.Thread(target=ask_from_a_thread, args=(tx, rx, 500, answers))
        asking.start()
        await answering.join()
        asyncio.get_running_loop().call_soon(lambda: steps_before_the_turn.append(steps))
        await spawn(compute())
        asking.join(10)

    loop.run_until_complete(asyncio.wait_for(main(), 50))
    assert steps_before_the_turn[0] < 40


@pytest.mark.loops("stock")
def test_a_callback_that_cannot_be_compared_is_not_compared():
    class Unequal:
        __hash__ = None

        def __eq__(self, other):
            raise AssertionError("nobody is to ask")

        def __call__(self):
            pass

    loop = asyncio.SelectorEventLoop()
    answers = []

    async def answer_and_call(rx, tx):
        async for value in rx:
            loop.call_soon(Unequal())
            await tx.send(value)

    async def main():
        tx, questions = channel()
        replies, rx = channel()
        answering = spawn(answer_and_call(questions, replies))
        asking = threading.Thread(target=ask_from_a_thread, args=(tx, rx, 100, answers))
        asking.start()
        await answering.join()
        asking.join(10)

    try:
        loop.run_until_complete(asyncio.wait_for(main(), 50))
    finally:
        loop.close()
    assert answers == list(range(100))
