"""The rules of select, the selector and the timers, one by one."""

import asyncio
import gc
import random
import time

import pytest
from helpers import parked, settle

from routines import (
    Aborted,
    ChannelClosed,
    RecvError,
    Selected,
    SelectError,
    Selector,
    SendError,
    Ticker,
    Timeout,
    after,
    case,
    channel,
    go,
    select,
    sleep,
    timeout,
    yield_now,
)


async def test_the_founding_select_times_out_on_a_silent_channel():
    _tx, rx = channel()
    with pytest.raises(Timeout):
        await select().recv(rx, lambda value: value).timeout(0.010).run()
    assert rx.stats().waiting_receivers == 0


async def test_the_builder_of_the_contract_runs_as_written():
    tx1, rx1 = channel(1)
    _tx2, rx2 = channel(1)
    tx, _rx = channel()
    tx1.try_send("hello")
    result = await (
        select()
        .recv(rx1, lambda msg: f"from rx1: {msg}")
        .recv(rx2, lambda msg: f"from rx2: {msg}", on_close=lambda: "rx2 is done")
        .send(tx, "value", lambda: "sent")
        .timeout(1.0, lambda: "late")
        .default(lambda: "nothing ready")
        .run()
    )
    assert result == "from rx1: hello"


async def test_the_direct_form_is_made_for_match():
    tx, rx = channel(1)
    _silent, other = channel()
    tx.try_send(42)
    match await select(other, rx, timeout=1.0):
        case Selected(1, value, True, source):
            assert value == 42
            assert source is rx
        case chosen:
            pytest.fail(f"{chosen!r} was chosen")


async def test_what_is_selected_matches_and_unpacks_like_a_tuple_of_its_parts():
    tx, rx = channel(1)
    tx.try_send(42)
    match await select(rx):
        case (0, value, True, source):
            assert value == 42
            assert source is rx
        case chosen:
            pytest.fail(f"{chosen!r} was chosen")
    tx.try_send(43)
    selected = await select(rx)
    index, value, ok, source = selected
    assert (index, value, ok, source) == (0, 43, True, rx) == tuple(selected) == selected[:]
    assert len(selected) == 4
    assert [selected[part] for part in range(-4, 4)] == 2 * [0, 43, True, rx]
    with pytest.raises(IndexError):
        selected[4]
    with pytest.raises(TypeError):
        selected["index"]


@pytest.mark.parametrize("with_default", [False, True])
@pytest.mark.parametrize("state", ["nil", "closed", "empty", "full"])
@pytest.mark.parametrize("direction", ["send", "receive"])
async def test_gos_blocking_matrix(direction, state, with_default):
    tx, rx = channel(1)
    if state == "full":
        tx.try_send("old")
    if state == "closed":
        tx.channel.close()
    source = None if state == "nil" else rx if direction == "receive" else tx.case("new")
    options = {"default": "default"} if with_default else {"timeout": 0.001}
    blocks = state == "nil" or (direction, state) in {("receive", "empty"), ("send", "full")}
    if blocks and with_default:
        assert await select(source, **options) == Selected_of(-1, "default", False, None)
    elif blocks:
        with pytest.raises(Timeout):
            await select(source, **options)
    elif direction == "send" and state == "closed":
        with pytest.raises(ChannelClosed):
            await select(source, **options)
    elif direction == "send":
        assert await select(source, **options) == Selected_of(0, None, True, tx)
        assert rx.try_recv() == "new"
    elif state == "closed":
        assert await select(source, **options) == Selected_of(0, None, False, rx)
    else:
        assert await select(source, **options) == Selected_of(0, "old", True, rx)


class Selected_of(tuple):
    """Equal to a `Selected` with these parts."""

    __slots__ = ()

    def __new__(cls, *parts):
        return super().__new__(cls, parts)

    def __eq__(self, other):
        return tuple(self) == tuple(other)

    __hash__ = None


def test_the_choice_among_ready_cases_is_uniform():
    from routines import run
    from routines._select import _seed_select

    cases, picks = 5, 100_000

    async def main():
        ends = [channel(1) for _ in range(cases)]
        for tx, _rx in ends:
            tx.try_send(None)
        receivers = [rx for _tx, rx in ends]
        counts = [0] * cases
        for _ in range(picks):
            chosen = await select(*receivers)
            counts[chosen.index] += 1
            ends[chosen.index][0].try_send(None)
        return counts

    _seed_select(20_261_122)
    counts = run(main())
    expected = picks / cases
    chi_square = sum((count - expected) ** 2 / expected for count in counts)
    assert chi_square < 18.47  # 4 degrees of freedom, p = 0.001


async def test_a_biased_select_takes_the_first_in_order():
    tx1, rx1 = channel(1)
    tx2, rx2 = channel(1)
    for _ in range(20):
        tx1.try_send(1)
        tx2.try_send(2)
        assert (await select(rx1, rx2, biased=True)).value == 1
        assert await select().recv(rx1).recv(rx2).biased().run() == 2


async def test_a_losing_case_leaves_no_waiter_behind():
    tx1, rx1 = channel()
    tx2, rx2 = channel()
    _tx3, rx3 = channel()
    routine = go(select, rx1, tx2.case("never"), rx3, timeout=60)
    await parked(rx1, receivers=1)
    assert tx2.stats().waiting_senders == 1
    tx1.try_send("winner")
    assert (await routine).value == "winner"
    with pytest.raises(SendError):
        tx1.try_send("nobody")
    with pytest.raises(RecvError):
        rx2.try_recv()
    assert rx3.stats().waiting_receivers == 0


async def test_a_select_never_meets_itself_but_two_meet_each_other():
    ch_tx, ch_rx = channel()
    first = go(select, ch_rx, ch_tx.case("from the first"))
    await parked(ch_rx, receivers=1, senders=1)
    assert not first.done()
    second = await select(ch_rx, ch_tx.case("from the second"))
    outcome = await first
    if second.index == 0:
        assert second.value == "from the first"
        assert outcome.index == 1
    else:
        assert outcome.value == "from the second"
    assert ch_rx.stats().waiting_receivers == ch_rx.stats().waiting_senders == 0


async def test_cancelled_in_the_instant_of_its_claim_it_loses_no_value():
    tx, rx = channel()
    _other, silent = channel()
    got = []

    async def take():
        got.append(await select(rx, silent))
        await asyncio.get_running_loop().create_future()

    for make in (go, lambda function: asyncio.Task(function())):
        waiting = make(take)
        await parked(rx, receivers=1)
        tx.try_send("value")
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        assert got.pop().value == "value"


async def test_closing_wakes_a_parked_select():
    tx, rx = channel()
    _other, silent = channel()
    direct = go(select, rx, silent)
    built = go(select().recv(rx, lambda value: value, on_close=lambda: "closed").recv(silent).run)
    await parked(rx, receivers=2)
    tx.close()
    assert (await direct).ok is False
    assert await built == "closed"
    with pytest.raises(ChannelClosed):
        await select().recv(rx).recv(silent).run()


async def test_a_closed_sender_is_ready_beats_default_and_raises():
    tx, rx = channel()
    rx.close()
    with pytest.raises(ChannelClosed):
        await select(tx.case(1), default="default")


async def test_default_wins_over_timeout_and_none_counts_as_given():
    _tx, rx = channel()
    assert await select(rx, default=None, timeout=0) == Selected_of(-1, None, False, None)
    assert await select().recv(rx).timeout(1.0).default().run() is None


async def test_routines_futures_events_and_timers_are_cases():
    _tx, rx = channel()

    async def give():
        return "result"

    async def fail():
        raise LookupError("missing")

    async def for_ever():
        await rx.recv()

    assert (await select(rx, go(give))).value == "result"
    with pytest.raises(LookupError):
        await select(rx, go(fail))
    endless = go(for_ever)
    await settle()
    endless.abort("enough")
    with pytest.raises(Aborted):
        await select(rx, endless)
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_result, "future")
    assert (await select(case(future), rx)).value == "future"
    event = asyncio.Event()
    asyncio.get_running_loop().call_soon(event.set)
    assert (await select(case(event), rx)).value is True
    assert (await select(rx, after(0.001))).index == 1


async def test_what_a_handler_raises_is_raised_and_it_may_use_the_channel():
    tx, rx = channel(2)
    tx.try_send(1)

    def again(value):
        tx.try_send(value + 1)
        raise KeyError(value)

    with pytest.raises(KeyError):
        await select().recv(rx, again).run()
    assert rx.try_recv() == 2


async def test_bad_input_says_which_case():
    tx, rx = channel()
    with pytest.raises(SelectError):
        await select()
    with pytest.raises(SelectError):
        select().run()
    with pytest.raises(TypeError, match="case 1"):
        select(rx, 3)
    with pytest.raises(TypeError, match="case 0 .* pass tx.case"):
        select(tx)
    with pytest.raises(ValueError, match="timeout"):
        select(rx, timeout=-1)
    with pytest.raises(TypeError, match="surprise"):
        select(rx, surprise=1)
    builder = select().recv(rx).default()
    with pytest.raises(SelectError):
        builder.default()
    await builder.run()
    with pytest.raises(SelectError):
        builder.run()
    with pytest.raises(SelectError):
        await select().recv(rx)
    with pytest.raises(Timeout):
        await select(timeout=0.001)


async def test_a_hundred_selects_over_a_hundred_channels_lose_nothing_under_cancellation():
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    ends = [channel() for _ in range(100)]
    receivers = [rx for _tx, rx in ends]
    got, sent = [], []

    async def take():
        while True:
            got.append((await select(*receivers)).value)

    async def give(number):
        while True:
            value = (number, len(sent))
            await ends[number][0].send(value)
            sent.append(value)

    takers = [go(take) for _ in range(100)]
    givers = [go(give, number) for number in range(100)]
    for _ in range(60):
        await yield_now()
        victims = takers if dice.random() < 0.5 else givers
        position = dice.randrange(100)
        victims[position].abort()
        victims[position] = go(take) if victims is takers else go(give, position)
    for each in (*takers, *givers):
        each.abort()
    await asyncio.wait([*takers, *givers])
    assert sorted(got) == sorted(sent), f"seed {seed}"
    assert all(rx.stats().waiting_receivers == rx.stats().waiting_senders == 0 for rx in receivers)


async def test_a_selector_serves_until_no_case_is_left():
    ends = [channel(3) for _ in range(4)]
    for number, (tx, _rx) in enumerate(ends):
        await tx.send_many([number] * 3)
        tx.close()
    selector = Selector(*(rx for _tx, rx in ends))
    got = []
    async for chosen in selector:
        if chosen.ok:
            got.append(chosen.value)
        else:
            selector.remove(chosen.index)
    assert sorted(got) == sorted(list(range(4)) * 3)
    with pytest.raises(SelectError):
        await selector.next()


async def test_a_waiting_selector_takes_and_gives_over_unbuffered_channels():
    tx, rx = channel()
    selector = Selector(rx)
    with pytest.raises(SendError):
        tx.try_send("nobody waits between two turns")
    turn = go(selector.next)
    await settle()
    tx.try_send("now")
    assert (await turn).value == "now"
    sending = Selector(tx.case("given"))
    turn = go(sending.next)
    await settle()
    assert rx.try_recv() == "given"
    assert (await turn).source is tx


async def test_a_case_can_be_added_while_the_selector_waits():
    tx, rx = channel(1)
    _silent, other = channel()
    selector = Selector(other)
    turn = go(selector.next)
    await settle()
    tx.try_send("late")
    key = selector.add(rx)
    chosen = await turn
    assert (chosen.index, chosen.value) == (key, "late")
    with pytest.raises(KeyError):
        selector.remove(99)


async def test_a_dropped_selector_leaves_no_watch():
    tx, rx = channel(1)
    selector = Selector(rx)
    await asyncio.wait([go(selector.next), go(tx.send, 1)])
    del selector
    gc.collect()
    tx.try_send("to the buffer")
    assert rx.try_recv() == "to the buffer"


async def test_a_cancelled_turn_leaves_the_value_for_the_next():
    tx, rx = channel()
    selector = Selector(rx)
    turn = go(selector.next)
    await settle()
    turn.abort()
    await asyncio.wait([turn])
    with pytest.raises(SendError):
        tx.try_send("nobody")
    turn = go(selector.next)
    await settle()
    tx.try_send("somebody")
    assert (await turn).value == "somebody"


async def test_sleep_and_after_are_never_early():
    for seconds in (0.0, 0.0005, 0.002, 0.011):
        begun = time.monotonic()
        await sleep(seconds)
        assert time.monotonic() - begun >= seconds
        begun = time.monotonic()
        await after(seconds).recv()
        assert time.monotonic() - begun >= seconds


async def test_a_ticker_stops_and_starts_again_and_keeps_one_tick():
    ticker = Ticker(0.001)
    first = await ticker.recv()
    assert await ticker.recv() >= first  # the loop's time, which uvloop reads once a turn
    ticker.stop()
    await sleep(0.005)
    with pytest.raises(RecvError):
        for _ in range(2):  # at most one was left
            ticker.try_recv()
    ticker.reset(0.001)
    await ticker.recv()
    with pytest.raises(ValueError, match="above 0"):
        Ticker(0)


async def test_timeout_ends_a_block_and_leaves_other_cancellations_alone():
    _tx, rx = channel()
    with pytest.raises(Timeout):
        async with timeout(0.001) as scope:
            await rx.recv()
    assert scope.expired
    async with timeout(60) as scope:
        await yield_now()
    assert not scope.expired
    with pytest.raises(Timeout):
        async with timeout(None) as scope:
            scope.reschedule(0)
            await rx.recv()

    async def guarded():
        async with timeout(60):
            await rx.recv()

    routine = go(guarded)
    await settle()
    routine.abort("outside")
    with pytest.raises(Aborted):
        await routine.join()


async def test_the_builder_takes_routines_futures_and_none_as_well():
    async def give():
        return "result"

    future = asyncio.get_running_loop().create_future()
    future.set_result("future")
    _tx, rx = channel()
    assert await select().recv(rx).recv(go(give), str.upper).run() == "RESULT"
    assert await select().recv(case(future)).send(None, "to nobody").recv(None).run() == "future"
    assert await select().send(None, "to nobody").default(lambda: "nothing").run() == "nothing"


def test_a_select_under_construction_tells_of_no_case():
    assert repr(select()) == "<select operation, done>"
