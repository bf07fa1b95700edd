"""Where and on what a measurement was made: what a speed claim has to name."""

from __future__ import annotations

import ast
import datetime
import importlib.metadata
import os
import platform
import subprocess
import sysconfig
from pathlib import Path

import building

PACKAGES = ("uvloop", "gevent", "Cython")
ROOT = Path(__file__).resolve().parent.parent


def processor() -> str:
    """The model name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def profile_guided() -> str:
    """Whether the interpreter was built with PGO, as far as its own build variables tell.

    Debian's interpreters are, by `make profile-opt`, which leaves no trace there.
    """
    arguments = sysconfig.get_config_var("CONFIG_ARGS") or ""
    flags = sysconfig.get_config_var("PGO_PROF_USE_FLAG") or ""
    if "--enable-optimizations" in arguments or "profile-use" in flags:
        return "PGO"
    if "--prefix=/usr'" in arguments:
        return "a distribution's build, PGO not recorded"
    return "no PGO"


def commit() -> str:
    """The commit of the source tree, with "+" if files differ from it."""
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        status = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return "none"
    return head + ("+" if status.strip() else "")


def version(package: str) -> str:
    """The installed version of a package."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def build() -> str:
    """Which build of `routines` the workers import: an installed one, else the source tree's."""
    installed = version("asyncio-routines")
    if installed != "not installed":
        return f"{installed}, installed"
    try:
        switches = ast.literal_eval((ROOT / "build" / "switches").read_text(encoding="utf-8"))
    except OSError:
        return "the source tree's, build switches unknown"
    on = [f"{name}={value}" for name, value in switches if value != "0"]
    return f"the source tree's, {'built with ' + ', '.join(on) if on else 'a release build'}"


def describe() -> dict[str, str]:
    """Everything a reader needs to judge the figures by, in the order of printing."""
    try:
        go = building.go_version()
    except building.Unavailable as reason:
        go = str(reason)
    flags = sysconfig.get_config_var("CFLAGS") or "unknown"
    load = f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown"
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "processor": f"{processor()}, {cores()} cores, load {load} at the start",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "interpreter": (
            f"{platform.python_implementation()} {platform.python_version()}, "
            f"{platform.python_compiler()}, {profile_guided()}"
        ),
        "interpreter's flags": " ".join(flags.split()),
        "routines": build(),
        "go": go,
        **{package: version(package) for package in PACKAGES},
    }
