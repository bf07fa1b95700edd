"""What `import routines` takes, in a fresh interpreter."""

from __future__ import annotations

from .common import need


class Import:
    """asv runs what these return in a process of its own, so the package must be installed."""

    def setup(self) -> None:
        """Skip where there is nothing to import."""
        need("channel")

    def timeraw_import(self) -> str:
        """The package and what it pulls in, asyncio included."""
        return "import routines"

    def timeraw_import_after_asyncio(self) -> tuple[str, str]:
        """What the package adds to a program that uses asyncio anyway."""
        return "import routines", "import asyncio"
