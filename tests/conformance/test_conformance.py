"""CPython's own tests of asyncio pass with `Routine` in the place of `Task`; see ``runner.py``."""

import os
import subprocess
import sys
from pathlib import Path

import exceptions
import pytest
import runner

import routines

HERE = Path(__file__).parent


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", str(HERE / "runner.py"), *arguments],
        env=os.environ | {"PYTHONPATH": str(Path(routines.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize("module", runner.MODULES)
def test_cpython_s_own_tests_pass(module):
    done = run(module)
    if done.returncode == runner.NO_SUITE:
        pytest.skip(done.stdout.strip())
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-8_000:] + done.stderr[-2_000:]
    assert " 0 ran" not in done.stdout


@pytest.mark.parametrize("module", sorted(exceptions.LEFT_OUT))
def test_what_is_left_out_would_fail(module):
    """An exception that has become needless leaves the list."""
    for test in exceptions.LEFT_OUT[module]:
        done = run("--left-out", module, test)
        if done.returncode == runner.NO_SUITE:
            pytest.skip(done.stdout.strip())
        if f"{module}: 0 ran" in done.stdout:
            continue  # not in this interpreter
        assert done.returncode == 1, f"{module}.{test} passes: take it off the list\n{done.stdout}"
