"""Two long runs that account for every message: a flood of a given size, and a soak of a given time.

    python benchmarks/soak.py --messages 10_000_000             # 4 threads, 4 workers and 100 routines send
    python benchmarks/soak.py --seconds 3600                    # cancel, close, time out, select, sleep, read sockets
    python benchmarks/soak.py --seconds 3600 --loop uvloop      # the same on uvloop

The flood checks that each message arrives exactly once and in order for its producer, and that the counters say what was done. The
soak is a sequence of short episodes over worker threads, plain threads and plain tasks, each of which is accounted for at its end:
values, waiters, routines, timers and channels. It prints the resident memory as it goes and fails where that grows, and where an
episode does not end, with the dump of all routines. The seed is printed; ``--seed`` repeats the draws, though not the threads' timing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import itertools
import math
import os
import random
import statistics
import sys
import threading
import time
from array import array
from collections import defaultdict
from pathlib import Path

import routines
from routines import ChannelClosed, RecvError, Runtime, RuntimeConfig, SendError, channel, select

TICKET = 64  # messages that a producer of the flood claims at a time
EPISODE_SECONDS = 0.5
STUCK_SECONDS = 60
VALUES = 2000  # a producer of an episode sends so many at most: what an episode needs at its height is to be the same all along


def loop_factory(name):
    if name == "stock":
        return None
    import uvloop

    return uvloop.new_event_loop


def resident_bytes():
    """Resident memory; 0 where the platform does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


class Stuck(AssertionError):
    """Something that has to end did not."""


# -- the flood


class Tally:
    """What one consumer got of each producer: how many, and sums that a doubled or a lost number would change."""

    def __init__(self):
        self.last = defaultdict(lambda: -1)
        self.count = defaultdict(int)
        self.sum = defaultdict(int)
        self.squares = defaultdict(int)

    def take(self, message):
        producer, number = message
        assert number > self.last[producer], f"{producer}: {number} came after {self.last[producer]}"
        self.last[producer] = number
        self.count[producer] += 1
        self.sum[producer] += number
        self.squares[producer] += number * number


class Flood:
    """``messages`` over three channels: one with a single consumer, two whose consumers share them."""

    def __init__(self, runtime, messages):
        self.runtime = runtime
        self.left = itertools.repeat(TICKET, messages // TICKET)
        self.total = messages // TICKET * TICKET
        self.sent = [defaultdict(int) for _ in range(3)]  # per channel: how many each producer has sent
        self.single = []
        self.tallies = [[], [], []]
        self.failures = []

    async def open(self):
        """Made on worker 0, so they count there."""
        self.channels = [channel(64), channel(0), channel(1024)]

    def produce_in_thread(self, name, senders):
        with contextlib.ExitStack() as stack:
            for tx in senders:
                stack.enter_context(tx)
            for turn, size in enumerate(self.left):
                index = turn % 3
                sent = self.sent[index]
                for _ in range(size):
                    senders[index].send_blocking((name, sent[name]))
                    sent[name] += 1

    async def produce(self, name, senders):
        with contextlib.ExitStack() as stack:
            for tx in senders:
                stack.enter_context(tx)
            for turn, size in enumerate(self.left):
                index = turn % 3
                sent = self.sent[index]
                if turn % 2:
                    batch = [(name, sent[name] + offset) for offset in range(size)]
                    sent[name] += await senders[index].send_many(batch)
                else:
                    for _ in range(size):
                        await senders[index].send((name, sent[name]))
                        sent[name] += 1

    async def consume(self, receiver, tally, many):
        with receiver:
            if many:
                async for batch in receiver.batches(100):
                    for message in batch:
                        tally.take(message)
            else:
                async for message in receiver:
                    tally.take(message)

    def consume_in_thread(self, receiver, tally):
        with receiver, contextlib.suppress(ChannelClosed):
            while True:
                tally.take(receiver.recv_blocking())

    def tally(self, index):
        made = Tally()
        self.tallies[index].append(made)
        return made

    def in_thread(self, function, *args):
        def run():
            try:
                function(*args)
            except BaseException as error:  # noqa: BLE001 - raised on the main thread
                self.failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def run(self):
        runtime, workers = self.runtime, self.runtime.config.worker_threads
        runtime.spawn(self.open(), worker=0).join_blocking()
        senders = [tx for tx, _ in self.channels]
        receivers = [rx for _, rx in self.channels]
        started = runtime.stats()
        routines_started = [runtime.spawn(self.consume(receivers[0].clone(), self.tally(0), False), worker=0)]
        for worker in range(workers):
            for index in (1, 2):
                consumer = self.consume(receivers[index].clone(), self.tally(index), index == 2)
                routines_started.append(runtime.spawn(consumer, worker=worker))
        threads = [self.in_thread(self.consume_in_thread, receivers[1].clone(), self.tally(1))]
        for number in range(4):
            clones = [tx.clone() for tx in senders]
            threads.append(self.in_thread(self.produce_in_thread, f"thread {number}", clones))
        for worker in range(workers):
            clones = [tx.clone() for tx in senders]
            producer = self.produce(f"worker {worker}", clones)
            routines_started.append(runtime.spawn(producer, worker=worker))
        for number in range(100):
            clones = [tx.clone() for tx in senders]
            routines_started.append(runtime.spawn(self.produce(f"routine {number}", clones)))
        for end in senders + receivers:
            end.close()
        for routine in routines_started:
            routine.join_blocking()
        for thread in threads:
            thread.join()
        assert not self.failures, self.failures
        self.check(started, len(routines_started))

    def check(self, started, spawned):
        arrived = 0
        for index, sent in enumerate(self.sent):
            for producer, count in sent.items():
                tallies = self.tallies[index]
                assert sum(tally.count[producer] for tally in tallies) == count, producer
                assert sum(tally.sum[producer] for tally in tallies) == sum(range(count)), producer
                squares = (count - 1) * count * (2 * count - 1) // 6
                assert sum(tally.squares[producer] for tally in tallies) == squares, producer
                arrived += count
            stats = self.channels[index][1].stats()
            assert stats.sent == stats.received == sum(sent.values()), stats
            assert (stats.waiting_senders, stats.waiting_receivers, stats.buffered) == (0, 0, 0), stats
        assert arrived == self.total, (arrived, self.total)
        stats = self.runtime.stats()
        assert stats.sends - started.sends == self.total, stats
        assert stats.receives - started.receives == self.total, stats
        assert stats.workers[0].sends - started.workers[0].sends == self.total, stats
        assert stats.routines_spawned - started.routines_spawned == spawned, stats
        assert stats.routines_completed - started.routines_completed == spawned, stats
        assert (stats.routines_failed, stats.routines_aborted) == (0, 0), stats


def flood(messages, loop):
    config = RuntimeConfig(worker_threads=4, loop_factory=loop_factory(loop))
    with Runtime(config) as runtime:
        before = time.monotonic()
        run = Flood(runtime, messages)
        run.run()
        seconds = time.monotonic() - before
        by_kind = defaultdict(int)
        for sent in run.sent:
            for producer, count in sent.items():
                by_kind[producer.split()[0]] += count
        print(
            f"{run.total:,} messages in {seconds:.1f} s, each once and in order for its producer: "
            + ", ".join(f"{count:,} from {kind}s" for kind, count in by_kind.items())
        )
        print(runtime.stats())


# -- the soak


class Ledger:
    """Which values were surely sent, which may have been (their send raised), and which came out."""

    def __init__(self):
        self.numbers = defaultdict(itertools.count)
        self.sent = set()
        self.refused = set()
        self.maybe = (
            set()
        )  # cancelled inside of wait_for, which tells of the cancellation and not of the send
        self.received = []

    def consumer(self):
        values = []
        self.received.append(values)
        return values

    def check(self, channel_stats, dropped):
        flat = [value for values in self.received for value in values]
        arrived = set(flat)
        assert len(flat) == len(arrived), "a value came twice"
        assert not arrived & self.refused, "a value came whose send had failed"
        unknown = arrived - self.sent - self.maybe
        assert not unknown, f"values that nobody has sent: {unknown}"
        lost = len(self.sent - arrived)
        unclear = len(self.maybe - arrived)
        assert lost <= dropped <= lost + unclear, f"{lost} values were lost, of which {dropped} were dropped"
        for values in self.received:
            last = {}
            for producer, number in values:
                assert last.get(producer, -1) < number, f"{producer}: out of order"
                last[producer] = number
        assert channel_stats.waiting_senders == channel_stats.waiting_receivers == 0, channel_stats
        sure = len(self.sent | arrived)
        assert sure <= channel_stats.sent <= sure + unclear, (channel_stats, sure, unclear)
        assert channel_stats.received == len(arrived), (channel_stats, len(arrived))


class Episode:
    """Half a second of everything at once over one channel, then an account of it."""

    def __init__(self, runtime, chance):
        self.runtime = runtime
        self.chance = chance
        self.tx, self.rx = channel(chance.choice([0, 0, 1, 3, 64, math.inf]))
        self.ledger = Ledger()
        self.stop = threading.Event()
        self.failures = []
        self.routines = []
        self.threads = []
        self.did = defaultdict(int)

    # Each of these keeps to the rule that a send is entered as sent once it has returned, and as refused where it raised.

    async def send(self, tx, name, chance):
        value = (name, next(self.ledger.numbers[name]))
        how = chance.random()
        try:
            if how < 0.4:
                await tx.send(value)
            elif how < 0.55:
                await asyncio.wait_for(tx.send(value), chance.random() * 0.002)
            elif how < 0.7:
                async with routines.timeout(chance.random() * 0.002):
                    await tx.send(value)
            elif how < 0.85:
                await select(tx.case(value), timeout=chance.random() * 0.002)
            else:
                tx.try_send(value)
        except BaseException as error:
            # What was complete when a timeout or a cancellation came has returned; so what raises has not been sent.
            unclear = 0.4 <= how < 0.55 and isinstance(error, asyncio.CancelledError)
            (self.ledger.maybe if unclear else self.ledger.refused).add(value)
            self.did[type(error).__name__] += 1
            if isinstance(error, (TimeoutError, SendError)):
                return
            raise
        self.ledger.sent.add(value)
        self.did["sent"] += 1

    async def producer(self, tx, name, seed):
        chance = random.Random(seed)
        with tx:
            for _ in range(VALUES):
                if self.stop.is_set():
                    return
                try:
                    await self.send(tx, name, chance)
                except ChannelClosed:
                    return
                if chance.random() < 0.05:
                    await (
                        routines.yield_now()
                        if chance.random() < 0.5
                        else routines.sleep(chance.random() * 0.002)
                    )

    async def consumer(self, rx, seed):
        chance = random.Random(seed)
        values = self.ledger.consumer()
        never_tx, never = channel()
        with rx, never_tx, never, contextlib.suppress(ChannelClosed):
            while True:
                how = chance.random()
                try:
                    if how < 0.3:
                        values.append(await rx.recv())
                    elif how < 0.4:
                        values.extend(await rx.recv_many(8))
                    elif how < 0.6:
                        async with routines.timeout(chance.random() * 0.002):
                            values.append(await rx.recv())
                    elif how < 0.8:
                        chosen = await select(rx, never, routines.after(chance.random() * 0.002))
                        if chosen.index == 0:
                            if not chosen.ok:
                                return
                            values.append(chosen.value)
                    elif how < 0.9:
                        selector = routines.Selector(rx, never)
                        async with routines.timeout(0.002):
                            chosen = await selector.next()
                            if not chosen.ok:
                                return
                            values.append(chosen.value)
                    else:
                        values.append(rx.try_recv())
                except (TimeoutError, RecvError) as error:
                    self.did[type(error).__name__] += 1
                    await routines.yield_now()

    def thread_producer(self, tx, name, seed):
        chance = random.Random(seed)
        with tx:
            for _ in range(VALUES):
                if self.stop.is_set():
                    return
                value = (name, next(self.ledger.numbers[name]))
                try:
                    if chance.random() < 0.8:
                        tx.send_blocking(value, timeout=chance.choice([None, 0, 0.001, 0.01]))
                    else:
                        tx.try_send(value)
                except (TimeoutError, SendError):
                    self.ledger.refused.add(value)
                except ChannelClosed:
                    self.ledger.refused.add(value)
                    return
                else:
                    self.ledger.sent.add(value)

    def thread_consumer(self, rx, seed):
        chance = random.Random(seed)
        values = self.ledger.consumer()
        with rx, contextlib.suppress(ChannelClosed):
            while True:
                with contextlib.suppress(TimeoutError):
                    values.append(rx.recv_blocking(timeout=chance.choice([None, 0, 0.001, 0.01])))

    async def as_task(self, end, coroutine):
        """Run it as a plain task, inside of a routine.

        One that is cancelled before its first step never closes its end, which the traceback of that cancellation keeps.
        """
        with end:
            await asyncio.Task(coroutine, loop=asyncio.get_running_loop())

    async def echo(self, rounds):
        """Some bytes over a socket, and some work in the executor."""

        async def serve(reader, writer):
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(100):
                    writer.write(data)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
            for number in range(rounds):
                writer.write(b"%6d" % number)
                assert await reader.readexactly(6) == b"%6d" % number
            assert await asyncio.to_thread(sum, range(10)) == 45
            writer.close()
            await writer.wait_closed()

    async def ticks(self):
        ticker = routines.Ticker(0.005)
        for _ in range(10):
            await ticker.recv()
        ticker.stop()

    async def never_woken(self):
        """Is cancelled while it is parked."""
        _tx, rx = channel()
        await rx.recv()

    async def canceller(self, victims, seed):
        chance = random.Random(seed)
        while not self.stop.is_set():
            await routines.sleep(chance.random() * 0.02)
            victim = chance.choice(victims)
            if not victim.done():
                asyncio_loop = victim.get_loop()
                asyncio_loop.call_soon_threadsafe(victim.abort, "soak")

    def spawn(self, coroutine, worker=None):
        routine = self.runtime.spawn(coroutine, worker=worker)
        self.routines.append(routine)
        return routine

    def thread(self, function, *args):
        def run():
            try:
                function(*args)
            except BaseException as error:  # noqa: BLE001 - raised on the main thread
                self.failures.append(error)

        thread = threading.Thread(target=run, daemon=True)
        self.threads.append(thread)
        thread.start()

    def run(self):
        chance = self.chance
        steady = self.rx.clone()  # consumes to the end, so that nothing is left
        for number in range(chance.randrange(2, 8)):
            tx = self.tx.clone()
            producer = self.producer(tx, f"routine {number}", chance.random())
            self.spawn(self.as_task(tx, producer) if chance.random() < 0.3 else producer)
        del tx, producer
        victims = list(self.routines)
        for _ in range(chance.randrange(1, 6)):
            rx = self.rx.clone()
            consumer = self.consumer(rx, chance.random())
            victims.append(self.spawn(self.as_task(rx, consumer) if chance.random() < 0.3 else consumer))
        del rx, consumer
        victims += [self.spawn(self.never_woken()) for _ in range(20)]
        for number in range(chance.randrange(3)):
            self.thread(self.thread_producer, self.tx.clone(), f"thread {number}", chance.random())
        for _ in range(chance.randrange(2)):
            self.thread(self.thread_consumer, self.rx.clone(), chance.random())
        self.spawn(self.canceller(victims, chance.random()))
        self.spawn(self.echo(chance.randrange(50)))
        self.spawn(self.ticks())
        how = chance.choice(["drain", "drop", "close"])
        if how != "drop":
            self.thread(self.thread_consumer, steady, chance.random())
        self.tx.close()
        self.rx.close()
        time.sleep(EPISODE_SECONDS * (0.5 + chance.random()))
        if how == "close":
            self.tx.channel.close(RuntimeError("the soak closes it"))
        self.stop.set()
        if how == "drop":
            steady.close()  # the last receiver may drop what is buffered
        self.finish()

    def finish(self):
        deadline = time.monotonic() + STUCK_SECONDS
        for routine in self.routines:
            if routine.get_coro().__name__ == "never_woken":
                routine.get_loop().call_soon_threadsafe(routine.abort)
        for routine in self.routines:
            try:
                routine.join_blocking(timeout=max(0.0, deadline - time.monotonic()))
            except routines.Aborted:
                self.did["aborted"] += 1
            except routines.Timeout as late:
                raise Stuck(f"{routine!r} does not end\n{routines.dump()}") from late
        for thread in self.threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                raise Stuck(f"{thread!r} does not end; {self.rx!r}\n{routines.dump()}")
        assert not self.failures, self.failures
        stats = self.rx.stats()
        # What the last receiver left in the buffer is dropped with it.
        self.ledger.check(stats, stats.sent - stats.received)


def settled(runtime, live_channels):
    """Wait until nothing of an episode is left: no routine, no timer, no channel."""
    deadline = time.monotonic() + STUCK_SECONDS
    while True:
        gc.collect()
        stats = runtime.stats()
        # Each worker keeps the routine that waits for the end of the runtime.
        busy = stats.routines_active > len(stats.workers) or stats.ready or stats.timers
        if not busy and stats.channels <= live_channels:
            return stats
        if time.monotonic() > deadline:
            raise Stuck(f"something stays behind: {stats}\n{routines.dump()}")
        time.sleep(0.001)


def soak(seconds, seed, loop, workers):
    chance = random.Random(seed)
    config = RuntimeConfig(worker_threads=workers, loop_factory=loop_factory(loop))
    began = time.monotonic()
    # Arrays: a tuple of two ints for each episode is three blocks that pile up.
    resident_sizes, block_counts = array("q"), array("q")
    episodes = 0
    did = defaultdict(int)
    print(
        f"soak of {seconds:g} s, seed {seed}, {workers} workers, {loop} loop, CPython {sys.version.split()[0]}",
        flush=True,
    )
    with Runtime(config) as runtime:
        live_channels = runtime.stats().channels
        next_line = 0.0
        while (past := time.monotonic() - began) < seconds:
            episode = Episode(runtime, chance)
            episode.run()
            for what, count in episode.did.items():
                did[what] += count
            del episode
            stats = settled(runtime, live_channels)
            assert stats.routines_spawned == (
                stats.routines_active
                + stats.routines_completed
                + stats.routines_failed
                + stats.routines_aborted
            ), stats
            episodes += 1
            resident_sizes.append(resident_bytes())
            block_counts.append(sys.getallocatedblocks())
            if past >= next_line:
                next_line = past + max(10.0, seconds / 60)
                print(
                    f"{past:8.0f} s  {episodes:6} episodes  {resident_sizes[-1] / 1e6:7.1f} MB  "
                    f"{block_counts[-1]:9,} blocks  {stats.sends:12,} sends",
                    flush=True,
                )
        print(f"counted: {dict(sorted(did.items()))}")
        print(stats)
    resident, blocks = growth(resident_sizes), growth(block_counts)
    print(
        f"resident memory: {resident_sizes[0] / 1e6:.1f} MB after the first episode, {resident_sizes[-1] / 1e6:.1f} MB at the end; "
        f"from the second quarter to the last {resident / 1e6:+.2f} MB, and {blocks:+,.0f} of {block_counts[-1]:,} blocks"
    )
    assert blocks <= 0.01 * block_counts[-1], "objects pile up"
    # The allocator needs its time until each thread has what it needs at its height.
    assert seconds < 120 or resident <= 0.05 * resident_sizes[-1], "memory grows"


def growth(samples):
    """From the second quarter of the run to the last, by medians; the first quarter fills caches and free lists."""
    quarter = len(samples) // 4
    if quarter == 0:
        return 0.0
    return statistics.median(samples[-quarter:]) - statistics.median(samples[quarter : 2 * quarter])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, metavar="N", help="run the flood, of that many messages")
    parser.add_argument("--seconds", type=float, metavar="S", help="run the soak, for that long")
    parser.add_argument("--loop", choices=["stock", "uvloop"], default="stock")
    parser.add_argument("--workers", type=int, default=3, help="worker threads of the soak; 3 unless told")
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    if options.messages is None and options.seconds is None:
        parser.error("give --messages, --seconds, or both")
    try:
        if options.messages is not None:
            flood(options.messages, options.loop)
        if options.seconds is not None:
            seed = options.seed if options.seed is not None else random.SystemRandom().getrandbits(32)
            soak(options.seconds, seed, options.loop, options.workers)
    except Stuck as stuck:
        print(stuck, file=sys.stderr, flush=True)
        os._exit(1)  # what is stuck would keep the process


if __name__ == "__main__":
    main()
