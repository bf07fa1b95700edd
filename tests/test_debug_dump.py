"""What `dump` tells of routines."""

import asyncio
import io
import re

import pytest
from helpers import collect, parked, recorded_warnings, settle

from routines import channel, dump, go, select, set_debug, sleep, spawn, yield_now


@pytest.fixture
def debug():
    set_debug(True)
    yield
    set_debug(False)


def block_of(text, name):
    """The paragraph about the routine of that name."""
    return next(block for block in text.split("\n\n") if repr(name) in block)


async def inner(rx):
    return await rx.recv()


async def outer(rx):
    return await inner(rx)


async def test_a_routine_is_told_of_with_its_channel_and_its_stack():
    _tx, rx = channel(3)
    routine = spawn(outer(rx), name="reader")
    await parked(rx, receivers=1)
    block = block_of(dump(), "reader")
    lines = block.splitlines()
    assert re.fullmatch(rf"routine {routine.id} 'reader' \[chan receive, 0\.\d s\]:", lines[0])
    assert lines[1].startswith("  on <Channel #")
    assert "0/3 buffered" in lines[1]
    assert lines[2].endswith(f"line {outer.__code__.co_firstlineno + 1}, in outer")
    assert lines[3] == "    return await inner(rx)"
    assert lines[4].endswith(f"line {inner.__code__.co_firstlineno + 1}, in inner")
    assert lines[5] == "    return await rx.recv()"
    assert all(line.startswith("  spawned at ") for line in lines[6:])  # the loop's debug mode asks for it
    routine.cancel()


async def test_the_spawn_site_is_told_in_debug_mode(debug):
    _tx, rx = channel()
    routine = spawn(inner(rx), name="reader")
    await settle()
    assert re.search(r"\n  spawned at .*test_debug_dump\.py:\d+$", block_of(dump(), "reader").rstrip())
    routine.cancel()


async def test_those_at_one_place_are_told_of_together():
    _tx, rx = channel()
    waiting = [spawn(inner(rx), name=f"reader {number}") for number in range(8)]
    await parked(rx, receivers=8)
    text = dump()
    assert text.count("in inner") == 1
    block = block_of(text, "reader 0")
    assert block.startswith("8 routines [chan receive, ")
    assert "'reader 4' and 3 more" in block
    for routine in waiting:
        routine.cancel()


async def test_every_state_has_its_name():
    tx, rx = channel()
    _other_tx, other = channel()
    future = asyncio.get_running_loop().create_future()

    async def call(awaitable):
        await awaitable

    async def ready():
        pass

    started = {
        "sleep": spawn(sleep(60), name="a"),
        "chan send": spawn(call(tx.send(1)), name="b"),
        "select": spawn(call(select(other, other.clone())), name="c"),
        "io wait": spawn(call(future), name="d"),
    }
    started["join"] = spawn(call(started["sleep"]), name="e")
    await settle()
    started["ready"] = spawn(ready(), name="f")
    text = dump()
    for (state, routine), name in zip(started.items(), "abcdef", strict=True):
        assert routine.state == state
        assert f"[{state}" in block_of(text, name).splitlines()[0]
    assert "on <Future pending" in block_of(text, "d")
    assert "on <Routine 'a'" in block_of(text, "e")
    assert rx.try_recv() == 1
    for routine in started.values():
        routine.cancel()


async def test_how_long_it_has_waited():
    async def nap():
        await sleep(60)

    routine = spawn(nap(), name="sleeper")
    await asyncio.sleep(0.12)
    seconds = float(re.search(r"\[sleep, ([\d.]+) s\]", block_of(dump(), "sleeper"))[1])
    assert 0.1 <= seconds < 30
    routine.cancel()


@pytest.mark.parametrize(
    "seconds, said",
    [(0, "0.0 s"), (59.94, "59.9 s"), (60, "1 min 0 s"), (3599, "59 min 59 s"), (7320, "2 h 2 min")],
)
def test_durations_are_said_as_people_say_them(seconds, said):
    from routines.debug import _duration

    assert _duration(seconds) == said


async def test_it_goes_to_a_file_as_well():
    file = io.StringIO()
    assert dump(file) == file.getvalue() != ""
    assert dump().endswith("\n")


def test_from_another_thread_and_without_any_routine():
    assert re.match(r"\d+ routines?\n", dump())


async def test_from_another_thread_while_routines_run():
    stop, texts = [], []

    async def spin():
        while not stop:
            await yield_now()

    def look():
        texts.extend(dump() for _ in range(50))
        stop.append(True)

    spinning = [go(spin) for _ in range(20)]
    await asyncio.to_thread(look)
    await asyncio.gather(*spinning)
    assert len(texts) == 50
    assert all("spin" in text for text in texts[1:])


async def test_an_async_generator_and_a_generator_are_walked_through():
    _tx, rx = channel()

    async def values():
        while True:
            yield await rx.recv()

    async def consume():
        async for _ in values():
            pass

    routine = spawn(consume(), name="consumer")
    await parked(rx, receivers=1)
    assert "in " in block_of(dump(), "consumer")
    assert "consume" in block_of(dump(), "consumer")
    routine.cancel()


async def test_ten_thousand_parked_routines_fit_on_a_screen():
    _tx, rx = channel()
    waiting = [go(inner, rx) for _ in range(10_000)]
    await parked(rx, receivers=10_000)
    text = dump()
    assert "10000 routines [chan receive" in text
    assert len(text.splitlines()) < 60
    for routine in waiting:
        routine.cancel()


async def test_those_that_wait_on_different_channels_at_one_place_are_told_of_together():
    channels = [channel() for _ in range(200)]
    waiting = [go(inner, rx) for _, rx in channels]
    await settle()
    text = dump()
    assert text.count("in inner") == 1
    block = next(block for block in text.split("\n\n") if "in inner" in block)
    subjects = [line for line in block.splitlines() if line.startswith("  on <Channel #")]
    assert len(subjects) == len(set(subjects)) == 5
    assert subjects[-1].endswith(", and others")
    assert not subjects[0].endswith("others")
    for routine in waiting:
        routine.cancel()


async def forgotten():
    _tx, rx = channel()
    await rx.recv()


async def test_the_report_of_a_leak_says_who_it_was_and_where_it_stood_and_began(debug):
    with recorded_warnings() as seen:
        spawn(forgotten(), name="forgotten")
        began = forgotten.__code__.co_firstlineno + 7
        await settle()
        collect()
    (message,) = [str(each.message) for each in seen if issubclass(each.category, ResourceWarning)]
    assert message.startswith("<Routine 'forgotten' id=")
    assert "chan receive <Channel #" in message
    assert "no living code could wake it" in message
    assert (
        f"(blocked at {__file__}:{forgotten.__code__.co_firstlineno + 2}, spawned at {__file__}:{began})"
        in message
    )


@pytest.mark.loops("stock", "uvloop")  # asyncio's debug mode records it as well
async def test_the_report_of_a_leak_says_how_to_learn_where_it_began():
    with recorded_warnings() as seen:
        spawn(forgotten(), name="forgotten")
        await settle()
        collect()
    (message,) = [str(each.message) for each in seen if issubclass(each.category, ResourceWarning)]
    assert "spawned at unknown; routines.set_debug(True) records it" in message


async def test_code_without_a_file_is_told_of_by_its_line():
    names = {}
    exec("async def wait(rx):\n    await rx.recv()", names)
    _tx, rx = channel()
    routine = spawn(names["wait"](rx), name="made")
    await parked(rx, receivers=1)
    lines = block_of(dump(), "made").splitlines()
    assert lines[2] == '  File "<string>", line 2, in wait'
    assert not any(line.startswith("    ") for line in lines)
    routine.cancel()


async def test_one_that_ends_while_the_dump_looks_is_left_out(monkeypatch):
    routine = spawn(asyncio.sleep(0))
    await routine
    monkeypatch.setattr("routines.debug.live_routines", lambda: [routine])
    assert dump() == "0 routines\n"
