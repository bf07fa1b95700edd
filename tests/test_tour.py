"""`python -m routines`: the tour says what is there, and what it says is true."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import routines
from routines import __main__ as command_line
from routines._cli import figures, tour

SHRINK = 10
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(routines.__file__).parents[1])}


async def test_sieve_finds_the_primes():
    primes, messages = await tour.sieve(10)
    assert primes == [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]
    # Every prime is one message on its own link at least.
    assert messages >= len(primes)


async def test_shared_out_work_is_done_once_and_by_everybody():
    total, done = await tour.share_out(1_000, 5)
    assert total == sum(number * number for number in range(1_000))
    assert sum(done) == 1_000
    assert len(done) == 5
    assert all(done)


def test_figures_are_measured_for_both_sides():
    measured = figures.measure(shrink=SHRINK)
    assert len(measured) == 3
    for figure in measured:
        assert figure.routines_ns > 0
        assert figure.asyncio_ns > 0
        assert figure.ratio == figure.asyncio_ns / figure.routines_ns


def test_no_contest_is_empty_when_shrunk():
    # What spawns would measure nothing where fewer than one batch is left.
    contest = figures._CONTESTS[1]
    assert contest.work.startswith("spawn")
    for count in (contest.routines_count, contest.asyncio_count):
        assert count // SHRINK % figures.SPAWNED_AT_ONCE == 0


FIGURES = [figures.Figure("short", 200.0, 7_000.0), figures.Figure("much longer", 1.0, 1.0)]


def test_table_has_a_line_per_figure_and_equal_columns():
    head, first, second = tour.figures_table(FIGURES, 78).splitlines()
    assert len(head) == len(first) == len(second)
    assert first.split() == ["short", "200", "ns", "7,000", "ns", "35.0", "x"]


def test_table_that_is_too_wide_has_two_lines_per_figure():
    lines = tour.figures_table(FIGURES, 38).splitlines()
    assert lines[1::2] == ["short", "much longer"]
    assert lines[2].split() == ["200", "ns", "7,000", "ns", "35.0", "x"]
    assert len(lines[0]) == len(lines[2]) == len(lines[4]) <= 38


@pytest.mark.parametrize("columns", [40, 80])
def test_the_tour_stays_within_the_terminal(monkeypatch, capsys, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(tour, "measure", lambda: figures.measure(shrink=50))
    assert command_line.main([]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= columns


def test_without_a_command_usage_comes_first_and_then_the_tour(monkeypatch, capsys):
    monkeypatch.setattr(tour, "measure", lambda: figures.measure(shrink=50))
    assert command_line.main([]) == 0
    output = capsys.readouterr().out
    usage, sieve, fan_out, machine = (
        output.index(text) for text in ("usage:", "Prime sieve", "Fan-out", "This machine")
    )
    assert usage < sieve < fan_out < machine
    assert "digest" in output[usage:sieve]
    assert len(re.findall(r"[\d,]+ ns +[\d,]+ ns +[\d.]+ x$", output, re.MULTILINE)) == 3


def test_an_unknown_command_is_refused(capsys):
    with pytest.raises(SystemExit) as exited:
        command_line.main(["frobnicate"])
    assert exited.value.code == 2
    assert "frobnicate" in capsys.readouterr().err


def test_importing_the_package_imports_no_command():
    script = "import routines, sys; print([name for name in sys.modules if '._cli' in name])"
    loaded = subprocess.run(
        [sys.executable, "-c", script], env=ENVIRONMENT, capture_output=True, text=True, timeout=30
    )
    assert (loaded.returncode, loaded.stdout) == (0, "[]\n")


@pytest.mark.skipif(sys.platform == "win32", reason="no broken pipes there")
def test_a_reader_of_the_tour_that_leaves_ends_it_quietly(monkeypatch):
    monkeypatch.setattr(tour, "tour", lambda: None)
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        assert command_line.main([]) == command_line.EXIT_BROKEN_PIPE
        # What is left in the buffer finds another place.
        output.flush()


def test_processors_are_counted_where_a_process_cannot_be_bound_to_some(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert command_line._processors() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert command_line._processors() == 1
