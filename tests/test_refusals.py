"""What is refused says so, and what a debugger or another library asks of our objects has an answer."""

import asyncio
import contextvars

import pytest

import routines
from routines import (
    Channel,
    Cond,
    Mutex,
    Routine,
    RWMutex,
    SelectError,
    Selector,
    Semaphore,
    SpawnError,
    Ticker,
    WaitGroup,
    _broadcast,
    _channel,
    _core,
    _groups,
    _select,
    _stats,
    broadcast,
    case,
    channel,
    go,
    group,
    select,
    sleep,
    spawn,
    timeout,
    yield_now,
)

MADE_BY_CALLS = [
    _core.Park, _core.JoinPark, _core.YieldOperation, _core.Wakeup, _core.Scheduler, _channel.Batches, _channel.SendCase, _select.Selected,
    _select.ForeignCase, _stats.ChannelStats, _broadcast.Broadcast,
]  # fmt: skip


@pytest.mark.parametrize("kind", MADE_BY_CALLS, ids=lambda kind: kind.__name__)
def test_what_a_call_makes_cannot_be_made_by_hand(kind):
    with pytest.raises(TypeError):
        kind()


def test_what_was_made_without_its_call_cannot_be_awaited():
    for kind in (
        _core.Park, _core.JoinPark, _channel.ChannelPark, _channel.ClosePark, _channel.Watch, _select.Select, _select.NextPark,
    ):  # fmt: skip
        made = kind.__new__(kind)
        with pytest.raises(RuntimeError, match="cannot be made by hand"):
            made.send(None)
        made.close()
    with pytest.raises(RuntimeError, match="cannot be made by hand"):
        next(iter(_core.Park.__new__(_core.Park)))
    with pytest.raises(RuntimeError, match="cannot be made by hand"):
        _groups.Gate.__new__(_groups.Gate).send(None)


async def test_a_select_that_is_given_up_twice_is_used_again_once():
    _tx, rx = channel()
    done = select(rx, default=None)
    await done
    given_up = select(rx)
    for operation in (done, given_up):
        for _ in range(3):
            operation.close()
    del done, given_up, operation
    selects = [select(rx, default=number) for number in range(5)]
    assert len({id(each) for each in selects}) == 5
    assert [(await each).value for each in selects] == list(range(5))


async def test_the_next_step_of_an_operation_may_be_called_by_its_name():
    tx, rx = channel(1)
    tx.try_send("value")
    with pytest.raises(StopIteration) as stopped:
        rx.recv().__next__()
    assert stopped.value.value == "value"
    for operation in (rx.recv(), sleep(60), select(rx)):
        assert operation.__next__() is operation
        operation.close()
    giving_way = yield_now()
    assert giving_way.__next__() is None
    with pytest.raises(StopIteration):
        giving_way.__next__()


# --- operations, as whoever drives a plain task sees them


async def test_an_operation_answers_what_is_asked_of_a_future():
    tx, rx = channel()
    waiting = asyncio.Task(receive(rx))
    await asyncio.sleep(0)
    operation = waiting._fut_waiter
    assert not operation.done()
    assert not operation.cancelled()
    with pytest.raises(asyncio.InvalidStateError):
        operation.result()
    with pytest.raises(asyncio.InvalidStateError):
        operation.exception()
    await tx.send("value")
    assert operation.done()
    assert not operation.cancelled()
    assert operation.result() is None, "what came of it is fetched by going on"
    assert operation.exception() is None
    assert await waiting == "value"


async def receive(rx):
    return await rx.recv()


async def test_a_callback_can_be_taken_back_from_an_operation():
    _tx, rx = channel()
    called = []
    operation = rx.recv()
    assert operation.send(None) is operation
    operation.add_done_callback(called.append)
    assert operation.remove_done_callback(print) == 0
    assert operation.remove_done_callback(called.append) == 1
    assert operation.remove_done_callback(called.append) == 0
    assert operation.cancel()
    await asyncio.sleep(0)
    assert called == []


@pytest.mark.parametrize("which", ["recv", "send"])
async def test_an_operation_is_not_awaited_by_two(which):
    tx, rx = channel()
    operation = rx.recv() if which == "recv" else tx.send(1)

    async def wait():
        return await operation

    first = go(wait)
    await yield_now()
    with pytest.raises(RuntimeError, match="is awaited already, by"):
        await operation
    with pytest.raises(RuntimeError, match="is awaited already, by"):
        operation.add_done_callback(print)
    first.abort()


async def test_an_operation_that_is_driven_by_hand_goes_on_when_it_may():
    routine = go(sleep, 60)
    operation = routine.join()
    assert operation.send(None) is operation
    assert operation.send(None) is operation, "asked too early, it waits on"
    assert operation.cancel()
    with pytest.raises(asyncio.CancelledError):
        operation.send(None)
    with pytest.raises(RuntimeError, match="cannot reuse"):
        operation.send(None)
    routine.abort()


async def test_an_operation_that_completes_at_once_ends_as_a_coroutine_does():
    mutex = Mutex()
    with pytest.raises(StopIteration) as ended:
        mutex.lock().send(None)
    assert ended.value.value is None
    assert not mutex.try_lock()


async def test_an_operation_given_up_when_it_is_complete_leaves_the_outcome_to_others():
    routine = go(sleep, 0)
    operation = routine.join()
    operation.send(None)
    await routine
    assert operation.done()
    operation.close()
    with pytest.raises(RuntimeError, match="cannot reuse"):
        operation.send(None)
    assert await routine.join() is None


@pytest.mark.parametrize("how", ["type", "type and value", "type and exception", "exception and traceback"])
async def test_what_is_thrown_into_an_operation_by_hand_is_raised_there(how):
    _tx, rx = channel()
    error = LookupError("thrown")
    traceback = None
    if how == "exception and traceback":
        try:
            raise error
        except LookupError as raised:
            traceback = raised.__traceback__
            error.__traceback__ = None
    thrown = {
        "type": (LookupError,),
        "type and value": (LookupError, "thrown"),
        "type and exception": (LookupError, error),
        "exception and traceback": (error, None, traceback),
    }[how]
    operation = rx.recv()
    operation.send(None)
    with pytest.raises(LookupError) as seen:
        operation.throw(*thrown)
    assert seen.value.args == (() if how == "type" else ("thrown",))
    assert (seen.value is error) == ("exception" in how)
    if traceback is not None:
        assert seen.traceback[-1].frame.raw is traceback.tb_frame
        assert seen.traceback[-1].lineno == traceback.tb_lineno - 1
    assert rx.stats().waiting_receivers == 0


def test_an_operation_without_a_loop_takes_no_callback():
    _tx, rx = channel()
    operation = rx.recv()
    operation.send(None)
    with pytest.raises(RuntimeError, match="only while an asyncio loop runs on this thread"):
        operation.add_done_callback(print)
    operation.close()


# --- routines


@pytest.mark.bodies("routine")
async def test_a_routine_keeps_what_asyncio_keeps_of_a_task():
    async def give():
        await yield_now()
        return "value"

    routine = go(give)
    assert routine._state == "PENDING"
    assert routine._result is None
    for refused in (lambda: routine.set_result(1), lambda: routine.set_exception(ValueError())):
        with pytest.raises(RuntimeError, match="does not support"):
            refused()
    with pytest.raises(ValueError, match="can only be set to False"):
        routine._log_traceback = True
    routine._log_traceback = False
    assert await routine == "value"
    assert (routine._state, routine._result) == ("FINISHED", "value")
    stopped = go(sleep, 10)
    stopped.cancel("first")
    stopped._cancel_message = "second"
    with pytest.raises(asyncio.CancelledError, match="second"):
        await stopped
    assert stopped._state == "CANCELLED"


def test_a_routine_made_by_hand_needs_a_loop_a_coroutine_and_a_context():
    async def nothing():
        pass

    coroutine = nothing()
    with pytest.raises(RuntimeError, match="no running event loop"):
        Routine(coroutine)
    assert coroutine.cr_frame is None, "closed, so nobody is warned of it"
    with pytest.raises(RuntimeError, match="not initialized"):
        Routine.__new__(Routine).get_loop()

    async def main():
        inner = nothing()
        with pytest.raises(TypeError, match=r"context must be a contextvars\.Context"):
            spawn(inner, context="context")
        inner.close()

    routines.run(main)


async def test_go_says_what_it_takes():
    async def nothing():
        pass

    with pytest.raises(TypeError, match="an async function and its arguments"):
        go()
    coroutine = nothing()
    with pytest.raises(SpawnError, match="is not a function, so it cannot be given arguments"):
        go(coroutine, 1)
    coroutine.close()
    used = nothing()
    await used
    for start in (go, spawn):
        with pytest.raises(SpawnError, match="was started already"):
            start(used)
    with pytest.raises(SpawnError, match="was started already"):
        go(lambda: used)


def test_a_routine_whose_context_is_in_use_says_so_and_the_others_go_on():
    context = contextvars.copy_context()
    ended = []

    async def child():
        ended.append("child")

    async def main():
        with pytest.raises(RuntimeError, match="cannot enter context"):
            await spawn(child(), context=context)
        return await go(sleep, 0) is None

    assert context.run(routines.run, main)
    assert ended == []


# --- channels


async def test_channels_compare_by_what_they_are():
    one, other = Channel(1), Channel(1)
    assert one == one.sender().channel
    assert one != other
    assert one != "channel"
    assert {one, one.sender().channel, other} == {one, other}
    with pytest.raises(RuntimeError, match="was made already"):
        one.__init__(2)
    stats = one.stats()
    assert hash(stats) == hash(one.stats())
    await one.send("value")
    assert "sent=1, received=0" in repr(one.stats())
    assert "buffered=1, closed=False" in repr(one.stats())
    assert stats != one.stats()


async def test_send_many_of_an_iterable_that_uses_the_same_send_many():
    tx, _rx = channel(10)

    def closes():
        yield 1
        operation.close()
        yield 2

    operation = tx.send_many(closes())
    with pytest.raises(RuntimeError, match="was closed by the iterable that it sends"):
        await operation

    def awaits():
        yield 1
        with pytest.raises(RuntimeError, match="is awaited by the iterable that it sends"):
            again.send(None)
        yield 2

    again = tx.send_many(awaits())
    assert await again == 2


async def test_a_lossless_broadcast_shows_who_waits_to_send():
    tx, rx = broadcast(1, lossless=True)
    await tx.send(1)
    waiting = go(tx.send, 2)
    await yield_now()
    assert "1 waiting to send" in repr(tx)
    assert len(rx) == 1
    assert await rx.recv() == 1
    await waiting


# --- select


async def test_what_a_select_refuses():
    tx, rx = channel()
    refused = [
        (lambda: select().recv(rx, 1), TypeError, "the handler of case 0 is 1"),
        (lambda: select().recv(rx, print, on_close=1), TypeError, "on_close of case 0 is 1"),
        (lambda: select().recv(tx), TypeError, "case 0 of the select is"),
        (lambda: select().send(tx), TypeError, "not 1 arguments"),
        (lambda: select().send(rx, 1), TypeError, "pass a sender or a channel"),
        (lambda: select(asyncio.Event()), TypeError, r"wrap it in routines\.case"),
        (lambda: select(tx), TypeError, r"pass tx\.case\(value\) to send"),
        (lambda: select().timeout(1).timeout(1), SelectError, "has a timeout already"),
        (lambda: select().timeout(1, 1), TypeError, "the handler of the timeout is 1"),
        (lambda: select().default(1), TypeError, "the handler of the default is 1"),
        (lambda: case(1), TypeError, "takes a future, a task"),
    ]
    for make, kind, words in refused:
        with pytest.raises(kind, match=words):
            make()


async def test_a_selected_compares_by_its_parts_and_shows_them():
    tx, rx = channel(1)
    await tx.send("value")
    selected = await select(rx)
    await tx.send("value")
    assert selected == await select(rx)
    assert selected != (0, "value", True, rx), "only another one is the same"
    assert repr(selected) == f"Selected(index=0, value='value', ok=True, source={rx!r})"
    assert Selector()
    with pytest.raises(TypeError):
        Selector().add(1)


async def test_a_select_takes_an_awaitable_that_is_no_coroutine():
    class Later:
        def __await__(self):
            yield from asyncio.sleep(0).__await__()
            return "later"

    assert (await select(case(Later()))).value == "later"


# --- time, locks and groups


async def test_what_was_made_is_not_made_again():
    for made, argument in ((Ticker(1), 1), (Semaphore(2), 2), (Cond(Mutex()), Mutex())):
        with pytest.raises(RuntimeError, match="was made already"):
            made.__init__(argument)


async def test_a_timeout_that_has_expired_is_over():
    with pytest.raises(routines.Timeout):
        async with timeout(0) as limit:
            await sleep(1)
    assert "expired" in repr(limit)
    with pytest.raises(RuntimeError, match="entered already"):
        async with limit:
            pass


@pytest.mark.loops("stock")
async def test_blocks_work_where_a_routine_or_a_task_runs():
    refused = []

    def enter_in_a_callback():
        for block in (timeout(1), group()):
            try:
                block.__aenter__().__await__().send(None)
            except RuntimeError as error:
                refused.append(str(error))

    asyncio.get_running_loop().call_soon(enter_in_a_callback)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(refused) == 2
    assert all("inside a routine or a task" in each for each in refused)


async def test_a_mutex_that_its_block_lets_go_is_not_unlocked_inside():
    mutex = Mutex()
    with pytest.raises(RuntimeError, match="was unlocked inside its block"):
        async with mutex:
            mutex.unlock()
    with pytest.raises(RuntimeError, match="is not locked"):
        mutex.unlock()


async def test_in_debug_mode_what_is_waited_for_says_where_it_was_made():
    routines.set_debug(True)
    try:
        made = [WaitGroup(), Mutex(), RWMutex(), Semaphore(1), Cond(Mutex())]
    finally:
        routines.set_debug(False)
    for each in made:
        assert "made at" in repr(each), repr(each)


async def test_a_default_is_a_value_or_a_handler_and_a_keyword_may_be_made_at_run_time():
    _tx, rx = channel()
    assert tuple(await select(rx, default="nothing")) == (-1, "nothing", False, None)
    assert (await select(rx, default=None)).index == -1
    keyword = "DEFAULT".lower()
    assert (await select(rx, **{keyword: 3})).value == 3
    assert await select().recv(rx).default(lambda: "handled").run() == "handled"
    assert await select().recv(rx).default(None).run() is None


def test_what_a_selector_driven_by_hand_has_taken_goes_back():
    """As the other operations: with no running task to hand it to, the value is not lost with the exception."""
    tx, rx = channel(1)
    selector = Selector()
    selector.add(rx)
    waiting = selector.next().__await__()
    waiting.send(None)
    tx.try_send("value")
    with pytest.raises(asyncio.CancelledError):
        waiting.throw(asyncio.CancelledError())
    assert rx.try_recv() == "value"


def test_joining_with_a_time_limit_needs_a_loop_that_keeps_time():
    async def main():
        return go(sleep, 3600)

    loop = asyncio.new_event_loop()
    routine = loop.run_until_complete(main())
    with pytest.raises(RuntimeError, match="needs a running event loop"):
        routine.join(1).send(None)
    routine.abort()
    loop.run_until_complete(asyncio.wait([routine]))
    loop.close()


async def test_batches_end_where_their_receiver_is_closed():
    tx, rx = channel(10)
    await tx.send_many([1, 2, 3])
    got = []
    async for values in rx.batches(2):
        got.append(values)
        if len(got) == 2:
            rx.close()
    assert got == [[1, 2], [3]]
    with pytest.raises(StopAsyncIteration):
        await anext(_channel.Batches.__new__(_channel.Batches))


async def test_a_send_many_that_is_driven_on_while_it_waits_waits_on():
    tx, rx = channel()
    operation = tx.send_many([1, 2])
    assert operation.send(None) is operation
    assert operation.send(None) is operation
    assert rx.stats().waiting_senders == 1
    assert [await rx.recv(), await rx.recv()] == [1, 2]
    with pytest.raises(StopIteration) as done:
        operation.send(None)
    assert done.value.value == 2
