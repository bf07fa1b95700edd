"""Scripts that measure memory, each in an interpreter of its own so that nothing else counts."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SCRIPTS = sorted(path.name for path in HERE.glob("leak_*.py"))

pytestmark = [pytest.mark.isolated, pytest.mark.timeout(300)]


@pytest.mark.parametrize("script", SCRIPTS)
def test_leaves_neither_objects_nor_bytes_behind(script):
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-W", "error", str(HERE / script)],
        cwd=HERE.parent.parent,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


def environment():
    import os

    import routines

    package = str(Path(routines.__file__).parent.parent)
    return {**os.environ, "PYTHONPATH": package, "PYTHONDONTWRITEBYTECODE": "1"}


def test_the_scripts_are_there():
    assert len(SCRIPTS) >= 3
