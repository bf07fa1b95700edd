"""Extension modules and build switches; everything else stands in pyproject.toml.

A switch is an environment variable: unset, empty or 0 means off.

ROUTINES_DEBUG      every check and assertion on, no optimisation, debug symbols
ROUTINES_TRACE      line tracing for coverage; slow, never to be timed
ROUTINES_SANITIZE   the compiler's sanitizers, such as ``address,undefined``
ROUTINES_WERROR     a C compiler warning is an error
"""

import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

NAMES = ("ROUTINES_DEBUG", "ROUTINES_TRACE", "ROUTINES_SANITIZE", "ROUTINES_WERROR")
SWITCHES = {name: os.environ.get(name, "0").strip() or "0" for name in NAMES}
DEBUG, TRACE, SANITIZE, WERROR = (value if value != "0" else "" for value in SWITCHES.values())
MSVC = sys.platform == "win32" and "MSC" in sys.version

# Relative to here, which is where every build front end stands when it runs this file.
BUILD = Path("build")
LAST_SWITCHES = BUILD / "switches"


def compile_args() -> list[str]:
    if MSVC:
        arguments = ["/Od", "/Z7", "/UNDEBUG"] if DEBUG else ["/O2"]
        if SANITIZE:
            arguments.append("/fsanitize=address")
        if WERROR:
            arguments += ["/W3", "/WX"]
        return arguments
    if DEBUG:
        arguments = ["-O0", "-g", "-UNDEBUG"]
    elif SANITIZE:
        arguments = ["-O1", "-g", "-UNDEBUG"]
    else:
        # Interpreters hand down their own -g: ten times the size, for no user. A higher level than 2 writes loops and functions out
        # several times; what runs here is small and everywhere, so all that it gains is a fuller cache.
        arguments = ["-O2", "-g0"]
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


def macros() -> list[tuple[str, str]]:
    defined = []
    if DEBUG:
        defined.append(("ROUTINES_DEBUG", "1"))
    elif not SANITIZE:
        defined.append(("CYTHON_WITHOUT_ASSERTIONS", "1"))
    if TRACE:
        # The plugin reads C traces; sys.monitoring, Cython's choice on new interpreters, does not feed it.
        defined += [("CYTHON_TRACE_NOGIL", "1"), ("CYTHON_USE_SYS_MONITORING", "0")]
    return defined


def extensions() -> list[Extension]:
    modules = [
        Extension(
            f"routines.{source.stem}",
            [source.as_posix()],
            depends=["setup.py"],
            define_macros=macros(),
            extra_compile_args=compile_args(),
            extra_link_args=[f"-fsanitize={SANITIZE}"] if SANITIZE and not MSVC else [],
        )
        for source in sorted(Path("routines").glob("*.pyx"))
    ]
    # File dates do not show that a switch was turned, so the last build's switches are kept.
    switches = repr(sorted(SWITCHES.items()))
    turned = not LAST_SWITCHES.exists() or LAST_SWITCHES.read_text() != switches
    modules = cythonize(
        modules,
        build_dir=None if TRACE else str(BUILD / "cython"),  # the coverage plugin wants the C beside the .pyx
        compiler_directives={"nonecheck": bool(DEBUG), "linetrace": bool(TRACE)},
        force=turned,
    )
    BUILD.mkdir(exist_ok=True)
    LAST_SWITCHES.write_text(switches)
    return modules


setup(ext_modules=extensions(), options={"build_ext": {"parallel": True}})
