"""The pytest plugin: ``pytest_plugins = ["routines.testing.plugin"]`` in a conftest, or ``-p routines.testing.plugin``.

It is no entry point: that would be imported into every run of pytest in the environment, and this package with it, whether a test uses it or not.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from functools import partial, update_wrapper
from typing import Any

import pytest

from .clock import VirtualClock
from .explorer import explore

__all__ = ["virtual_clock"]

# Of a marked test that does not say how many: quick enough for every run.
SCHEDULES = 200


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the command line, which win over those of the markers."""
    group = parser.getgroup("routines", "explored schedules (routines.testing)")
    group.addoption(
        "--explore-schedules", type=int, metavar="N", help="how many schedules each explored test runs"
    )
    group.addoption(
        "--explore-seed", type=int, metavar="SEED", help="what the schedules of explored tests are made from"
    )
    group.addoption(
        "--explore-replay", metavar="SCHEDULE", help="run explored tests under this one schedule alone"
    )


def pytest_configure(config: pytest.Config) -> None:
    """The marker."""
    config.addinivalue_line(
        "markers",
        f"explore(schedules={SCHEDULES}, seed=0, **options): run this async test under many schedules, with the options of "
        "routines.testing.explore; the seed stays the same from run to run unless it is given as None",
    )


@pytest.fixture
def virtual_clock() -> VirtualClock:
    """A clock that jumps to the next timer when nothing is ready. An async test that asks for it runs on it; a plain one calls its ``run``."""
    return VirtualClock()


def _async_function(item: pytest.Function) -> Callable[..., Coroutine[Any, Any, Any]] | None:
    """What an async test is written as; other plugins put a plain function around it."""
    for candidate in (item.obj, getattr(item.obj, "__wrapped__", None)):
        if inspect.iscoroutinefunction(candidate):
            return candidate
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run the async tests that are marked, or ask for the virtual clock; leave all others to whoever runs them."""
    mark = pyfuncitem.get_closest_marker("explore")
    clock = pyfuncitem.funcargs.get("virtual_clock")
    if mark is None and not isinstance(clock, VirtualClock):
        return None
    function = _async_function(pyfuncitem)
    if function is None:
        if mark is not None:
            raise TypeError(
                f"{pyfuncitem.nodeid} is marked to be explored, but is no async function; in a plain one call explore()"
            )
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    test = update_wrapper(partial(function, **arguments), function)
    if mark is None:
        assert isinstance(clock, VirtualClock)
        clock.run(test)
        return True
    if isinstance(clock, VirtualClock):
        raise TypeError(
            f"{pyfuncitem.nodeid} is explored, and so on a virtual clock of its own for each schedule; do without the fixture"
        )
    options: dict[str, Any] = {"schedules": SCHEDULES, "seed": 0, **mark.kwargs}
    options.update(zip(("schedules", "seed"), mark.args, strict=False))
    for name in ("schedules", "seed", "replay"):
        given = pyfuncitem.config.getoption(f"--explore-{name}")
        if given is not None:
            options[name] = given
    explore(test, **options)
    return True
