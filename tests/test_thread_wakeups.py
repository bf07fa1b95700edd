"""Wake-ups across threads: a loop that moves to another thread, and what runs while a wake-up is under way."""

import asyncio
import threading

import pytest
from helpers import parked, settle, until

from routines import ChannelClosed, Selector, case, channel, go, select, spawn


class Moved:
    """A loop that has run here, and now does on a thread of its own."""

    def __init__(self, loop):
        self.loop = loop
        self.thread = threading.Thread(target=loop.run_forever, daemon=True)

    def __enter__(self):
        running = threading.Event()
        self.loop.call_soon(running.set)
        self.thread.start()
        assert running.wait(10)
        return self

    def __exit__(self, *exc_info):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)


def test_a_loop_that_another_thread_took_over_is_woken_from_the_thread_that_it_left(loop):
    tx, rx = channel()
    taken = threading.Event()

    async def receive():
        await rx.recv()
        taken.set()

    async def begin():
        receiving = spawn(receive())
        await parked(rx, receivers=1)
        return receiving

    receiving = loop.run_until_complete(begin())
    with Moved(loop):
        tx.try_send(None)
        assert taken.wait(10), "the loop sleeps on"
    assert receiving.done()


def test_a_routine_can_be_woken_before_its_loop_runs_again(loop):
    tx, rx = channel()

    async def begin():
        receiving = spawn(receive())
        await parked(rx, receivers=1)
        return receiving

    async def receive():
        return await rx.recv()

    receiving = loop.run_until_complete(begin())
    tx.try_send("while nothing ran")
    assert loop.run_until_complete(receiving.join()) == "while nothing ran"


def from_a_thread(function, *args):
    """Calls it on a thread of its own, and returns what it raised; the loop here stands still meanwhile."""
    raised = []

    def call():
        try:
            function(*args)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    return raised


async def test_a_select_over_an_event_may_be_served_by_another_thread(start):
    tx, rx = channel()
    event = asyncio.Event()

    async def choose():
        return await select(rx, case(event))

    choosing = start(choose())
    await parked(rx, receivers=1)
    await settle()
    assert from_a_thread(tx.try_send, "value") == []
    assert (await choosing).value == "value"
    await until(lambda: not event._waiters)  # the task that waited for the event has ended


async def test_a_case_over_an_event_may_leave_its_selector_on_another_thread():
    event = asyncio.Event()
    selector = Selector(case(event))
    await until(lambda: event._waiters)
    assert from_a_thread(selector.remove, 0) == []
    await until(lambda: not event._waiters)


class Hesitant(asyncio.SelectorEventLoop):
    """Whoever wakes it from another thread goes on once `proceed` is set, as if the others had been quicker."""

    proceed = None

    def call_soon_threadsafe(self, callback, *args, context=None):
        handle = super().call_soon_threadsafe(callback, *args, context=context)
        if self.proceed is not None:
            assert self.proceed.wait(10)
        return handle


def test_a_close_from_a_thread_does_not_serve_the_next_select_of_the_routine_that_it_woke():
    loop = Hesitant()
    tx, rx = channel()
    other_tx, other_rx = channel()
    selecting_again = threading.Event()

    async def choose_twice():
        first = await select(rx, rx)
        assert (first.value, first.ok) == (None, False)
        loop.call_soon(loop.call_soon, selecting_again.set)  # when it is parked
        return (await select(other_rx, other_rx)).value

    async def main():
        choosing = spawn(choose_twice())
        await parked(rx, receivers=2)
        loop.proceed = selecting_again
        closing = threading.Thread(target=tx.close)
        closing.start()
        while closing.is_alive():
            await settle()
        loop.proceed = None
        await settle()
        assert choosing.state == "select", "nothing has happened to what it waits for now"
        await other_tx.send("a value")
        assert await choosing.join() == "a value"

    try:
        loop.run_until_complete(asyncio.wait_for(main(), 10))
    finally:
        loop.close()
    with pytest.raises(ChannelClosed):
        rx.try_recv()


async def test_what_another_thread_has_woken_goes_on_in_that_order(start):
    tx, rx = channel()
    order = []

    async def receive(name):
        order.append((name, await rx.recv()))

    def send():
        for number in range(3):
            tx.try_send(number)

    receiving = []
    for name in range(3):
        receiving.append(start(receive(name)))
        await parked(rx, receivers=name + 1)
    thread = threading.Thread(target=send)
    thread.start()
    thread.join()  # the loop has its turn when all are woken
    await asyncio.wait(receiving)
    assert order == [(0, 0), (1, 1), (2, 2)]


class Prompt(asyncio.SelectorEventLoop):
    """Whoever calls from another thread goes on once that call was made."""

    def call_soon_threadsafe(self, callback, *args, context=None):
        handle = super().call_soon_threadsafe(callback, *args, context=context)
        if self.is_running() and asyncio._get_running_loop() is not self:
            made = threading.Event()
            super().call_soon_threadsafe(made.set)
            assert made.wait(10)
        return handle


def test_a_loop_on_another_thread_that_drains_before_the_call_for_that_returns_is_asked_again():
    loop = Prompt()
    tx, rx = channel()

    async def begin():
        receiving = spawn(rx.recv())
        await parked(rx, receivers=1)
        return receiving

    receiving = loop.run_until_complete(begin())
    try:
        with Moved(loop):
            tx.try_send("value")
            started = threading.Event()

            async def start():
                started.set()

            loop.call_soon_threadsafe(go, start)
            assert started.wait(10), "it is taken for asked still"
        assert receiving.result() == "value"
    finally:
        loop.close()
