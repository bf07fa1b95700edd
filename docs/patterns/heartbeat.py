"""A heartbeat: who has not been heard of for long enough is stuck, and another takes
its place.
"""

import asyncio
from contextlib import suppress

from routines import Aborted, Channel, Selected, SendError, Ticker, Timeout, channel, go, run, select


async def work(jobs, results, beats):
    ticker = Ticker(0.002)
    try:
        while True:
            match await select(jobs, ticker):
                case Selected(0, job, True):
                    if job == "poison":
                        await asyncio.Event().wait()  # stuck for ever
                    await results.send(job.upper())
                case Selected(0):
                    results.close()
                    return
                case _:
                    with suppress(SendError):  # nobody listens just now
                        beats.try_send(None)
    finally:
        ticker.stop()


async def supervise(jobs):
    """The results, and how many workers it took. What a stuck worker had taken is lost, the rest is not."""
    done, workers = [], 0
    while True:
        workers += 1
        results, beats = Channel(), Channel(1)
        worker = go(work, jobs, results, beats)
        try:
            while True:
                chosen = await select(results, beats, timeout=0.5)
                if chosen.source is results:
                    if not chosen.ok:
                        return done, workers
                    done.append(chosen.value)
        except Timeout:
            pass  # stuck: the next one takes over
        finally:
            worker.abort("no beat for half a second")
            with suppress(Aborted):
                await worker.join()


async def main():
    tx, jobs = channel(8)
    with tx:
        await tx.send_many(["a", "b", "poison", "c"])
    print(*await supervise(jobs))


if __name__ == "__main__":
    run(main)
# ['A', 'B', 'C'] 2
