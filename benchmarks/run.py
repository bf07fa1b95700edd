"""Races `routines` against asyncio, uvloop, gevent, Go and the interpreter's own floor.

    python benchmarks/run.py [--rounds N] [--only WORKLOAD] [--json FILE]

The contestants take turns: each round measures each of them once on one workload, starting with
another one every time, so that whatever else the machine does meets all of them alike. Absolute
figures move from run to run; the ratios are what counts, and only within one run.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import machine
import report
from building import Unavailable
from contestants import Contestant, Failed, launch, park
from workloads import BARS, CONTESTANTS, PARKED, PARKED_MILLION, WORKLOADS, Workload

PARK_CONTESTANTS = ("routines", "asyncio", "go1")
PARK_MILLION_CONTESTANTS = ("routines", "go1")
PARK_ROUNDS = 3


def say(text: str) -> None:
    """Tell how far it is, apart from the results."""
    print(text, file=sys.stderr, flush=True)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    names = [work.name for work in (*WORKLOADS, PARKED, PARKED_MILLION)]
    parser = argparse.ArgumentParser(
        description="Race routines against asyncio, uvloop, gevent, Go and the floor.",
        epilog=f"workloads: {', '.join(names)}; contestants: "
        + "; ".join(f"{name}: {meaning}" for name, meaning in CONTESTANTS.items()),
    )
    parser.add_argument("--rounds", type=int, default=11, help="measurements of each (default 11)")
    parser.add_argument("--seconds", type=float, default=0.1, help="what one takes (default 0.1)")
    parser.add_argument(
        "--only",
        metavar="WORKLOAD",
        action="append",
        choices=names,
        help="this workload alone; may be given several times",
    )
    parser.add_argument(
        "--contestant",
        metavar="NAME",
        action="append",
        choices=list(CONTESTANTS),
        help="this contestant alone; may be given several times",
    )
    parser.add_argument(
        "--no-gc",
        action="store_true",
        help="switch garbage collection off in every contestant while measuring",
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write everything there as well")
    options = parser.parse_args(argv)
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds and --seconds have to be positive")
    return options


class Race:
    """The contestants, and what was measured of them so far."""

    def __init__(self, names: Sequence[str], options: argparse.Namespace) -> None:
        self.names = names
        self.rounds: int = options.rounds
        self.seconds: float = options.seconds
        self.collect_garbage = not options.no_gc
        self.samples: dict[str, dict[str, list[float]]] = {}
        self.notes: dict[str, object] = {}
        self.contestants: list[Contestant] = []

    def enter(self, stack: ExitStack) -> None:
        """Start the contestants; those that cannot take part here are noted."""
        for name in self.names:
            try:
                contestant = Contestant(name, self.collect_garbage)
            except Unavailable as reason:
                self.note(f"{name}: does not take part", str(reason))
                continue
            stack.callback(contestant.close)
            self.contestants.append(contestant)

    def note(self, what: str, why: object) -> None:
        """Record something that the tables do not say."""
        self.notes[what] = why
        say(f"  {what}: {why}")

    def calibrate(self, contestant: Contestant, workload: Workload) -> int:
        """How many runs fill one measurement; 0 if the contestant does not do this work."""
        try:
            contestant.measure(workload.name, workload.count, 1)  # warms up
            per_unit = contestant.measure(workload.name, workload.count, 1)
        except Failed as failure:
            if not str(failure).startswith("no workload"):
                self.note(f"{workload.name}, {contestant.name}: failed", str(failure))
            return 0
        return max(1, math.ceil(self.seconds * 1e9 / (per_unit * workload.count)))

    def measure(self, workload: Workload) -> None:
        """Take one sample of each contestant in each round."""
        say(f"{workload.title} ...")
        runs = {c: self.calibrate(c, workload) for c in self.contestants}
        taking_part = [c for c in self.contestants if runs[c]]
        taken = self.samples[workload.name] = {c.name: [] for c in taking_part}
        for number in range(self.rounds):
            first = number % len(taking_part) if taking_part else 0
            for contestant in taking_part[first:] + taking_part[:first]:
                if not runs[contestant]:
                    continue
                try:
                    sample = contestant.measure(workload.name, workload.count, runs[contestant])
                except Failed as failure:
                    self.note(f"{workload.name}, {contestant.name}: failed", str(failure))
                    runs[contestant] = 0
                    taken[contestant.name].clear()
                else:
                    taken[contestant.name].append(sample)

    def weigh(self, workload: Workload, names: Sequence[str], rounds: int) -> None:
        """Take samples of the bytes per parked routine, each in a fresh process."""
        say(f"{workload.title} ...")
        taken = self.samples[workload.name] = {}
        for _ in range(rounds):
            for name in names:
                if name not in self.names:
                    continue
                try:
                    outcome = park(launch(name, self.collect_garbage), workload.count)
                except (Unavailable, Failed) as failure:
                    self.note(f"{workload.name}, {name}: failed", str(failure))
                    continue
                taken.setdefault(name, []).append(outcome["bytes"])
                self.notes[f"{workload.name}, {name}: seconds to park and to end"] = (
                    round(outcome["park_seconds"], 3),
                    round(outcome["end_seconds"], 3),
                )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the tables, write the JSON."""
    options = arguments(argv)
    chosen = set(options.only or ())
    race = Race(options.contestant or list(CONTESTANTS), options)
    description = machine.describe()
    with ExitStack() as stack:
        race.enter(stack)
        for workload in WORKLOADS:
            if not chosen or workload.name in chosen:
                race.measure(workload)
    if not chosen or PARKED.name in chosen:
        race.weigh(PARKED, PARK_CONTESTANTS, min(PARK_ROUNDS, race.rounds))
    if not chosen or PARKED_MILLION.name in chosen:
        race.weigh(PARKED_MILLION, PARK_MILLION_CONTESTANTS, 1)

    if hasattr(os, "getloadavg"):
        description["load at the end"] = f"{os.getloadavg()[0]:.2f}"
    timed = [work for work in WORKLOADS if work.name in race.samples]
    weighed = [work for work in (PARKED, PARKED_MILLION) if work.name in race.samples]
    titles = {work.name: work.title for work in (*timed, *weighed)}
    verdicts = [report.judge(bar, race.samples) for bar in BARS if bar.workload in race.samples]

    state = "on" if race.collect_garbage else "off"
    if options.json is not None:
        settings = {
            "rounds": race.rounds,
            "seconds": race.seconds,
            "garbage collection": state,
        }
        content = report.document(description, settings, race.samples, race.notes, verdicts)
        text = json.dumps(content, indent=2, ensure_ascii=False)
        options.json.write_text(text + "\n", encoding="utf-8")

    for key, value in description.items():
        print(f"{key}: {value}")
    print(f"rounds: {race.rounds} of about {race.seconds:g} s; garbage collection {state}\n")
    if timed:
        print("Nanoseconds\n")
        measured = [race.samples[work.name] for work in timed]
        columns = [name for name in race.names if any(taken.get(name) for taken in measured)]
        rows = report.measured_rows(timed, race.samples, columns)
        report.print_table(["work", "", *columns], rows)
    if weighed:
        print("Bytes\n")
        columns = [name for name in PARK_CONTESTANTS if name in race.names]
        rows = report.measured_rows(weighed, race.samples, columns)
        report.print_table(["work", "", *columns], rows)
    print("Bars\n")
    head = ["work", "bar", "by medians", "by minima", "by rounds", "verdict"]
    report.print_table(head, report.bar_rows(verdicts, titles))
    for what, why in race.notes.items():
        print(f"{what}: {why}")

    return 0


if __name__ == "__main__":
    sys.exit(main())
