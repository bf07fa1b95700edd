"""The protocol of hand-over and select claim, as a model in Promela, is checked by ``spin`` in every interleaving.

The models lie in ``promela/``, as ``model.py`` has the name that would be nearer.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

MODEL = Path(__file__).resolve().parent / "promela" / "channel.pml"
BUGS = re.findall(r"^     (BUG_\w+)", MODEL.read_text(), re.MULTILINE)

spin, compiler = shutil.which("spin"), shutil.which("cc") or shutil.which("gcc")
needs = pytest.mark.skipif(
    not (spin and compiler),
    reason="needs spin, a model checker that distributions have, and a C compiler",
)


def check(folder, *defines):
    """What spin says of every interleaving there is: a text, and how many errors."""
    subprocess.run(
        [spin, "-a", *(f"-D{each}" for each in defines), MODEL], cwd=folder, check=True, capture_output=True
    )
    # A safety check: an assertion that fails, or an end state in which somebody waits. "-O1" is compiled sooner than it pays.
    subprocess.run(
        [compiler, "-O1", "-w", "-DSAFETY", "-DCOLLAPSE", "-DVECTORSZ=2048", "-o", "pan", "pan.c"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    said = subprocess.run(
        ["./pan", "-m100000"], cwd=folder, capture_output=True, text=True, timeout=50
    ).stdout
    assert "max search depth too small" not in said
    return said, int(re.search(r"errors: (\d+)", said)[1])


@needs
@pytest.mark.parametrize("capacity", [0, 1])
def test_no_interleaving_loses_or_doubles_a_value_or_leaves_somebody_behind(tmp_path, capacity):
    said, errors = check(tmp_path, f"CAPACITY={capacity}")
    assert errors == 0, said
    assert "Search not completed" not in said
    assert int(re.search(r"(\d+) states, stored", said)[1]) > 10_000, "it was not explored"


@needs
@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(tmp_path, bug):
    said, errors = check(tmp_path, bug)
    assert errors > 0, f"spin finds nothing wrong with {bug}:\n{said}"


def test_there_are_planted_bugs():
    assert len(BUGS) >= 8
    source = MODEL.read_text()
    assert all(re.search(rf"#if.*\b{bug}\b", source) for bug in BUGS)
