"""What asyncio itself brings: streams, subprocesses, signals, threads, and the debug mode."""

import asyncio
import contextvars
import os
import signal
import sys
import threading

import pytest

from routines import Routine, channel, go, select

CLIENTS = 200


def test_an_echo_server_with_two_hundred_clients(program):
    async def main():
        served = []

        async def echo(reader, writer):
            served.append(type(asyncio.current_task()))
            while line := await reader.readline():
                writer.write(line)
                await writer.drain()
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(echo, "127.0.0.1", 0, backlog=CLIENTS)
        host, port = server.sockets[0].getsockname()

        async def client(number):
            reader, writer = await asyncio.open_connection(host, port)
            for turn in range(5):
                writer.write(f"{number} {turn}\n".encode())
                assert await reader.readline() == f"{number} {turn}\n".encode()
            writer.close()
            await writer.wait_closed()
            return number

        async with server:
            answers = await asyncio.gather(*(client(number) for number in range(CLIENTS)))
        assert answers == list(range(CLIENTS))
        assert served == [Routine] * CLIENTS

    program.run(main())


def test_sockets_feed_channels_and_a_select_serves_them(program):
    async def main():
        lines, heard = channel(4)

        async def read(reader, writer):
            with lines.clone() as out:
                while line := await reader.readline():
                    await out.send(line.strip())
            writer.close()

        server = await asyncio.start_server(read, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()

        async def client(number):
            _reader, writer = await asyncio.open_connection(host, port)
            for turn in range(10):
                writer.write(f"{number} {turn}\n".encode())
                await writer.drain()
            writer.close()
            await writer.wait_closed()

        async with server:
            clients = [go(client, number) for number in range(20)]
            got = [(await select(heard, timeout=10)).value for _ in range(200)]
            for each in clients:
                await each
        for number in range(20):
            mine = [line for line in got if line.startswith(f"{number} ".encode())]
            assert mine == [f"{number} {turn}".encode() for turn in range(10)]

    program.run(main())


@pytest.mark.skipif(sys.platform == "win32", reason="the selector loop has no subprocesses there")
def test_subprocesses(program):
    async def main():
        script = "import sys; print(sys.stdin.read().upper(), end='')"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate(b"hello")
        assert (out, process.returncode) == (b"HELLO", 0)

        sleeper = await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(60)")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sleeper.wait(), 0.05)
        sleeper.kill()
        assert await sleeper.wait() == -signal.SIGKILL

    program.run(main())


@pytest.mark.skipif(sys.platform == "win32", reason="no signal handlers on loops there")
def test_a_signal_handler_wakes_a_routine(program):
    async def main():
        tx, rx = channel(1)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, tx.try_send, "usr1")
        try:
            os.kill(os.getpid(), signal.SIGUSR1)
            assert await asyncio.wait_for(rx.recv(), 10) == "usr1"
        finally:
            loop.remove_signal_handler(signal.SIGUSR1)

    program.run(main())


def test_threads_both_ways(program):
    variable = contextvars.ContextVar("variable", default=0)

    async def main():
        variable.set(7)
        loop = asyncio.get_running_loop()
        assert await asyncio.to_thread(lambda: (variable.get(), threading.get_ident())) != (
            7,
            threading.get_ident(),
        )
        tx, rx = channel()

        async def answer(question):
            await tx.send(question)
            return type(asyncio.current_task())

        def ask():
            return asyncio.run_coroutine_threadsafe(answer("from a thread"), loop).result(10)

        asked = asyncio.create_task(asyncio.to_thread(ask))
        assert await rx.recv() == "from a thread"
        assert await asked is Routine

    program.run(main())


def test_what_asyncio_makes_of_many_tasks(program):
    async def main():
        async def square(number):
            await asyncio.sleep(0.001 * (number % 3))
            return number * number

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(square(number)) for number in range(20)]
        assert [task.result() for task in tasks] == [number * number for number in range(20)]
        assert {await each for each in asyncio.as_completed([square(2), square(3)])} == {4, 9}
        done, pending = await asyncio.wait(
            [asyncio.ensure_future(square(0)), asyncio.ensure_future(asyncio.sleep(60))],
            return_when=asyncio.FIRST_COMPLETED,
        )
        assert [each.result() for each in done] == [0]
        for each in pending:
            each.cancel()
        shielded = asyncio.ensure_future(square(4))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await asyncio.shield(shielded)
        assert await shielded == 16
        with pytest.raises(ExceptionGroup) as failed:
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(60))
                group.create_task(asyncio.to_thread(lambda: 1 / 0))
        assert failed.group_contains(ZeroDivisionError)

    program.run(main())
