"""The contestants as processes that answer requests, one line each way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import building
from building import Unavailable

HERE = Path(__file__).resolve().parent
ANSWER_SECONDS = 120.0
"""A request that takes longer is taken for a hang."""


class Failed(Exception):
    """A contestant did not do its work; the text says how."""


@dataclass(frozen=True)
class Launch:
    """How a contestant is started."""

    command: Sequence[str]
    park_command: Sequence[str] | None
    """Prints the JSON of `park.py`; Go takes its request on standard input instead."""
    environment: dict[str, str]


def launch(name: str, collect_garbage: bool) -> Launch:
    """Build what the contestant `name` needs; `Unavailable` if that cannot be done here."""
    environment = {**os.environ, "BENCHMARK_GC": "on" if collect_garbage else "off"}
    if name.startswith("go"):
        program = str(building.build_go())
        processors = {"GOMAXPROCS": name.removeprefix("go")}
        return Launch([program], [program], environment | processors)
    if name == "floor":
        building.build_floor()
    worker = [sys.executable, str(HERE / "worker.py"), name]
    return Launch(worker, [sys.executable, str(HERE / "park.py"), name], environment)


class Contestant:
    """One contestant in a process that lives as long as the measuring does."""

    def __init__(self, name: str, collect_garbage: bool) -> None:
        self.name = name
        self.launch = launch(name, collect_garbage)
        self.process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            self.launch.command,
            env=self.launch.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if not self.name.startswith("go"):
            assert process.stdout is not None
            greeting = process.stdout.readline().strip()
            if greeting != "ready":
                process.wait()
                raise Unavailable(greeting.removeprefix("error: ") or "did not start")
        return process

    def measure(self, work: str, count: int, runs: int) -> float:
        """Nanoseconds per unit over `runs` runs of `count` units; `Failed` if there is no answer.

        A process that died or hung is replaced before the next request.
        """
        if self.process.poll() is not None:
            self.process = self._start()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        watchdog = threading.Timer(ANSWER_SECONDS, self.process.kill)
        watchdog.start()
        try:
            self.process.stdin.write(f"{work} {count} {runs}\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline().strip()
        except OSError as error:
            answer = f"error: {error}"
        finally:
            watchdog.cancel()
        if not answer:
            status = self.process.wait()
            raise Failed(f"ended with status {status} instead of answering within the time limit")
        if answer.startswith("error:"):
            raise Failed(answer.removeprefix("error: "))
        return int(answer) / (count * runs)

    def close(self) -> None:
        """End the process by ending its input."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def park(how: Launch, count: int) -> dict[str, float]:
    """Park `count` routines in a fresh process of a contestant; `Failed` unless all of them ended.

    The answer has the bytes per parked routine (`bytes`), `park_seconds` and `end_seconds`.
    """
    assert how.park_command is not None
    command = list(how.park_command)
    request = f"park {count}\n" if len(command) == 1 else None
    if request is None:
        command.append(str(count))
    try:
        done = subprocess.run(
            command,
            env=how.environment,
            input=request,
            stdout=subprocess.PIPE,
            text=True,
            timeout=2 * ANSWER_SECONDS,
            check=True,
        )
    except subprocess.SubprocessError as error:
        raise Failed(str(error)) from error
    outcome: dict[str, float] = json.loads(done.stdout)
    if outcome["ended"] != count:
        raise Failed(f"{outcome['ended']:,} of {count:,} came to their end")
    return outcome
