"""What the benchmarks share: a loop that is made once, and names that old commits may not have."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

try:
    import routines
except ImportError:  # this commit does not build or does not have the package
    routines = None

MESSAGES = 12_800
"""Messages of one call: enough that entering the loop does not count, and a multiple of 64."""


def need(*names: str) -> None:
    """Skip the benchmark on commits where `routines` lacks one of the `names`."""
    missing = [name for name in names if not hasattr(routines, name)]
    if missing:
        raise NotImplementedError(f"routines has no {', '.join(missing)} here")


class OnLoop:
    """A loop made in `setup` and closed in `teardown`; `run` enters it."""

    needs: tuple[str, ...] = ("channel", "go")

    def setup(self, *_: object) -> None:
        """Make the loop."""
        need(*self.needs)
        self.loop = asyncio.new_event_loop()

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
