"""What Go's own tests of channels ask, asked of ours.

Provenance: the Go project's test suite, BSD licence. Each test names the file and the scenario it follows; the code here is
our own, in our vocabulary, and nothing was translated line by line. Those of `select` are next door. Where Go
panics (send on a closed channel, double close), the contract says `ChannelClosed` and "nothing".
"""

import asyncio
import math

import pytest
from helpers import outcome, parked, settle, until

from routines import Channel, ChannelClosed, RecvError, SendError, channel, go, yield_now

CAPACITIES = [0, 1, 2, 10]


async def receive(ch):
    return await ch.recv()


async def send(ch, value):
    await ch.send(value)


# --- src/runtime/chan_test.go


@pytest.mark.parametrize("capacity", CAPACITIES)
async def test_chan_blocks_on_empty_and_on_full(capacity):
    """TestChan: receive from an empty and send to a full channel block; their non-blocking forms fail."""
    ch = Channel(capacity)
    received, blocked = go(receive, ch), go(receive, ch)
    await parked(ch, receivers=2)
    assert not received.done()
    assert not blocked.done()
    await ch.send(0)
    await ch.send(0)
    assert await received.join() == await blocked.join() == 0
    with pytest.raises(RecvError):
        ch.try_recv()

    for value in range(capacity):
        await ch.send(value)
    sending = go(send, ch, "one too many")
    await parked(ch, senders=1)
    assert not sending.done()
    with pytest.raises(SendError):
        ch.try_send("one too many")
    for value in range(capacity):
        assert await ch.recv() == value
    assert await ch.recv() == "one too many"
    await sending.join()


@pytest.mark.parametrize("capacity", CAPACITIES)
async def test_chan_delivers_everything_before_the_close(capacity):
    """TestChan: after close, buffered values come first, then zero values with ok false, for ever."""
    ch = Channel(capacity)
    for value in range(capacity):
        ch.try_send(value)
    ch.close()
    for value in range(capacity):
        assert await ch.recv_ok() == (value, True)
    for _ in range(3):
        assert await ch.recv_ok() == (None, False)


@pytest.mark.parametrize("capacity", CAPACITIES)
async def test_chan_close_unblocks_a_receiver(capacity):
    """TestChan: a receiver blocked on an empty channel is released by close."""
    ch = Channel(capacity)
    waiting = go(ch_recv_ok, ch)
    await parked(ch, receivers=1)
    ch.close()
    assert await waiting.join() == (None, False)


async def ch_recv_ok(ch):
    return await ch.recv_ok()


@pytest.mark.parametrize("capacity", CAPACITIES)
async def test_chan_keeps_order_with_one_sender_and_one_receiver(capacity):
    """TestChan: a hundred values through one channel arrive in order."""
    ch = Channel(capacity)

    async def produce():
        for value in range(100):
            await ch.send(value)

    producing = go(produce)
    for value in range(100):
        assert await ch.recv() == value
    await producing.join()


@pytest.mark.parametrize("capacity", CAPACITIES)
async def test_chan_delivers_each_value_once_with_many_senders_and_receivers(capacity):
    """TestChan: four senders, four receivers, a thousand values each, every value exactly four times."""
    people, each = 4, 250
    ch = Channel(capacity)

    async def produce():
        for value in range(each):
            await ch.send(value)

    async def consume():
        counts = {}
        for _ in range(each):
            value = await ch.recv()
            counts[value] = counts.get(value, 0) + 1
        return counts

    producing = [go(produce) for _ in range(people)]
    counted = [await consumer.join() for consumer in [go(consume) for _ in range(people)]]
    await asyncio.gather(*producing)
    total = {}
    for counts in counted:
        for value, count in counts.items():
            total[value] = total.get(value, 0) + count
    assert total == dict.fromkeys(range(each), people)


@pytest.mark.parametrize("capacity", CAPACITIES)
async def test_chan_knows_len_and_cap(capacity):
    """TestChan: len and cap of a channel."""
    ch = Channel(capacity)
    assert (len(ch), ch.capacity) == (0, capacity)
    for value in range(capacity):
        ch.try_send(value)
    assert (len(ch), ch.capacity) == (capacity, capacity)


async def test_nonblocking_receive_races_with_close():
    """TestNonblockRecvRace: a value sent before the close is seen by a non-blocking receive that began after it."""
    for _ in range(100):
        ch = Channel(1)
        await ch.send(1)

        async def close(ch=ch):
            ch.close()

        closing = go(close)
        assert ch.try_recv() == 1
        await closing.join()


async def test_a_sender_and_its_receiver_both_parked_do_not_miss_each_other():
    """TestSelfSelect, without select: two routines send and receive on one channel in turns and never meet themselves."""
    ch = Channel()

    async def play(name):
        mine = []
        for number in range(100):
            if number % 2 == name:
                await ch.send((name, number))
            else:
                mine.append(await ch.recv())
        return mine

    first, second = go(play, 0), go(play, 1)
    assert await first.join() == [(1, number) for number in range(1, 100, 2)]
    assert await second.join() == [(0, number) for number in range(0, 100, 2)]


@pytest.mark.parametrize("capacity", [0, 64])
async def test_multi_consumer(capacity):
    """TestMultiConsumer: work goes through 23 workers into one sum."""
    queue, results = channel(capacity), channel(capacity)
    primes = [2, 3, 7, 11, 13, 17, 19, 23, 27, 31]

    async def work(rx, tx):
        with tx:
            async for value in rx:
                if value % 3 == 0:
                    await yield_now()
                await tx.send(value)

    for _ in range(23):
        go(work, queue[1].clone(), results[0].clone())
    queue[1].close()
    results[0].close()

    async def feed():
        expected = 0
        with queue[0]:
            for number in range(1000):
                value = primes[number % len(primes)]
                expected += value
                await queue[0].send(value)
        return expected

    feeding = go(feed)
    total = sum([value async for value in results[1]])
    assert total == await feeding.join()


async def test_a_blocked_sender_survives_deep_recursion_of_its_frames():
    """TestShrinkStackDuringBlockedSend: a value sent from below a deep stack arrives unharmed."""
    ch = Channel()

    async def descend(depth, value):
        if depth:
            return await descend(depth - 1, value)
        await ch.send(value)
        return None

    async def produce():
        for depth in range(0, 150, 7):
            await descend(depth, depth)

    producing = go(produce)
    for depth in range(0, 150, 7):
        assert await ch.recv() == depth
    await producing.join()


# --- test/chan/fifo.go


async def test_an_asynchronous_channel_is_first_in_first_out():
    """AsynchFifo: ten values into a buffer of ten, out in order."""
    ch = Channel(10)
    for value in range(10):
        await ch.send(value)
    for value in range(10):
        assert await ch.recv() == value


async def test_a_synchronous_channel_hands_over_in_the_order_of_the_chain():
    """SynchFifo: a chain of routines, each waiting for its turn, receives from one channel in order."""
    ch = Channel()
    turn = Channel(1)

    async def link(value, before, after):
        await before.recv()
        assert await ch.recv() == value
        await after.send(1)

    first = turn
    links = []
    for value in range(10):
        after = Channel(1)
        links.append(go(link, value, turn, after))
        turn = after
    await first.send(0)
    for value in range(10):
        await ch.send(value)
    assert await turn.recv() == 1
    await asyncio.gather(*links)


# --- test/chan/nonblock.go


@pytest.mark.parametrize("capacity", [0, 1])
async def test_nonblocking_operations_of_every_kind_of_channel(capacity):
    """nonblock: try on an empty channel, on a full one, with somebody waiting on the other side."""
    for value in (123, "hello", 3.5, None, [1, 2]):
        ch = Channel(capacity)
        with pytest.raises(RecvError):
            ch.try_recv()
        if capacity:
            ch.try_send(value)
            with pytest.raises(SendError):
                ch.try_send(value)
            assert ch.try_recv() == value
        else:
            with pytest.raises(SendError):
                ch.try_send(value)
        with pytest.raises(RecvError):
            ch.try_recv()

        receiving = go(receive, ch)
        await parked(ch, receivers=1)
        ch.try_send(value)
        assert await receiving.join() == value

        for _ in range(capacity):
            ch.try_send("in front")
        sending = go(send, ch, value)
        await parked(ch, senders=1)
        for _ in range(capacity):
            assert ch.try_recv() == "in front"
        assert ch.try_recv() == value
        await sending.join()


# --- test/closedchan.go


@pytest.mark.parametrize("capacity", [0, 1, 2])
async def test_every_receive_of_a_closed_channel_tells_so(capacity):
    """closedchan: all forms of receiving from a closed channel, again and again."""
    ch = Channel(capacity)
    for value in range(capacity):
        await ch.send(value)
    ch.close()
    assert [value async for value in ch] == list(range(capacity))
    for _ in range(2):
        assert await ch.recv_ok() == (None, False)
        with pytest.raises(ChannelClosed):
            await ch.recv()
        with pytest.raises(ChannelClosed):
            ch.try_recv()
        with pytest.raises(ChannelClosed):
            await ch.recv_many(1)
        assert [value async for value in ch] == []


@pytest.mark.parametrize("capacity", [0, 1, 2])
async def test_every_send_on_a_closed_channel_fails(capacity):
    """closedchan: Go panics with "send on closed channel", blocking or not, also when there is room."""
    ch = Channel(capacity)
    ch.close()
    for _ in range(2):
        with pytest.raises(ChannelClosed):
            await ch.send(1)
        with pytest.raises(ChannelClosed):
            ch.try_send(1)
        with pytest.raises(ChannelClosed):
            await ch.send_many([1])
    assert len(ch) == 0


async def test_closing_a_closed_channel_is_nothing():
    """closedchan: Go panics; the contract makes it harmless."""
    ch = Channel()
    ch.close()
    ch.close()


async def test_close_releases_blocked_senders_with_an_error():
    """closedchan, src/runtime/chan.go: a sender blocked at the close panics in Go."""
    ch = Channel()
    sending = [go(send, ch, value) for value in range(3)]
    await parked(ch, senders=3)
    ch.close()
    for each in sending:
        assert isinstance(await outcome(each.join()), ChannelClosed)


# --- test/chan/sieve1.go, goroutines.go, select-free parts of others


async def test_the_prime_sieve_finds_the_first_primes():
    """sieve1: a growing chain of filters."""

    async def generate(ch):
        number = 2
        while True:
            await ch.send(number)
            number += 1

    async def sift(from_ch, to_ch, prime):
        while True:
            number = await from_ch.recv()
            if number % prime:
                await to_ch.send(number)

    ch = Channel()
    started = [go(generate, ch)]
    primes = []
    for _ in range(25):
        prime = await ch.recv()
        primes.append(prime)
        further = Channel()
        started.append(go(sift, ch, further, prime))
        ch = further
    for each in started:
        each.abort()
    assert primes[-5:] == [73, 79, 83, 89, 97]


async def test_a_chain_of_a_thousand_routines_passes_one_value():
    """goroutines: ten thousand routines in a row, each passes what it gets, plus one."""

    async def pass_on(left, right):
        await left.send(1 + await right.recv())

    leftmost = right = Channel()
    for _ in range(1000):
        left, right = right, Channel()
        go(pass_on, left, right)
    await right.send(0)
    assert await leftmost.recv() == 1000


async def test_a_power_series_of_demand_driven_channels():
    """powser1, in spirit: a producer runs only as far as its consumer asks."""
    made = []
    ch, demand = Channel(), Channel()

    async def terms():
        number = 0
        while True:
            await demand.recv()
            made.append(number)
            await ch.send(number)
            number += 1

    producing = go(terms)
    got = []
    for _ in range(10):
        await demand.send(None)
        got.append(await ch.recv())
    await settle()
    assert got == made == list(range(10))
    producing.abort()


async def test_receiving_from_a_channel_that_nobody_sends_on_blocks_until_aborted():
    """chan_test, the nil-channel cases in spirit: what can never proceed never proceeds."""
    ch = Channel()
    waiting = go(receive, ch)
    await settle(20)
    assert not waiting.done()
    waiting.abort()
    await asyncio.wait([waiting])


async def test_zero_sized_messages_count_like_any_other():
    """test/chan/zerosize.go: channels of empty values still count and block."""
    ch = Channel(2)
    ch.try_send(())
    ch.try_send(())
    with pytest.raises(SendError):
        ch.try_send(())
    assert (ch.try_recv(), ch.try_recv()) == ((), ())


async def test_channels_pass_through_channels():
    """Effective Go, channels of channels: a request carries the channel of its answer."""
    requests = Channel()

    async def serve():
        async for argument, reply in requests:
            await reply.send(argument * 2)

    serving = go(serve)
    for argument in range(10):
        reply = Channel()
        await requests.send((argument, reply))
        assert await reply.recv() == argument * 2
    requests.close()
    await serving.join()


async def test_a_channel_as_a_semaphore_bounds_who_runs():
    """Effective Go: a buffered channel limits how many serve at once."""
    slots = Channel(3)
    running, most = 0, 0

    async def handle():
        nonlocal running, most
        await slots.send(None)
        running += 1
        most = max(most, running)
        await settle(2)
        running -= 1
        await slots.recv()

    await asyncio.gather(*(go(handle) for _ in range(20)))
    assert most == 3


async def test_an_unbounded_channel_is_gos_infinite_buffer():
    ch = Channel(math.inf)
    for value in range(1000):
        await ch.send(value)
    ch.close()
    assert [value async for value in ch] == list(range(1000))
    await until(lambda: ch.closed)
