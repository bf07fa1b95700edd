"""asyncio's own tools over routines and inside them."""

import asyncio
import gc
import socket
import weakref

import pytest
from helpers import parked, settle, until

from routines import Routine, channel, current, go, spawn, yield_now


async def give(value=None):
    await yield_now()
    return value


async def fail(error):
    await yield_now()
    raise error


async def for_ever():
    await asyncio.get_running_loop().create_future()


async def receive(rx):
    return await rx.recv()


async def test_gather_collects_results_of_routines_in_order():
    assert await asyncio.gather(*(spawn(give(n)) for n in range(10))) == list(range(10))


async def test_gather_mixes_routines_tasks_coroutines_and_operations():
    tx, rx = channel()
    results = await asyncio.gather(
        spawn(give(1)), asyncio.create_task(give(2)), give(3), tx.send("sent"), rx.recv()
    )
    assert results == [1, 2, 3, None, "sent"]


async def test_gather_raises_the_first_failure():
    error = LookupError()
    with pytest.raises(LookupError) as caught:
        await asyncio.gather(spawn(give(1)), spawn(fail(error)))
    assert caught.value is error


async def test_gather_returns_exceptions_where_asked():
    error = LookupError()
    results = await asyncio.gather(spawn(give(1)), spawn(fail(error)), return_exceptions=True)
    assert results == [1, error]


async def test_cancelled_gather_cancels_its_routines(start):
    routines = [spawn(for_ever()) for _ in range(3)]

    async def gather():
        await asyncio.gather(*routines)

    gathering = start(gather())
    await settle()
    gathering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gathering
    assert all(routine.cancelled() for routine in routines)


async def test_wait_tells_done_from_pending():
    quick, slow = spawn(give(1)), spawn(for_ever())
    done, pending = await asyncio.wait([quick, slow], return_when=asyncio.FIRST_COMPLETED)
    assert (done, pending) == ({quick}, {slow})
    slow.cancel()
    done, pending = await asyncio.wait([slow])
    assert (done, pending) == ({slow}, set())


async def test_wait_with_a_timeout_leaves_the_routine_alone():
    slow = spawn(for_ever())
    done, pending = await asyncio.wait([slow], timeout=0)
    assert (done, pending) == (set(), {slow})
    assert not slow.done()
    slow.cancel()
    await asyncio.wait([slow])


async def test_wait_stops_at_the_first_exception():
    error = LookupError()
    failing, slow = spawn(fail(error)), spawn(for_ever())
    done, _ = await asyncio.wait([failing, slow], return_when=asyncio.FIRST_EXCEPTION)
    assert done == {failing}
    assert failing.exception() is error
    slow.cancel()
    await asyncio.wait([slow])


async def test_a_shielded_routine_survives_its_cancelled_awaiter(start):
    tx, rx = channel()
    inner = spawn(receive(rx))

    async def wait():
        return await asyncio.shield(inner)

    outer = start(wait())
    await parked(rx, receivers=1)
    outer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await outer
    assert not inner.done()
    await tx.send("kept")
    assert await inner == "kept"


async def test_as_completed_gives_routines_as_they_finish():
    channels = [channel() for _ in range(3)]
    routines = [spawn(receive(rx)) for _, rx in channels]
    order = []

    async def finish():
        for number in (2, 0, 1):
            await channels[number][0].send(number)
            await settle()

    finishing = spawn(finish())
    for each in asyncio.as_completed(routines):
        order.append(await each)
    assert order == [2, 0, 1]
    await finishing


async def test_wait_for_gives_the_result_of_a_routine():
    assert await asyncio.wait_for(spawn(give(5)), 10) == 5


async def test_wait_for_cancels_a_routine_that_is_too_late():
    slow = spawn(for_ever())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(slow, 0.001)
    assert slow.cancelled()


async def test_wait_for_takes_an_operation(start):
    tx, rx = channel()

    async def receive_in_time():
        return await asyncio.wait_for(rx.recv(), 10)

    receiving = start(receive_in_time())
    await parked(rx, receivers=1)
    await asyncio.wait_for(tx.send("in time"), 10)
    assert await receiving == "in time"


async def test_wait_for_an_operation_that_is_too_late_leaves_no_waiter():
    tx, rx = channel()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(rx.recv(), 0.001)
    assert tx.stats().waiting_receivers == 0
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(tx.send(1), 0.001)
    assert tx.stats().waiting_senders == 0
    assert tx.stats().sent == 0


async def test_a_timeout_block_ends_an_operation_and_leaves_no_waiter(start):
    tx, rx = channel()

    async def wait():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await rx.recv()
        assert asyncio.current_task().cancelling() == 0
        await yield_now()
        return "went on"

    assert await start(wait()) == "went on"
    assert tx.stats().waiting_receivers == 0


async def test_a_timeout_block_that_is_not_reached_changes_nothing(start):
    async def wait():
        async with asyncio.timeout(10):
            return await give("in time")

    assert await start(wait()) == "in time"


async def test_nested_timeouts_raise_the_inner_one(start):
    async def wait():
        async with asyncio.timeout(10):
            try:
                async with asyncio.timeout(0):
                    await for_ever()
            except TimeoutError:
                await yield_now()
                return "inner"

    assert await start(wait()) == "inner"


async def test_a_task_group_runs_in_a_routine_and_waits_for_all(start):
    async def work():
        async with asyncio.TaskGroup() as group:
            children = [group.create_task(give(n)) for n in range(5)]
        return [child.result() for child in children]

    assert await start(work()) == list(range(5))


async def test_a_failing_child_cancels_its_task_group(start):
    tx, rx = channel()
    ended = []

    async def wait():
        try:
            await rx.recv()
        finally:
            ended.append(True)

    async def work():
        async with asyncio.TaskGroup() as group:
            group.create_task(wait())
            group.create_task(fail(LookupError()))
            await tx.wait_closed()

    with pytest.raises(ExceptionGroup) as caught:
        await start(work())
    assert caught.group_contains(LookupError)
    assert ended == [True]
    assert rx.stats().waiting_receivers == 0


async def test_a_task_group_cancelled_from_outside_cancels_its_children(start):
    async def work():
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(for_ever())

    working = start(work())
    await settle()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working


async def test_asyncio_locks_events_and_queues_work_in_routines():
    lock, event, queue = asyncio.Lock(), asyncio.Event(), asyncio.Queue(1)
    order = []

    async def work(name):
        async with lock:
            order.append(name)
            await yield_now()
        await event.wait()
        await queue.put(name)

    routines = [spawn(work(name)) for name in "abc"]
    event.set()
    taken = [await queue.get() for _ in "abc"]
    await asyncio.gather(*routines)
    assert order == list("abc")
    assert sorted(taken) == list("abc")


async def test_asyncio_sleep_works_in_a_routine():
    async def nap():
        await asyncio.sleep(0.001, "slept")
        return current()

    routine = spawn(nap())
    assert await routine is routine


async def test_threads_answer_routines():
    assert await spawn(asyncio.to_thread(lambda: "from a thread")) == "from a thread"


async def test_streams_work_in_routines():
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)

    async def echo():
        other_reader, other_writer = await asyncio.open_connection(sock=theirs)
        other_writer.write(await other_reader.readexactly(5))
        await other_writer.drain()
        other_writer.close()
        await other_writer.wait_closed()

    echoing = spawn(echo())
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    await echoing
    writer.close()
    await writer.wait_closed()


async def test_run_coroutine_threadsafe_reaches_a_channel():
    loop = asyncio.get_running_loop()
    tx, rx = channel()
    sending = asyncio.to_thread(lambda: asyncio.run_coroutine_threadsafe(give_to(tx), loop).result(10))
    sent = asyncio.ensure_future(sending)
    assert await rx.recv() == "from a thread"
    assert await sent == "sent"


async def give_to(tx):
    await tx.send("from a thread")
    return "sent"


async def test_a_plain_task_and_a_routine_wait_for_each_other():
    async def ask(task):
        return await task

    task = asyncio.Task(give("task"))
    routine = spawn(ask(task))
    assert await asyncio.Task(ask(routine)) == "task"


async def test_a_routine_may_await_a_future_that_is_already_done():
    future = asyncio.get_running_loop().create_future()
    future.set_result("there")

    async def wait():
        return await future

    assert await spawn(wait()) == "there"


async def test_a_routine_awaits_a_future_set_from_a_loop_callback():
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.call_later(0.001, future.set_result, "later")

    async def wait():
        return await future

    assert await spawn(wait()) == "later"


async def test_many_routines_await_one_future():
    future = asyncio.get_running_loop().create_future()

    async def wait():
        return await future

    waiting = [spawn(wait()) for _ in range(10)]
    await settle()
    future.set_result("all")
    assert await asyncio.gather(*waiting) == ["all"] * 10


async def test_an_async_generator_left_half_consumed_is_finalized(start):
    trace = []

    async def generate():
        try:
            for number in range(10):
                yield number
        finally:
            trace.append("closed")

    async def take_one():
        generator = generate()
        return await generator.__anext__()

    assert await start(take_one()) == 0
    await until(lambda: trace == ["closed"])


async def test_an_async_generator_parked_on_a_channel_is_closed_with_its_routine(start):
    tx, rx = channel()
    trace = []

    async def doubled():
        try:
            async for value in rx:
                yield 2 * value
        finally:
            trace.append("closed")

    async def consume():
        async for value in doubled():
            trace.append(value)

    consuming = start(consume())
    await tx.send(1)
    await parked(rx, receivers=1)
    consuming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consuming
    await until(lambda: trace == [2, "closed"])
    assert rx.stats().waiting_receivers == 0


async def test_an_async_generator_may_await_operations_when_it_is_closed():
    tx, rx = channel(1)

    async def generate():
        try:
            yield 1
            yield 2
        finally:
            await tx.send("closed")

    async def take_one():
        generator = generate()
        async for _ in generator:
            break
        await generator.aclose()

    await spawn(take_one())
    assert rx.try_recv() == "closed"


async def test_operations_work_in_generator_based_coroutines(start):
    import types

    tx, rx = channel()

    @types.coroutine
    def receive_twice():
        first = yield from rx.recv()
        second = yield from rx.recv().__await__()
        return first, second

    async def wait():
        return await receive_twice()

    receiving = start(wait())
    await tx.send(1)
    await tx.send(2)
    assert await receiving == (1, 2)


async def test_operations_work_in_tasks_written_in_python():
    """Third-party task types follow asyncio's Python code: add_done_callback, result, cancel."""
    tx, rx = channel()
    task = asyncio.tasks._PyTask(receive(rx), loop=asyncio.get_running_loop())
    await parked(rx, receivers=1)
    await tx.send("value")
    assert await task == "value"

    task = asyncio.tasks._PyTask(receive(rx), loop=asyncio.get_running_loop())
    await parked(rx, receivers=1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert rx.stats().waiting_receivers == 0

    task = asyncio.tasks._PyTask(receive(rx), loop=asyncio.get_running_loop())
    await parked(rx, receivers=1)
    tx.close()
    await asyncio.wait([task])
    assert type(task.exception()).__name__ == "ChannelClosed"


async def test_a_python_written_task_awaits_and_cancels_routines():
    async def join(routine):
        return await routine

    loop = asyncio.get_running_loop()
    assert await asyncio.tasks._PyTask(join(spawn(give(1))), loop=loop) == 1
    routine = spawn(for_ever())
    task = asyncio.tasks._PyTask(join(routine), loop=loop)
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert routine.cancelled()


async def test_a_routine_awaits_a_future_like_object_of_somebody_elses():
    class Future:
        """The least that asyncio's documentation asks of a future."""

        _asyncio_future_blocking = False

        def __init__(self):
            self.callbacks = []
            self.cancelled_with = None

        def get_loop(self):
            return loop

        def add_done_callback(self, function, *, context=None):
            self.callbacks.append((function, context))

        def cancel(self, msg=None):
            self.cancelled_with = (msg,)
            self.finish()
            return True

        def finish(self):
            for function, context in self.callbacks:
                loop.call_soon(function, self, context=context)
            self.callbacks.clear()

        def result(self):
            if self.cancelled_with is not None:
                raise asyncio.CancelledError
            return "theirs"

        def __await__(self):
            self._asyncio_future_blocking = True
            yield self
            return self.result()

    async def wait(future):
        return await future

    loop = asyncio.get_running_loop()
    future = Future()
    routine = spawn(wait(future))
    await settle()
    future.finish()
    assert await routine == "theirs"

    future = Future()
    routine = spawn(wait(future))
    await settle()
    routine.cancel("why")
    with pytest.raises(asyncio.CancelledError):
        await routine
    assert future.cancelled_with is not None


async def test_a_future_whose_result_raises_raises_in_the_routine():
    future = asyncio.get_running_loop().create_future()

    async def wait():
        return await future

    routine = spawn(wait())
    await settle()
    error = LookupError()
    future.set_exception(error)
    with pytest.raises(LookupError) as caught:
        await routine
    assert caught.value is error


async def test_a_routine_cancelled_when_its_future_is_done_already_is_cancelled_once():
    future = asyncio.get_running_loop().create_future()
    trace = []

    async def wait():
        try:
            await future
        except asyncio.CancelledError:
            trace.append("cancelled")
        await settle()
        return "went on"

    routine = spawn(wait())
    await settle()
    future.set_result("value")
    routine.cancel()
    assert await routine == "went on"
    assert trace == ["cancelled"], "as asyncio has it: a future's value is still in the future"


def left_callback(future):
    """What a routine that waits for a future of asyncio's has left there."""
    ((callback, _context),) = future._callbacks
    return callback


@pytest.mark.bodies("routine")
async def test_a_future_that_calls_back_twice_leaves_alone_whoever_waits_now():
    """The callback is used again for the next routine that waits for a future, and answers to that one alone."""
    loop = asyncio.get_running_loop()
    first, second = loop.create_future(), loop.create_future()

    async def wait(future):
        return await future

    one = go(wait, first)
    await yield_now()
    callback = left_callback(first)
    first.set_result(1)
    assert await one == 1
    other = go(wait, second)
    await yield_now()
    assert left_callback(second) is callback
    callback(first)
    await asyncio.sleep(0)
    assert not other.done()
    second.set_result(2)
    assert await other == 2
    callback(second)  # nobody waits


@pytest.mark.bodies("routine")
async def test_a_callback_that_somebody_has_kept_keeps_no_routine():
    future = asyncio.get_running_loop().create_future()

    async def wait():
        return await future

    routine = go(wait)
    await yield_now()
    callback = left_callback(future)
    assert callback.__self__ is routine
    assert repr(routine) in repr(callback)
    assert "Routine._wakeup" in repr(future)
    kept = weakref.ref(routine)
    future.set_result("done")
    assert await routine == "done"
    del routine
    await asyncio.sleep(0)
    gc.collect()
    assert kept() is None
    assert callback.__self__ is None
    with pytest.raises(TypeError, match="takes the future that is done"):
        callback()
    with pytest.raises(TypeError, match="takes the future that is done"):
        callback(future=future)


@pytest.mark.bodies("routine")
@pytest.mark.parametrize("how", ["result", "exception"])
async def test_a_future_that_calls_back_while_the_callback_is_left_there(how):
    class AtOnce(asyncio.Future):
        def add_done_callback(self, callback, *, context=None):
            self.set_result("done") if how == "result" else self.set_exception(ValueError("failed"))
            callback(self)

    async def wait():
        return await AtOnce()

    if how == "result":
        assert await go(wait) == "done"
    else:
        with pytest.raises(ValueError, match="failed"):
            await go(wait)


@pytest.mark.bodies("routine")
async def test_a_routine_that_parks_while_another_future_is_asked_has_a_callback_of_its_own():
    loop = asyncio.get_running_loop()
    started = []

    async def wait(future):
        return await future

    class Odd(asyncio.Future):
        def get_loop(self):
            started.append(Routine(wait(plain), loop=loop, eager_start=True))
            return super().get_loop()

    plain, odd, before = loop.create_future(), Odd(), loop.create_future()
    loop.call_soon(before.set_result, None)
    await go(wait, before)  # leaves a callback that is free
    routine = go(wait, odd)
    await yield_now()
    assert left_callback(odd) is not left_callback(plain)
    odd.set_result("odd")
    plain.set_result("plain")
    assert await routine == "odd"
    assert [await each for each in started] == ["plain"]
