"""The prepared select: fair, exact, and the same after a million turns."""

import asyncio
import gc
import random
import threading
import time

import pytest
from helpers import LastWords, collect, live, outcome, parked, settle, until

from routines import (
    Channel,
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
)
from routines._select import SelectorWatch


def test_the_choice_of_a_selector_is_uniform():
    from routines import run
    from routines._select import _seed_select

    cases, picks = 5, 100_000

    async def main():
        ends = [channel(1) for _ in range(cases)]
        for tx, _rx in ends:
            tx.try_send(None)
        selector = Selector(*(rx for _tx, rx in ends))
        counts = [0] * cases
        for _ in range(picks):
            chosen = await selector.next()
            counts[chosen.index] += 1
            ends[chosen.index][0].try_send(None)
        return counts

    _seed_select(20_261_123)
    counts = run(main())
    expected = picks / cases
    chi_square = sum((count - expected) ** 2 / expected for count in counts)
    assert chi_square < 18.47  # 4 degrees of freedom, p = 0.001


async def test_a_biased_selector_takes_the_lowest_key_that_is_ready():
    ends = [channel(2) for _ in range(4)]
    for tx, _rx in reversed(ends):
        tx.try_send(None)
        tx.try_send(None)
    selector = Selector(*(rx for _tx, rx in ends), biased=True)
    assert [(await selector.next()).index for _ in range(8)] == [0, 0, 1, 1, 2, 2, 3, 3]


async def test_everything_sent_to_a_selector_arrives_once_and_in_order(start, seed):
    dice = random.Random(seed)
    ends = [channel(dice.randrange(3)) for _ in range(20)]

    async def produce(number):
        with ends[number][0] as tx:
            for turn in range(30):
                await tx.send((number, turn))

    producing = [start(produce(number)) for number in range(20)]
    selector = Selector(*(rx for _tx, rx in ends))
    got = []
    async for chosen in selector:
        if chosen.ok:
            got.append(chosen.value)
            assert chosen.index == chosen.value[0]
        else:
            selector.remove(chosen.index)
    assert sorted(got) == [(number, turn) for number in range(20) for turn in range(30)]
    for number in range(20):
        assert [turn for each, turn in got if each == number] == list(range(30))
    await asyncio.wait(producing)


async def test_nothing_is_taken_between_two_turns(start):
    tx, rx = channel()
    selector = Selector(rx)
    sending = start(tx.send("value"))
    await parked(tx, senders=1)
    await settle()
    assert not sending.done()
    assert (await selector.next()).value == "value"
    await sending


async def test_two_selectors_share_a_channel(start):
    tx, rx = channel()
    first, second = Selector(rx), Selector(rx.clone())
    got = []

    async def serve(selector):
        while True:
            chosen = await selector.next()
            if not chosen.ok:
                return
            got.append(chosen.value)

    serving = [start(serve(first)), start(serve(second))]
    await tx.send_many(range(200))
    tx.close()
    await asyncio.wait(serving)
    assert sorted(got) == list(range(200))


async def test_a_case_removed_while_the_selector_waits_is_watched_no_longer(start):
    tx, rx = channel(1)
    other_tx, other = channel(1)
    selector = Selector(rx, other)
    waiting = start(selector.next())
    await settle()
    selector.remove(0)
    tx.try_send("unseen")
    await settle()
    assert not waiting.done()
    other_tx.try_send("seen")
    assert (await waiting).value == "seen"
    assert rx.try_recv() == "unseen"


async def test_keys_are_never_given_twice():
    _tx, rx = channel()
    selector = Selector(rx, None, rx)
    keys = [selector.add(rx), selector.add(None)]
    assert keys == [3, 4]
    selector.remove(4)
    assert selector.add(rx) == 5
    assert len(selector) == 5
    with pytest.raises(KeyError):
        selector.remove(4)


async def test_a_closed_handle_wakes_a_waiting_selector(start):
    _tx, rx = channel()
    clone = rx.clone()
    selector = Selector(clone)
    waiting = start(selector.next())
    await settle()
    clone.close()
    chosen = await waiting
    assert (chosen.ok, chosen.source) == (False, clone)
    assert not rx.closed


async def test_a_closed_sending_case_comes_up_until_it_is_removed():
    tx, rx = channel()
    selector = Selector(tx.case(1))
    rx.close()
    for _ in range(2):
        chosen = await selector.next()
        assert (chosen.ok, chosen.source) == (False, tx)
    selector.remove(chosen.index)
    with pytest.raises(SelectError):
        await selector.next()


async def test_a_selector_never_meets_itself(start):
    tx, rx = channel()
    passing_by = tx.clone()
    selector = Selector(rx, tx.case("its own"))
    waiting = start(selector.next())
    await settle()
    passing_by.close()  # tells its cases to look again
    await settle()
    assert not waiting.done()
    assert (rx.stats().sent, rx.stats().received) == (0, 0)
    assert await rx.recv() == "its own"
    assert (await waiting).source is tx


async def test_one_turn_at_a_time(start):
    _tx, rx = channel()
    selector = Selector(rx)
    waiting = start(selector.next())
    await settle()
    with pytest.raises(SelectError, match="waited on already"):
        await selector.next()
    waiting.cancel()
    await asyncio.wait([waiting])


async def test_timers_events_and_routines_are_cases_of_a_selector(start):
    ticker = Ticker(0.001)
    event = asyncio.Event()

    async def work():
        await sleep(0.002)
        return "result"

    selector = Selector(ticker, case(event), go(work), after(0.003))
    seen = set()
    while seen != {0, 1, 2, 3}:
        chosen = await selector.next()
        seen.add(chosen.index)
        if chosen.index == 0 and 2 in seen:
            event.set()
        if chosen.index in (1, 2):
            selector.remove(chosen.index)
    ticker.stop()


async def test_a_failed_routine_raises_from_its_case():
    async def fail():
        raise LookupError("why")

    with pytest.raises(LookupError, match="why"):
        await Selector(go(fail)).next()


async def test_a_selector_served_by_threads(start):
    ends = [channel(4) for _ in range(3)]
    selector = Selector(*(rx for _tx, rx in ends))
    counts = [0, 0, 0]

    def give(number):
        tx = ends[number][0]
        sent = 0
        while sent < 300:
            try:
                tx.try_send(sent)
                sent += 1
            except SendError:
                time.sleep(0)
        tx.close()

    async def serve():
        async for chosen in selector:
            if chosen.ok:
                assert chosen.value == counts[chosen.index]
                counts[chosen.index] += 1
            else:
                selector.remove(chosen.index)

    serving = start(serve())
    threads = [threading.Thread(target=give, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    await serving
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert counts == [300, 300, 300]


async def test_a_turn_within_a_timeout_block_is_left_in_time(start):
    tx, rx = channel()
    selector = Selector(rx)
    with pytest.raises(Timeout):
        async with timeout(0.001):
            await selector.next()
    sending = start(tx.send("kept"))
    assert (await selector.next()).value == "kept"
    await sending


async def test_a_plain_receiver_and_a_select_beside_a_selector(start):
    tx, rx = channel()
    selector = Selector(rx)
    turn = start(selector.next())
    choice = start(select(rx))
    plain = start(rx.recv())
    await parked(rx, receivers=2)
    await tx.send_many(["a", "b", "c"])
    got = {(await turn).value, (await choice).value, await plain}
    assert got == {"a", "b", "c"}


async def test_a_thousand_watched_channels_leave_nothing_behind():
    before = live(Selector)
    ends = [channel(1) for _ in range(1_000)]
    selector = Selector(*(rx for _tx, rx in ends))
    for number in range(0, 1_000, 7):
        ends[number][0].try_send(number)
    for _ in range(0, 1_000, 7):
        chosen = await selector.next()
        assert chosen.index == chosen.value
    del selector, chosen
    gc.collect()
    assert live(Selector) == before
    for tx, rx in ends:
        tx.try_send("still works")
        assert rx.try_recv() == "still works"


@pytest.mark.parametrize("capacity", [0, 1])
async def test_a_selector_that_waits_never_meets_itself_in_a_case_that_is_added(capacity, start):
    ch = Channel(capacity)
    selector = Selector(ch)
    turn = start(outcome(selector.next()))
    await settle()
    key = selector.add(ch.case("its own"))
    await settle()
    if capacity == 0:
        assert not turn.done(), "it has sent to itself"
        ch.try_send("another's")
    chosen = await turn
    assert (chosen.index, chosen.value) == ((0, "another's") if capacity == 0 else (key, None))
    assert len(ch) == capacity


async def test_an_event_that_drops_its_own_case_when_it_is_asked_does_no_harm():
    class Dropping(asyncio.Event):
        def is_set(self):
            for key in keys:
                selector.remove(key)
            keys.clear()
            return super().is_set()

    selector, keys = Selector(), []
    tx, rx = channel(1)
    selector.add(rx)
    event = Dropping()
    event.set()
    keys.append(selector.add(case(event)))  # ready, so it is asked again when its turn comes
    del event
    assert (await selector.next()).value is True  # it was set, and asked before it was dropped
    assert keys == []
    tx.try_send("value")
    assert (await selector.next()).value == "value"


async def test_a_case_that_is_removed_is_registered_nowhere_any_more():
    future, event, routine = asyncio.get_running_loop().create_future(), asyncio.Event(), go(sleep, 60)
    collect()
    selector, before = Selector(), live(SelectorWatch)
    keys = [selector.add(each) for each in (case(future), case(event), routine)]
    await until(lambda: event._waiters)
    assert future._callbacks
    assert live(SelectorWatch) == before + 3
    for key in keys:
        selector.remove(key)
    await until(lambda: not event._waiters)
    assert not future._callbacks
    collect()
    assert live(SelectorWatch) == before, "the routine, which runs on, has kept its case"
    selector.add(Channel())
    future.set_result(None)
    event.set()
    routine.abort()
    await outcome(routine)
    with pytest.raises(Timeout):
        async with timeout(0.001):
            await selector.next()


async def test_an_event_that_was_cleared_before_its_turn_is_waited_for_again(start):
    event = asyncio.Event()
    event.set()
    selector = Selector(case(event))
    event.clear()
    turn = start(selector.next())
    await settle()
    assert not turn.done()
    event.set()
    assert (await turn).value is True


async def test_a_case_that_cannot_be_watched_is_not_added():
    class Refusing(asyncio.Future):
        def add_done_callback(self, *_, **__):
            raise LookupError("not me")

    selector = Selector(None)
    with pytest.raises(LookupError, match="not me"):
        selector.add(case(Refusing()))
    assert len(selector) == 1
    assert selector.add(None) == 2, "a key is never given twice"


async def test_a_case_that_fails_when_it_is_looked_at_is_not_watched_any_more():
    class Unsure(asyncio.Future):
        asked = 0

        def done(self):
            self.asked += 1
            if self.asked == 1:
                raise LookupError("not now")
            return super().done()

    future = Unsure()
    tx, rx = channel(1)
    selector = Selector(biased=True)
    with pytest.raises(LookupError, match="not now"):
        selector.add(case(future))
    key = selector.add(rx)
    future.set_result("of a case that is not there")
    await settle()
    tx.try_send("value")
    chosen = await selector.next()
    assert (chosen.index, chosen.value) == (key, "value")
    assert len(selector) == 1


def test_a_selector_that_is_revived_while_it_is_collected_watches_nothing_any_more():
    tx, rx = channel(1)
    revived = []
    garbage = LastWords(lambda: None)
    garbage.selector = Selector(rx)
    garbage.function = lambda kept=garbage: revived.append(kept.selector)
    del garbage
    collect()
    [selector] = revived
    tx.try_send("value")
    selector.remove(0)
    assert len(selector) == 0
    assert rx.try_recv() == "value"


def test_an_operation_of_a_selector_says_whose_it_is():
    selector = Selector(None)
    operation = selector.next()
    assert repr(operation) == f"<select operation on {selector!r}, not awaited>"
    operation.close()
