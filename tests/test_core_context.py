"""Context variables: each routine has its own copy unless it is given one."""

import asyncio
import contextvars
import decimal

from helpers import settle, until

from routines import channel, spawn, yield_now

name = contextvars.ContextVar("name", default="nobody")


async def look():
    return name.get()


async def test_a_routine_inherits_the_context_of_its_spawner():
    name.set("spawner")
    assert await spawn(look()) == "spawner"


async def test_the_context_is_copied_when_the_routine_is_spawned():
    name.set("then")
    routine = spawn(look())
    name.set("now")
    assert await routine == "then"


async def test_what_a_routine_sets_stays_its_own(start):
    async def change():
        name.set("changed")
        await yield_now()
        return name.get()

    name.set("outside")
    assert await start(change()) == "changed"
    assert name.get() == "outside"


async def test_interleaved_routines_keep_their_values_apart(start):
    tx, rx = channel()

    async def keep(value):
        name.set(value)
        for _ in range(5):
            await yield_now()
            assert name.get() == value
        await tx.send(value)
        assert name.get() == value
        return name.get()

    async def drain():
        name.set("drain")
        for _ in range(20):
            await rx.recv()
            assert name.get() == "drain"

    draining = start(drain())
    values = await asyncio.gather(*(start(keep(number)) for number in range(20)))
    assert values == list(range(20))
    await draining


async def test_a_routine_runs_in_the_context_it_is_given():
    context = contextvars.copy_context()
    context.run(name.set, "given")

    async def change():
        seen = name.get()
        name.set("left behind")
        return seen

    assert await spawn(change(), context=context) == "given"
    assert context[name] == "left behind"
    assert name.get() == "nobody"


async def test_two_routines_may_share_one_context():
    context = contextvars.copy_context()

    async def write():
        name.set("shared")
        await yield_now()

    async def read():
        await yield_now()
        return name.get()

    writing, reading = spawn(write(), context=context), spawn(read(), context=context)
    await writing
    assert await reading == "shared"


async def test_a_routine_spawned_by_a_routine_inherits_from_it():
    async def parent():
        name.set("parent")
        return await spawn(look())

    assert await spawn(parent()) == "parent"


async def test_a_wake_up_does_not_carry_the_wakers_context(start):
    tx, rx = channel()

    async def receive():
        name.set("receiver")
        await rx.recv()
        return name.get()

    receiving = start(receive())
    await settle()
    name.set("sender")
    await tx.send(None)
    assert await receiving == "receiver"


async def test_decimal_contexts_stay_apart():
    async def divide(precision):
        with decimal.localcontext(prec=precision):
            await yield_now()
            return len(str(decimal.Decimal(1) / 3)) - 2

    assert await asyncio.gather(*(spawn(divide(n)) for n in (3, 5, 9))) == [3, 5, 9]


async def test_the_context_is_left_when_a_routine_fails():
    async def fail():
        name.set("failing")
        raise LookupError

    routine = spawn(fail())
    await asyncio.wait([routine])
    routine.exception()
    assert name.get() == "nobody"


async def test_two_routines_in_one_context_are_woken_by_futures():
    context = contextvars.copy_context()
    loop = asyncio.get_running_loop()
    gate = loop.create_future()
    counted = []

    async def count():
        for _ in range(3):
            await asyncio.sleep(0.001)
            name.set(f"{name.get()}.")
        counted.append(True)
        await gate
        await yield_now()
        return name.get()

    counting = [spawn(count(), context=context) for _ in range(3)]
    await until(lambda: len(counted) == 3)
    gate.set_result(None)
    assert await asyncio.gather(*counting) == 3 * ["nobody" + 9 * "."]
    assert name.get() == "nobody"


async def test_a_future_that_calls_back_in_a_context_of_its_own():
    class Elsewhere(asyncio.Future):
        def add_done_callback(self, callback, *, context=None):
            super().add_done_callback(callback, context=elsewhere)

    elsewhere = contextvars.Context()
    elsewhere.run(name.set, "elsewhere")
    future = Elsewhere()

    async def wait():
        name.set("waiter")
        got = await future
        assert name.get() == "waiter"
        name.set("woken")
        await asyncio.sleep(0)
        return got, name.get()

    waiting = spawn(wait())
    await settle()
    future.set_result("done")
    assert await waiting == ("done", "woken")
    assert elsewhere[name] == "elsewhere"


async def test_a_future_that_calls_back_at_once_in_its_completers_context():
    class AtOnce(asyncio.Future):
        def add_done_callback(self, callback, *, context=None):
            self.callback = callback

        def set_result(self, result):
            super().set_result(result)
            self.callback(self)

    future = AtOnce()

    async def wait():
        name.set("waiter")
        return await future, name.get()

    waiting = spawn(wait())
    await settle()
    name.set("completer")
    future.set_result("done")
    assert name.get() == "completer"
    assert await waiting == ("done", "waiter")
