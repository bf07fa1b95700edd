"""A redis client over routines, against a real server that the test starts."""

import asyncio
import shutil
import socket
import subprocess
import time

import pytest

from routines import Routine, channel

redis = pytest.importorskip("redis.asyncio")

SERVER = shutil.which("redis-server")
pytestmark = pytest.mark.skipif(SERVER is None, reason="redis-server is not installed")


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        chosen = free.getsockname()[1]
    command = [SERVER, "--port", str(chosen), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with subprocess.Popen(command, cwd=tmp_path_factory.mktemp("redis"), stdout=subprocess.DEVNULL) as server:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", chosen), 1).close()
                break
            except OSError:
                assert server.poll() is None, "redis-server ended at once"
                assert time.monotonic() < deadline
                time.sleep(0.02)
        yield chosen
        server.terminate()


def test_commands_pipelines_and_blocking_pops(program, port):
    async def main():
        async with redis.Redis(port=port, decode_responses=True) as client:
            await client.flushall()

            async def count(number):
                assert type(asyncio.current_task()) is Routine
                for _ in range(20):
                    await client.incr("counter")
                await client.set(f"key {number}", number)

            await asyncio.gather(*(count(number) for number in range(20)))
            assert await client.get("counter") == "400"
            async with client.pipeline(transaction=True) as pipe:
                for number in range(20):
                    pipe.get(f"key {number}")
                assert await pipe.execute() == [str(number) for number in range(20)]

            popping = asyncio.create_task(client.blpop(["queue"], timeout=10))
            await asyncio.sleep(0.01)
            await client.rpush("queue", "pushed")
            assert await popping == ("queue", "pushed")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await client.blpop(["queue"], timeout=10)
            assert await client.ping()

    program.run(main())


def test_what_is_published_goes_into_a_channel(program, port):
    async def main():
        async with redis.Redis(port=port, decode_responses=True) as client:
            tx, rx = channel(4)
            async with client.pubsub() as subscription:
                await subscription.subscribe("news")

                async def forward():
                    with tx:
                        async for message in subscription.listen():
                            if message["type"] == "message":
                                await tx.send(message["data"])
                                if message["data"] == "99":
                                    return

                forwarding = asyncio.create_task(forward())
                for number in range(100):
                    await client.publish("news", str(number))
                assert [value async for value in rx] == [str(number) for number in range(100)]
                await forwarding

    program.run(main())
