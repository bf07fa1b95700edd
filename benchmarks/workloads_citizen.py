"""Programs that never touch a channel, as services are today: what the task factory does to them.

The contestants "asyncio", "uvloop" and "factory" run the very same code; "factory" has `routines.task_factory` set.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from workloads_asyncio import SPINNERS, descend, nothing

CLIENTS = 100
DEPTH = 20


async def create_tasks(count: int) -> None:
    """Start `count` tasks at once and wait for each."""
    tasks = [asyncio.create_task(nothing()) for _ in range(count)]
    for task in tasks:
        await task


async def chain_20(count: int) -> None:
    """Make `count` switches among ten tasks, each below twenty awaits."""
    spinners = [asyncio.create_task(descend(DEPTH, count // SPINNERS)) for _ in range(SPINNERS)]
    for spinner in spinners:
        await spinner


async def await_future(count: int) -> None:
    """Wait for `count` futures, each of which a callback completes."""
    loop = asyncio.get_running_loop()
    for _ in range(count):
        future = loop.create_future()
        loop.call_soon(future.set_result, None)
        await future


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send each line back."""
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


async def ask(port: int, count: int) -> None:
    """Send `count` lines and await the echo of each."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(count):
        writer.write(b"hello\n")
        assert await reader.readline() == b"hello\n"
    writer.close()
    await writer.wait_closed()


async def echo_100(count: int) -> None:
    """Have `count` lines echoed by a server over loopback, by a hundred clients in the same loop."""
    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=CLIENTS)
    port = server.sockets[0].getsockname()[1]
    async with server:
        clients = [asyncio.create_task(ask(port, count // CLIENTS)) for _ in range(CLIENTS)]
        for client in clients:
            await client


WORKLOADS: dict[str, Callable[[int], Awaitable[None]]] = {
    work.__name__: work for work in (create_tasks, chain_20, await_future, echo_100)
}
