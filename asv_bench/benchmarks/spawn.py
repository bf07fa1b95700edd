"""Routines: starting, switching, ending."""

from __future__ import annotations

from .common import LOOPS, MESSAGES, OnLoop, routines

BURST = 1_280
SPINNERS = 10


async def nothing() -> None:
    """End at once."""


async def spin(switches: int) -> None:
    """Give way `switches` times."""
    for _ in range(switches):
        await routines.yield_now()


async def descend(depth: int, switches: int) -> None:
    """Give way `switches` times below `depth` awaiting coroutines."""
    if depth > 1:
        await descend(depth - 1, switches)
    else:
        await spin(switches)


class Spawn(OnLoop):
    """Routines from start to end, BURST of them alive at once, ten bursts a call."""

    def time_go(self, _loop: str) -> None:
        """Nobody holds the handles; the last one's end is awaited."""
        self.run(self.fire_and_forget())

    def time_go_and_join(self, _loop: str) -> None:
        """Every handle is joined."""
        self.run(self.join_all())

    async def fire_and_forget(self) -> None:
        """Do the work of `time_go`."""
        for _ in range(10):
            for _ in range(BURST):
                routine = routines.go(nothing())
            await routine

    async def join_all(self) -> None:
        """Do the work of `time_go_and_join`."""
        for _ in range(10):
            for routine in [routines.go(nothing()) for _ in range(BURST)]:
                await routine.join()


class Yield(OnLoop):
    """Ten routines that give way to each other."""

    params = (LOOPS, [1, 10])
    param_names = ("loop", "awaits_deep")
    needs = ("go", "yield_now")

    def time_switches(self, _loop: str, awaits_deep: int) -> None:
        """MESSAGES switches, below so many awaits."""
        self.run(self.spin_all(awaits_deep))

    async def spin_all(self, awaits_deep: int) -> None:
        """Do the work of `time_switches`."""
        share = MESSAGES // SPINNERS
        for spinner in [routines.go(descend(awaits_deep, share)) for _ in range(SPINNERS)]:
            await spinner


class Cancel(OnLoop):
    """Routines that are stopped while parked."""

    needs = ("channel", "go", "yield_now")

    def prepare(self) -> None:
        """Make a channel over which nothing comes."""
        self.tx, self.rx = routines.channel()

    def time_abort_parked(self, _loop: str) -> None:
        """Park BURST routines on one channel and abort all of them."""
        self.run(self.abort_all())

    async def abort_all(self) -> None:
        """Do the work of `time_abort_parked`."""

        async def park() -> None:
            await self.rx.recv()

        parked = [routines.go(park()) for _ in range(BURST)]
        await routines.yield_now()
        for routine in parked:
            routine.abort()
        await routines.yield_now()
