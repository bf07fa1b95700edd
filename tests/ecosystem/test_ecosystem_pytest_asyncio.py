"""pytest-asyncio, with which users test: its fixtures, its tests and its loops over routines. In a run of its own, which is a user's."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import routines

pytest.importorskip("pytest_asyncio")

SETTINGS = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
filterwarnings = error
"""

TESTS = """
import asyncio
import os
import pytest
import routines
from routines import Aborted, ChannelClosed, Routine, Timeout, channel, go, select, sleep, timeout

LOOP = os.environ["LOOP"]

class Service:
    def __init__(self):
        self.requests, self._served = channel()
        self._done, self.answers = channel(8)
        self.routine = go(self.serve)

    async def serve(self):
        with self._done:
            async for number in self._served:
                await self._done.send(2 * number)

@pytest.fixture
async def service():
    made = Service()
    yield made
    made.requests.close()
    await made.routine.join(5)      # its loop is the same one, and still runs

async def test_a_routine_of_a_fixture_serves_the_test(service):
    await service.requests.send(21)
    assert await service.answers.recv() == 42

async def test_every_test_has_a_loop_of_its_own(service):
    assert service.routine.get_loop() is asyncio.get_running_loop()
    assert type(service.routine.get_loop()).__module__.split(".")[0] == LOOP
    await service.requests.send_many(range(3))
    assert [await service.answers.recv() for _ in range(3)] == [0, 2, 4]

async def test_the_test_itself_may_be_any_task_and_waits_as_one():
    tx, rx = channel()
    assert type(asyncio.current_task()) is not Routine
    go(tx.send, "hello")
    assert (await select(rx, timeout=5)).value == "hello"
    with pytest.raises(Timeout):
        async with timeout(0.001):
            await rx.recv()
    assert rx.stats().waiting_receivers == 0

async def test_a_failure_reaches_the_test():
    async def fail():
        raise LookupError("on purpose")
    with pytest.raises(LookupError, match="on purpose"):
        await go(fail).join()

async def test_an_abort_reaches_the_test():
    resting = go(sleep, 60)
    await sleep(0)
    resting.abort("enough")
    with pytest.raises(Aborted) as caught:
        await resting.join()
    assert caught.value.reason == "enough"

async def test_tasks_of_the_test_may_be_routines():
    asyncio.get_running_loop().set_task_factory(routines.task_factory)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(asyncio.sleep(0.001, number)) for number in range(5)]
    assert all(type(each) is Routine for each in tasks)
    assert [each.result() for each in tasks] == list(range(5))

def test_a_sync_test_may_start_a_program():
    async def main():
        return 42
    assert routines.run(main) == 42

ENDED = []

async def test_a_routine_may_be_left_behind():
    _tx, rx = channel()
    async def rest():
        try:
            await rx.recv()
        finally:
            ENDED.append("finally")
    test_a_routine_may_be_left_behind.kept = _tx, go(rest)
    await sleep(0)

async def test_what_was_left_behind_has_been_stopped():
    assert ENDED == ["finally"]
    assert test_a_routine_may_be_left_behind.kept[1].cancelled()

@pytest.mark.asyncio(loop_scope="module")
class TestOneLoop:
    async def test_a_routine_outlives_its_test(self):
        type(self).tx, type(self).rx = channel()
        type(self).sending = go(self.tx.send, "later")

    async def test_and_is_met_by_the_next(self):
        assert await self.rx.recv() == "later"
        await self.sending.join()
"""

ON_UVLOOP = """
import pytest
import uvloop

def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop}
"""

PASSED = TESTS.count("def test_")


@pytest.mark.isolated
@pytest.mark.parametrize("loop", ["stock"] + (["uvloop"] if importlib.util.find_spec("uvloop") else []))
def test_routines_and_channels_in_a_users_tests(tmp_path, loop):
    (tmp_path / "pytest.ini").write_text(SETTINGS)
    (tmp_path / "test_users.py").write_text(TESTS)
    if loop == "uvloop":
        (tmp_path / "conftest.py").write_text(ON_UVLOOP)
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(routines.__file__).parents[1]),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "LOOP": "asyncio" if loop == "stock" else loop,
    }
    command = [sys.executable, "-m", "pytest", "-p", "pytest_asyncio.plugin", "-p", "no:cacheprovider", "-v"]
    finished = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=50
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert f"{PASSED} passed" in finished.stdout, finished.stdout
