"""Programs that can never go on, and programs that only look so, one after the other; argument: the kind of loop.

In a process of its own: a thread or a signal handler of the test runner's is one that might wake a routine.
"""

import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref

import routines
from routines import Deadlock, Runtime, RuntimeConfig, _deadlock, channel, go, run, runtime, select, sleep

_deadlock.PERIOD_SECONDS = 0.005
LONG_ENOUGH = 0.08  # several times what it takes to detect one

if sys.argv[1] == "uvloop":
    import uvloop

    FACTORY = uvloop.new_event_loop
else:
    FACTORY = None


def config(**fields):
    return RuntimeConfig(loop_factory=FACTORY, detect_deadlock=True, **fields)


async def parked_for_ever():
    _tx, rx = channel()
    await rx.recv()


async def on_a_channel():
    await parked_for_ever()


async def on_a_future():
    await asyncio.Event().wait()


async def on_each_other():
    async def join(other):
        await other

    await go(join, asyncio.current_task()).join()


async def with_others_around():
    tx, rx = channel()
    waiting = [go(tx.send, number) for number in range(10)]
    assert await rx.recv() == 0
    await asyncio.to_thread(int)  # whose thread idles in the executor from here on
    await waiting[5].join()


async def on_a_select():
    (_tx, one), (_other, two) = channel(), channel()
    await select(one, two)


async def over_workers():
    _tx, rx = channel()
    for number in range(6):
        runtime().spawn(rx.recv() if number % 2 else on_a_future(), worker=number % 3)
    await parked_for_ever()


async def after_a_collection():
    """The collector ends a routine; that one's end wakes main."""
    tx, rx = channel()

    async def ends():
        try:
            await parked_for_ever()
        finally:
            tx.try_send("collected")

    go(ends)
    await asyncio.sleep(0)
    return await rx.recv()


async def timer():
    await sleep(LONG_ENOUGH)


async def timer_of_the_loop():
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(LONG_ENOUGH, future.set_result, None)
    await future


async def ticker():
    ticker = routines.Ticker(LONG_ENOUGH)
    await ticker.recv()
    ticker.stop()


async def executor():
    await asyncio.to_thread(time.sleep, LONG_ENOUGH)


async def thread():
    tx, rx = channel()

    def send():
        time.sleep(LONG_ENOUGH)
        tx.send_blocking(1)

    threading.Thread(target=send).start()
    await rx.recv()


async def daemon():
    _tx, rx = channel()
    threading.Thread(target=lambda: (time.sleep(LONG_ENOUGH), rx.close()), daemon=True).start()
    await rx.wait_closed()


async def blocked_thread():
    """It waits for a message itself, until its time is over; then it sends one."""
    tx, rx = channel()
    _other_tx, other = channel()

    def receive():
        try:
            other.recv_blocking(timeout=LONG_ENOUGH)
        except routines.Timeout:
            tx.send_blocking(1)

    threading.Thread(target=receive).start()
    await rx.recv()


async def reader():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().add_reader(ours, future.set_result, None)
    sender = subprocess.Popen(
        [
            sys.executable,
            "-S",
            "-c",
            f"import time, os; time.sleep({LONG_ENOUGH}); os.write({theirs.fileno()}, b'x')",
        ],
        pass_fds=[theirs.fileno()],
    )
    await future
    asyncio.get_running_loop().remove_reader(ours)
    ours.close()
    theirs.close()
    sender.wait()


async def stream():
    """A connection that nobody says anything on for a while; both ends are here."""
    arrived = asyncio.Event()
    server = await asyncio.start_server(
        lambda reader, writer: (arrived.set(), writers.append(writer)), "127.0.0.1", 0
    )
    writers = []
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    await arrived.wait()
    try:
        async with asyncio.timeout(None) as limit:
            loop = asyncio.get_running_loop()
            thread = threading.Thread(
                target=lambda: (time.sleep(LONG_ENOUGH), loop.call_soon_threadsafe(writers[0].write, b"x"))
            )
            thread.start()
            assert await reader.read(1) == b"x"
            assert not limit.expired()
    finally:
        writers[0].close()
        writer.close()
        server.close()


async def server():
    """Whoever connects may send something, so a server alone is enough; another process connects."""
    connected = asyncio.Event()
    serving = await asyncio.start_server(lambda _, writer: (writer.close(), connected.set()), "127.0.0.1", 0)
    port = serving.sockets[0].getsockname()[1]
    program = (
        f"import time, socket; time.sleep({LONG_ENOUGH}); socket.create_connection(('127.0.0.1', {port}))"
    )
    client = subprocess.Popen([sys.executable, "-S", "-c", program])
    await connected.wait()
    serving.close()
    client.wait()


async def child():
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-S", "-c", f"import time; time.sleep({LONG_ENOUGH})"
    )
    assert await process.wait() == 0


async def names():
    await asyncio.get_running_loop().getaddrinfo("localhost", 80)


async def signal_of_the_loop():
    received = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, received.set)
    program = f"import time, os, signal; time.sleep({LONG_ENOUGH}); os.kill({os.getpid()}, signal.SIGUSR1)"
    sender = subprocess.Popen([sys.executable, "-S", "-c", program])
    await received.wait()
    asyncio.get_running_loop().remove_signal_handler(signal.SIGUSR1)
    sender.wait()


async def signal_handler():
    tx, rx = channel(1)
    before = signal.signal(signal.SIGUSR1, lambda *_: tx.try_send(1))
    program = f"import time, os, signal; time.sleep({LONG_ENOUGH}); os.kill({os.getpid()}, signal.SIGUSR1)"
    sender = subprocess.Popen([sys.executable, "-S", "-c", program])
    await rx.recv()
    signal.signal(signal.SIGUSR1, before)
    sender.wait()


async def busy_worker():
    tx, rx = channel()

    async def send():
        time.sleep(LONG_ENOUGH)
        await tx.send(1)

    runtime().spawn(send(), worker=1)
    await rx.recv()


async def timer_of_another_worker():
    tx, rx = channel()

    async def send():
        await sleep(LONG_ENOUGH)
        await tx.send(1)

    runtime().spawn(send(), worker=1)
    await rx.recv()


async def with_a_worker_that_died():
    runtime()._workers[1].loop.call_soon_threadsafe(sys.exit)
    await parked_for_ever()


async def again_when_it_is_aborted():
    try:
        await parked_for_ever()
    except asyncio.CancelledError:
        await parked_for_ever()


DEAD = [on_a_channel, on_a_future, on_each_other, with_others_around, on_a_select, again_when_it_is_aborted]
ALIVE = [
    after_a_collection, timer, timer_of_the_loop, ticker, executor, thread, daemon, blocked_thread, reader, stream, server, child, names,
    signal_of_the_loop, signal_handler,
]  # fmt: skip
ALIVE_WITH_WORKERS = [busy_worker, timer_of_another_worker, timer]


def detected(function, *args, **options):
    try:
        function(*args, **options)
    except Deadlock as deadlock:
        text = str(deadlock)
        assert text.startswith("every routine is parked, and nothing can wake any of them\n\n"), text
        assert 'File "' in text and "deadlocks.py" in text, text
        assert len(text.splitlines()) < 60
        return True
    return False


def main():
    for program in DEAD:
        assert detected(run, program, config=config()), program
    assert detected(run, over_workers, config=config(worker_threads=3))
    assert detected(run, with_a_worker_that_died, config=config(worker_threads=2))
    # Without timers of its own it is found all the same.
    assert detected(run, on_a_channel, config=config(enable_time=False))
    with Runtime(config(worker_threads=2)) as rt:
        assert rt.run(timer()) is None
        assert detected(rt.run, on_a_channel())
        assert rt.run(timer()) is None  # and it goes on
    # A look-up of a host on uvloop, which takes as long as two looks: none that is made here takes as long.
    looks = []
    asks = _deadlock._uvloop_asks_for_names
    _deadlock._uvloop_asks_for_names = lambda: looks.append(asks()) or len(looks) <= 2
    assert detected(run, on_a_channel, config=config())
    _deadlock._uvloop_asks_for_names = asks
    assert looks == [False] * (0 if FACTORY is None else 4)
    for program in ALIVE:
        assert not detected(run, program, config=config()), program
    for program in ALIVE_WITH_WORKERS:
        assert not detected(run, program, config=config(worker_threads=2)), program

    # A main that cleans up by failing, and one that does not want to end: it was a deadlock.
    async def fails():
        try:
            await parked_for_ever()
        finally:
            raise KeyError("at the end")

    try:
        run(fails, config=config())
    except Deadlock as deadlock:
        assert type(deadlock.__cause__) is KeyError
    else:
        raise AssertionError("it was not found")

    async def swallows():
        try:
            await parked_for_ever()
        except asyncio.CancelledError:
            return "swallowed"

    assert detected(run, swallows, config=config())

    # Nothing of it is left behind.
    watch = weakref.ref(Runtime(config()))
    watch().shutdown()
    gc.collect()
    assert watch() is None
    print("done")


if __name__ == "__main__":
    main()
