"""What Go's own tests of select ask, asked of ours.

Provenance: the Go project's test suite, BSD licence. Each test names the file and the scenario it follows; the code here is
our own, in our vocabulary, and nothing was translated line by line. The matrix of test/chan/select3.go (what blocks and what
does not) is in `test_select_contract.py`.
"""

import asyncio

import pytest
from helpers import parked

from routines import Channel, SendError, channel, go, select, yield_now

# --- src/runtime/chan_test.go


@pytest.mark.parametrize("capacity", [0, 10])
async def test_two_routines_that_select_to_send_and_receive_on_one_channel(capacity):
    """TestSelfSelect: neither ever receives what it has sent itself over an unbuffered channel, and none is stuck."""
    ch = Channel(capacity)
    received = [0, 0]

    async def play(me):
        for _ in range(300):
            chosen = await select(ch.case(me), ch, timeout=30)
            if chosen.index == 1:
                if capacity == 0:
                    assert chosen.value != me
                received[me] += 1

    players = [go(play, 0), go(play, 1)]
    while not all(player.done() for player in players):
        await yield_now()
        if any(player.done() for player in players):
            # The other one has nobody left: take what it sends, and answer.
            await select(ch.case(2), ch, default=None)
    for player in players:
        await player.join()


async def test_a_mesh_of_senders_receivers_and_selects_delivers_each_channels_share():
    """TestSelectStress: every channel carries its number of values, whoever sends and whoever receives."""
    rounds = 150
    channels = [Channel() for _ in range(4)] + [Channel(2), Channel(3)]
    sent, got = [0] * 6, [0] * 6

    async def send(number):
        for _ in range(rounds):
            await channels[number].send(None)
            sent[number] += 1

    async def receive(number):
        for _ in range(rounds):
            await channels[number].recv()
            got[number] += 1

    async def send_by_select():
        left = [rounds] * 6
        while any(left):
            cases = [ch.case(None) if left[number] else None for number, ch in enumerate(channels)]
            chosen = await select(*cases)
            left[chosen.index] -= 1
            sent[chosen.index] += 1

    async def receive_by_select():
        left = [rounds] * 6
        while any(left):
            chosen = await select(*(ch if left[number] else None for number, ch in enumerate(channels)))
            left[chosen.index] -= 1
            got[chosen.index] += 1

    everybody = [go(send, number) for number in range(6)] + [go(receive, number) for number in range(6)]
    everybody += [go(send_by_select), go(receive_by_select)]
    for each in everybody:
        await each.join(timeout=30)
    assert sent == got == [2 * rounds] * 6


async def test_a_select_is_fair_to_two_channels_that_are_always_ready():
    """TestSelectFairness: with two ready sources neither gets much less than half."""
    trials = 10_000
    ends = [channel(trials + 1) for _ in range(2)]
    for tx, _rx in ends:
        for _ in range(trials + 1):
            tx.try_send(None)
    silent = [channel() for _ in range(2)]
    counts = [0, 0]
    for _ in range(trials):
        chosen = await select(ends[0][1], ends[1][1], silent[0][1], silent[1][1])
        counts[chosen.index] += 1
    # Six standard deviations of a fair coin: once in a billion runs.
    assert all(abs(count - trials / 2) < 300 for count in counts)


async def test_the_same_channel_in_several_cases():
    """TestSelectDuplicateChannel: a select that waits twice on one channel leaves both places when it is served."""
    c, d, e = Channel(), Channel(), Channel()
    first = go(select, c, c, d)
    await parked(c, receivers=2)
    second = go(select, c, e)
    await parked(c, receivers=3)
    d.try_send(None)
    assert (await first).index == 2
    c.try_send("for the second")
    assert (await second).value == "for the second"
    with pytest.raises(SendError):
        c.try_send("nobody is left")


@pytest.mark.parametrize("closes", [False, True])
async def test_a_poll_of_two_channels_sees_one_that_was_ready_all_along(closes):
    """TestNonblockSelectRace and its sequel: a select with a default never misses what was there before it began."""
    for _ in range(300):
        one, two = Channel(1), Channel(1)
        one.try_send(1)

        async def move(one=one, two=two):
            if closes:
                two.close()
            else:
                two.try_send(1)
            await select(one, default=None)

        moving = go(move)
        assert (await select(one, two, default=None)).index != -1
        await moving


# --- test/chan/select.go


async def test_cases_are_switched_off_with_none():
    """select.go: alternating which channel is nil directs where the values go."""
    one, two = Channel(8), Channel(8)
    for number in range(8):
        chosen = await select(
            one.case(number) if number % 2 else None, two.case(number) if number % 2 == 0 else None
        )
        assert chosen.index == (0 if number % 2 else 1)
    assert [one.try_recv() for _ in range(4)] == [1, 3, 5, 7]
    assert [two.try_recv() for _ in range(4)] == [0, 2, 4, 6]


# --- test/chan/select6.go


async def test_a_select_that_was_served_elsewhere_keeps_no_place_in_the_queue():
    """select6.go: waiters of a select that another channel has served must not swallow a later value."""
    c1, c2 = Channel(), Channel()
    c3, c4 = Channel(), Channel()

    async def third():
        await c1.recv()
        await c4.send(False)

    async def first():
        await select(c1, c2)
        await c3.send(True)

    waiting_first = go(first)
    await parked(c1, receivers=1)
    waiting_third = go(third)
    await parked(c1, receivers=2)
    c2.try_send(True)
    assert await c3.recv() is True
    c1.try_send(True)
    assert await c4.recv() is False
    await waiting_first
    await waiting_third


# --- test/chan/select7.go


@pytest.mark.parametrize("receiving", ["recv", "select", "select with a default"])
@pytest.mark.parametrize("sending", ["send", "select", "select with a default"])
async def test_every_way_to_send_meets_every_way_to_receive(sending, receiving):
    """select7.go: a direct operation, a select, and a polling select find each other, whichever parks first."""
    if sending == receiving == "select with a default":
        pytest.skip("two that only poll never meet")
    ch, never = Channel(), Channel()

    async def send():
        if sending == "send":
            await ch.send("value")
        elif sending == "select":
            await select(ch.case("value"), never)
        else:
            while (await select(ch.case("value"), never, default=None)).index == -1:
                await yield_now()

    async def receive():
        if receiving == "recv":
            return await ch.recv()
        if receiving == "select":
            return (await select(never, ch)).value
        while (chosen := await select(never, ch, default=None)).index == -1:
            await yield_now()
        return chosen.value

    for order in ((send, receive), (receive, send)):
        routines = [go(each) for each in order]
        results = [await each.join(timeout=30) for each in routines]
        assert "value" in results


# --- test/chan/doubleselect.go


async def test_values_of_one_producer_arrive_in_order_through_a_choice_of_channels():
    """doubleselect.go: one select sends each number to one of four channels; a receiver of all four sees each once."""
    total = 400
    channels = [Channel() for _ in range(4)]
    merged = Channel()

    async def send():
        for number in range(total):
            await select(*(ch.case(number) for ch in channels))
        for ch in channels:
            ch.close()

    async def forward(ch, done):
        async for value in ch:
            await merged.send(value)
        await done.send(None)

    done = Channel()
    go(send)
    for ch in channels:
        go(forward, ch, done)

    async def close():
        for _ in channels:
            await done.recv()
        merged.close()

    closing = go(close)
    got = [value async for value in merged]
    await closing
    assert len(got) == len(set(got)) == total


async def test_a_hundred_selects_on_one_channel_each_get_one_value():
    """TestMultiConsumer's shape with selects in the place of receives."""
    tx, rx = channel()
    waiting = [go(select, rx, timeout=30) for _ in range(100)]
    await tx.send_many(range(100))
    assert sorted([(await each).value for each in waiting]) == list(range(100))
    assert await asyncio.sleep(0, rx.stats().waiting_receivers) == 0
