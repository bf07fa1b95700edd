"""Fails each allocation in turn, under each of the core's scenarios: ``python tools/nomemory.py``.

Of a scenario the first allocation fails, then in a new run the second, and so on, until one comes through. Whatever fails has to
raise, `MemoryError` nearly always; the process may neither crash nor hang, and afterwards nothing is lost: what was sent was
received or is still in the channel, and nobody is left in a queue. Each scenario is a process of its own, so that a crash names it.

Needs the `_testcapi` module, which interpreters built from source have and most distributions' have not.

    python tools/nomemory.py [--only WORD...] [--seconds 120]
"""

import argparse
import asyncio
import contextlib
import gc
import math
import subprocess
import sys
import time
import warnings

import routines

SCENARIOS = {}
MOST = 5000  # allocations; a scenario that needs more is too long


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


class Ledger:
    """What went into channels and came out of them, in room that is there before any allocation fails."""

    def __init__(self):
        self.channels = []
        self.coroutines = []
        self.got = [None] * 400
        self.count = 0

    def channel(self, capacity):
        tx, rx = routines.channel(capacity)
        self.channels.append((tx, rx))
        return tx, rx

    def keep(self, coroutine):
        self.coroutines.append(coroutine)
        return coroutine

    def take(self, value):
        self.got[self.count] = value
        self.count += 1

    def settle(self):
        """Everybody gives up; then nobody waits, and the channels' counts agree with what came out."""
        for coroutine in self.coroutines:
            coroutine.close()
        for tx, rx in self.channels:
            stats = tx.channel.stats()
            assert (stats.waiting_senders, stats.waiting_receivers) == (0, 0), stats
            taken = 0
            while True:
                try:
                    self.take(rx.try_recv())
                    taken += 1
                except (routines.RecvError, routines.ChannelClosed):
                    break
            assert taken == stats.buffered
            after = tx.channel.stats()
            assert after.sent == after.received, f"{after}, before: {stats}"


def step(coroutine):
    """Drive a coroutine to where it is parked, as a scheduler would; true once it has ended."""
    if coroutine.cr_frame is None:
        return True
    try:
        while coroutine.send(None) is None:
            pass
    except StopIteration:
        return True
    return False


async def receive(rx, ledger, count):
    for _ in range(count):
        ledger.take(await rx.recv())


async def send(tx, values):
    for value in values:
        await tx.send(value)


@scenario
def a_buffer_that_grows():
    ledger = Ledger()
    tx, rx = ledger.channel(math.inf)

    def attempt():
        for value in range(40):
            tx.try_send(value)
        for _ in range(20):
            ledger.take(rx.try_recv())

    def check():
        ledger.settle()
        assert ledger.got[: ledger.count] == list(range(ledger.count)), ledger.got[: ledger.count]

    return attempt, check


@scenario
def a_hand_over_to_a_receiver_that_waits():
    ledger = Ledger()
    tx, rx = ledger.channel(0)
    coroutine = ledger.keep(receive(rx, ledger, 3))

    def attempt():
        step(coroutine)
        for value in range(3):
            tx.try_send(value)
            step(coroutine)

    return attempt, ledger.settle


@scenario
def a_sender_that_waits():
    ledger = Ledger()
    tx, rx = ledger.channel(1)
    coroutine = ledger.keep(send(tx, range(5)))

    def attempt():
        step(coroutine)
        for _ in range(5):
            ledger.take(rx.try_recv())
            step(coroutine)

    return attempt, ledger.settle


@scenario
def a_batch_from_senders_that_wait():
    ledger = Ledger()
    tx, rx = ledger.channel(2)

    async def many():
        await tx.send_many(range(20))

    async def batch():
        for value in await rx.recv_many(16):
            ledger.take(value)

    sender, receiver = ledger.keep(many()), ledger.keep(batch())

    def attempt():
        step(sender)
        step(receiver)
        step(sender)

    def check():
        for coroutine in ledger.coroutines:
            coroutine.close()
        stats = tx.channel.stats()
        assert (stats.waiting_senders, stats.waiting_receivers) == (0, 0)
        assert stats.sent == stats.received + stats.buffered, stats

    return attempt, check


@scenario
def a_close_over_many_that_wait():
    ledger = Ledger()
    tx, rx = ledger.channel(0)
    failed = [False] * 4

    async def waits(place):
        try:
            await rx.recv()
        except routines.ChannelClosed:
            failed[place] = True

    coroutines = [ledger.keep(waits(place)) for place in range(4)]

    def attempt():
        for coroutine in coroutines:
            step(coroutine)
        tx.close()
        for coroutine in coroutines:
            step(coroutine)

    def check():
        tx.close()
        stats = tx.channel.stats()
        if stats.closed:
            assert stats.waiting_receivers == 0, stats
        ledger.settle()

    return attempt, check


@scenario
def a_select_that_waits_and_is_claimed():
    ledger = Ledger()
    first, second = ledger.channel(0), ledger.channel(0)

    async def choose():
        for _ in range(3):
            chosen = await routines.select(first[1], second[1], second[0].case("sent"))
            ledger.take(chosen.value)

    coroutine = ledger.keep(choose())

    def attempt():
        step(coroutine)
        for tx, _ in (second, first, second):
            tx.try_send("value")
            step(coroutine)

    return attempt, ledger.settle


@scenario
def a_select_that_was_built():
    ledger = Ledger()
    tx, rx = ledger.channel(1)
    silent = ledger.channel(0)

    async def choose():
        ledger.take(await routines.select().recv(rx, str).recv(silent[1]).run())
        await routines.select().send(tx, "x", ledger.got.__len__).default(ledger.got.__len__).run()

    coroutine = ledger.keep(choose())

    def attempt():
        step(coroutine)
        tx.try_send("value")
        step(coroutine)

    return attempt, ledger.settle


@scenario
def a_selector_over_three_channels():
    ledger = Ledger()
    pairs = [ledger.channel(1) for _ in range(3)]
    selectors = []

    async def choose(selector):
        for _ in range(4):
            ledger.take((await selector.next()).value)

    def attempt():
        selector = routines.Selector(*(rx for _, rx in pairs))
        selectors.append(selector)
        coroutine = ledger.keep(choose(selector))
        step(coroutine)
        for tx, _ in (pairs[2], pairs[0], pairs[1], pairs[1]):
            tx.try_send("value")
            step(coroutine)

    return attempt, ledger.settle


@scenario
def handles_made_and_dropped():
    ledger = Ledger()
    tx, rx = ledger.channel(3)

    def attempt():
        for _ in range(5):
            twin, other = tx.clone(), rx.clone()
            twin.try_send(1)
            ledger.take(other.try_recv())
            twin.close()
            repr(other)
            other.stats()

    def check():
        ledger.settle()
        stats = tx.stats()
        assert (stats.senders, stats.receivers) == (1, 1), stats

    return attempt, check


@scenario
def a_receiver_that_leaves_values_behind():
    ledger = Ledger()
    tx, rx = ledger.channel(8)

    def attempt():
        for value in range(8):
            tx.try_send(value)
        rx.close()

    def check():
        rx.close()
        stats = tx.stats()
        assert (stats.closed, stats.receivers, stats.buffered) == (True, 0, 0), stats

    return attempt, check


def in_a_loop(make, right):
    """A scenario under a loop: it ends, in time, with the right result or an exception."""
    loop = asyncio.SelectorEventLoop()
    loop.set_exception_handler(lambda *_: None)
    asyncio.set_event_loop(loop)
    result = []

    def attempt():
        # An allocation that fails in the loop's own code may cost a wake-up that nobody else knows of: this one ends it.
        task = routines.Routine(asyncio.wait_for(make(), 0.2), loop=loop)
        stop = loop.call_later(0.3, loop.stop)
        try:
            result.append(loop.run_until_complete(task))
        finally:
            stop.cancel()

    def check():
        assert not result or result[0] == right, result
        asyncio._set_running_loop(None)  # run_forever() may have failed before it came to that
        for task in asyncio.all_tasks(loop):
            task.cancel()
        for _ in range(4):
            # run_until_complete() may have failed to take its own callback back, which then stops the next run.
            with contextlib.suppress(RuntimeError):
                loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    return attempt, check


@scenario
def routines_that_hand_over():
    async def main():
        tx, rx = routines.channel()
        sender = routines.go(send, tx, range(10))
        got = [await rx.recv() for _ in range(10)]
        await sender.join()
        return got

    return in_a_loop(main, list(range(10)))


@scenario
def routines_that_are_joined_cancelled_and_time_out():
    async def sleeper():
        await routines.sleep(60)

    async def main():
        found = []
        routine = routines.go(sleeper)
        await routines.yield_now()
        routine.abort("enough")
        try:
            await routine.join()
        except routines.Aborted as error:
            found.append(error.reason)
        try:
            async with routines.timeout(0.001):
                await sleeper()
        except routines.Timeout:
            found.append("late")
        return found

    return in_a_loop(main, ["enough", "late"])


@scenario
def a_select_with_a_timeout_and_a_ticker():
    async def main():
        _, rx = routines.channel()
        ticker = routines.Ticker(0.001)
        chosen = await routines.select(rx, ticker, timeout=1.0)
        ticker.stop()
        late = await routines.select().recv(rx).timeout(0.001, lambda: "late").run()
        return chosen.index, late

    return in_a_loop(main, (1, "late"))


def run_scenario(name):
    """In the process of its own. How often an allocation failed, and what came of it."""
    import _testcapi

    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda _: None
    made = SCENARIOS[name]
    attempt, check = made()  # once with memory enough, so that what is made only once is there
    attempt()
    check()
    gc.collect()
    gc.disable()  # a collection at any allocation would make the runs differ; see the tests with gc.set_threshold(1)
    outcomes = {}
    for start in range(1, MOST):
        attempt, check = made()
        error = None
        _testcapi.set_nomemory(start, start + 1)
        try:
            attempt()
        except BaseException as raised:  # noqa: BLE001 - whatever it is, it is looked at below
            error = raised
        finally:
            _testcapi.remove_mem_hooks()
        kind = "none" if error is None else type(error).__name__
        outcomes[kind] = outcomes.get(kind, 0) + 1
        error = None
        try:
            check()
        except BaseException as wrong:
            print(f"allocation {start}, which ended in {kind}: {type(wrong).__name__}: {wrong}", flush=True)
            raise
        del attempt, check
        if start % 50 == 0:
            gc.collect()
        # Some failures are survived: a cache that is not filled. A long row of them is the end of the scenario.
        outcomes["row"] = outcomes.get("row", 0) + 1 if kind == "none" else 0
        if outcomes["row"] == 60:
            break
    else:
        sys.exit(f"{name}: more than {MOST} allocations")
    del outcomes["row"]
    unexpected = set(outcomes) - {"none", "MemoryError", "TimeoutError", "RuntimeError", "SystemError"}
    print(", ".join(f"{kind} {count}" for kind, count in sorted(outcomes.items())))
    if unexpected:
        sys.exit(f"{name}: raised {unexpected}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", nargs="+", metavar="WORD", default=[], help="scenarios whose name contains a word"
    )
    parser.add_argument("--seconds", type=float, default=120, help="for each scenario; more is a hang")
    parser.add_argument("--scenario", help=argparse.SUPPRESS)
    options = parser.parse_args()
    try:
        import _testcapi  # noqa: F401
    except ImportError:
        sys.exit("this interpreter has no _testcapi: take one that was built from source")
    if options.scenario:
        run_scenario(options.scenario)
        return 0
    failed = []
    for name in SCENARIOS:
        if options.only and not any(word in name for word in options.only):
            continue
        begun = time.monotonic()
        try:
            done = subprocess.run(
                [sys.executable, "-X", "faulthandler", __file__, "--scenario", name],
                check=False, capture_output=True, text=True, timeout=options.seconds,
            )  # fmt: skip
            status, said = (
                done.returncode,
                done.stdout.strip() + ("\n" + done.stderr.strip() if done.returncode else ""),
            )
        except subprocess.TimeoutExpired as error:
            status, said = "hung", str(error.stdout or "")
        if status != 0:
            failed.append(name)
        print(
            f"{'ok' if status == 0 else f'FAILED ({status})':12} {time.monotonic() - begun:5.1f} s  {name}: {said}",
            flush=True,
        )
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
