"""Running an async function under many schedules, and finding the simplest one under which it fails."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import linecache
import random
import weakref
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Literal

from routines import _select
from routines._core import Routine, Scheduler, live_routines, scheduler_for, task_factory
from routines._worker import end_all
from routines.errors import Deadlock

from .clock import VirtualClockLoop
from .schedules import from_text, shrink, to_text
from .strategies import Known, Natural, Priorities, RandomWalk, Strategy

__all__ = ["Exploration", "explore"]

# Of the steps of a failing schedule, so many are printed.
STEPS_SHOWN = 40


@dataclasses.dataclass(frozen=True, slots=True)
class Exploration:
    """What `explore` did, where nothing failed.

    Attributes:
        schedules: how many were run.
        distinct: how many of them were different.
        steps: how many steps of routines they took together.
        seed: what they were made from; the same program and seed give the same schedules.
    """

    schedules: int
    distinct: int
    steps: int
    seed: int


@dataclasses.dataclass(frozen=True, slots=True)
class _Limits:
    """What holds for each schedule of an exploration."""

    cancellations: int
    may_cancel: Callable[[Routine[Any]], object] | None
    max_steps: int


@dataclasses.dataclass(slots=True)
class _Run:
    """One schedule that was run."""

    error: BaseException | None
    choices: list[int]
    steps: int
    log: list[str]


def _place(coroutine: Any) -> str:
    """Where a coroutine is suspended: of the innermost one it awaits, file, line, and the source there."""
    frame = None
    while coroutine is not None:
        for prefix in ("cr", "ag", "gi"):
            if hasattr(coroutine, f"{prefix}_frame"):
                frame = getattr(coroutine, f"{prefix}_frame") or frame
                coroutine = getattr(coroutine, "gi_yieldfrom" if prefix == "gi" else f"{prefix}_await")
                break
        else:
            break
    if frame is None:
        return "?"
    file, line = Path(frame.f_code.co_filename), frame.f_lineno
    here = Path.cwd()
    shown = file.relative_to(here) if file.is_relative_to(here) else file
    return f"{shown}:{line}  {linecache.getline(str(file), line).strip()}"


class _Explorer:
    """What a scheduler asks while it runs one schedule; writes down what was answered."""

    def __init__(self, loop: VirtualClockLoop, strategy: Strategy, limits: _Limits, logs: bool) -> None:
        self.loop = loop
        self.strategy = strategy
        self.limits = limits
        self.logs = logs
        self.choices: list[int] = []
        self.log: list[str] = []
        self.steps = 0
        self.stuck: BaseException | None = None  # why the loop was stopped
        self.main: Routine[Any] | None = None
        self.cancellations = limits.cancellations
        self.seen: weakref.WeakSet[Routine[Any]] = weakref.WeakSet()
        self._since: dict[
            int, tuple[int, int]
        ] = {}  # of those that are ready: since which step, and their number
        self._numbers: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._next_number = 0
        self.interposes = self._answer(2, lambda: int(strategy.interposes())) == 1

    def end(self) -> None:
        """The program has returned: what is left is ended in the natural order."""
        self.strategy = Natural()
        self.interposes = False
        self.cancellations = 0
        self.steps = 0
        self.stuck = None
        self.logs = False

    def _answer(self, bound: int, decide: Callable[[], int]) -> int:
        if bound < 2:
            return 0
        answer = decide()
        self.choices.append(answer)
        return answer

    def _number(self, item: Any) -> int:
        """The how manyth it is that was seen; of a plain task: its wake-up."""
        try:
            return self._numbers[item]
        except KeyError:
            self._next_number += 1
            self._numbers[item] = self._next_number
            return self._next_number
        except TypeError:
            return 0

    def _name(self, item: Any) -> str:
        if type(item) is not Routine:
            return "a plain task"
        return f"{getattr(item.get_coro(), '__qualname__', 'coroutine')}#{self._number(item)}"

    # -- what the scheduler asks

    def pick(self, ready: list[Any]) -> int:
        """The place of the one that is stepped next."""
        try:
            return self._pick(ready)
        except BaseException as error:  # noqa: BLE001 - it would go to the loop, which would go on
            self.stuck = error
            self.loop.stop()
            return 0

    def _pick(self, ready: list[Any]) -> int:
        self.steps += 1
        if self.steps > self.limits.max_steps:
            raise RuntimeError(
                f"after {self.limits.max_steps} steps it was still running, so it seems to run for ever; "
                "where it only needs more, explore(max_steps=...) allows them"
            )
        if self.cancellations > 0:
            self._perhaps_cancel()
        order = self._in_order(ready)
        chosen = order[
            self._answer(
                len(order), lambda: self.strategy.pick([self._since[id(ready[place])][1] for place in order])
            )
        ]
        if self.logs:
            item = ready[chosen]
            self.log.append(f"{self._name(item)}  {_place(item.get_coro()) if type(item) is Routine else ''}")
        del self._since[id(ready[chosen])]
        return chosen

    def _in_order(self, ready: list[Any]) -> list[int]:
        """The places of those that are ready, as they became so; those of one step by number.

        Which of those comes first may hang on the order of a set, and so on addresses: asyncio cancels tasks in such an order.
        """
        before = self._since
        self._since = {}
        fresh = [item for item in ready if id(item) not in before]
        fresh.sort(key=lambda item: item.id if type(item) is Routine else 0)
        for item in fresh:
            if type(item) is Routine:
                self.seen.add(item)
            before[id(item)] = (self.steps, self._number(item))
        for item in ready:
            self._since[id(item)] = before[id(item)]
        return sorted(range(len(ready)), key=lambda place: self._since[id(ready[place])])

    def _perhaps_cancel(self) -> None:
        may_cancel = self.limits.may_cancel
        candidates = [
            routine
            for routine in live_routines()
            if routine.get_loop() is self.loop
            and routine is not self.main
            and not routine.cancelling()
            and (may_cancel is None or may_cancel(routine))
        ]
        chosen = self._answer(len(candidates) + 1, lambda: self.strategy.victim(len(candidates)))
        if chosen:
            self.cancellations -= 1
            victim = candidates[chosen - 1]
            if self.logs:
                self.log.append(f"{self._name(victim)} is cancelled, in state {victim.state!r}")
            victim.cancel("cancelled by explore()")

    def gives_way(self, running: Any, ready: list[Any]) -> bool:
        """Whether the one that runs lets those go first, before an operation."""
        if not self.interposes:
            return True  # it was asked as the budget for operations is used up
        if running is None:
            running = asyncio.current_task()
        gives = bool(
            self._answer(
                2,
                lambda: int(
                    self.strategy.gives_way(self._number(running), [self._number(item) for item in ready])
                ),
            )
        )
        if gives and self.logs:
            self.log.append(f"{self._name(running)} gives way before its next operation")
        return gives

    def choose(self, bound: int) -> int:
        """One of so many."""
        return self._answer(bound, lambda: self.strategy.choose(bound))


class _Reports:
    """What reached the loop's exception handler."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []

    def __call__(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is None:
            error = RuntimeError("reported to the loop's exception handler: " + context["message"])
        else:
            error.add_note("reported to the loop's exception handler: " + context["message"])
        self.errors.append(error)

    def add_unretrieved(self, explorer: _Explorer) -> None:
        """Failures of routines that nobody has looked at."""
        for routine in explorer.seen:
            if routine.done() and getattr(routine, "_log_traceback", False) and not routine.cancelled():
                error = routine.exception()
                if error is not None and error not in self.errors:
                    error.add_note(f"nobody has retrieved this exception of {explorer._name(routine)}")
                    self.errors.append(error)


async def _tear_down(loop: asyncio.AbstractEventLoop) -> None:
    await end_all("the schedule is over")
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()


def _finish(loop: VirtualClockLoop, explorer: _Explorer) -> BaseException | None:
    """End what is left; what kept it from ending."""
    explorer.end()
    try:
        loop.run_until_complete(_tear_down(loop))
    except Deadlock as error:
        error.add_note("a routine did not end when it was aborted, after the explored function had returned")
        return error
    except RuntimeError:
        if explorer.stuck is None:
            raise
        return explorer.stuck
    return None


def _drive(
    loop: VirtualClockLoop, scheduler: Scheduler, explorer: _Explorer, coroutine: Any
) -> BaseException | None:
    """Run the program; what it failed with."""
    explorer.main = scheduler.spawn(coroutine)
    try:
        loop.run_until_complete(explorer.main)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - it is raised once it has been explained
        if isinstance(explorer.stuck, (KeyboardInterrupt, SystemExit)):
            raise explorer.stuck from None
        return explorer.stuck if explorer.stuck is not None else error
    return None


def _run(
    fn: Callable[[], Coroutine[Any, Any, Any]], strategy: Strategy, limits: _Limits, logs: bool = False
) -> _Run:
    """Run one schedule, on a loop of its own."""
    loop = VirtualClockLoop()
    reports = _Reports()
    loop.set_task_factory(task_factory)
    loop.set_exception_handler(reports)
    scheduler = scheduler_for(loop)
    explorer = _Explorer(loop, strategy, limits, logs)
    scheduler.explore(explorer)
    _select.let_explorer_choose(True)
    collects = gc.isenabled()
    gc.disable()  # when it collects hangs on what ran before, and it ends routines that nothing can wake
    try:
        error = _drive(loop, scheduler, explorer, fn())
        steps = explorer.steps
        choices = list(explorer.choices)
        ended = _finish(loop, explorer)
        reports.add_unretrieved(explorer)
        for other in (ended, *reports.errors):
            error = other if error is None else error
        return _Run(error, choices, steps, explorer.log)
    finally:
        _select.let_explorer_choose(False)
        scheduler.explore(None)
        loop.close()
        vars(loop).pop(
            "_routines_scheduler", None
        )  # they hold each other, and a thousand that wait for the collector are many
        if collects:
            gc.enable()


def _strategies(
    seed: int, kind: Literal["mixed", "random", "priorities"], cancellations: int, preemptions: int
) -> Iterator[Callable[[int], Strategy]]:
    """For each schedule, what makes its strategy from how many steps one may take."""
    yield lambda length: Natural()
    number = 0
    while True:
        number += 1
        chance = random.Random((seed << 32) + number)
        if kind == "random" or (kind == "mixed" and number % 2):
            yield lambda length, chance=chance: RandomWalk(chance, length, cancellations)  # type: ignore[misc]
        else:
            points = int(chance.random() * (preemptions + 1))
            yield lambda length, chance=chance, points=points: Priorities(
                chance, length, cancellations, points
            )  # type: ignore[misc]


def _describe(fn: Any) -> str:
    return getattr(fn, "__qualname__", None) or repr(fn)


def _same_failure(error: BaseException, other: BaseException | None) -> bool:
    return type(error) is type(other)


def _explain(
    fn: Callable[[], Coroutine[Any, Any, Any]],
    error: BaseException,
    choices: list[int],
    limits: _Limits,
    found: str,
) -> BaseException:
    """The failure, run once more to tell of its steps."""
    again = _run(fn, Known(choices), limits, logs=True)
    lines = [found]
    if not _same_failure(error, again.error):
        lines.append(
            "run again, the same schedule did not fail: the program depends on more than its schedule, such as time, threads, "
            "chance, the order of a set, or what an earlier run has left behind"
        )
    elif again.error is not None:  # pragma: no branch - as it is the same failure; said for mypy
        error = again.error
    options = f", cancellations={limits.cancellations}" if limits.cancellations else ""
    options += ", may_cancel=..." if limits.may_cancel is not None else ""
    lines.append(f"replay: explore({_describe(fn)}{options}, replay={to_text(choices)!r})")
    lines.append("steps, the last one at the end:")
    first = max(0, len(again.log) - STEPS_SHOWN)
    if first:
        lines.append(f"  ... {first} before")
    lines += [f"  {first + number + 1:3}  {line}" for number, line in enumerate(again.log[first:])]
    error.add_note("\n".join(lines))
    return error


def _check(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be an int of at least {least}, not {value!r}")


def explore(
    fn: Callable[[], Coroutine[Any, Any, Any]],
    schedules: int = 1000,
    seed: int | None = None,
    *,
    strategy: Literal["mixed", "random", "priorities"] = "mixed",
    preemptions: int = 3,
    cancellations: int = 0,
    may_cancel: Callable[[Routine[Any]], object] | None = None,
    max_steps: int = 100_000,
    shrinks: int = 300,
    replay: str | None = None,
) -> Exploration:
    """Run an async function under many schedules of its routines, and raise the first failure, under the simplest schedule that shows it.

    ``fn`` is called anew for each schedule, on a fresh `VirtualClockLoop` whose tasks are routines; what it shares has to be made inside of it.
    At each suspension the explorer decides which of the routines that are ready goes on. Before an operation on a channel,
    a lock, a select or a join, which often completes at once, it may have the routine give way first. It takes the place of chance in `routines.select`, and of
    two timers that are due at the same time it may let the first one's routine run before the second one fires. Callbacks of the
    loop keep their order and come before the next step. Between two suspensions nothing can come, as always in asyncio.

    The first schedule is the natural one, first in, first out. Of the others one half is a random walk, and the other follows
    random priorities, of which a few change on the way (PCT). The same program, seed and options give the same schedules, in every
    process and on every version of Python, as long as the program itself has no other sources of chance.

    A schedule fails where ``fn`` raises; where it cannot go on, with `routines.Deadlock`; where a routine's exception is never retrieved, or
    something else reaches the loop's exception handler; or where it takes too many steps. When ``fn`` returns, what still runs is
    aborted and awaited, as `routines.run` does. The failure is raised as it is, with a note that has the seed, the replay, and the steps.

    Args:
        fn: an async function without arguments.
        schedules: how many to run.
        seed: what the schedules are made from; None: a number that is new each time.
        strategy: ``"mixed"``; ``"random"``: random walks alone; ``"priorities"``: priorities alone.
        preemptions: how many times in one schedule the priority of a running routine drops, at most; most bugs need one or two.
        cancellations: how many times in one schedule a routine is cancelled, at most, at any suspension, of any routine but the one that runs ``fn``.
        may_cancel: says of a routine whether it may be cancelled so; None: each may.
        max_steps: a schedule that takes more is taken for one that never ends.
        shrinks: how many schedules to run, at most, to make a failing one simpler.
        replay: the text of one schedule, as the note of a failure has it: it alone is run.

    Returns:
        An `Exploration`, where nothing failed.

    Raises:
        ValueError: an option makes no sense; the text names it.
        RuntimeError: an event loop runs on this thread.
        SpawnError: ``fn`` is no async function.
        BaseException: what a schedule failed with.

    Example:
        >>> import routines
        >>> from routines.testing import explore
        >>> async def main():
        ...     total = 0
        ...     async def add():
        ...         nonlocal total
        ...         before = total
        ...         await routines.yield_now()
        ...         total = before + 1
        ...     for routine in [routines.go(add), routines.go(add)]:
        ...         await routine
        ...     assert total == 2
        >>> try:
        ...     explore(main, schedules=100, seed=1)
        ... except AssertionError as failure:
        ...     print(failure.__notes__[-1].splitlines()[1])
        replay: explore(main, replay='')
    """
    _check("schedules", schedules, 1)
    _check("preemptions", preemptions, 0)
    _check("cancellations", cancellations, 0)
    _check("max_steps", max_steps, 1)
    _check("shrinks", shrinks, 0)
    if strategy not in {"mixed", "random", "priorities"}:
        raise ValueError(f"strategy must be 'mixed', 'random' or 'priorities', not {strategy!r}")
    if seed is None:
        seed = random.SystemRandom().getrandbits(32)
    _check("seed", seed, 0)
    loop = asyncio._get_running_loop()
    if loop is not None:
        raise RuntimeError(
            f"explore() runs event loops of its own, and {loop!r} runs on this thread; call it outside"
        )
    limits = _Limits(cancellations, may_cancel, max_steps)
    if replay is not None:
        choices = from_text(replay)
        run = _run(fn, Known(choices), limits)
        if run.error is not None:
            raise _explain(fn, run.error, choices, limits, "explore: the replayed schedule failed")
        return Exploration(1, 1, run.steps, seed)
    distinct: set[tuple[int, ...]] = set()
    steps = longest = 0
    for number, make in zip(
        range(1, schedules + 1), _strategies(seed, strategy, cancellations, preemptions), strict=False
    ):
        run = _run(fn, make(longest), limits)
        if run.error is not None:
            raise _found(
                fn, run, limits, shrinks, f"schedule {number} of {schedules} failed, with seed={seed}"
            )
        steps += run.steps
        longest = max(longest, len(run.choices))
        distinct.add(tuple(run.choices))
    return Exploration(schedules, len(distinct), steps, seed)


def _found(
    fn: Callable[[], Coroutine[Any, Any, Any]], run: _Run, limits: _Limits, shrinks: int, what: str
) -> BaseException:
    """The failure of a schedule, shrunk and explained."""
    failure = run.error
    assert failure is not None

    def fails(choices: list[int]) -> list[int] | None:
        again = _run(fn, Known(choices), limits)
        return again.choices if _same_failure(failure, again.error) else None

    simplest = shrink(run.choices, fails, shrinks)
    unusual = sum(map(bool, simplest))
    what += f"; of its {len(run.choices)} choices, {unusual or 'none'} must be other than usual"
    return _explain(fn, failure, simplest, limits, "explore: " + what)
