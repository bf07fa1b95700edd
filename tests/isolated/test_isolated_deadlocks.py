"""Runs the programs that can never go on, and those that only look so, in a process for each kind of loop."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import PLAIN_LOOPS

import routines

pytestmark = [pytest.mark.isolated, pytest.mark.timeout(120)]


def environment():
    """As here, and with the package that is tested here."""
    return {**os.environ, "PYTHONPATH": str(Path(routines.__file__).parent.parent)}


@pytest.mark.skipif(sys.platform == "win32", reason="its loop is not looked into")
@pytest.mark.parametrize("kind", PLAIN_LOOPS)
def test_deadlocks_are_found_and_none_is_made_up(kind):
    script = Path(__file__).with_name("deadlocks.py")
    done = subprocess.run(
        # A debug interpreter shows what the others ignore: that the routines of a program that ended are collected.
        [sys.executable, "-W", "ignore::ResourceWarning", str(script), kind],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
