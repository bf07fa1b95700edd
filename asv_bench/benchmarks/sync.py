"""Locks, wait groups and groups."""

from __future__ import annotations

from .common import MESSAGES, OnLoop, routines

MEMBERS = 1_000


async def nothing() -> None:
    """End at once."""


class Locks(OnLoop):
    """MESSAGES times locked and unlocked, by so many routines that give way while they hold it."""

    params = (["Mutex", "RWMutex", "Semaphore"], [1, 10])
    param_names = ("kind", "contenders")
    needs = ("Mutex", "RWMutex", "Semaphore", "go", "yield_now")

    def time_locks(self, kind: str, contenders: int) -> None:
        """One alone never gives way, and so never waits."""
        self.run(self.contend_all(kind, contenders))

    async def contend_all(self, kind: str, contenders: int) -> None:
        """Do the work of `time_locks`."""
        make = getattr(routines, kind)
        lock = make(1) if kind == "Semaphore" else make()

        async def contend(count: int) -> None:
            for _ in range(count):
                async with lock:
                    if contenders > 1:
                        await routines.yield_now()

        for contender in [routines.go(contend(MESSAGES // contenders)) for _ in range(contenders)]:
            await contender


class Groups(OnLoop):
    """MEMBERS routines that end at once, and who waits for them; ten times."""

    needs = ("WaitGroup", "group", "go")

    def time_wait_group(self) -> None:
        """Counted by a wait group."""
        self.run(self.count_all())

    def time_group(self) -> None:
        """In a block."""
        self.run(self.group_all(None))

    def time_group_with_a_limit(self) -> None:
        """In a block that runs ten of them at once."""
        self.run(self.group_all(10))

    async def count_all(self) -> None:
        """Do the work of `time_wait_group`."""
        wg = routines.WaitGroup()
        for _ in range(10):
            for _ in range(MEMBERS):
                wg.go(nothing)
            await wg.wait()

    async def group_all(self, limit: int | None) -> None:
        """Do the work of the others."""
        for _ in range(10):
            async with routines.group(limit) as g:
                for _ in range(MEMBERS):
                    g.go(nothing)


class Conds(OnLoop):
    """Two routines that wake each other through a condition."""

    needs = ("Cond", "Mutex", "go")

    def time_signals(self) -> None:
        """MESSAGES turns taken."""
        self.run(self.take_turns())

    async def take_turns(self) -> None:
        """Do the work of `time_signals`."""
        mutex = routines.Mutex()
        cond, turn = routines.Cond(mutex), 0

        async def play(parity: int) -> None:
            nonlocal turn
            ours = lambda: turn % 2 == parity  # noqa: E731
            for _ in range(MESSAGES // 2):
                async with mutex:
                    await cond.wait_for(ours)
                    turn += 1
                    cond.signal()

        for player in [routines.go(play(parity)) for parity in (0, 1)]:
            await player


class Contexts(OnLoop):
    """A hundred contexts below one, made and cancelled."""

    needs = ("context",)

    def time_tree(self) -> None:
        """Cancel the one above."""
        context = routines.context
        for _ in range(20):
            root, cancel = context.with_cancel(context.background())
            for _ in range(100):
                context.with_cancel(root)
            cancel()
