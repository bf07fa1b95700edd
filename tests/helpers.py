"""What tests wait with: states, never time."""

import asyncio
import contextlib
import ctypes
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


def clear(thing):
    """Does to a compiled object what the collector does to garbage, in whatever order it comes to it."""
    slot_of = ctypes.pythonapi.PyType_GetSlot
    slot_of.restype, slot_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_int]
    ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object)(slot_of(type(thing), 51))(thing)  # Py_tp_clear


def behind(thing, *kinds):
    """What compiled objects refer to: the first of the last kind that is reached from `thing` through the kinds before."""
    found = [thing]
    for kind in kinds:
        found = [each for each in gc.get_referents(*found) if type(each).__name__ == kind]
    return found[0]


class LastWords:
    """Garbage in a cycle: what collects it calls a function."""

    def __init__(self, function):
        self.function, self.cycle = function, self

    def __del__(self):
        self.function()


@contextlib.contextmanager
def collection_at(allocation, function):
    """Has the collector run `function` at the so many-th object that is made, whoever makes it.

    The collector runs at each object until then. From 3.12 on it runs between bytecodes, and so never inside of what is compiled.
    """
    kept = []

    def collected():
        if len(kept) == allocation:
            function()
        else:
            LastWords(collected)
            # So many are more than wait to be used again, and the next object that is made starts a collection.
            kept.append([[] for _ in range(100)])

    before = gc.get_threshold()
    collect()
    collected()
    gc.set_threshold(1, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        function = bool
        collect()


class MeddlingLoop(asyncio.SelectorEventLoop):
    """Calls `meddle` once it is asked to wake up: other threads may run then, and do the same."""

    meddle = None

    def call_soon_threadsafe(self, *arguments, **keywords):
        meddle, self.meddle = self.meddle, None
        handle = super().call_soon_threadsafe(*arguments, **keywords)
        if meddle is not None:
            meddle()
        return handle


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
