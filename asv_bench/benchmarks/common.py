"""What the benchmarks share: a loop that is made once, names that old commits may not have, and the work of `benchmarks/`."""

from __future__ import annotations

import asyncio
import importlib
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

try:
    import routines
except ImportError:  # this commit does not build or does not have the package
    routines = None

MESSAGES = 12_800
"""Messages of one call: enough that entering the loop does not count, and a multiple of 64."""

LOOPS = ["stock", "uvloop"]
"""Values of the parameter `loop`, which comes first wherever a benchmark has one."""

WORKLOADS = Path(__file__).resolve().parents[2] / "benchmarks"
"""Where the work lies that is also raced against others."""


def need(*names: str) -> None:
    """Skip the benchmark on commits where `routines` lacks one of the `names`."""
    missing = [name for name in names if not hasattr(routines, name)]
    if missing:
        raise NotImplementedError(f"routines has no {', '.join(missing)} here")


def new_loop(kind: str) -> asyncio.AbstractEventLoop:
    """Make a loop of this kind; no benchmark where it is not installed."""
    if kind == "stock":
        return asyncio.new_event_loop()
    try:
        import uvloop
    except ImportError:
        raise NotImplementedError("uvloop is not installed") from None
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def workloads(*modules: str) -> dict[str, Any]:
    """What these modules of `benchmarks/` list in their `WORKLOADS`; no benchmark where this commit cannot import one."""
    if str(WORKLOADS) not in sys.path:
        sys.path.append(str(WORKLOADS))
    found: dict[str, Any] = {}
    for module in modules:
        try:
            found |= importlib.import_module(module).WORKLOADS
        except ImportError as error:
            raise NotImplementedError(str(error)) from None
    return found


class OnLoop:
    """A loop made in `setup` and closed in `teardown`; `run` enters it.

    What is timed is the processor's time, all of it in this thread: who else uses the machine, as on CI, does not count. Benchmarks that
    sleep say so with `timer = timeit.default_timer`.

    Benchmarks with channels of their own make them in `prepare`, so that only the work is timed. Where the work uses
    them up, by closing one or by emptying it, `number = 1` has them made anew for each call.
    """

    params: tuple[Any, ...] = (LOOPS,)
    param_names: tuple[str, ...] = ("loop",)
    needs: tuple[str, ...] = ("channel", "go")
    timer = time.process_time

    def setup(self, loop: str, *parameters: Any) -> None:
        """Make the loop, and what the work works on."""
        need(*self.needs)
        self.loop = new_loop(loop)
        self.prepare(*parameters)

    def prepare(self, *parameters: Any) -> None:
        """Make what the work works on; the parameters are those after `loop`."""

    def teardown(self, *_: object) -> None:
        """Close the loop, which a skipped `setup` has not made."""
        loop = getattr(self, "loop", None)
        if loop is not None:
            loop.close()

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        """Run `main` as a routine and return what it returns."""
        return self.loop.run_until_complete(self._started(main))

    async def _started(self, main: Coroutine[Any, Any, Any]) -> Any:
        return await routines.go(main)
