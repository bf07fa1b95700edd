"""How long an echo client waits while the server's loop is saturated: `python benchmarks/latency.py`.

The client is a process of its own and asks one question after the other. In the server's loop ten pairs
play ping-pong without ever stopping: routines over channels, tasks over `asyncio.Queue`, or the latter with the
task factory of routines.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent.parent))

import routines

PAIRS = 10


def client(port: int, questions: int) -> None:
    """Ask, and print the JSON list of how many microseconds each answer took."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        took = []
        for _ in range(questions):
            start = time.perf_counter_ns()
            connection.sendall(b"?")
            assert connection.recv(1) == b"?"
            took.append((time.perf_counter_ns() - start) / 1e3)
    print(json.dumps(took))


class Echo(asyncio.Protocol):
    """Sends back what it gets."""

    def connection_made(self, transport: Any) -> None:
        """Keep the transport."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer."""
        self.transport.write(data)


async def play(tx: Any, rx: Any) -> None:
    """Send back what comes, for ever."""
    while True:
        await tx.send(await rx.recv())


async def saturate_with_routines() -> list[Any]:
    """Ten pairs over unbuffered channels."""
    players = []
    for _ in range(PAIRS):
        (tx1, rx1), (tx2, rx2) = routines.channel(), routines.channel()
        players += [routines.go(play, tx1, rx2), routines.go(play, tx2, rx1)]
        await tx1.send("ball")
    return players


async def play_queues(there: asyncio.Queue[str], back: asyncio.Queue[str]) -> None:
    """Put back what comes, for ever."""
    while True:
        await there.put(await back.get())


async def saturate_with_tasks() -> list[Any]:
    """Ten pairs over queues of one."""
    players = []
    for _ in range(PAIRS):
        there: asyncio.Queue[str] = asyncio.Queue(1)
        back: asyncio.Queue[str] = asyncio.Queue(1)
        players += [
            asyncio.create_task(play_queues(there, back)),
            asyncio.create_task(play_queues(back, there)),
        ]
        await there.put("ball")
    return players


async def idle() -> list[Any]:
    """Nothing but the server."""
    return []


async def measure(saturate: Callable[[], Any], questions: int) -> list[float]:
    """Microseconds that each answer took while `saturate` does its work."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    players = await saturate()
    command = [sys.executable, __file__, "--client", str(port), "--questions", str(questions)]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    out, _ = await process.communicate()
    for player in players:
        player.cancel()
    await asyncio.gather(*players, return_exceptions=True)
    server.close()
    await server.wait_closed()
    took: list[float] = json.loads(out)
    return took


LOADS: dict[str, tuple[Callable[[], Any], bool]] = {
    "idle": (idle, False),
    "routines": (saturate_with_routines, False),
    "tasks": (saturate_with_tasks, False),
    "tasks, task factory": (saturate_with_tasks, True),
}


def main() -> None:
    """Measure each load in turns, and print the percentiles over all rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--client", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--questions", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.client:
        client(options.client, options.questions)
        return
    took: dict[str, list[float]] = {name: [] for name in LOADS}
    for _ in range(options.rounds):
        for name, (saturate, with_factory) in LOADS.items():
            with asyncio.Runner() as runner:
                if with_factory:
                    runner.get_loop().set_task_factory(routines.task_factory)
                took[name] += runner.run(measure(saturate, options.questions))
    print(f"{'load':22}{'p50':>10}{'p99':>10}{'p99.9':>10}{'max':>10}   microseconds")
    for name, each in took.items():
        cuts = statistics.quantiles(each, n=1_000)
        print(f"{name:22}{cuts[499]:10.0f}{cuts[989]:10.0f}{cuts[998]:10.0f}{max(each):10.0f}")


if __name__ == "__main__":
    main()
