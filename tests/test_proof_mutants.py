"""The planted bugs of tools/mutants.py still fit the sources; planting and killing them is that script's own, longer run."""

import importlib.util
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def mutants():
    path = ROOT / "tools" / "mutants.py"
    if not path.exists() or not (ROOT / "routines" / "_core.pyx").exists():
        pytest.skip("no sources lie beside these tests")
    spec = importlib.util.spec_from_file_location("mutants", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_mutant_can_be_planted(mutants):
    assert [(each.name, mutants.places(each)) for each in mutants.stale(mutants.MUTANTS)] == []


def test_mutants_are_told_apart_and_change_something(mutants):
    assert [name for name, count in Counter(each.name for each in mutants.MUTANTS).items() if count > 1] == []
    assert all(each.text != each.instead and each.why for each in mutants.MUTANTS)


def test_there_are_mutants_of_each_compiled_room(mutants):
    assert len(mutants.MUTANTS) >= 40
    rooms = {each.file.partition(".")[0] for each in mutants.MUTANTS}
    assert rooms == {
        "_core", "_current", "_linger", "_channel", "_select", "_timer", "_heap", "_ring", "_sync", "_groups", "_broadcast", "_method",
    }  # fmt: skip


def test_the_tests_that_are_to_run_first_are_there(mutants):
    named = {name for each in mutants.MUTANTS for name in each.first}
    assert [name for name in sorted(named) if not (ROOT / "tests" / name).exists()] == []
