"""Channels across threads and workers, against what else there is for that.

    python benchmarks/threads.py                    # about a minute
    python benchmarks/threads.py --only thread      # the rows whose name contains that
    python benchmarks/threads.py --rounds 15

Every contestant of a row runs in turns with the others in one process, so a change of the machine's load meets all of them; a verdict compares
medians. janus and culsans are in the extra ``bench``; a contestant whose package is missing does not take part. Values are ints. Threads and
loops are started outside the timing.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import math
import queue
import statistics
import sys
import threading
import time

import routines
from routines import Runtime, RuntimeConfig, channel

HAVE = {name: importlib.util.find_spec(name) is not None for name in ("uvloop", "janus", "culsans")}


def new_loop(kind):
    if kind == "uvloop":
        import uvloop

        return uvloop.new_event_loop()
    return asyncio.new_event_loop()


def in_thread(function, *args):
    """Start a thread that waits for the returned event."""
    go = threading.Event()

    def run():
        go.wait()
        function(*args)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return go, thread


def on_loop(kind, main, routine=False):
    """Seconds that ``main``, which returns them, measures on a fresh loop."""
    with asyncio.Runner(loop_factory=lambda: new_loop(kind)) as runner:
        if routine:
            runner.get_loop().set_task_factory(routines.task_factory)
        return runner.run(main())


# -- thread to routine


def ours_to_routine(count, capacity, kind="stock"):
    async def main():
        tx, rx = channel(capacity)

        def send():
            for number in range(count):
                tx.send_blocking(number)

        go, thread = in_thread(send)
        began = time.perf_counter()
        go.set()
        for _ in range(count):
            await rx.recv()
        took = time.perf_counter() - began
        thread.join()
        return took

    return on_loop(kind, main, routine=True)


def queue_to_task(make, count, kind="stock"):
    async def main():
        made = make()
        put, get = made.sync_q.put, made.async_q.get

        def send():
            for number in range(count):
                put(number)

        go, thread = in_thread(send)
        began = time.perf_counter()
        go.set()
        for _ in range(count):
            await get()
        took = time.perf_counter() - began
        thread.join()
        return took

    return on_loop(kind, main)


def janus_to_task(count, capacity):
    import janus

    return queue_to_task(lambda: janus.Queue(capacity), count)


def culsans_to_task(count, capacity):
    import culsans

    return queue_to_task(lambda: culsans.Queue(capacity), count)


def call_soon_to_task(count, kind):
    async def main():
        loop, received = asyncio.get_running_loop(), asyncio.Queue()

        def send():
            for number in range(count):
                loop.call_soon_threadsafe(received.put_nowait, number)

        go, thread = in_thread(send)
        began = time.perf_counter()
        go.set()
        for _ in range(count):
            await received.get()
        took = time.perf_counter() - began
        thread.join()
        return took

    return on_loop(kind, main)


# -- routine to thread, thread to thread


def drain(get, count, done):
    for _ in range(count):
        get()
    done.append(time.perf_counter())


def ours_to_thread(count, capacity):
    async def main():
        tx, rx = channel(capacity)
        done = []
        go, thread = in_thread(drain, rx.recv_blocking, count, done)
        began = time.perf_counter()
        go.set()
        for number in range(count):
            await tx.send(number)
        await asyncio.to_thread(thread.join)
        return done[0] - began

    return on_loop("stock", main, routine=True)


def simple_queue_to_thread(count):
    async def main():
        made = queue.SimpleQueue()
        done = []
        go, thread = in_thread(drain, made.get, count, done)
        began = time.perf_counter()
        go.set()
        for number in range(count):
            made.put(number)
        await asyncio.to_thread(thread.join)
        return done[0] - began

    return on_loop("stock", main)


def between_threads(put, get, count):
    done = []

    def send():
        for number in range(count):
            put(number)

    receiver, receiving = in_thread(drain, get, count, done)
    sender, sending = in_thread(send)
    began = time.perf_counter()
    receiver.set()
    sender.set()
    receiving.join()
    sending.join()
    return done[0] - began


def ours_between_threads(count, capacity):
    tx, rx = channel(capacity)
    return between_threads(tx.send_blocking, rx.recv_blocking, count)


def simple_queue_between_threads(count):
    made = queue.SimpleQueue()
    return between_threads(made.put, made.get, count)


# -- between workers


def ours_between_workers(count, kind):
    factory = None if kind == "stock" else (lambda: new_loop(kind))
    with Runtime(RuntimeConfig(worker_threads=2, loop_factory=factory)) as rt:
        (there_tx, there), (back_tx, back) = channel(), channel()

        async def answer():
            async for value in there:
                await back_tx.send(value)

        async def ask():
            began = time.perf_counter()
            for number in range(count):
                await there_tx.send(number)
                await back.recv()
            took = time.perf_counter() - began
            there_tx.close()
            return took

        answering = rt.spawn(answer(), worker=1)
        took = rt.spawn(ask(), worker=0).join_blocking()
        answering.join_blocking()
        return took


def call_soon_between_loops(count, kind):
    """What two loops need to call each other, and nothing else."""
    one, two = new_loop(kind), new_loop(kind)
    times = []

    def ask(left):
        if left == 0:
            times.append(time.perf_counter())
            two.call_soon_threadsafe(two.stop)
            one.stop()
        else:
            two.call_soon_threadsafe(answer, left)

    def answer(left):
        one.call_soon_threadsafe(ask, left - 1)

    other = threading.Thread(target=two.run_forever)
    other.start()
    one.call_soon(ask, count)
    began = time.perf_counter()
    one.run_forever()
    other.join()
    one.close()
    two.close()
    return times[0] - began


# -- the runtime itself


def start(_count):
    async def first():
        return time.perf_counter()

    began = time.perf_counter()
    with Runtime(RuntimeConfig(worker_threads=4)) as rt:
        return rt.spawn(first()).join_blocking() - began


def shut_down(count):
    ended = []

    async def park(rx):
        try:
            await rx.recv()
        finally:
            ended.append(1)

    async def begin(rx, share):
        for _ in range(share):
            routines.go(park, rx)
        await routines.yield_now()

    tx, rx = channel()
    rt = Runtime(RuntimeConfig(worker_threads=4))
    for worker in range(4):
        rt.spawn(begin(rx, count // 4), worker=worker).join_blocking()
    while rx.stats().waiting_receivers < count:
        time.sleep(0.001)
    began = time.perf_counter()
    rt.shutdown()
    took = time.perf_counter() - began
    assert len(ended) == count, f"{len(ended)} finally blocks ran"
    tx.close()
    return took


def snapshot(count):
    with Runtime(RuntimeConfig(worker_threads=4)) as rt:
        began = time.perf_counter()
        for _ in range(count):
            rt.stats()
        return time.perf_counter() - began


class Row:
    """One work: ours, the rivals, and what ours is held against: a rival times a factor, or seconds a piece."""

    def __init__(self, name, count, ours, rivals, ratio=None, limit=None):
        self.name = name
        self.count = count
        self.contestants = {"routines": ours, **rivals}
        self.ratio = ratio  # ours may take so much of the quickest rival's time
        self.limit = limit  # seconds

    def measure(self, rounds):
        names = list(self.contestants)
        samples = {name: [] for name in names}
        for number in range(rounds):
            for offset in range(len(names)):
                name = names[(number + offset) % len(names)]
                samples[name].append(self.contestants[name](self.count))
        return {name: statistics.median(taken) for name, taken in samples.items()}


def rows():
    made = []
    rivals = {}
    if HAVE["janus"]:
        rivals["janus"] = lambda count: janus_to_task(count, 64)
    if HAVE["culsans"]:
        rivals["culsans"] = lambda count: culsans_to_task(count, 64)
    made.append(
        Row("thread to routine, capacity 64", 4000, lambda count: ours_to_routine(count, 64), rivals, 1 / 5)
    )
    if HAVE["uvloop"]:
        made.append(
            Row(
                "thread to routine, unbounded, uvloop",
                20_000,
                lambda count: ours_to_routine(count, math.inf, "uvloop"),
                {"call_soon_threadsafe": lambda count: call_soon_to_task(count, "uvloop")},
                1 / 3,
            )
        )
    simple = {"SimpleQueue": simple_queue_to_thread}
    made.append(
        Row(
            "routine to thread, unbounded", 20_000, lambda count: ours_to_thread(count, math.inf), simple, 1.5
        )
    )
    made.append(
        Row("routine to thread, capacity 64", 20_000, lambda count: ours_to_thread(count, 64), simple)
    )
    simple = {"SimpleQueue": simple_queue_between_threads}
    made.append(
        Row(
            "thread to thread, unbounded",
            20_000,
            lambda count: ours_between_threads(count, math.inf),
            simple,
            1.5,
        )
    )
    made.append(
        Row("thread to thread, capacity 64", 20_000, lambda count: ours_between_threads(count, 64), simple)
    )
    made.extend(
        Row(
            f"worker to worker, unbuffered round trip, {kind}",
            2000,
            lambda count, kind=kind: ours_between_workers(count, kind),
            {"call_soon_threadsafe": lambda count, kind=kind: call_soon_between_loops(count, kind)},
            1.5,
        )
        for kind in (("stock", "uvloop") if HAVE["uvloop"] else ("stock",))
    )
    made.append(Row("start of 4 workers to the first routine", 1, start, {}, limit=0.010))
    made.append(Row("shutdown of 10,000 parked routines", 10_000, shut_down, {}, limit=0.100))
    made.append(Row("stats() of 4 workers", 10_000, snapshot, {}, limit=10_000 * 5e-6))
    return made


def report(row, medians):
    ours = medians["routines"]
    parts = [f"{name} {taken / row.count * 1e9:,.0f} ns" for name, taken in medians.items()]
    verdict = ""
    if row.limit is not None:
        parts = [f"routines {ours * 1e3:.2f} ms in all"]
        verdict = f"limit {row.limit * 1e3:.0f} ms: {'met' if ours <= row.limit else 'MISSED'}"
    elif len(medians) > 1:
        rival = min(taken for name, taken in medians.items() if name != "routines")
        factor = ours / rival
        text = f"{factor:.2f} of the rival's time" if factor >= 1 else f"{1 / factor:.1f} times faster"
        verdict = text
        if row.ratio is not None:
            bar = f"{1 / row.ratio:g} times faster" if row.ratio < 1 else f"at most {row.ratio:g}"
            verdict += f" (bar: {bar}): {'met' if factor <= row.ratio else 'MISSED'}"
    print(f"{row.name}\n    {', '.join(parts)}\n    {verdict}", flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="the rows whose name contains that")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    print(
        f"CPython {sys.version.split()[0]}, per message unless told otherwise, median of {options.rounds} rounds"
    )
    for row in rows():
        if options.only in row.name:
            report(row, row.measure(options.rounds))


if __name__ == "__main__":
    main()
