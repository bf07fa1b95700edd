"""A web service under load, before and after one line: `python benchmarks/service.py`.

Needs `wrk`, FastAPI and the extra `ecosystem`. The service is written once, for aiohttp and for Starlette and FastAPI on uvicorn, with
nothing of `routines` in its handlers. "before" is as it stands, "after" has `routines.task_factory` set at start-up, and "channels"
has a channel in the place of the queue of its pipeline too. The contestants take turns, each server in a fresh process.

`--framework` and `--path` measure a part: `python benchmarks/service.py --framework fastapi --path gather`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))

import machine

import routines

MODES = ("before", "after", "channels")
FRAMEWORKS = ("aiohttp", "starlette", "fastapi")
PATHS = {
    "plain": "answers at once",
    "gather": "asks 20 backends in tasks of their own",
    "pipeline": "sends 100 items from one task to another",
}
LATENCY = re.compile(r"^\s+(50|99)%\s+([\d.]+)(us|ms|s)$", re.MULTILINE)
MICROSECONDS = {"us": 1, "ms": 1e3, "s": 1e6}


async def backend(number: int) -> int:
    """Stands for a cache that answers in the next turn of the loop."""
    await asyncio.sleep(0)
    return number


async def gather() -> int:
    """One task for each backend."""
    return sum(await asyncio.gather(*(backend(number) for number in range(20))))


async def pipeline_over_queue() -> int:
    """A producer, a consumer, and a queue of ten between them."""
    queue: asyncio.Queue[int | None] = asyncio.Queue(10)

    async def produce() -> None:
        for number in range(100):
            await queue.put(number)
        await queue.put(None)

    producing = asyncio.create_task(produce())
    total = 0
    while (number := await queue.get()) is not None:
        total += number
    await producing
    return total


async def pipeline_over_channel() -> int:
    """The same over a channel."""
    tx: routines.Sender[int]
    rx: routines.Receiver[int]
    tx, rx = routines.channel(10)

    async def produce() -> None:
        with tx:
            for number in range(100):
                await tx.send(number)

    routines.go(produce)
    return sum([number async for number in rx])


async def answer(path: str, mode: str) -> int:
    """What the service does for one request."""
    if path == "gather":
        return await gather()
    if path == "pipeline":
        return await (pipeline_over_channel() if mode == "channels" else pipeline_over_queue())
    return 0


def switch(mode: str) -> None:
    """The one line."""
    if mode != "before":
        asyncio.get_running_loop().set_task_factory(routines.task_factory)


def serve_aiohttp(mode: str, listening: socket.socket) -> None:
    """Serve until killed."""
    from aiohttp import web

    async def handle(request: web.Request) -> web.Response:
        return web.json_response({"answer": await answer(request.match_info["path"], mode)})

    async def main() -> None:
        switch(mode)
        app = web.Application()
        app.router.add_get("/{path}", handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.SockSite(runner, listening).start()
        await asyncio.Event().wait()

    asyncio.run(main())


def serve_starlette(mode: str, listening: socket.socket) -> None:
    """Serve until killed."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def handle(request: Request) -> JSONResponse:
        return JSONResponse({"answer": await answer(request.path_params["path"], mode)})

    async def main() -> None:
        switch(mode)
        app = Starlette(routes=[Route("/{path}", handle)])
        await uvicorn.Server(uvicorn.Config(app, access_log=False, log_level="warning")).serve([listening])

    asyncio.run(main())


def serve_fastapi(mode: str, listening: socket.socket) -> None:
    """Serve until killed."""
    import uvicorn
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/{path}")
    async def handle(path: str) -> dict[str, int]:
        return {"answer": await answer(path, mode)}

    async def main() -> None:
        switch(mode)
        await uvicorn.Server(uvicorn.Config(app, access_log=False, log_level="warning")).serve([listening])

    asyncio.run(main())


SERVE = {"aiohttp": serve_aiohttp, "starlette": serve_starlette, "fastapi": serve_fastapi}


@contextlib.contextmanager
def served(framework: str, mode: str) -> Iterator[str]:
    """A server in a process of its own; its address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1024)
        port = listening.getsockname()[1]
        command = [sys.executable, __file__, "--serve", framework, mode, str(listening.fileno())]
        with subprocess.Popen(command, pass_fds=[listening.fileno()]) as server:
            address = f"http://127.0.0.1:{port}"
            try:
                urllib.request.urlopen(f"{address}/plain", timeout=30).close()  # noqa: S310  # it is up
                yield address
            finally:
                server.terminate()


def load(url: str, connections: int, seconds: float) -> tuple[float, float, float]:
    """Requests a second, and the latency at p50 and p99 in microseconds."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--latency", url]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        raise RuntimeError(out)
    latencies = [float(value) * MICROSECONDS[unit] for _, value, unit in LATENCY.findall(out)]
    requests = re.search(r"Requests/sec:\s+([\d.]+)", out)
    if len(latencies) != 2 or requests is None:
        raise RuntimeError(out)
    p50, p99 = latencies
    return float(requests[1]), p50, p99


def main() -> None:
    """Measure each service in turns, and print the medians, and the ratio of those of their requests a second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", nargs=3, metavar=("FRAMEWORK", "MODE", "SOCKET"), help=argparse.SUPPRESS)
    parser.add_argument("--framework", choices=FRAMEWORKS, action="append", help="all, where none is named")
    parser.add_argument("--path", choices=PATHS, action="append", help="all, where none is named")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--connections", type=int, default=64)
    options = parser.parse_args()
    if options.serve:
        framework, mode, descriptor = options.serve
        listening = socket.socket(fileno=int(descriptor))
        SERVE[framework](mode, listening)
        return
    if shutil.which("wrk") is None:
        parser.error("wrk is not installed")
    frameworks, paths = options.framework or FRAMEWORKS, options.path or tuple(PATHS)
    taken: dict[tuple[str, str, str], list[tuple[float, float, float]]] = {}
    for number in range(options.rounds):
        for framework in frameworks:
            for mode in MODES if number % 2 else reversed(MODES):
                with served(framework, mode) as address:
                    load(f"{address}/plain", options.connections, 1)  # warms up
                    for path in paths:
                        measured = load(f"{address}/{path}", options.connections, options.seconds)
                        taken.setdefault((framework, path, mode), []).append(measured)
                print(time.strftime("%T"), number, framework, mode, file=sys.stderr)
    print(*(f"{name}: {value}" for name, value in machine.describe().items()), sep="\n")
    print(
        f"\n{'service':11}{'path':10}{'mode':10}{'requests/s':>12}{'ratio':>8}{'of rounds':>14}{'p50':>9}{'p99':>9}   microseconds"
    )
    for framework in frameworks:
        for path in paths:
            for mode in MODES:
                rates, p50s, p99s = zip(*taken[framework, path, mode], strict=True)
                before = [each[0] for each in taken[framework, path, "before"]]
                ratio = statistics.median(rates) / statistics.median(before)
                # Round by round: how far the machine itself moved it.
                rounds = [now / then for now, then in zip(rates, before, strict=True)]
                print(
                    f"{framework:11}{path:10}{mode:10}{statistics.median(rates):12,.0f}{ratio:8.2f}"
                    f"{f'{min(rounds):.2f} to {max(rounds):.2f}':>14}{statistics.median(p50s):9,.0f}{statistics.median(p99s):9,.0f}"
                )


if __name__ == "__main__":
    main()
