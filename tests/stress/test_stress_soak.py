"""Small versions of the long runs in benchmarks/soak.py."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import PLAIN_LOOPS

import routines

SOAK = Path(__file__).parents[2] / "benchmarks" / "soak.py"

pytestmark = [pytest.mark.stress, pytest.mark.timeout(240)]


def soak(*options):
    environment = {**os.environ, "PYTHONPATH": str(Path(routines.__file__).parent.parent)}
    command = [sys.executable, "-X", "faulthandler", str(SOAK), *map(str, options)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=220, check=False)
    print(done.stdout)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@pytest.mark.parametrize("kind", PLAIN_LOOPS)
def test_mixed_producers_lose_nothing_and_the_counters_know(kind):
    assert "99,968 messages" in soak("--messages", 100_000, "--loop", kind)


@pytest.mark.parametrize("kind", PLAIN_LOOPS)
def test_everything_at_once_ends_and_leaves_nothing(kind, seed):
    seconds = 4 * float(os.environ.get("ROUTINES_STRESS_SECONDS") or 1.0)
    assert "resident memory" in soak("--seconds", seconds, "--loop", kind, "--seed", seed)
