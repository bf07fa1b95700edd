"""The examples run, as programs and as modules, and their results are right."""

import importlib.util
import math
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

import routines
from routines import run

EXAMPLES = Path(__file__).parents[1] / "examples"
PROGRAMS = sorted(path.stem for path in EXAMPLES.glob("*.py"))
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(routines.__file__).parents[1])}


def load(name):
    path = EXAMPLES / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"example_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_has_a_test_of_its_result():
    assert PROGRAMS
    for name in PROGRAMS:
        assert f"test_{name}" in globals()


@pytest.mark.parametrize("name", PROGRAMS)
def test_example_runs_as_a_program(name, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", str(EXAMPLES / f"{name}.py")],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=30,
    )
    # In debug mode asyncio tells of a callback that took 0.1 s, as any may on a busy machine.
    errors = [line for line in done.stderr.splitlines() if not line.startswith("Executing <")]
    assert (done.returncode, errors) == (0, [])
    assert done.stdout


@pytest.mark.parametrize("name", PROGRAMS)
def test_example_says_what_it_is_and_how_to_run_it(name):
    module = load(name)
    assert f"python examples/{name}.py" in module.__doc__
    assert module.main.__doc__


def test_producer_consumer():
    example = load("producer_consumer")
    received = run(example.main)
    assert received == dict.fromkeys(range(10), 100)


def test_fan_out_fan_in():
    example = load("fan_out_fan_in")
    squares = run(example.main)
    assert sorted(each.number for each in squares) == list(range(example.JOBS))
    assert all(each.square == each.number**2 for each in squares)
    assert {each.worker for each in squares} == set(range(5))


def test_ping_pong():
    example = load("ping_pong")
    assert run(example.main) == 2 * example.ROUND_TRIPS


def test_prime_sieve():
    primes = run(load("prime_sieve").main)
    assert len(primes) == 100
    assert primes == [n for n in range(2, 542) if all(n % d for d in range(2, n))]


def test_worker_pool():
    example = load("worker_pool")
    answers, most_busy = run(example.main)
    assert list(answers) == example.PAGES
    assert answers.pop("missing") == "failed: no page 'missing'"
    assert all(text == f"text of {page}" for page, text in answers.items())
    assert 1 <= most_busy <= example.WORKERS


def test_multiplexer():
    example = load("multiplexer")
    heard = run(example.main)
    for talker, lines in example.LINES.items():
        assert [line.number for line in heard if line.talker == talker] == list(range(lines))
    assert len(heard) == sum(example.LINES.values())


def test_rate_limiter():
    example = load("rate_limiter")
    passed = run(example.main)
    assert len(passed) == example.REQUESTS
    for number, seconds in enumerate(passed):
        # The ticker is made after the clock was read, and never fires early.
        assert seconds >= (number + 1 - example.BURST) * example.PACE


def test_heartbeat():
    example = load("heartbeat")
    results, workers = run(example.main)
    assert workers == 2
    assert results == [job * job for job in range(example.JOBS) if job != 3]


def test_first_of_three_replicas():
    example = load("first_of_three_replicas")
    assert run(example.main) == ("south: WHERE IS THE CAT?", "no answer in time", 0)


def test_first_of_three_replicas_keeps_an_answer_that_comes_together_with_a_failure(monkeypatch):
    example = load("first_of_three_replicas")
    # West fails and south answers in one turn, so the select that learns of the failure finds both done.
    monkeypatch.setattr(example, "LATENCY", {"north": 10.0, "west": 0.0, "south": 0.0})
    replicas = example.Replicas()
    answer = run(replicas.first_answer("q", patience=30.0))
    assert (answer, replicas.connected) == ("south: Q", set())


def test_power_series():
    example = load("power_series")
    exponential, tangent = run(example.main)
    assert exponential == [Fraction(1, math.factorial(power)) for power in range(example.TERMS)]
    odd = [Fraction(1), Fraction(1, 3), Fraction(2, 15), Fraction(17, 315), Fraction(62, 2835)]
    assert tangent == [odd[power // 2] if power % 2 else 0 for power in range(example.TERMS)]
