"""Channels under explored schedules: what has to hold in every one of them, with routines cancelled at any suspension."""

import asyncio
import inspect

import pytest

import routines
from routines.testing import explore


def is_worker(routine):
    """Workers may be cancelled; who checks afterwards may not."""
    return routine.get_name().startswith("worker")


def work(coroutine):
    return routines.spawn(coroutine, name=f"worker of {coroutine.__qualname__}")


async def ended(started):
    for each in started:
        try:
            await each.join()
        except (routines.Aborted, routines.ChannelClosed):
            pass


def drained(channel):
    values = []
    while True:
        try:
            values.append(channel.try_recv())
        except (routines.RecvError, routines.ChannelClosed):
            return values


@pytest.mark.parametrize("capacity", [0, 1, 3])
@pytest.mark.parametrize("cancellations", [0, 2])
def test_every_value_arrives_once_and_in_the_order_of_its_sender(capacity, cancellations):
    async def main():
        channel, sent, got = routines.Channel(capacity), [], []

        async def produce(name):
            for number in range(3):
                await channel.send((name, number))
                sent.append((name, number))

        async def consume():
            while True:
                got.append(await channel.recv())

        producers = [work(produce(name)) for name in "ab"]
        consumers = [work(consume()) for _ in range(2)]
        await ended(producers if not cancellations else [])
        if cancellations:
            await routines.sleep(1)  # virtual: until nothing moves any more
            for each in producers:
                each.abort()
            await ended(producers)
        await routines.sleep(1)
        got += drained(channel)
        channel.close()
        await ended(consumers)
        assert sorted(got) == sorted(sent)
        for name in "ab":
            mine = [number for who, number in got if who == name]
            assert sorted(mine) == list(range(len(mine)))
        stats = channel.stats()
        assert (stats.waiting_senders, stats.waiting_receivers, stats.buffered) == (0, 0, 0)
        assert stats.sent == stats.received == len(sent)

    explore(main, 150, seed=1, cancellations=cancellations, may_cancel=is_worker)


@pytest.mark.parametrize("capacity", [0, 2])
def test_one_consumer_sees_each_sender_in_order(capacity):
    async def main():
        channel, got = routines.Channel(capacity), []

        async def produce(name):
            await channel.send_many([(name, 0), (name, 1)])
            await channel.send((name, 2))

        producers = [routines.go(produce, name) for name in "ab"]

        async def consume():
            async for values in channel.receiver().batches(2):
                got.extend(values)

        consumer = routines.go(consume)
        for each in producers:
            await each
        channel.close()
        await consumer
        for name in "ab":
            assert [number for who, number in got if who == name] == [0, 1, 2]

    explore(main, 150, seed=2)


@pytest.mark.parametrize("capacity", [0, 1])
def test_what_was_sent_before_the_close_is_received_and_nothing_else(capacity):
    async def main():
        channel, sent, got = routines.Channel(capacity), [], []

        async def produce(name):
            for number in range(3):
                await channel.send((name, number))
                sent.append((name, number))

        async def close():
            await routines.yield_now()
            channel.close()

        async def consume():
            async for value in channel:
                got.append(value)

        started = [routines.go(produce, name) for name in "ab"] + [routines.go(consume), routines.go(close)]
        await ended(started)
        assert sorted(got) == sorted(sent)
        with pytest.raises(routines.ChannelClosed):
            channel.try_send(1)

    explore(main, 150, seed=3)


def test_the_last_end_that_goes_closes_the_channel_for_the_others():
    async def main():
        tx, rx = routines.channel()
        outcomes = []

        async def send(sender):
            with sender:
                await sender.send(1)

        async def receive(receiver):
            with receiver:
                async for value in receiver:
                    outcomes.append(value)

        started = [work(send(tx.clone())), work(send(tx)), work(receive(rx.clone())), work(receive(rx))]
        del tx, rx
        await ended(started)  # a deadlock, where anybody is left waiting
        assert len(outcomes) <= 2

    def has_begun(routine):
        # One that never began holds its end as long as somebody holds what became of it.
        return is_worker(routine) and inspect.getcoroutinestate(routine.get_coro()) != inspect.CORO_CREATED

    explore(main, 200, seed=4, cancellations=2, may_cancel=has_begun)


def test_plain_tasks_and_routines_share_a_channel():
    async def main():
        channel, got = routines.Channel(1), []

        async def produce(name):
            for number in range(2):
                await channel.send((name, number))

        async def consume():
            for _ in range(2):
                got.append(await channel.recv())

        loop = asyncio.get_running_loop()
        tasks = [asyncio.Task(produce("task"), loop=loop), asyncio.Task(consume(), loop=loop)]
        started = [routines.go(produce, "routine"), routines.go(consume)]
        await asyncio.gather(*tasks, *started)
        assert sorted(got) == [("routine", 0), ("routine", 1), ("task", 0), ("task", 1)]

    explore(main, 150, seed=5)


def test_a_batch_whose_sender_is_cancelled_has_sent_a_prefix():
    async def main():
        channel, got = routines.Channel(1), []

        async def produce():
            await channel.send_many(range(4))

        async def consume():
            while True:
                got.extend(await channel.recv_many(2))

        producer, consumer = work(produce()), routines.go(consume)
        await routines.sleep(1)
        producer.abort()
        await ended([producer])
        await routines.sleep(1)
        consumer.abort()
        await ended([consumer])
        assert got == list(range(len(got)))
        assert channel.stats().waiting_senders == 0
        assert channel.stats().sent == len(got)

    explore(main, 200, seed=6, cancellations=1, may_cancel=is_worker)


def test_a_oneness_of_tokens_holds_under_timeouts():
    async def main():
        token, inside = routines.Channel(1), 0
        token.try_send("token")

        async def use(limit):
            nonlocal inside
            try:
                async with routines.timeout(limit):
                    await token.recv()
            except routines.Timeout:
                return
            inside += 1
            assert inside == 1
            await routines.sleep(1)
            inside -= 1
            token.try_send("token")

        await ended([work(use(limit)) for limit in (1, 2, 3)])
        assert drained(token) == ["token"]

    explore(main, 300, seed=7)
