"""The programs that the package was founded for; they stay as they are."""

import pytest

from routines import ChannelClosed, RecvError, channel, go


async def test_joining_a_routine_gives_its_result():
    async def answer():
        return 42

    assert await go(answer).join() == 42


async def test_a_channel_carries_a_greeting_between_routines():
    tx, rx = channel()

    async def greet():
        await tx.send("hello")

    greeter = go(greet)
    assert await rx.recv() == "hello"
    await greeter.join()


@pytest.mark.parametrize("capacity", [0, 1, 16])
async def test_ten_producers_of_a_hundred_values_reach_one_consumer(capacity):
    tx, rx = channel(capacity)

    async def produce(own, number):
        async with own:
            for value in range(100):
                await own.send((number, value))

    producers = [go(produce, tx.clone(), number) for number in range(10)]
    tx.close()
    received = [value async for value in rx]
    for producer in producers:
        await producer.join()

    assert len(received) == 1000
    assert sorted(received) == [(number, value) for number in range(10) for value in range(100)]
    for number in range(10):
        assert [value for source, value in received if source == number] == list(range(100))


@pytest.mark.parametrize("capacity", [0, 4])
async def test_five_workers_share_the_jobs_and_results_fan_in(capacity):
    jobs_tx, jobs_rx = channel(capacity)
    results_tx, results_rx = channel(capacity)

    async def work(jobs, results):
        done = 0
        async with results:
            async for job in jobs:
                await results.send(job * job)
                done += 1
        return done

    workers = [go(work, jobs_rx.clone(), results_tx.clone()) for _ in range(5)]
    jobs_rx.close()
    results_tx.close()

    async def feed():
        async with jobs_tx:
            for job in range(200):
                await jobs_tx.send(job)

    feeder = go(feed)
    squares = [square async for square in results_rx]
    await feeder.join()
    shares = [await worker.join() for worker in workers]

    assert sorted(squares) == [job * job for job in range(200)]
    assert sum(shares) == 200
    assert all(shares), "every worker got some of the jobs"


async def test_try_recv_tells_empty_from_closed():
    tx, rx = channel(1)
    with pytest.raises(RecvError):
        rx.try_recv()
    tx.try_send("last")
    tx.close()
    assert rx.try_recv() == "last"
    with pytest.raises(ChannelClosed):
        rx.try_recv()


async def test_a_prime_sieve_of_chained_channels_finds_the_primes():
    async def count(tx):
        number = 2
        while True:
            await tx.send(number)
            number += 1

    async def sift(prime, rx, tx):
        async for number in rx:
            if number % prime:
                await tx.send(number)

    tx, rx = channel()
    chain = [go(count, tx)]
    primes = []
    for _ in range(20):
        prime = await rx.recv()
        primes.append(prime)
        tx, further = channel()
        chain.append(go(sift, prime, rx, tx))
        rx = further
    for routine in chain:
        routine.abort()

    assert primes == [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71]
