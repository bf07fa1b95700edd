"""Groups: what a block waits for, what ends it, and what it raises."""

import asyncio
import gc
import random
import re
import threading
import weakref

import pytest
from helpers import block_of, collect, new_loop, outcome, recorded_warnings, settle, until

import routines
from routines import Aborted, SpawnError, WaitGroup, channel, dump, go, group, spawn, yield_now


async def nothing():
    pass


async def give(value):
    await yield_now()
    return value


async def fail(error):
    raise error


async def block():
    await asyncio.sleep(60)


class Finally:
    """Blocks, and notes that its finally block has run."""

    def __init__(self):
        self.ended = 0

    async def __call__(self):
        try:
            await block()
        finally:
            await yield_now()
            self.ended += 1


# --- the ordinary way


async def test_the_block_waits_for_all(start):
    async with group() as g:
        started = [g.go(give, number) for number in range(5)]
        assert not any(routine.done() for routine in started)
    assert [routine.result() for routine in started] == list(range(5))


async def test_an_empty_block():
    async with group() as g:
        pass
    assert re.fullmatch(r"<group #\d+ over>", repr(g))


async def test_members_may_start_members():
    seen = []

    async def descend(g, depth):
        seen.append(depth)
        if depth:
            g.go(descend, g, depth - 1)
        await yield_now()

    async with group() as g:
        g.go(descend, g, 5)
    assert seen == [5, 4, 3, 2, 1, 0]


async def test_groups_are_nested(start):
    async def inner():
        async with group() as g:
            return [g.go(give, number) for number in range(2)]

    async with group() as g:
        found = [g.go(inner) for _ in range(2)]
    assert [[each.result() for each in one.result()] for one in found] == [[0, 1], [0, 1]]


async def test_what_go_takes():
    async def echo(*args, **kwargs):
        return args, kwargs

    async with group() as g:
        one, two = g.go(echo, 1, two=2), g.go(echo(3))
        for wrong in (lambda: None, 42):
            with pytest.raises(SpawnError):
                g.go(wrong)
        with pytest.raises(TypeError):
            g.go()
    assert (one.result(), two.result()) == (((1,), {"two": 2}), ((3,), {}))


# --- failures


async def test_a_single_failure_is_raised_as_it_was(start):
    error = KeyError("failed")
    error.__cause__ = cause = ValueError("cause")
    other = Finally()
    with pytest.raises(KeyError) as caught:
        async with group() as g:
            g.go(other)
            await yield_now()
            g.go(fail, error)
            await block()
    assert caught.value is error
    assert error.__cause__ is cause
    assert error.__context__ is None
    assert other.ended == 1
    assert asyncio.current_task().cancelling() == 0
    await yield_now()


async def test_those_that_wait_know_why_they_were_aborted():
    with pytest.raises(KeyError):
        async with group() as g:
            other = g.go(block)
            await yield_now()
            g.go(fail, KeyError())
    with pytest.raises(Aborted, match="another routine of its group failed"):
        await other.join()


async def test_several_failures_are_raised_together_in_order():
    async def fail_when_aborted(error):
        try:
            await block()
        finally:
            raise error

    errors = [KeyError(0), ValueError(1), OSError(2)]
    with pytest.raises(ExceptionGroup, match="3 failures in a group") as caught:
        async with group() as g:
            for error in errors[1:]:
                g.go(fail_when_aborted, error)
            await yield_now()
            g.go(fail, errors[0])
    assert caught.value.exceptions[0] is errors[0]
    assert set(caught.value.exceptions) == set(errors)


async def test_a_body_that_fails_aborts_the_rest_and_is_raised_as_it_was():
    error, other = KeyError(), Finally()
    with pytest.raises(KeyError) as caught:
        async with group() as g:
            g.go(other)
            await yield_now()
            raise error
    assert caught.value is error
    assert other.ended == 1


async def test_a_body_that_fails_while_members_fail():
    first, second = KeyError("member"), ValueError("body")
    with pytest.raises(ExceptionGroup) as caught:
        async with group() as g:
            g.go(fail, first)
            try:
                await block()
            finally:
                raise second
    assert caught.value.exceptions == (first, second)
    third = OSError("member, in its finally block")

    async def fail_at_the_end():
        try:
            await block()
        finally:
            raise third

    with pytest.raises(ExceptionGroup) as caught:
        async with group() as g:
            g.go(fail_at_the_end)
            await yield_now()
            raise second
    assert caught.value.exceptions == (second, third)


async def test_a_failure_that_the_body_has_met_by_joining_is_raised_once():
    error = KeyError()
    with pytest.raises(KeyError) as caught:
        async with group() as g:
            await g.go(fail, error).join()
    assert caught.value is error


async def test_a_failure_that_the_body_has_handled_is_a_failure():
    with pytest.raises(KeyError):
        async with group() as g:
            with pytest.raises(KeyError):
                await g.go(fail, KeyError()).join()


async def test_a_member_that_is_aborted_alone_is_no_failure():
    async with group() as g:
        aborted, other = g.go(block), g.go(give, 1)
        await yield_now()
        aborted.abort()
    assert aborted.cancelled()
    assert other.result() == 1


async def test_an_exception_that_is_no_exception_class():
    class Own(BaseException):
        pass

    async def fail_when_aborted():
        try:
            await block()
        finally:
            raise KeyError

    own = Own()
    with pytest.raises(BaseExceptionGroup) as caught:
        async with group() as g:
            g.go(fail_when_aborted)
            await yield_now()
            g.go(fail, own)
    assert type(caught.value) is BaseExceptionGroup
    assert caught.value.exceptions[0] is own


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_raised_alone(kind):
    ended = []

    async def other():
        try:
            await block()
        finally:
            ended.append(True)
            raise ValueError

    async def main():
        async with group() as g:
            g.go(other)
            await yield_now()
            g.go(fail, kind())

    with pytest.raises(kind):
        routines.run(main)
    assert ended == [True]


async def test_an_interrupt_of_the_body_is_raised_alone():
    async def other():
        try:
            await block()
        finally:
            raise ValueError

    with pytest.raises(SystemExit):
        async with group() as g:
            g.go(other)
            await yield_now()
            raise SystemExit


async def test_what_is_started_once_it_ends_never_begins():
    started = []

    async def begin():
        started.append(True)

    late = []
    with pytest.raises(KeyError):
        async with group() as g:
            g.go(fail, KeyError())
            try:
                await block()
            finally:
                late.append(g.go(begin))
    assert started == []
    assert late[0].cancelled()


# --- the limit


async def test_so_many_run_at_once_and_in_order():
    running, most, order = 0, 0, []

    async def work(number):
        nonlocal running, most
        order.append(number)
        running += 1
        most = max(most, running)
        for _ in range(3):
            await yield_now()
        running -= 1

    async with group(limit=3) as g:
        started = [g.go(work, number) for number in range(10)]
        assert all(routine.state == "ready" for routine in started)
        assert "10 to go, 7 of them held back by limit=3" in repr(g)
        assert repr(g) in repr(started[-1])
    assert most == 3
    assert order == list(range(10))


async def test_a_failure_ends_those_that_were_held_back_unstarted():
    started = []

    async def begin():
        started.append(True)

    with pytest.raises(KeyError):
        async with group(limit=1) as g:
            g.go(fail, KeyError())
            held = [g.go(begin) for _ in range(5)]
    assert started == []
    assert all(routine.cancelled() for routine in held)


async def test_one_that_is_aborted_while_held_back_ends_at_once():
    async with group(limit=1) as g:
        first = g.go(block)
        held, last = g.go(nothing), g.go(give, 1)
        held.abort("not needed")
        with pytest.raises(Aborted, match="not needed"):
            await held.join()
        assert not first.done()
        first.abort()
    assert last.result() == 1


async def test_one_that_is_aborted_while_held_back_makes_no_room():
    async with group(limit=1) as g:
        first = g.go(block)
        held, last = g.go(nothing), g.go(give, 1)
        held.abort()
        await outcome(held)
        await settle()
        assert last.state == "ready" and not last.done()
        first.abort()
    assert last.result() == 1


async def test_one_that_is_held_back_is_named_in_a_dump():
    async with group(limit=1) as g:
        first = g.go(block)
        held = g.go(nothing)
        text = block_of(dump(), held)
        assert re.search(r"\[ready, [\d.]+ s\]", text)
        assert f"on {g!r}" in text
        first.abort()


@pytest.mark.parametrize(
    ("wrong", "error"),
    [(0, ValueError), (-1, ValueError), (1.0, TypeError), (True, TypeError), ("1", TypeError)],
)
def test_limits_that_make_no_sense(wrong, error):
    with pytest.raises(error, match="limit must be"):
        group(wrong)


async def test_a_limit_of_any_size():
    async with group(2**80) as g:
        assert [g.go(nothing).state for _ in range(3)] == ["ready"] * 3


# --- abort


async def test_abort_ends_the_block_early_without_an_error(start):
    other = Finally()
    async with group() as g:
        member = g.go(other)
        await yield_now()
        g.abort("enough")
        await block()
    assert other.ended == 1
    assert asyncio.current_task().cancelling() == 0
    with pytest.raises(Aborted, match="enough"):
        await member.join()
    await yield_now()


async def test_abort_of_a_body_that_does_not_suspend_any_more():
    async with group() as g:
        g.go(block)
        g.abort()
    await yield_now()
    await asyncio.sleep(0)
    async with group() as g:
        g.abort()
    await asyncio.sleep(0)
    assert asyncio.current_task().cancelling() == 0


async def test_abort_by_a_member():
    async def stop(g):
        await yield_now()
        g.abort()

    async with group() as g:
        other = g.go(block)
        stopping = g.go(stop, g)
        await block()
    assert other.cancelled()
    assert stopping.done()


async def test_abort_from_outside_while_the_block_is_left():
    groups = []

    async def run():
        async with group() as g:
            groups.append(g)
            g.go(block)
        return "over"

    running = go(run)
    await until(lambda: running.state == "join")
    groups[0].abort()
    groups[0].abort()
    assert await running == "over"
    groups[0].abort()


def in_a_thread(function):
    """What it returns or raises; the loop here stands still meanwhile."""
    ended = []

    def run():
        try:
            ended.append((True, function()))
        except Exception as error:
            ended.append((False, error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    [(returned, end)] = ended
    if returned:
        return end
    raise end


async def test_abort_from_a_thread_that_comes_when_the_block_is_over_leaves_the_task_alone(start):
    async def run():
        async with group() as g:
            in_a_thread(g.abort)
        await settle()
        return asyncio.current_task().cancelling()

    assert await start(run()) == 0


async def test_a_member_that_cannot_be_aborted_is_reported_and_the_others_are_aborted(reports):
    class Stubborn(asyncio.Future):
        def cancel(self, *_, **__):
            raise LookupError("not me")

    stubborn = Stubborn()

    async def wait():
        return await stubborn

    async with group() as g:
        others = [g.go(block) for _ in range(3)]
        member = g.go(wait)
        others += [g.go(block) for _ in range(3)]
        await settle()
        g.abort()
        stubborn.set_result("result")
        await block()
    assert all(each.cancelled() for each in others)
    assert await member == "result"
    [report] = reports
    assert report["message"] == "a routine of a group could not be aborted"
    assert isinstance(report["exception"], LookupError)
    assert report["task"] is member
    reports.clear()


@pytest.mark.loops("stock")
async def test_members_on_a_loop_that_was_closed_keep_nobody_from_being_aborted():
    _tx, rx = channel()

    def start_and_close(g):
        async def start():
            return g.go(rx.recv())

        loop = new_loop("stock")
        lost = loop.run_until_complete(start())
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        return lost

    async with group() as g:
        others = [g.go(block) for _ in range(3)]
        lost = in_a_thread(lambda: start_and_close(g))
        others += [g.go(block) for _ in range(3)]
        await settle()
        g.abort()
        with pytest.warns(ResourceWarning):
            lost.get_coro().close()  # nobody steps it any more
        await block()
    assert all(each.cancelled() for each in others)


@pytest.mark.loops("stock")
async def test_a_loop_that_cannot_be_told_of_an_abort_says_so():
    loop = asyncio.get_running_loop()

    def refuse(*_, **__):
        raise RuntimeError("not now")

    async with group() as g:
        member = g.go(block)
        loop.call_soon_threadsafe = refuse
        try:
            with pytest.raises(RuntimeError, match="not now"):
                in_a_thread(g.abort)
        finally:
            del loop.call_soon_threadsafe
        member.abort()


async def test_what_fails_while_it_is_aborted_is_raised():
    async def fail_at_the_end():
        try:
            await block()
        finally:
            raise KeyError

    with pytest.raises(KeyError):
        async with group() as g:
            g.go(fail_at_the_end)
            await yield_now()
            g.abort()


# --- cancellation of the parent


async def test_a_body_that_is_cancelled(start):
    other = Finally()

    async def run():
        async with group() as g:
            g.go(other)
            await block()

    running = start(run())
    await settle()
    running.cancel("why")
    error = await outcome(running)
    assert isinstance(error, asyncio.CancelledError)
    assert error.args == ("why",)
    assert running.cancelled() or running.done()
    assert other.ended == 1


async def test_a_block_that_is_cancelled_while_it_is_left(start):
    other = Finally()

    async def run():
        async with group() as g:
            g.go(other)

    running = start(run())
    await settle()
    running.cancel()
    assert isinstance(await outcome(running), asyncio.CancelledError)
    assert other.ended == 1


async def test_a_block_that_is_cancelled_again_and_again_still_waits(start):
    ended = []

    async def slow():
        try:
            await block()
        finally:
            for _ in range(6):
                await yield_now()
            ended.append(True)

    async def run():
        try:
            async with group() as g:
                g.go(slow)
                await block()
        finally:
            assert ended == [True]

    running = start(run())
    await settle()
    for _ in range(3):
        running.cancel()
        await yield_now()
    assert isinstance(await outcome(running), asyncio.CancelledError)


async def test_a_cancellation_beside_a_failure_comes_at_the_next_suspension(start):
    seen = []

    async def fail_at_the_end():
        try:
            await block()
        finally:
            raise KeyError

    async def run():
        try:
            async with group() as g:
                g.go(fail_at_the_end)
                await block()
        except KeyError:
            seen.append(asyncio.current_task().cancelling())
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    running = start(run())
    await settle()
    running.cancel()
    assert isinstance(await outcome(running), asyncio.CancelledError)
    assert seen == [1, "cancelled"]


async def test_a_cancellation_while_it_ends_already_is_not_lost(start):
    goes_on, groups = asyncio.Event(), []

    async def slow():
        try:
            await block()
        finally:
            await goes_on.wait()

    async def run():
        async with group() as g:
            groups.append(g)
            g.go(slow)
            await yield_now()
            g.abort()

    running = start(run())
    await until(lambda: groups and "ending, 1 waiting" in repr(groups[0]))
    running.cancel()
    await settle()
    assert not running.done()
    goes_on.set()
    assert isinstance(await outcome(running), asyncio.CancelledError)


async def test_a_cancellation_that_is_taken_back_while_it_ends_is_forgotten(start):
    goes_on, groups = asyncio.Event(), []

    async def slow():
        try:
            await block()
        finally:
            await goes_on.wait()

    async def run():
        async with group() as g:
            groups.append(g)
            g.go(slow)
            await yield_now()
            g.abort()
        return "left"

    running = start(run())
    await until(lambda: groups and "ending, 1 waiting" in repr(groups[0]))
    running.cancel()
    running.uncancel()
    await settle()
    goes_on.set()
    assert await running == "left"


async def test_a_timeout_around_a_group():
    other = Finally()
    with pytest.raises(routines.Timeout):
        async with routines.timeout(0.001), group() as g:
            g.go(other)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            async with group() as g:
                g.go(other)
                await block()
    assert other.ended == 2
    assert asyncio.current_task().cancelling() == 0


async def test_a_group_in_a_task_that_was_cancelled_before(start):
    """Cleaning up after a cancellation, with a count that is above zero already."""
    seen = []

    async def run():
        try:
            await block()
        finally:
            async with group() as g:
                g.go(block)
                await yield_now()
                g.abort()
                await block()
            seen.append(asyncio.current_task().cancelling())
            await asyncio.sleep(0)
            with pytest.raises(KeyError):
                async with group() as g:
                    g.go(fail, KeyError())
                    await block()
            await asyncio.sleep(0)
            seen.append(asyncio.current_task().cancelling())

    running = start(run())
    await settle()
    running.cancel()
    assert isinstance(await outcome(running), asyncio.CancelledError)
    assert seen == [1, 1]


async def test_a_cancellation_that_somebody_raises_by_hand_goes_on():
    with pytest.raises(asyncio.CancelledError, match="by hand"):
        async with group() as g:
            g.go(block)
            raise asyncio.CancelledError("by hand")


async def test_random_cancellations_leave_nothing_running(start, seed):
    randoms = random.Random(seed)
    running = 0

    async def work(depth):
        nonlocal running
        running += 1
        try:
            async with group(limit=randoms.choice([None, 1, 2])) as g:
                for _ in range(randoms.randrange(3) if depth else 0):
                    g.go(work, depth - 1)
                for _ in range(randoms.randrange(4)):
                    await yield_now()
                if randoms.random() < 0.1:
                    g.abort()
                if randoms.random() < 0.1:
                    raise KeyError
        finally:
            running -= 1

    for _ in range(12):
        root = start(work(3))
        for _ in range(randoms.randrange(12)):
            await yield_now()
        root.cancel()
        result = await outcome(root)
        assert result is None or isinstance(result, (asyncio.CancelledError, KeyError, ExceptionGroup))
        assert running == 0


# --- used the wrong way


async def test_a_group_is_entered_once():
    g = group()
    with pytest.raises(RuntimeError, match="works inside"):
        g.go(nothing)
    with pytest.raises(RuntimeError, match="works inside"):
        g.abort()
    with pytest.raises(RuntimeError, match="not entered"):
        await g.__aexit__(None, None, None)
    async with g:
        with pytest.raises(RuntimeError, match="entered already"):
            async with g:
                pass
    with pytest.raises(RuntimeError, match="entered already"):
        async with g:
            pass
    with pytest.raises(RuntimeError, match="works inside"):
        g.go(nothing)
    with pytest.raises(RuntimeError, match="works inside"):
        g.go(nothing())
    with pytest.raises(RuntimeError, match="not entered"):
        await g.__aexit__(None, None, None)


async def test_a_function_that_leaves_the_block_while_it_is_called():
    async def leave(g):
        await g.__aexit__(None, None, None)

    async with group() as outer:
        g = group()
        await g.__aenter__()

        def call():
            leaving = leave(g)
            with pytest.raises(StopIteration):
                leaving.send(None)
            return nothing()

        with pytest.raises(RuntimeError, match="works inside"):
            g.go(call)
    assert "over" in repr(outer)


def test_a_group_outside_of_any_task(loop):
    entering = group().__aenter__()
    with pytest.raises(RuntimeError):
        entering.send(None)


async def test_a_body_whose_coroutine_is_closed_aborts_its_members():
    members = []

    async def run():
        async with group() as g:
            members.append(g.go(block))
            await yield_now()

    async def run_and_leave():
        async with group() as g:
            members.append(g.go(block))

    for body in (run, run_and_leave):
        coroutine = body()
        coroutine.send(None)
        coroutine.close()
    await until(lambda: all(member.done() for member in members))
    assert all(member.cancelled() for member in members)


# --- who keeps what alive


async def test_a_group_goes_without_a_collection():
    gc.disable()
    try:
        async with group() as g:
            g.go(nothing)
        reference = weakref.ref(g)
        del g
        await yield_now()
        assert reference() is None
        error = KeyError()
        with pytest.raises(KeyError):
            async with group() as g:
                g.go(fail, error)
        reference = weakref.ref(g)
        del g
        error.__traceback__ = None
        del error
        await yield_now()
        await settle()
        assert reference() is None
    finally:
        gc.enable()


async def test_a_group_that_nothing_can_end_is_collected_with_its_members():
    ended = []

    async def leak(name):
        tx, rx = channel()
        try:
            await rx.recv()
        finally:
            ended.append(name)
            del tx

    async def run():
        try:
            async with group() as g:
                g.go(leak, "member")
        finally:
            ended.append("parent")

    with recorded_warnings() as seen:
        spawn(run())
        await settle()
        collect()
        await settle()
        collect()
    assert sorted(ended) == ["member", "parent"]
    assert {each.category for each in seen} == {ResourceWarning}


async def test_a_group_keeps_members_that_it_could_abort():
    async def leak():
        tx, rx = channel()
        await rx.recv()
        del tx

    async with group() as g:
        member = weakref.ref(g.go(leak))
        await settle()
        collect()
        assert member() is not None
        g.abort()


async def test_who_awaits_a_member_is_told_apart_from_who_counts_it():
    wg = WaitGroup()
    routine = wg.go(block)
    joining = go(routine.join)
    selecting = spawn(outcome(routines.select(routine)))
    await settle()
    assert joining in routine._asyncio_awaited_by
    routine.abort()
    await outcome(joining)
    await selecting
