"""A worker pool that keeps order: as many results ahead as there is room for, and no
more.
"""

from contextlib import suppress

from routines import ChannelClosed, channel, group, run, sleep


async def ordered_map(function, items, workers, out):
    """Send what `function` returns for each item, in the order of the items, `workers` at a time.

    What `function` raises stops the others, and is raised.
    """
    jobs_tx, jobs = channel()
    order_tx, order = channel(2 * workers)  # how far the workers may run ahead

    async def hand_out():
        with jobs_tx, order_tx, suppress(ChannelClosed):  # closed: nobody wants the rest
            for item in items:
                answer, answered = channel(1)
                await order_tx.send(answered)  # its place in the order first
                await jobs_tx.send((item, answer))

    async def work(jobs):
        with jobs, suppress(ChannelClosed):
            async for item, answer in jobs:
                with answer:
                    await answer.send(await function(item))

    async with group() as pool:
        pool.go(hand_out)
        for _ in range(workers):
            pool.go(work, jobs.clone())
        jobs.close()
        with order, out:
            async for answered in order:
                async for result in answered:  # one, or none where the job failed
                    await out.send(result)


async def fetch(page):
    await sleep(0.001 * (5 - page))  # the first takes longest
    return f"page {page}"


async def main():
    tx, texts = channel()
    async with group() as producing:
        producing.go(ordered_map, fetch, range(5), 3, tx)
        async for text in texts:
            print(text)


if __name__ == "__main__":
    run(main)
# page 0
# page 1
# page 2
# page 3
# page 4
