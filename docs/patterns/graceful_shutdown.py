"""Graceful shutdown: take nothing new, finish what was taken, and when that lasts too
long, stop it.
"""

import asyncio
import signal
from contextlib import suppress

from routines import Aborted, Channel, Timeout, channel, go, run, select, sleep, timeout


async def accept(requests, stop, out):
    """Take requests until `stop` is closed; then the workers see the end of them."""
    with out:
        async for request in requests:
            await out.send(request)
            if stop.closed:
                return


async def work(jobs, done):
    async for job in jobs:
        await sleep(job)
        done.append(job)


async def serve(requests, stop, patience):
    """Serve until `stop` is closed. Returns what was finished; `patience` seconds for what was taken."""
    tx, jobs = channel(4)
    done = []
    acceptor = go(accept, requests, stop, tx)
    workers = [go(work, jobs.clone(), done) for _ in range(2)]
    jobs.close()
    try:
        await select(stop, acceptor)  # told to stop, or nobody asks any more
        acceptor.abort("shutting down")
        with suppress(Timeout, Aborted):
            async with timeout(patience):
                for worker in workers:
                    await worker.join()
    finally:
        for routine in [acceptor, *workers]:
            routine.abort("shutting down")
        for routine in [acceptor, *workers]:
            with suppress(Aborted):
                await routine.join()
    return done


def stop_on_signals(stop):
    """SIGTERM and Ctrl-C close the channel: whoever selects on it is told, at the same time."""
    with suppress(NotImplementedError, RuntimeError, ValueError):  # Windows; threads other than the main one
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.close)


async def main():
    stop, (tx, requests) = Channel(), channel(8)
    stop_on_signals(stop)
    server = go(serve, requests, stop, 0.25)
    try:
        await tx.send_many([0.001, 0.002, 60])
        await sleep(0.05)
        stop.close()  # as SIGTERM would
        print("finished:", await server.join())
    finally:
        server.abort()


if __name__ == "__main__":
    run(main)
# finished: [0.001, 0.002]
