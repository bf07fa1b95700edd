"""Runs a workload over and over and fails where objects, traced bytes, references or pages keep growing."""

import asyncio
import gc
import sys
import tracemalloc
from collections import Counter
from pathlib import Path

import routines

KINDS = ("Routine", "Sender", "Receiver", "Channel")


def resident_bytes():
    """Resident memory, or 0 where the platform does not say."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return 0
    import resource

    return int(statm.read_text().split()[1]) * resource.getpagesize()


def snapshot():
    gc.collect()
    gc.collect()
    kinds = Counter(type(each).__name__ for each in gc.get_objects())
    return {
        "objects": sum(kinds.values()),
        "ours": sum(count for kind, count in kinds.items() if kind in KINDS),
        "bytes": tracemalloc.get_traced_memory()[0],
        "references": sys.gettotalrefcount() if hasattr(sys, "gettotalrefcount") else 0,
        "resident": resident_bytes(),
    }


def refuse(growth, *, traced):
    """Raise an AssertionError where `growth` is more than what measuring itself makes."""
    assert growth["ours"] <= 0, growth
    assert growth["objects"] <= 64, growth  # cancelled timers stay in the heap until it is compacted
    assert growth["references"] <= 200, growth
    if traced:
        assert growth["bytes"] <= 4_000, growth
    else:
        assert growth["resident"] <= 3_000_000, growth


def check(workload, *, rounds=4, traced=True):
    """`workload` is an async function; its first rounds fill caches and free lists.

    Traced, up to `rounds` rounds are measured one by one until one leaves nothing behind: what leaks does so in every
    round, while buffers and the interpreter's caches grow in some. Untraced, all of them are measured together.
    """

    async def main():
        await workload()
        snapshot()  # measuring makes objects of its own the first time
        await workload()
        before = snapshot()
        for number in range(1, rounds + 1):
            await workload()
            if not traced and number < rounds:
                continue
            after = snapshot()
            growth = {name: after[name] - before[name] for name in before}
            print(workload.__name__, growth, routines.__name__)
            try:
                refuse(growth, traced=traced)
            except AssertionError:
                if number == rounds:
                    raise
                before = after
            else:
                return

    if traced:
        tracemalloc.start()
    asyncio.run(main())
    tracemalloc.stop()
