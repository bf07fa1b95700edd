"""Web servers and clients over routines, on loopback."""

import asyncio
import contextlib
import socket
import sys

import pytest

from routines import Routine, channel, select, task_factory


def test_an_aiohttp_server_and_client_with_websockets(program):
    aiohttp = pytest.importorskip("aiohttp")
    from aiohttp import web

    async def main():
        kinds = set()
        tx, rx = channel(8)

        async def hello(request):
            kinds.add(type(asyncio.current_task()))
            assert isinstance(asyncio.current_task(), asyncio.Task)
            await tx.send(request.match_info["name"])
            return web.json_response({"hello": request.match_info["name"], "body": await request.text()})

        async def slow(_request):
            try:
                await asyncio.sleep(60)
            finally:
                kinds.add("slow was cancelled")

        async def talk(request):
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            async for message in socket:
                await socket.send_str(message.data.upper())
            return socket

        app = web.Application()
        app.router.add_post("/hello/{name}", hello)
        app.router.add_get("/slow", slow)
        app.router.add_get("/talk", talk)
        runner = web.AppRunner(app, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        base = f"http://127.0.0.1:{runner.addresses[0][1]}"

        async with aiohttp.ClientSession() as session:

            async def ask(number):
                async with session.post(f"{base}/hello/{number}", data=f"body {number}") as response:
                    assert response.status == 200
                    return await response.json()

            asking = [asyncio.create_task(ask(number)) for number in range(50)]
            names = [(await select(rx, timeout=10)).value for _ in range(50)]
            assert sorted(names, key=int) == [str(number) for number in range(50)]
            assert [await each for each in asking] == [
                {"hello": str(number), "body": f"body {number}"} for number in range(50)
            ]
            with pytest.raises(TimeoutError):
                await session.get(f"{base}/slow", timeout=aiohttp.ClientTimeout(total=0.05))

            async def chat(number):
                async with session.ws_connect(f"{base}/talk") as talking:
                    for turn in range(5):
                        await talking.send_str(f"word {number} {turn}")
                        assert await talking.receive_str(timeout=10) == f"WORD {number} {turn}"

            async with asyncio.TaskGroup() as group:
                for number in range(10):
                    group.create_task(chat(number))
        await runner.cleanup()
        # Where tasks can start eagerly, but the loop cannot be told to make such a task, aiohttp does not ask the factory.
        eager_by_hand = sys.version_info >= (3, 12) and (
            sys.version_info < (3, 14) or program.kind == "uvloop"
        )
        assert kinds == {asyncio.Task if eager_by_hand else Routine, "slow was cancelled"}

    program.run(main())


@contextlib.asynccontextmanager
async def served(app):
    """A uvicorn server of the app, in the loop that runs; its address."""
    import uvicorn

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:
            await asyncio.sleep(0.001)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_starlette_app_on_uvicorn_with_httpx(program):
    pytest.importorskip("uvicorn")
    httpx = pytest.importorskip("httpx")
    pytest.importorskip("starlette")
    from starlette.applications import Starlette
    from starlette.background import BackgroundTask
    from starlette.responses import JSONResponse, StreamingResponse
    from starlette.routing import Route

    async def main():
        events = []

        @contextlib.asynccontextmanager
        async def lifespan(_app):
            events.append("up")
            yield
            events.append("down")

        async def hello(request):
            events.append(type(asyncio.current_task()))
            after = BackgroundTask(events.append, "background")
            return JSONResponse({"name": request.path_params["name"]}, background=after)

        async def stream(_request):
            tx, rx = channel(4)

            async def produce():
                with tx:
                    for number in range(100):
                        await tx.send(f"{number}\n")

            asyncio.create_task(produce())
            return StreamingResponse(rx, media_type="text/plain")

        def blocking(_request):
            return JSONResponse({"in": "a thread"})

        app = Starlette(
            routes=[Route("/hello/{name}", hello), Route("/stream", stream), Route("/blocking", blocking)],
            lifespan=lifespan,
        )
        async with served(app) as base, httpx.AsyncClient(base_url=base) as client:
            answers = await asyncio.gather(*(client.get(f"/hello/{number}") for number in range(30)))
            assert [each.json() for each in answers] == [{"name": str(number)} for number in range(30)]
            text = (await client.get("/stream")).text
            assert text == "".join(f"{number}\n" for number in range(100))
            assert (await client.get("/blocking")).json() == {"in": "a thread"}
        assert events[0] == "up"
        assert events[-1] == "down"
        assert events.count("background") == 30
        assert events.count(Routine) == 30

    program.run(main())


def test_the_line_in_the_lifespan_of_an_app_makes_routines_of_its_requests():
    pytest.importorskip("uvicorn")
    httpx = pytest.importorskip("httpx")
    pytest.importorskip("starlette")
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    @contextlib.asynccontextmanager
    async def lifespan(_app):
        asyncio.get_running_loop().set_task_factory(task_factory)
        yield

    async def hello(_request):
        return JSONResponse(type(asyncio.current_task()).__name__)

    async def main():
        app = Starlette(routes=[Route("/", hello)], lifespan=lifespan)
        async with served(app) as base, httpx.AsyncClient() as client:
            assert (await client.get(base)).json() == "Routine"

    asyncio.run(main())


def test_the_line_at_the_start_up_of_an_aiohttp_app_makes_routines_of_its_tasks():
    aiohttp = pytest.importorskip("aiohttp")
    from aiohttp import web

    async def use_routines(_app):
        asyncio.get_running_loop().set_task_factory(task_factory)

    async def kind():
        return type(asyncio.current_task()).__name__

    async def hello(_request):
        return web.json_response(await asyncio.create_task(kind()))

    async def main():
        app = web.Application()
        app.on_startup.append(use_routines)
        app.router.add_get("/", hello)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{runner.addresses[0][1]}") as response:
                assert await response.json() == "Routine"
        await runner.cleanup()

    asyncio.run(main())


def test_websockets(program):
    websockets = pytest.importorskip("websockets")
    from websockets.asyncio.client import connect
    from websockets.asyncio.server import serve

    async def main():
        async def echo(connection):
            assert type(asyncio.current_task()) is Routine
            async for message in connection:
                await connection.send(message[::-1])

        async with serve(echo, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]

            async def chat(number):
                async with connect(f"ws://127.0.0.1:{port}") as connection:
                    for turn in range(5):
                        await connection.send(f"{number}-{turn}")
                        assert await connection.recv() == f"{number}-{turn}"[::-1]

            await asyncio.gather(*(chat(number) for number in range(20)))
            async with connect(f"ws://127.0.0.1:{port}") as connection:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(connection.recv(), 0.02)
                await connection.send("still there")
                assert await connection.recv() == "ereht llits"
        assert websockets

    program.run(main())
