"""Extension modules and build switches; everything else stands in pyproject.toml.

A switch is an environment variable: unset, empty or 0 means off.

ROUTINES_DEBUG      every check and assertion on, no optimisation, debug symbols
ROUTINES_COVERAGE   counts which lines of the .pyx files run, with gcc's gcov; slow, never to be timed
ROUTINES_SANITIZE   the compiler's sanitizers, such as ``address,undefined``
ROUTINES_WERROR     a C compiler warning is an error
"""

import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

NAMES = ("ROUTINES_DEBUG", "ROUTINES_COVERAGE", "ROUTINES_SANITIZE", "ROUTINES_WERROR")
SWITCHES = {name: os.environ.get(name, "0").strip() or "0" for name in NAMES}
DEBUG, COVERAGE, SANITIZE, WERROR = (value if value != "0" else "" for value in SWITCHES.values())
MSVC = sys.platform == "win32" and "MSC" in sys.version

# Relative to here, which is where every build front end stands when it runs this file.
BUILD = Path("build")
LAST_SWITCHES = BUILD / "switches"


def compile_args(module: str) -> list[str]:
    if MSVC:
        arguments = ["/Od", "/Z7", "/UNDEBUG"] if DEBUG else ["/O2"]
        if SANITIZE:
            arguments.append("/fsanitize=address")
        if WERROR:
            arguments += ["/W3", "/WX"]
        return arguments
    if DEBUG:
        arguments = ["-O0", "-g", "-UNDEBUG"]
    elif COVERAGE:
        # Updated at once and not with the next update of another thread's in between; -O0, so each line stays a line.
        arguments = ["-O0", "-g", "-UNDEBUG", "--coverage", "-fprofile-update=atomic"]
    elif SANITIZE:
        arguments = ["-O1", "-g", "-UNDEBUG"]
    else:
        # What runs here is small and everywhere. Level 3 writes functions and loops out several times, which only fills the caches; a
        # select alone, a dozen functions called once each, gains. Interpreters hand down their own -g: ten times the size, for no user.
        arguments = ["-O3" if module == "_select" else "-O2", "-g0"]
        if sys.platform == "linux":
            # A switch makes a dozen calls into the interpreter; each saves a jump.
            arguments.append("-fno-plt")
    if SANITIZE:
        arguments += [f"-fsanitize={SANITIZE}", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"]
    if WERROR:
        arguments += ["-Wall", "-Wextra", "-Werror"]
        if sys.version_info >= (3, 15):
            # Types have a slot more than Cython 3.3 writes down; it is NULL.
            arguments.append("-Wno-missing-field-initializers")
    return arguments


def link_args() -> list[str]:
    if MSVC:
        return []
    return [f"-fsanitize={SANITIZE}"] * bool(SANITIZE) + ["--coverage"] * bool(COVERAGE)


def macros() -> list[tuple[str, str]]:
    defined = []
    if DEBUG:
        defined.append(("ROUTINES_DEBUG", "1"))
    elif not SANITIZE:
        defined.append(("CYTHON_WITHOUT_ASSERTIONS", "1"))
    return defined


def mark_helpers(source: Path) -> None:
    """Cython's own sections say of no line whose it is, and gcov would count them as more of the .pyx that came before."""
    text = source.read_text()
    if '#line 1 "cython helpers"' in text:
        return
    for section in ("utility_code_proto", "pystring_table"):
        heading = f"/* #### Code section: {section} ### */\n"
        text = text.replace(heading, f'{heading}#line 1 "cython helpers"\n')
    source.write_text(text)


def extensions() -> list[Extension]:
    modules = [
        Extension(
            f"routines.{source.stem}",
            [source.as_posix()],
            depends=["setup.py"],
            define_macros=macros(),
            extra_compile_args=compile_args(source.stem),
            extra_link_args=link_args(),
        )
        for source in sorted(Path("routines").glob("*.pyx"))
    ]
    # File dates do not show that a switch was turned, so the last build's switches are kept.
    switches = repr(sorted(SWITCHES.items()))
    turned = not LAST_SWITCHES.exists() or LAST_SWITCHES.read_text() != switches
    modules = cythonize(
        modules,
        build_dir=str(BUILD / "cython"),
        compiler_directives={"nonecheck": bool(DEBUG)},
        emit_linenums=bool(COVERAGE),  # gcov then tells of lines of the .pyx
        force=turned,
    )
    if COVERAGE:
        for source in (BUILD / "cython").rglob("*.c"):
            mark_helpers(source)
    BUILD.mkdir(exist_ok=True)
    LAST_SWITCHES.write_text(switches)
    return modules


setup(ext_modules=extensions(), options={"build_ext": {"parallel": True}})
