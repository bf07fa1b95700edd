"""Runs a whole program of somebody else's libraries with the task factory set, on the stock loop and on uvloop."""

import asyncio
import gc

import pytest
from helpers import PLAIN_LOOPS, new_loop

import routines


class Program:
    """Runs a main coroutine as `asyncio.run` does, on routines; nothing may be reported or left running."""

    def __init__(self, kind):
        self.kind = kind
        self.reports = []

    def run(self, main):
        with asyncio.Runner(loop_factory=lambda: new_loop(self.kind)) as runner:
            loop = runner.get_loop()
            loop.set_task_factory(routines.task_factory)
            loop.set_exception_handler(lambda _, context: self.reports.append(context))
            outcome = runner.run(self._observed(main))
            gc.collect()
        assert not self.reports
        return outcome

    async def _observed(self, main):
        assert type(asyncio.current_task()) is routines.Routine, "the libraries' tasks are to be routines"
        outcome = await main
        assert all(type(each) is routines.Routine for each in asyncio.all_tasks())
        return outcome


@pytest.fixture(params=PLAIN_LOOPS)
def program(request):
    """A `Program` on each kind of loop."""
    return Program(request.param)
