"""A worker pool: three workers share the jobs; the results
are closed when the last of them is done.
"""

from routines import channel, go, run


async def work(jobs, results):
    with results:
        async for job in jobs:
            await results.send((job, job * job))


async def produce(jobs):
    with jobs:
        await jobs.send_many(range(100))


async def main():
    send_jobs, jobs = channel(10)
    send_results, results = channel(10)
    for _ in range(3):
        go(work, jobs.clone(), send_results.clone())
    # From here on only the workers' clones count: no WaitGroup.
    send_results.close()
    go(produce, send_jobs)
    print("sum", sum([value async for _, value in results]))


run(main)
