"""The patterns of the guide print what they say, and leave nothing behind wherever they are cancelled."""

import asyncio
import importlib.util
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import collect, outcome, settle

import routines

GUIDE = Path(__file__).parents[1] / "docs" / "patterns"
PATTERNS = sorted(path.stem for path in GUIDE.glob("*.py"))
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(routines.__file__).parents[1])}


def load(name):
    spec = importlib.util.spec_from_file_location(f"pattern_{name}", GUIDE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def promised_output(name):
    """The comments at the end of the file."""
    lines = (GUIDE / f"{name}.py").read_text(encoding="utf-8").splitlines()
    promised = []
    while lines[-1].startswith("# "):
        promised.insert(0, lines.pop().removeprefix("# "))
    return promised


def test_the_guide_shows_every_pattern():
    page = (GUIDE.parent / "patterns.rst").read_text(encoding="utf-8")
    for name in PATTERNS:
        assert f"literalinclude:: patterns/{name}.py" in page


@pytest.mark.parametrize("name", PATTERNS)
def test_pattern_prints_what_it_says(name, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", str(GUIDE / f"{name}.py")],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert promised_output(name)
    assert done.stdout.splitlines() == promised_output(name)


@pytest.mark.loops("stock", "uvloop")
@pytest.mark.parametrize("name", PATTERNS)
async def test_pattern_that_is_cancelled_anywhere_leaves_nothing_behind(name, start, seed):
    chance = random.Random(seed)
    pattern = load(name)
    before = asyncio.all_tasks()
    for _ in range(8):
        program = start(pattern.main())
        # Some turns, and some of its sleeps: from before its first step to its end.
        for _ in range(chance.randrange(12)):
            await asyncio.sleep(chance.choice([0, 0, 0, 0.001]))
        program.cancel()
        result = await outcome(program)
        assert result is None or isinstance(result, asyncio.CancelledError)
        await settle()
        assert asyncio.all_tasks() == before
        collect()
