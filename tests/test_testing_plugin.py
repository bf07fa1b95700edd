"""The pytest plugin, in runs of pytest of its own, beside the others that run async tests."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import routines

PACKAGE = Path(routines.__file__).parent
DOCS = Path(__file__).parents[1] / "docs"


def run_pytest(directory, text, *options, plugins=("routines.testing.plugin",)):
    """Runs a test file, and returns what pytest printed."""
    (directory / "test_it.py").write_text(text)
    loaded = [option for name in plugins for option in ("-p", name)]
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *loaded, *options],
        cwd=directory,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return finished.stdout + finished.stderr


BUGGY = """
import pytest, routines

@pytest.fixture
def size():
    return 8

@pytest.mark.explore(schedules=100, seed=1)
async def test_buggy(size):
    log, total = routines.Channel(size), 0
    async def add():
        nonlocal total
        before = total
        await log.send("adding")
        total = before + 1
    for each in [routines.go(add) for _ in range(3)]:
        await each
    assert total == 3

class TestOfClass:
    @pytest.mark.explore
    async def test_fine(self, size):
        assert await routines.go(routines.Channel(size).send(1)) is None

    async def test_on_the_clock(self, virtual_clock):
        await routines.sleep(3600)
        assert virtual_clock.time() == 3600

def test_plain(virtual_clock):
    async def main():
        await routines.sleep(60)
    virtual_clock.run(main)
    assert virtual_clock.time() == 60

@pytest.mark.explore
async def test_both(virtual_clock):
    pass

@pytest.mark.explore
def test_not_async():
    pass
"""


def test_marked_tests_are_explored_and_the_clock_is_there(tmp_path):
    out = run_pytest(tmp_path, BUGGY, "--strict-markers")
    assert "3 failed, 3 passed" in out
    assert "of 100 failed, with seed=1" in out
    assert "replay: explore(test_buggy, replay='1 " in out
    assert "gives way before its next operation" in out
    assert "do without the fixture" in out
    assert "is marked to be explored, but is no async function" in out


def test_the_command_line_wins(tmp_path):
    replayed = run_pytest(tmp_path, BUGGY, "-k", "test_buggy", "--explore-replay=1 0*2 1")
    assert "the replayed schedule failed" in replayed
    natural = run_pytest(tmp_path, BUGGY, "-k", "test_buggy", "--explore-schedules=1", "--explore-seed=5")
    assert "1 passed" in natural


def test_the_page_on_testing_shows_tests_that_pass(tmp_path):
    page = (DOCS / "testing.rst").read_text(encoding="utf-8")
    assert ".. literalinclude:: testing/test_with_pytest.py" in page
    # Loaded as the page says.
    line = re.search(r"^Say ``(pytest_plugins = .+?)`` in a ``conftest\.py``", page, re.MULTILINE)
    (tmp_path / "conftest.py").write_text(line[1])
    shown = (DOCS / "testing" / "test_with_pytest.py").read_text(encoding="utf-8")
    assert "2 passed" in run_pytest(tmp_path, shown, "--strict-markers", plugins=())
    # Only where a send gives way and is cancelled there does this one count what was not sent.
    send, count = "await tx.send(number)", "sent.append(number)"
    hasty = shown.replace(f"{send}\n            {count}", f"{count}\n            {send}")
    assert hasty != shown
    assert "1 failed, 1 passed" in run_pytest(tmp_path, hasty, plugins=())


ASYNCIO = """
import asyncio, pytest, routines

@pytest.mark.asyncio
async def test_theirs():
    await asyncio.sleep(0)

@pytest.mark.explore
async def test_ours():
    await asyncio.sleep(1000)
    assert asyncio.get_running_loop().time() == 1000

async def test_on_the_clock(virtual_clock):
    await asyncio.sleep(1000)
"""

ANYIO = """
import anyio, pytest, routines
from routines.testing import VirtualClockLoop

@pytest.fixture
def anyio_backend():
    return "asyncio", {"loop_factory": VirtualClockLoop}

@pytest.mark.anyio
async def test_theirs():
    await anyio.sleep(1000)
    assert anyio.current_time() == 1000

@pytest.mark.explore
async def test_ours():
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep, 1000)
    assert anyio.current_time() == 1000

async def test_on_the_clock(virtual_clock):
    await anyio.sleep(1000)
"""


@pytest.mark.skipif(
    importlib.util.find_spec("pytest_asyncio") is None, reason="pytest-asyncio is not installed"
)
@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_it_works_beside_pytest_asyncio(tmp_path, mode):
    out = run_pytest(
        tmp_path,
        ASYNCIO,
        f"--asyncio-mode={mode}",
        "-o",
        "asyncio_default_fixture_loop_scope=function",
        plugins=["routines.testing.plugin", "pytest_asyncio.plugin"],
    )
    assert "3 passed" in out


@pytest.mark.skipif(importlib.util.find_spec("anyio") is None, reason="anyio is not installed")
def test_it_works_beside_the_plugin_of_anyio(tmp_path):
    assert "3 passed" in run_pytest(
        tmp_path, ANYIO, plugins=["routines.testing.plugin", "anyio.pytest_plugin"]
    )


def test_nobody_who_does_not_ask_for_it_loads_it():
    script = (
        "import sys, routines; assert not [name for name in sys.modules if name.startswith('routines.testing')]; "
        "from importlib.metadata import entry_points; "
        "assert not [each for each in entry_points(group='pytest11') if each.value.startswith('routines')]"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60, cwd=PACKAGE.parent)
