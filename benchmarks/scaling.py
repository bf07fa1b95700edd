"""Cost per operation as a program grows: ``python benchmarks/scaling.py [--pictures DIRECTORY]``.

10 to 10^6 routines, 1 to 10^4 cases of a select, 1 to 10^6 buffered values: nanoseconds per operation, the best of a few runs in
this process, printed as a table and, with matplotlib, drawn as SVG pictures.

What should be flat is: a hand-over among more routines, a turn of a selector over more cases, a value through a larger buffer
(all but for what the processor's caches take once the program no longer fits). A select in the direct form looks at each of its
cases and grows with their number, which is what a selector is for.
"""

import argparse
import gc
import math
import time
from pathlib import Path

import routines


def best(measure, rounds):
    return min(measure() for _ in range(rounds))


def timed(main):
    """Nanoseconds that `main`, an async function that returns (seconds, operations), takes for each."""
    gc.collect()
    gc.disable()
    try:
        seconds, operations = routines.run(main)
    finally:
        gc.enable()
    return seconds / operations * 1e9


def spawn_and_end(count):
    async def nothing():
        pass

    async def main():
        laps = max(1, 100_000 // count)
        begun = time.perf_counter()
        for _ in range(laps):
            spawned = [routines.go(nothing) for _ in range(count)]
            await spawned[-1].join()
        return time.perf_counter() - begun, laps * count

    return main


def hand_over(count):
    """A token along a ring of routines, each parked on its own channel."""

    async def link(rx, tx):
        async for value in rx:
            await tx.send(value)

    async def main():
        laps = max(1, 100_000 // count)
        first_tx, rx = routines.channel()
        for _ in range(count - 1):
            tx, next_rx = routines.channel()
            routines.go(link, rx, tx)
            rx = next_rx
        await routines.yield_now()
        begun = time.perf_counter()
        for lap in range(laps):
            routines.go(first_tx.send, lap) if count == 1 else await first_tx.send(lap)
            await rx.recv()
        return time.perf_counter() - begun, laps * count

    return main


def yield_among(count):
    async def turns(times):
        for _ in range(times):
            await routines.yield_now()

    async def main():
        times = max(2, 200_000 // count)
        spawned = [routines.go(turns, times) for _ in range(count)]
        await routines.yield_now()
        begun = time.perf_counter()
        for each in spawned:
            await each.join()
        return time.perf_counter() - begun, (times - 1) * count

    return main


def channels_of(cases):
    return [routines.channel(1) for _ in range(cases)]


def select_over(cases):
    """A select of which the last case is ready."""

    async def main():
        pairs = channels_of(cases)
        receivers = [rx for _, rx in pairs]
        times = max(20, 100_000 // cases)
        tx = pairs[-1][0]
        begun = time.perf_counter()
        for _ in range(times):
            tx.try_send(1)
            await routines.select(*receivers)
        return time.perf_counter() - begun, times

    return main


def selector_over(cases):
    async def main():
        pairs = channels_of(cases)
        selector = routines.Selector(*(rx for _, rx in pairs))
        times = 50_000
        begun = time.perf_counter()
        for turn in range(times):
            pairs[turn % cases][0].try_send(1)
            await selector.next()
        return time.perf_counter() - begun, times

    return main


def buffered(values):
    """A value into and one out of a buffer that holds so many meanwhile."""

    async def main():
        tx, rx = routines.channel(math.inf)
        for value in range(values):
            tx.try_send(value)
        times = max(100_000, values)
        begun = time.perf_counter()
        for value in range(times):
            await tx.send(value)
            await rx.recv()
        return time.perf_counter() - begun, times

    return main


def filled(values):
    """A buffer filled with so many values, and emptied; the cost of each."""

    async def main():
        rounds = max(1, 100_000 // values)
        tx, rx = routines.channel(math.inf)
        begun = time.perf_counter()
        for _ in range(rounds):
            for value in range(values):
                tx.try_send(value)
            for _ in range(values):
                rx.try_recv()
        return time.perf_counter() - begun, values * rounds

    return main


def powers(first, last):
    return [10**power for power in range(first, last + 1)]


CURVES = {
    "routines": ("routines", powers(1, 6), {
        "spawn and run to the end": spawn_and_end, "hand-over along a ring": hand_over, "yield": yield_among,
    }),
    "cases": ("cases of a select", powers(0, 4), {"select, one ready": select_over, "selector, one ready": selector_over}),
    "values": ("values in the buffer", powers(0, 6), {"send and receive": buffered, "fill and empty": filled}),
}  # fmt: skip


def draw(name, label, sizes, curves, directory):
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = name  # the same figures make the same file
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 3.6))
    for text, costs in curves.items():
        axes.plot(sizes[: len(costs)], costs, marker="o", label=text)
    axes.set(xscale="log", yscale="log", xlabel=label, ylabel="nanoseconds per operation")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(Path(directory) / f"scaling-{name}.svg", metadata={"Date": None})
    pyplot.close(figure)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=CURVES, nargs="+", default=list(CURVES))
    parser.add_argument("--most", type=int, default=10**6, help="leave out larger sizes")
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many")
    parser.add_argument("--pictures", metavar="DIRECTORY", help="draw SVG pictures; needs matplotlib")
    options = parser.parse_args()
    for name in options.only:
        label, sizes, measures = CURVES[name]
        sizes = [size for size in sizes if size <= options.most]
        curves = {}
        print(f"{label:28}" + "".join(f"{size:>10,}" for size in sizes), flush=True)
        for text, make in measures.items():
            rounds = {size: options.rounds if size < 10**5 else 1 for size in sizes}
            curves[text] = [
                best(lambda size=size, make=make: timed(make(size)), rounds[size]) for size in sizes
            ]
            print(f"  {text:26}" + "".join(f"{cost:>10,.0f}" for cost in curves[text]), flush=True)
        if options.pictures:
            draw(name, label, sizes, curves, options.pictures)


if __name__ == "__main__":
    main()
