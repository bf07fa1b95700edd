"""Runs every async test on each loop, once as a routine and once as a plain asyncio task.

An ``async def test_...`` is called once per *world*: a kind of loop (stock, stock in asyncio's debug mode, uvloop where
it is installed) times what the body runs as. `start` begins further coroutines as the same kind. A test that only makes
sense in some worlds says so with ``@pytest.mark.loops(...)`` or ``@pytest.mark.bodies(...)``.

Whatever reaches the loop's exception handler fails the test, unless the test takes it out of `reports`.
"""

import asyncio
import gc
import inspect
import os
import random
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from helpers import LOOPS, PLAIN_LOOPS, new_loop

from routines._select import Select

# A shell starts what it puts into the background with Ctrl-C ignored, and so would every program that a test starts be.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

BODIES = ["routine", "task"]
KEPT_FROM_USE = []


class World:
    """A kind of loop and a kind of body; runs one async test."""

    def __init__(self, loop_kind, body):
        self.loop_kind = loop_kind
        self.body = body
        self.reports = []

    def new_loop(self):
        return new_loop(self.loop_kind)

    def start(self, coro, *, name=None, context=None):
        """Starts `coro` as what the test itself runs as: a routine or a plain task."""
        if self.body == "routine":
            import routines

            return routines.spawn(coro, name=name, context=context)
        return asyncio.Task(coro, loop=asyncio.get_running_loop(), name=name, context=context)

    def run(self, function, arguments):
        with asyncio.Runner(debug=self.loop_kind == "debug", loop_factory=self.new_loop) as runner:
            loop = runner.get_loop()
            loop.set_exception_handler(lambda _, context: self.reports.append(context))
            runner.run(self._main(function, arguments))
        if self.reports:
            pytest.fail(f"reported to the loop's exception handler: {self.reports}")

    async def _main(self, function, arguments):
        if self.body == "routine":
            await self.start(function(**arguments), name="test body")
        else:
            await function(**arguments)


def pytest_configure(config):
    for line in (
        "loops(*kinds): run this async test on these loops only (stock, debug, uvloop)",
        "bodies(*kinds): run this async test as these only (routine, task)",
        "stress: long and random, prints its seed",
        "isolated: runs a script in a process of its own",
    ):
        config.addinivalue_line("markers", line)


@pytest.fixture(scope="module", autouse=True)
def what_lives_by_now_lives_to_the_end():
    # The collections that tests ask for need not look at it: reports of thousands of tests made them take a third of the run.
    gc.collect()
    # But a finished select is used again, and then has to be looked at. One that somebody else holds is not.
    KEPT_FROM_USE.extend(each for each in gc.get_objects() if type(each) is Select)
    gc.freeze()


def pytest_generate_tests(metafunc):
    if "world" not in metafunc.fixturenames:
        return
    loops, bodies = LOOPS, BODIES
    for mark in metafunc.definition.iter_markers("loops"):
        loops = [kind for kind in LOOPS if kind in mark.args]
    for mark in metafunc.definition.iter_markers("bodies"):
        bodies = [kind for kind in BODIES if kind in mark.args]
    worlds = [(loop, body) for loop in loops for body in bodies]
    metafunc.parametrize("world", worlds, indirect=True, ids=["-".join(each) for each in worlds])


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector, name, obj):
    if collector.funcnamefilter(name) and inspect.iscoroutinefunction(obj):
        pytest.mark.usefixtures("world")(obj)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    pyfuncitem.funcargs["world"].run(pyfuncitem.obj, arguments)
    return True


@pytest.fixture
def world(request):
    return World(*request.param)


@pytest.fixture
def start(world):
    """Starts a coroutine as what the test runs as: ``start(coro, name=None, context=None)``."""
    return world.start


@pytest.fixture
def reports(world):
    """What was reported to the loop's exception handler; empty it or the test fails."""
    return world.reports


@pytest.fixture(params=PLAIN_LOOPS)
def loop(request):
    """A loop for sync tests that drive one by hand."""
    made = new_loop(request.param)
    yield made
    if not made.is_closed():
        made.close()


@pytest.fixture
def seed():
    """A seed for a random test: printed, and repeatable through ROUTINES_SEED."""
    chosen = int(os.environ.get("ROUTINES_SEED") or random.SystemRandom().getrandbits(32))
    print(f"\nROUTINES_SEED={chosen}")
    return chosen
