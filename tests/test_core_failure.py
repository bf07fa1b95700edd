"""Failures are never dropped: who hears of an exception, and what ends the loop."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers import PLAIN_LOOPS, collect, new_loop, outcome, parked, recorded_warnings, settle, until

from routines import ChannelClosed, SendError, channel, spawn, yield_now


async def fail(error):
    await yield_now()
    raise error


async def give(value=None):
    return value


def exceptions(reports):
    found = [report.get("exception") for report in reports]
    reports.clear()
    return found


# --- exceptions that nobody retrieves


async def test_a_failure_that_nobody_retrieves_is_reported_once(reports):
    error = LookupError("nobody looked")
    spawn(fail(error))
    await settle()
    collect()
    await settle()
    collect()
    assert exceptions(reports) == [error]


async def test_a_failure_is_reported_when_its_handle_is_dropped_later(reports):
    error = LookupError("nobody looked")
    routine = spawn(fail(error))
    await settle()
    assert routine.done()
    assert not reports, "the handle is still there to be asked"
    del routine
    collect()
    await settle()
    assert exceptions(reports) == [error]


async def test_the_report_tells_which_routine_failed(reports):
    spawn(fail(LookupError("nobody looked")), name="worker 13")
    await settle()
    collect()
    await until(lambda: reports)
    (report,) = reports
    assert "never retrieved" in report["message"]
    assert "worker 13" in repr(report)
    reports.clear()


async def test_an_awaited_failure_is_not_reported(reports):
    assert isinstance(await outcome(spawn(fail(LookupError()))), LookupError)
    collect()
    await settle()
    assert not reports


async def test_a_joined_failure_is_not_reported(reports):
    assert isinstance(await outcome(spawn(fail(LookupError())).join()), LookupError)
    collect()
    await settle()
    assert not reports


async def test_a_failure_that_was_looked_at_is_not_reported(reports):
    by_result, by_exception = spawn(fail(LookupError())), spawn(fail(LookupError()))
    await asyncio.wait([by_result, by_exception])
    with pytest.raises(LookupError):
        by_result.result()
    assert isinstance(by_exception.exception(), LookupError)
    del by_result, by_exception
    collect()
    await settle()
    assert not reports


async def test_a_failure_with_a_joiner_that_was_cancelled_is_still_reported(start, reports):
    tx, rx = channel()
    error = LookupError("nobody looked")

    async def fail_later():
        await rx.recv()
        raise error

    async def join(routine):
        await routine.join()

    joining = start(join(spawn(fail_later())))
    await settle()
    joining.cancel()
    assert isinstance(await outcome(joining), asyncio.CancelledError)
    await tx.send(None)
    del joining
    await settle()
    collect()
    await settle()
    assert exceptions(reports) == [error]


async def test_an_aborted_routine_is_not_reported(reports):
    async def for_ever():
        await asyncio.get_running_loop().create_future()

    routine = spawn(for_ever())
    await settle()
    routine.abort()
    del routine
    await settle()
    collect()
    await settle()
    assert not reports


async def test_each_of_many_failures_is_reported(reports):
    errors = [LookupError(number) for number in range(20)]
    for error in errors:
        spawn(fail(error))
    await settle()
    collect()
    await until(lambda: len(reports) >= 20)
    assert sorted(exceptions(reports), key=lambda error: error.args) == errors


def test_a_failure_still_unretrieved_when_the_loop_is_closed_is_reported(loop):
    seen = []
    loop.set_exception_handler(lambda _, context: seen.append(context["exception"]))
    error = LookupError("late")

    async def main():
        main.routine = spawn(fail(error))
        await asyncio.wait([main.routine])

    loop.run_until_complete(main())
    loop.close()
    assert not seen
    del main.routine
    collect()
    assert seen == [error]


async def test_others_are_not_disturbed_by_a_failure(reports):
    tx, rx = channel()

    async def receive():
        return await rx.recv()

    receiving = spawn(receive())
    spawn(fail(LookupError()))
    await settle()
    await tx.send("fine")
    assert await receiving == "fine"
    collect()
    await settle()
    reports.clear()


async def test_a_failing_exception_handler_stops_nothing():
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()

    def explode(loop, context):
        raise ZeroDivisionError

    loop.set_exception_handler(explode)
    spawn(fail(LookupError()))
    await settle()
    collect()
    await settle()
    loop.set_exception_handler(before)
    assert await spawn(give(1)) == 1


# --- exceptions that are no Exception


async def test_a_base_exception_reaches_the_joiner():
    class Odd(BaseException):
        pass

    error = Odd("odd")
    with pytest.raises(Odd) as caught:
        await spawn(fail(error))
    assert caught.value is error


async def test_a_generator_exit_reaches_the_joiner():
    with pytest.raises(GeneratorExit):
        await spawn(fail(GeneratorExit()))


async def test_a_stop_iteration_is_made_a_runtime_error_by_the_coroutine():
    with pytest.raises(RuntimeError, match="StopIteration"):
        await spawn(fail(StopIteration(1)))


async def test_a_routine_that_raises_cancelled_error_itself_is_cancelled():
    routine = spawn(fail(asyncio.CancelledError("own")))
    with pytest.raises(asyncio.CancelledError):
        await routine
    assert routine.cancelled()


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_a_routine_leaves_the_loop_and_the_ring_intact(loop, kind):
    trace = []

    async def note(name):
        trace.append(name)
        await yield_now()
        trace.append(name)

    async def main():
        tx, rx = channel()
        main.ends = tx, rx
        main.routines = [
            spawn(note("before")),
            spawn(fail(kind("stop"))),
            spawn(note("after")),
            spawn(receive(rx)),
        ]
        await asyncio.get_running_loop().create_future()

    async def receive(rx):
        return await rx.recv()

    async def rest():
        tx, _ = main.ends
        await tx.send("the ring still turns")
        assert asyncio.current_task() is not main.routines[1]
        return await main.routines[3]

    main_task = loop.create_task(main())
    with pytest.raises(kind):
        loop.run_until_complete(main_task)
    assert loop.run_until_complete(rest()) == "the ring still turns"
    assert sorted(trace) == ["after", "after", "before", "before"]
    assert main.routines[1].done()
    assert isinstance(main.routines[1].exception(), kind)
    main_task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(main_task)


def test_an_interrupt_in_the_main_routine_propagates_out_of_asyncio_run():
    async def main():
        await spawn(fail(KeyboardInterrupt()))

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    assert asyncio.run(give(1)) == 1


def test_stopping_the_loop_in_a_routine_keeps_the_rest_ready(loop):
    trace = []

    async def stop():
        trace.append("stop")
        loop.stop()

    async def note():
        trace.append("note")
        await yield_now()
        trace.append("note again")

    def begin():
        begin.routines = [spawn(stop()), spawn(note())]

    loop.call_soon(begin)
    loop.run_forever()
    loop.run_until_complete(asyncio.wait_for(wait_all(begin.routines), 5))
    assert trace == ["stop", "note", "note again"]


async def wait_all(routines):
    await asyncio.wait(routines)


# --- the loop goes away


@pytest.mark.parametrize("kind", PLAIN_LOOPS)
def test_a_loop_closed_with_routines_parked_lets_them_be_collected(kind):
    loop = new_loop(kind)
    trace = []

    async def wait(awaitable):
        try:
            await awaitable
        finally:
            trace.append("finally")

    async def main():
        tx, rx = channel()
        spawn(wait(rx.recv()), name="parked")
        spawn(wait(asyncio.sleep(1000)), name="waiting")
        await settle()
        main.ends = tx, rx

    with recorded_warnings():
        loop.run_until_complete(main())
        loop.close()
        collect()
        del main.ends
        collect()
        del loop
        collect()
    assert trace == ["finally", "finally"]


@pytest.mark.parametrize("kind", PLAIN_LOOPS)
def test_a_channel_outlives_the_loop_that_its_waiters_were_on(kind):
    loop = new_loop(kind)

    async def receive(rx):
        return await rx.recv()

    async def main():
        tx, rx = channel()
        main.routine = spawn(receive(rx))
        await settle()
        return tx, rx

    with recorded_warnings():
        tx, rx = loop.run_until_complete(main())
        loop.close()
        try:
            tx.try_send("anyone?")
        except SendError:
            pass
        tx.close()
        rx.close()
        assert tx.closed
        assert rx.closed
        del main.routine, tx, rx, loop
        collect()


@pytest.mark.parametrize("kind", PLAIN_LOOPS)
@pytest.mark.parametrize("plain", [False, True], ids=["routine", "task"])
def test_a_channel_outlives_a_loop_of_another_thread(kind, plain):
    async def receive(rx):
        return await rx.recv()

    async def main():
        tx, rx = channel()
        kept.append(asyncio.Task(receive(rx)) if plain else spawn(receive(rx)))
        await settle()
        kept.extend((tx, rx))

    def run():
        loop = new_loop(kind)
        loop.run_until_complete(main())
        loop.close()

    kept = []
    with recorded_warnings():
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        waiting, tx, rx = kept
        try:
            tx.try_send("anyone?")
        except SendError:
            pass
        tx.close()
        rx.close()
        assert tx.closed
        assert rx.closed
        kept.clear()
        if plain:
            waiting._log_destroy_pending = False
        del waiting, tx, rx
        collect()


@pytest.mark.parametrize("kind", PLAIN_LOOPS)
@pytest.mark.parametrize("where", ["same thread", "other thread"])
@pytest.mark.parametrize("plain", [False, True], ids=["routine", "task"])
def test_closing_a_channel_wakes_the_living_behind_the_waiters_of_a_closed_loop(kind, where, plain):
    async def receive(rx):
        try:
            return await rx.recv()
        except ChannelClosed:
            return "closed"

    async def first():
        kept.append(asyncio.Task(receive(rx)) if plain else spawn(receive(rx)))
        await settle()

    def run_first():
        loop = new_loop(kind)
        loop.run_until_complete(first())
        loop.close()

    async def second():
        waiting = spawn(receive(rx))
        await settle()
        tx.close()
        return await asyncio.wait_for(waiting, 5)

    kept = []
    tx, rx = channel()
    with recorded_warnings():
        if where == "same thread":
            run_first()
        else:
            thread = threading.Thread(target=run_first)
            thread.start()
            thread.join()
        assert asyncio.run(second()) == "closed"
        if plain:
            kept[0]._log_destroy_pending = False
        kept.clear()
        collect()


@pytest.mark.parametrize("kind", PLAIN_LOOPS)
def test_a_loop_closed_while_routines_are_ready_crashes_nothing(kind):
    loop = new_loop(kind)

    async def count():
        while True:
            await yield_now()

    async def main():
        for _ in range(5):
            spawn(count())

    with recorded_warnings():
        loop.run_until_complete(main())
        loop.close()
        del loop
        collect()


def test_routines_work_on_one_loop_after_another():
    async def main(value):
        tx, rx = channel()

        async def send():
            await tx.send(value)

        sending = spawn(send())
        got = await rx.recv()
        await sending
        return got

    for number in range(20):
        assert asyncio.run(main(number)) == number


def test_a_loop_can_be_run_many_times(loop):
    async def main():
        return await spawn(give(1))

    for _ in range(50):
        assert loop.run_until_complete(main()) == 1


# --- callbacks and wake-ups that the loop does not take


async def test_a_callback_that_a_thread_adds_after_the_end_is_called_by_the_loop():
    routine = spawn(give())
    await routine
    called = []
    thread = threading.Thread(
        target=routine.add_done_callback, args=[lambda _: called.append(threading.get_ident())]
    )
    thread.start()
    thread.join()
    await until(lambda: called)
    assert called == [threading.get_ident()]


def test_a_callback_added_after_its_loop_was_closed_is_never_called(loop):
    async def main():
        routine = spawn(give())
        await routine
        return routine

    routine = loop.run_until_complete(main())
    loop.close()
    called = []
    routine.add_done_callback(called.append)
    assert called == []
    assert routine.result() is None


class Refusing(asyncio.SelectorEventLoop):
    """Refuses so many calls before it takes one."""

    refusals = 0

    def call_soon(self, *arguments, **options):
        self.refuse()
        return super().call_soon(*arguments, **options)

    def call_soon_threadsafe(self, *arguments, **options):
        self.refuse()
        return super().call_soon_threadsafe(*arguments, **options)

    def refuse(self):
        if self.refusals:
            self.refusals -= 1
            raise RuntimeError("refused")


def test_a_loop_that_refuses_a_call_is_not_taken_for_a_closed_one():
    async def main():
        loop = asyncio.get_running_loop()
        done = spawn(give("done"))
        await done
        loop.refusals = 1
        with pytest.raises(RuntimeError, match="refused"):
            done.add_done_callback(print)
        await asyncio.sleep(
            0
        )  # out of the drain that has woken this task, which would step the next one as well
        loop.refusals = 1
        before = len(asyncio.all_tasks())
        with pytest.raises(RuntimeError, match="refused"):
            spawn(give("refused"))
        assert len(asyncio.all_tasks()) == before, "nothing is half done"
        assert await spawn(give("went on")) == "went on"

        tx, rx = channel()
        receiving = [spawn(rx.recv()) for _ in range(2)]
        await parked(rx, receivers=2)
        loop.refusals = 1
        with ThreadPoolExecutor(1) as pool:
            with pytest.raises(RuntimeError, match="refused"):
                pool.submit(tx.try_send, "a value of which the loop hears at the second attempt").result(30)
            assert (await receiving[0]).endswith("at the second attempt")
            await settle()  # what was woken from another thread is forgotten by now
            loop.refusals = 2
            with pytest.raises(RuntimeError, match="refused"):
                pool.submit(tx.try_send, "a value of which it does not hear").result(30)
        await spawn(give("a drain, which looks"))
        assert await receiving[1] == "a value of which it does not hear"

    with recorded_warnings():  # the one that the loop never heard of
        loop = Refusing()
        loop.run_until_complete(main())
        loop.close()
        del loop
        collect()


def test_a_routine_whose_loop_refuses_to_go_on_with_it_goes_on_with_the_next_drain():
    async def give_way():
        loop.refusals = 1
        await asyncio.sleep(0)
        return "went on"

    async def main():
        return await spawn(give_way())

    reports = []
    loop = Refusing()
    loop.set_exception_handler(lambda _, context: reports.append(context))
    assert loop.run_until_complete(main()) == "went on"
    loop.close()
    assert [str(each) for each in exceptions(reports)] == ["refused"]
