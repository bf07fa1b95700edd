"""Select under pressure: everything that can happen in one instant, forced to happen there."""

import asyncio
import gc
import random
import threading
import time

import pytest
from helpers import live, new_loop, parked, settle, until

from routines import (
    Channel,
    ChannelClosed,
    RecvError,
    Selector,
    SendError,
    Timeout,
    case,
    channel,
    go,
    select,
    sleep,
    yield_now,
)
from routines._select import CaseNode


@pytest.mark.loops("stock")
async def test_no_ready_case_starves_over_a_long_run():
    ends = [channel(1) for _ in range(3)]

    async def keep_full(tx):
        while True:
            await tx.send(None)

    fillers = [go(keep_full, tx) for tx, _rx in ends]
    await settle()
    counts = [0] * len(ends)
    longest, since = 0, [0] * len(ends)
    for _ in range(30_000):
        chosen = await select(*(rx for _tx, rx in ends))
        since = [gap + 1 for gap in since]
        longest = max(longest, since[chosen.index])
        since[chosen.index] = 0
        counts[chosen.index] += 1
    for filler in fillers:
        filler.abort()
    await asyncio.wait(fillers)
    assert min(counts) > 6_000
    assert longest < 500


async def test_a_select_that_is_always_ready_lets_others_run():
    tx, rx = channel(1)
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            ticks += 1
            await yield_now()

    ticking = go(tick)
    for _ in range(2_000):
        tx.try_send(None)
        await select(rx)
    ticking.abort()
    await asyncio.wait([ticking])
    assert ticks > 5


async def test_all_senders_dropped_while_a_select_waits(start):
    tx, rx = channel()
    _other, silent = channel()
    waiting = start(select(silent, rx))
    await parked(rx, receivers=1)
    del tx
    gc.collect()
    chosen = await waiting
    assert (chosen.index, chosen.ok, chosen.value) == (1, False, None)
    assert silent.stats().waiting_receivers == 0


async def test_all_receivers_dropped_while_a_select_waits_to_send(start):
    tx, rx = channel()
    waiting = start(select(tx.case("value")))
    await parked(tx, senders=1)
    del rx
    gc.collect()
    with pytest.raises(ChannelClosed):
        await waiting


async def test_closing_its_own_handle_wakes_a_waiting_select(start):
    tx, rx = channel()
    clone = rx.clone()
    waiting = start(select(clone, timeout=60))
    await parked(rx, receivers=1)
    clone.close()
    chosen = await waiting
    assert not chosen.ok
    assert not tx.closed
    assert rx.stats().waiting_receivers == 0

    other = tx.clone()
    waiting = start(select(other.case(1), timeout=60))
    await parked(rx, senders=1)
    other.close()
    with pytest.raises(ChannelClosed, match="this handle"):
        await waiting
    assert not rx.closed
    assert rx.stats().waiting_senders == 0


async def test_one_close_of_everything_wakes_a_select_once(start):
    ends = [channel() for _ in range(5)]
    waiting = start(select(*(rx for _tx, rx in ends)))
    await parked(ends[0][1], receivers=1)
    for tx, _rx in ends:
        tx.close()
    chosen = await waiting
    assert not chosen.ok
    assert all(rx.stats().waiting_receivers == 0 for _tx, rx in ends)


async def test_of_two_senders_in_one_instant_one_is_taken_and_the_other_waits(start):
    tx1, rx1 = channel()
    tx2, rx2 = channel()
    waiting = start(select(rx1, rx2))
    await parked(rx1, receivers=1)
    tx1.try_send("first")
    with pytest.raises(SendError):
        tx2.try_send("second")
    assert (await waiting).value == "first"


async def test_a_send_that_was_taken_in_the_instant_of_a_cancellation_has_happened(start):
    tx, rx = channel()
    reached = []

    async def give():
        reached.append(await select(tx.case("value")))
        await asyncio.get_running_loop().create_future()

    giving = start(give())
    await parked(tx, senders=1)
    assert rx.try_recv() == "value"
    giving.cancel()
    await asyncio.wait([giving])
    assert giving.cancelled()
    assert [each.ok for each in reached] == [True]


async def test_a_value_that_meets_the_timeout_of_its_select_is_not_lost(start, seed):
    dice = random.Random(seed)
    got, sent = [], []
    tx, rx = channel()

    async def take():
        while True:
            try:
                got.append((await select(rx, timeout=dice.random() * 0.0004)).value)
            except Timeout:
                await yield_now()

    taking = start(take())
    for number in range(150):
        try:
            async with asyncio.timeout(dice.random() * 0.0004):
                await tx.send(number)
                sent.append(number)
        except TimeoutError:
            pass
    await settle()
    taking.cancel()
    await asyncio.wait([taking])
    assert set(sent) <= set(got)
    assert got == sorted(set(got))
    assert tx.stats().sent == tx.stats().received == len(got)


@pytest.mark.parametrize("rounds", [40])
async def test_selects_that_send_and_receive_at_once_exchange_every_value_once(seed, rounds):
    dice = random.Random(seed)
    ends = [channel(dice.randrange(2)) for _ in range(4)]
    got, sent = [], []

    async def trade(number):
        for turn in range(rounds):
            value = (number, turn)
            cases = [tx.case(value) for tx, _rx in ends] + [rx for _tx, rx in ends]
            dice.shuffle(cases)
            chosen = await select(*cases, biased=dice.random() < 0.3)
            if chosen.value is None:
                sent.append(value)
            else:
                got.append(chosen.value)

    traders = [go(trade, number) for number in range(8)]
    for _ in range(2_000):
        if all(trader.done() for trader in traders):
            break
        await yield_now()
    # Whoever is left finds no partner: it selects against itself only.
    for trader in traders:
        trader.abort()
    await asyncio.wait(traders)
    left = []
    for _tx, rx in ends:
        while len(rx):
            left.append(rx.try_recv())
    assert sorted(got + left) == sorted(sent)
    assert all(rx.stats().waiting_receivers == rx.stats().waiting_senders == 0 for _tx, rx in ends)


async def test_a_select_in_what_a_handler_has_started(start):
    tx, rx = channel(1)
    inner_tx, inner = channel(1)
    started = []

    def handle(value):
        started.append(start(select(inner)))
        inner_tx.try_send(value + 1)
        return value

    tx.try_send(1)
    assert await select().recv(rx, handle).run() == 1
    assert (await started[0]).value == 2


@pytest.mark.parametrize("which", ["handler", "on_close", "timeout", "default", "send"])
async def test_what_any_handler_raises_leaves_nothing_behind(which):
    tx, rx = channel(1)
    _silent_tx, silent = channel()

    def fail(*_):
        raise LookupError(which)

    building = select().recv(silent)
    if which == "handler":
        tx.try_send(1)
        building.recv(rx, fail)
    elif which == "on_close":
        tx.close()
        building.recv(rx, on_close=fail)
    elif which == "timeout":
        building.timeout(0.0005, fail)
    elif which == "default":
        building.default(fail)
    else:
        building.send(tx, 1, fail)
    with pytest.raises(LookupError, match=which):
        await building.run()
    assert silent.stats().waiting_receivers == 0


async def test_a_select_serves_threads(start):
    tx, rx = channel()
    _silent_tx, silent = channel()
    got = []

    async def take():
        while True:
            chosen = await select(silent, rx, timeout=30)
            if not chosen.ok:
                return
            got.append(chosen.value)

    def give():
        for number in range(300):
            while True:
                try:
                    tx.try_send(number)
                    break
                except SendError:
                    time.sleep(0)
        tx.close()

    taking = start(take())
    thread = threading.Thread(target=give)
    thread.start()
    await taking
    await asyncio.to_thread(thread.join)
    assert got == list(range(300))


async def test_a_parked_select_that_nothing_can_wake_is_collected_with_a_warning():
    tx, rx = channel()
    go(select, rx, tx.case(1), rx)
    await parked(rx, receivers=2)
    with pytest.warns(ResourceWarning, match="was blocked for ever"):
        del tx, rx
        gc.collect()


async def test_a_join_and_a_channel_that_come_true_in_one_instant(start):
    tx, rx = channel()

    async def send_and_end():
        tx.try_send("sent")
        return "ended"

    for _ in range(50):
        routine = go(send_and_end)
        waiting = start(select(routine, rx))
        # The routine runs first where the select has not parked yet, and then finds nobody: both orders have to work.
        try:
            chosen = await waiting
        except SendError:
            continue
        assert chosen.value in ("sent", "ended")
        await asyncio.wait([routine])
        if routine.exception() is not None:
            assert isinstance(routine.exception(), SendError)


async def test_a_hundred_cases_of_every_kind(start):
    ends = [channel() for _ in range(98)]
    future = asyncio.get_running_loop().create_future()
    from routines import case

    async def forever():
        await sleep(60)

    routine = go(forever)
    waiting = start(select(*(rx for _tx, rx in ends), case(future), routine, None))
    await parked(ends[0][1], receivers=1)
    future.set_result("done")
    chosen = await waiting
    assert (chosen.index, chosen.value) == (98, "done")
    assert all(rx.stats().waiting_receivers == 0 for _tx, rx in ends)
    routine.abort()
    await asyncio.wait([routine])
    with pytest.raises(asyncio.CancelledError):
        await routine


async def test_selects_of_other_sizes_one_after_the_other_do_not_mix_their_cases():
    ends = [channel(1) for _ in range(40)]
    for size in [1, 40, 2, 17, 16, 3, 16, 17, 1]:
        tx, _rx = ends[size - 1]
        tx.try_send(size)
        chosen = await select(*(rx for _tx, rx in ends[:size]))
        assert (chosen.index, chosen.value) == (size - 1, size)
        with pytest.raises(Timeout):
            await select(*(rx for _tx, rx in ends[:size]), timeout=0)


async def test_a_source_is_let_go_with_the_select():
    import weakref

    tx, rx = channel(1)
    tx.try_send(1)
    clone = rx.clone()
    seen = weakref.ref(clone)
    await select(clone)
    del clone
    assert seen() is None
    assert rx.stats().receivers == 1


async def test_a_source_whose_end_runs_code_may_select_itself():
    ran = []

    class Last:
        def __del__(self):
            tx, rx = channel(1)
            tx.try_send("inner")
            operation = select(rx, default=None)
            try:
                operation.send(None)
            except StopIteration as stop:
                ran.append(stop.value.value)

    for _ in range(3):
        tx, rx = channel(1)
        await select(tx.case(Last()), rx, biased=True)
        await select(rx, None)
        del tx, rx
        gc.collect()
    assert ran == ["inner"] * 3


async def test_an_unawaited_select_warns_and_links_nothing():
    _tx, rx = channel()
    with pytest.warns(RuntimeWarning, match="never awaited"):
        select(rx)
    with pytest.warns(RuntimeWarning, match="never awaited"):
        select().recv(rx).run()
    assert rx.stats().waiting_receivers == 0


async def test_cancelling_everything_everywhere_leaves_nothing(start, seed):
    dice = random.Random(seed)
    ends = [channel(dice.randrange(2)) for _ in range(6)]

    async def choose():
        while True:
            cases = [dice.choice([rx, tx.case(1), None]) for tx, rx in dice.sample(ends, 4)]
            try:
                await select(*cases, timeout=dice.choice([0, 0.0003, 60]))
            except Timeout:
                await yield_now()

    choosing = [start(choose()) for _ in range(60)]
    for _ in range(40):
        await yield_now()
        position = dice.randrange(60)
        choosing[position].cancel()
        await asyncio.wait([choosing[position]])
        choosing[position] = start(choose())
    for each in choosing:
        each.cancel()
    await asyncio.wait(choosing)
    assert all(each.cancelled() for each in choosing)
    assert all(rx.stats().waiting_receivers == rx.stats().waiting_senders == 0 for _tx, rx in ends)


async def test_a_default_never_waits_and_never_takes_twice(start):
    tx, rx = channel()
    giving = start(tx.send("only"))
    await parked(tx, senders=1)
    assert (await select(rx, default=None)).value == "only"
    assert (await select(rx, default="none")).value == "none"
    await giving


async def test_a_timeout_is_never_early_and_zero_looks_once(start):
    _tx, rx = channel()
    for seconds in (0.0, 0.0003, 0.001, 0.012):
        begun = time.monotonic()
        with pytest.raises(Timeout):
            await select(rx, timeout=seconds)
        assert time.monotonic() - begun >= seconds
    await until(lambda: rx.stats().waiting_receivers == 0)


@pytest.mark.parametrize("end", ["close", "throw"])
@pytest.mark.parametrize("capacity", [0, 2])
def test_a_value_that_a_hand_driven_select_cannot_take_goes_back(end, capacity):
    tx, rx = channel(capacity)
    _silent_tx, silent = channel()

    async def wait():
        await select(silent, rx)

    coroutine = wait()
    coroutine.send(None)
    tx.try_send("value")
    if end == "close":
        coroutine.close()
    else:
        with pytest.raises(KeyError):
            coroutine.throw(KeyError())
    assert rx.try_recv() == "value"
    assert rx.stats().waiting_receivers == silent.stats().waiting_receivers == 0


@pytest.mark.loops("stock")
async def test_a_select_after_a_biased_one_is_fair():
    (tx1, rx1), (tx2, rx2) = ends = [channel(1) for _ in range(2)]
    picked = set()
    for _ in range(64):
        for tx, rx in ends:
            if not len(rx):
                await tx.send(None)
        assert (await select(rx1, rx2, biased=True)).index == 0
        await tx1.send(None)
        picked.add((await select(rx1, rx2)).index)
    assert picked == {0, 1}


# --- cases of asyncio's: whatever asks them runs other people's code


async def test_futures_and_events_that_lose_are_left_alone(start):
    tx, rx = channel()
    future, event = asyncio.get_running_loop().create_future(), asyncio.Event()
    waiting = start(select(case(future), rx, case(event)))
    await parked(rx, receivers=1)
    await until(lambda: event._waiters)
    assert future._callbacks
    await tx.send("value")
    assert (await waiting).value == "value"
    await until(lambda: not event._waiters)
    assert not future._callbacks


async def test_a_future_that_takes_the_place_of_a_ready_case_while_it_is_asked():
    tx, rx = channel(1)

    class Filling(asyncio.Future):
        def done(self):
            if not len(rx):
                tx.try_send("the future's")
            return False

    chosen = await select(tx.case("the select's"), case(Filling()), default="nothing was ready")
    assert chosen.value == "nothing was ready"
    assert rx.try_recv() == "the future's"
    with pytest.raises(RecvError):
        rx.try_recv()


async def test_a_case_that_becomes_ready_while_the_others_are_linked_is_taken():
    tx, rx = channel(1)

    class Sending(asyncio.Future):
        def add_done_callback(self, *arguments, **keywords):
            super().add_done_callback(*arguments, **keywords)
            tx.try_send("value")

    future = Sending()
    assert (await select(rx, case(future), timeout=60)).value == "value"
    assert not future._callbacks
    assert rx.stats().waiting_receivers == 0


async def test_a_future_that_cannot_be_waited_for_leaves_nothing_behind(start):
    class Refusing(asyncio.Future):
        def add_done_callback(self, *_, **__):
            raise LookupError("not me")

    _tx, rx = channel()
    routine, future, event = go(sleep, 60), asyncio.get_running_loop().create_future(), asyncio.Event()
    before = live(CaseNode)
    with pytest.raises(LookupError, match="not me"):
        await select(rx, case(event), case(future), routine, case(Refusing()), rx, timeout=60)
    await settle()
    assert not future._callbacks
    assert not event._waiters
    assert rx.stats().waiting_receivers == 0
    assert live(CaseNode) <= before + 6, "kept for the next select"
    assert (await select(case(future), routine, default="nothing")).value == "nothing"
    routine.abort()
    await asyncio.wait([routine])


async def test_a_selector_that_begins_to_wait_during_the_last_look_meets_the_select_once():
    one, other = Channel(), Channel()
    selector = Selector(one.case("one"), other.case("other"))
    turns = [selector.next()]

    class Late(asyncio.Future):
        linked = False

        def add_done_callback(self, *arguments, **keywords):
            super().add_done_callback(*arguments, **keywords)
            self.linked = True

        def done(self):
            if self.linked and turns:
                begun.append(turns.pop())
                begun[0].send(None)
            return super().done()

    begun = []
    chosen = await select(one, other, case(Late()))
    assert (chosen.index, chosen.value) == (0, "one")
    assert (await begun[0]).index == 0
    with pytest.raises(RecvError):
        other.try_recv()
    assert one.stats().waiting_receivers == other.stats().waiting_receivers == 0


async def test_a_handle_that_is_closed_while_its_select_is_given_up():
    class Closing(asyncio.Future):
        def remove_done_callback(self, function):
            clone.close()
            return super().remove_done_callback(function)

    tx, rx = channel()
    clone = rx.clone()
    operation = select(clone, case(Closing()), clone)
    operation.send(None)
    operation.close()
    assert clone.closed
    assert rx.stats().waiting_receivers == 0
    with pytest.raises(SendError):
        tx.try_send("to nobody")


@pytest.mark.parametrize("end", ["closed", "timeout"])
async def test_a_select_that_chose_no_value_gives_none_back(end):
    tx, rx = channel(1)
    operation = select(rx, timeout=0.0005) if end == "timeout" else select(rx)
    operation.send(None)
    if end == "closed":
        tx.close()
    await until(lambda: rx.stats().waiting_receivers == 0)
    operation.close()
    with pytest.raises(ChannelClosed if end == "closed" else RecvError):
        rx.try_recv()


async def test_a_select_over_a_crowd_does_not_keep_a_node_for_each():
    ends = [channel() for _ in range(1_000)]
    before = live(CaseNode)
    with pytest.raises(Timeout):
        await select(*(rx for _tx, rx in ends), timeout=0.001)
    assert live(CaseNode) <= before + 1


def event_select_of_a_loop_at_rest():
    """A select that waits for an event, on a loop that does not run any more."""
    loop = new_loop("stock")
    loop.set_exception_handler(lambda *_: None)  # the task that waits for the event is lost
    tx, rx = channel()

    async def main():
        operation = select(case(asyncio.Event()), rx)
        operation.send(None)
        return operation

    return loop, loop.run_until_complete(main()), tx, rx


def test_a_select_that_waits_for_an_event_is_given_up_after_its_loop_was_closed():
    loop, operation, _tx, rx = event_select_of_a_loop_at_rest()
    loop.close()
    operation.close()
    assert rx.stats().waiting_receivers == 0


def test_a_loop_that_refuses_to_end_the_wait_for_an_event_says_so():
    loop, operation, _tx, _rx = event_select_of_a_loop_at_rest()

    def refuse(*_, **__):
        raise RuntimeError("not now")

    loop.call_soon_threadsafe = refuse
    with pytest.raises(RuntimeError, match="not now"):
        operation.close()
    loop.close()


async def test_a_timeout_that_comes_while_the_loop_runs_inside_of_linking_is_not_lost():
    _tx, rx = channel()
    loop = asyncio.get_running_loop()
    if not hasattr(loop, "_run_once"):
        pytest.skip("this loop cannot be entered again")

    class Nesting(asyncio.Future):
        """Runs the loop inside of a call, as nest_asyncio lets anybody do."""

        def add_done_callback(self, *arguments, **options):
            super().add_done_callback(*arguments, **options)
            task = asyncio.current_task()
            asyncio.tasks._leave_task(loop, task)
            over = time.monotonic() + 0.02
            while time.monotonic() < over:
                loop.call_later(0.001, lambda: None)
                loop._run_once()
            asyncio.tasks._enter_task(loop, task)

    with pytest.raises(Timeout):
        await asyncio.wait_for(select(rx, case(Nesting()), timeout=0.005), 10)
    assert rx.stats().waiting_receivers == 0
