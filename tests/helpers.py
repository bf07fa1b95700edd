"""What tests wait with: states, never time."""

import asyncio
import gc
import importlib.util
import time
import warnings

LOOPS = ["stock", "debug"] + (["uvloop"] if importlib.util.find_spec("uvloop") else [])
PLAIN_LOOPS = [kind for kind in LOOPS if kind != "debug"]


def new_loop(kind):
    """A loop of that kind; debug mode is for its user to switch on."""
    if kind == "uvloop":
        import uvloop

        return uvloop.new_event_loop()
    return asyncio.SelectorEventLoop()


async def turn():
    """One whole turn of the event loop, from a routine as from a task."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.call_soon(lambda: future.done() or future.set_result(None))
    await future


async def settle(turns=6):
    """Lets the loop turn until whatever was ready has run and has woken what it wakes."""
    for _ in range(turns):
        await turn()


async def until(predicate, seconds=10.0):
    """Turns the loop until `predicate()` holds; fails where it never does."""
    deadline = time.monotonic() + seconds
    while not predicate():
        if time.monotonic() > deadline:
            raise AssertionError(f"this state never came: {predicate}")
        await turn()


async def parked(end, *, receivers=None, senders=None):
    """Waits until so many receivers and senders are parked on the channel of `end`."""
    await until(
        lambda: (
            receivers in (None, end.stats().waiting_receivers)
            and senders in (None, end.stats().waiting_senders)
        )
    )


async def outcome(awaitable):
    """The result of `awaitable`, or the exception it raised; a cancellation is an outcome too."""
    try:
        return await awaitable
    except (Exception, asyncio.CancelledError) as error:
        return error


def block_of(text, routine):
    """What a dump tells of a routine that is told of alone."""
    return next(block for block in text.split("\n\n") if block.startswith(f"routine {routine.id} "))


def collect():
    """A full collection; twice, as finalizers make new garbage."""
    gc.collect()
    gc.collect()


def live(kind):
    """How many objects of exactly this type the collector knows."""
    return sum(type(each) is kind for each in gc.get_objects())


class recorded_warnings:
    """Collects all warnings in the block, however they are raised, as a list of them."""

    def __enter__(self):
        self._catcher = warnings.catch_warnings(record=True)
        seen = self._catcher.__enter__()
        warnings.simplefilter("always")
        return seen

    def __exit__(self, *exc_info):
        collect()
        return self._catcher.__exit__(*exc_info)


class Value:
    """A message that can be told apart and weakly referenced."""

    def __init__(self, label=""):
        self.label = label

    def __repr__(self):
        return f"<Value {self.label}>"
