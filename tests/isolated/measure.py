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


def check(workload, *, rounds=4, traced=True):
    """`workload` is an async function; its first rounds fill caches and free lists."""

    async def main():
        await workload()
        snapshot()  # measuring makes objects of its own the first time
        await workload()
        before = snapshot()
        for _ in range(rounds):
            await workload()
        return before, snapshot()

    if traced:
        tracemalloc.start()
    before, after = asyncio.run(main())
    tracemalloc.stop()
    growth = {name: after[name] - before[name] for name in before}
    print(workload.__name__, growth, routines.__name__)
    assert growth["ours"] <= 0, growth
    assert growth["objects"] <= 64, growth  # cancelled timers stay in the heap until it is compacted
    assert growth["references"] <= 200, growth
    if traced:
        assert growth["bytes"] <= 4_000, growth
    else:
        assert growth["resident"] <= 3_000_000, growth
