"""Select and the selector under explored schedules, with cancellations, timeouts and closes at any suspension."""

import pytest

import routines
from routines.testing import explore


def is_worker(routine):
    return routine.get_name().startswith("worker")


def work(coroutine):
    return routines.spawn(coroutine, name=f"worker of {coroutine.__qualname__}")


async def ended(started):
    for each in started:
        try:
            await each.join()
        except (routines.Aborted, routines.ChannelClosed, routines.Timeout):
            pass


def nobody_waits(*channels):
    for channel in channels:
        stats = channel.stats()
        assert (stats.waiting_senders, stats.waiting_receivers) == (0, 0), channel


def drained(*channels):
    values = []
    for channel in channels:
        while True:
            try:
                values.append(channel.try_recv())
            except (routines.RecvError, routines.ChannelClosed):
                break
    return values


@pytest.mark.parametrize("capacity", [0, 1])
@pytest.mark.parametrize("cancellations", [0, 2])
def test_selects_take_every_value_once_and_leave_no_waiter(capacity, cancellations):
    async def main():
        a, b = routines.Channel(capacity), routines.Channel(capacity)
        sent, got = [], []

        async def produce(channel, name):
            for number in range(2):
                await channel.send((name, number))
                sent.append((name, number))

        async def consume():
            while True:
                got.append((await routines.select(a, b)).value)

        producers = [work(produce(a, "a")), work(produce(b, "b"))]
        consumers = [work(consume()), work(consume())]
        await routines.sleep(1)
        for each in producers + consumers:
            each.abort()
        await ended(producers + consumers)
        assert sorted(got + drained(a, b)) == sorted(sent)
        nobody_waits(a, b)

    explore(main, 150, seed=1, cancellations=cancellations, may_cancel=is_worker)


@pytest.mark.parametrize("cancellations", [0, 1])
def test_two_selects_that_meet_exchange_exactly_one_value(cancellations):
    async def main():
        a, b = routines.Channel(), routines.Channel()
        done = []

        async def sender():
            chosen = await routines.select(a.case("over a"), b.case("over b"))
            done.append(("sent", "over " + "ab"[chosen.index]))

        async def receiver():
            done.append(("received", (await routines.select(b, a)).value))

        pairs = [work(sender()), work(receiver()), work(sender()), work(receiver())]
        await routines.sleep(1)
        for each in pairs:
            each.abort()
        await ended(pairs)
        sent = sorted(how for what, how in done if what == "sent")
        received = sorted(how for what, how in done if what == "received")
        assert sent == received
        assert len(sent) == 2 or cancellations
        nobody_waits(a, b)

    explore(main, 200, seed=2, cancellations=cancellations, may_cancel=is_worker)


def test_a_select_that_times_out_has_taken_nothing():
    async def main():
        a, b = routines.Channel(1), routines.Channel()
        sent, got = [], []

        async def produce(channel, name):
            await routines.sleep(1)
            await channel.send(name)
            sent.append(name)

        async def consume():
            try:
                got.append((await routines.select(a, b, timeout=1)).value)
            except routines.Timeout:
                got.append(None)

        started = [work(produce(a, "a")), work(produce(b, "b")), work(consume())]
        await ended(started[2:])
        assert len(got) == 1
        await routines.sleep(1)
        got += drained(a, b)
        await ended(started[:2])
        assert sorted(filter(None, got)) == sorted(sent)
        nobody_waits(a, b)

    explore(main, 300, seed=3)


def test_a_close_and_a_value_that_race_are_both_seen():
    async def main():
        a, b = routines.Channel(1), routines.Channel(1)
        seen = []

        async def send_and_close(channel, value):
            await channel.send(value)
            channel.close()

        async def watch():
            cases = [a, b]
            while any(cases):
                chosen = await routines.select(*cases)
                if chosen.ok:
                    seen.append(chosen.value)
                else:
                    cases[chosen.index] = None

        for each in [work(send_and_close(a, "a")), work(send_and_close(b, "b")), work(watch())]:
            await each
        assert sorted(seen) == ["a", "b"]

    explore(main, 200, seed=4)


@pytest.mark.parametrize("cancellations", [0, 1])
def test_a_selector_loses_nothing_from_turn_to_turn(cancellations):
    async def main():
        a, b = routines.Channel(), routines.Channel(1)
        sent, got = [], []

        async def produce(channel, name):
            for number in range(2):
                await channel.send((name, number))
                sent.append((name, number))

        async def consume():
            async for chosen in routines.Selector(a, b):
                got.append(chosen.value)

        producers = [work(produce(a, "a")), work(produce(b, "b"))]
        consumer = work(consume())
        await routines.sleep(1)
        for each in [consumer, *producers]:
            each.abort()
        await ended([consumer, *producers])
        assert sorted(got + drained(a, b)) == sorted(sent)
        for name in "ab":
            mine = [number for who, number in got if who == name]
            assert mine == sorted(mine)

    explore(main, 150, seed=5, cancellations=cancellations, may_cancel=is_worker)


def test_a_routine_as_a_case_is_joined_whatever_ends_it():
    async def main():
        channel, outcomes = routines.Channel(), []

        async def finish():
            await routines.yield_now()
            return "finished"

        async def watch(target):
            while True:
                try:
                    chosen = await routines.select(channel, target)
                except routines.Aborted:
                    outcomes.append("aborted")
                    return
                if chosen.index == 1:
                    outcomes.append(chosen.value)
                    return

        target = work(finish())
        watchers = [routines.go(watch, target) for _ in range(2)]
        await routines.select(channel.case("hello"), *watchers)
        await ended(watchers)
        assert outcomes in (["finished"] * 2, ["aborted"] * 2)
        nobody_waits(channel)

    explore(main, 200, seed=6, cancellations=1, may_cancel=is_worker)
