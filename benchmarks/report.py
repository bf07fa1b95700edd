"""Turns samples into the printed tables and into JSON."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from workloads import Bar, Workload

try:
    import rich
    import rich.box
    import rich.console
    import rich.table
except ImportError:  # plain text then
    rich = None  # type: ignore[assignment]

Samples = Mapping[str, Mapping[str, Sequence[float]]]
"""Workload, contestant, one figure per round: nanoseconds per unit, or bytes."""


@dataclass(frozen=True)
class Verdict:
    """How a bar came out. The ratios are of the subject to its rival, or to the limit."""

    bar: Bar
    median_ratio: float | None
    minimum_ratio: float | None
    round_ratio: float | None
    """The median of each round's own ratio: the least moved by what else the machine does."""
    outcome: str
    """`PASS`, `miss` or `not measured`; judged by the ratio of medians."""

    def cell(self, ratio: float | None) -> str:
        """A ratio in the words of the bar."""
        if ratio is None:
            return "–"
        if self.bar.limit is not None:
            return f"{ratio * self.bar.limit:,.0f}"
        if self.bar.ratio is not None and self.bar.ratio < 1:
            return f"{1 / ratio:.1f} × faster"
        return f"{ratio:.2f} ×"


def judge(bar: Bar, samples: Samples) -> Verdict:
    """Hold the samples against a bar."""
    subject = samples.get(bar.workload, {}).get(bar.subject)
    if bar.limit is not None:
        rival: Sequence[float] | None = [bar.limit] * len(subject or ())
    else:
        rival = samples.get(bar.rival_workload or bar.workload, {}).get(bar.rival or "")
    if not subject or not rival:
        return Verdict(bar, None, None, None, "not measured")
    median_ratio = statistics.median(subject) / statistics.median(rival)
    allowed = 1.0 if bar.ratio is None else bar.ratio
    outcome = "PASS" if median_ratio <= allowed else "miss"
    by_round = [ours / theirs for ours, theirs in zip(subject, rival, strict=False)]
    minimum_ratio = min(subject) / min(rival)
    return Verdict(bar, median_ratio, minimum_ratio, statistics.median(by_round), outcome)


def figure(value: float) -> str:
    """A number as a table shows it: three digits or more, never a long tail."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def measured_rows(
    workloads: Iterable[Workload], samples: Samples, contestants: Sequence[str]
) -> list[list[str]]:
    """Two rows for each workload, the medians and the minima, a column for each contestant."""
    rows = []
    for workload in workloads:
        taken = samples.get(workload.name, {})
        for label, statistic in (("median", statistics.median), ("min", min)):
            cells = [figure(statistic(taken[c])) if taken.get(c) else "" for c in contestants]
            head = f"{workload.title}, per {workload.unit}" if label == "median" else ""
            rows.append([head, label, *cells])
    return rows


def bar_rows(verdicts: Iterable[Verdict], titles: Mapping[str, str]) -> list[list[str]]:
    """A row for each bar."""
    return [
        [
            titles[verdict.bar.workload]
            + (f" ({verdict.bar.subject})" if verdict.bar.subject != "routines" else ""),
            verdict.bar.text,
            verdict.cell(verdict.median_ratio),
            verdict.cell(verdict.minimum_ratio),
            verdict.cell(verdict.round_ratio),
            verdict.outcome,
        ]
        for verdict in verdicts
    ]


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table that is also Markdown; in colour where `rich` is installed."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    if rich is None:
        for row in [head, ["-" * width for width in widths], *rows]:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            print(f"| {' | '.join(cells)} |")
        print()
        return
    table = rich.table.Table(box=rich.box.MARKDOWN)
    for name, width in zip(head, widths, strict=True):
        table.add_column(name, min_width=width, no_wrap=True)
    styles = {"PASS": "green", "miss": "bold red"}
    for row in rows:
        table.add_row(*row, style=styles.get(row[-1]))
    console = rich.console.Console(width=sum(widths) + 3 * len(widths) + 1, soft_wrap=True)
    console.print(table)


def document(
    machine: Mapping[str, str],
    options: Mapping[str, Any],
    samples: Samples,
    notes: Mapping[str, Any],
    verdicts: Iterable[Verdict],
) -> dict[str, Any]:
    """Everything that was measured, ready for JSON."""
    return {
        "machine": dict(machine),
        "options": dict(options),
        "samples": samples,
        "summary": {
            work: {
                name: {"median": statistics.median(values), "min": min(values)}
                for name, values in taken.items()
                if values
            }
            for work, taken in samples.items()
        },
        "bars": [asdict(verdict) | {"text": verdict.bar.text} for verdict in verdicts],
        "notes": dict(notes),
    }
