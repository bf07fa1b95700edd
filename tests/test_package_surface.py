"""What the package exports, and that its stubs and files say the same."""

import importlib
import inspect
from pathlib import Path

import pytest

import routines

CORE = [
    "spawn", "go", "yield_now", "sleep", "current", "run", "task_factory", "Routine",
    "channel", "Channel", "Sender", "Receiver", "ChannelStats",
    "Error", "ChannelClosed", "SendError", "RecvError", "SelectError", "SpawnError", "Aborted", "Timeout",
    "Lagged", "Deadlock", "RuntimeClosed", "Runtime", "RuntimeConfig", "runtime", "dump", "set_debug",
    "broadcast", "watch", "oneshot", "BroadcastSender", "Subscription", "WatchSender", "WatchReceiver",
    "group", "WaitGroup", "Mutex", "RWMutex", "Semaphore", "Once", "Cond", "context",
]  # fmt: skip

SURFACE = {
    "Routine": [
        "done", "cancelled", "result", "exception", "cancel", "cancelling", "uncancel",
        "add_done_callback", "remove_done_callback", "get_name", "set_name", "get_coro", "get_context",
        "get_loop", "get_stack", "print_stack", "join", "join_blocking", "abort", "id", "state", "_fut_waiter",
        "_must_cancel", "_asyncio_future_blocking",
    ],
    "Sender": [
        "send", "try_send", "send_blocking", "send_many", "clone", "close", "closed", "wait_closed", "capacity",
        "channel", "stats",
    ],
    "Receiver": [
        "recv", "try_recv", "recv_blocking", "recv_ok", "recv_many", "batches", "clone", "close", "closed",
        "wait_closed", "capacity", "channel", "stats",
    ],
    "BroadcastSender": ["send", "try_send", "send_many", "subscribe", "clone", "close", "channel", "stats"],
    "Subscription": ["recv", "try_recv", "recv_many", "clone", "close", "channel", "stats"],
    "WatchSender": ["send", "try_send", "value", "subscribe", "clone", "close", "channel", "stats"],
    "WatchReceiver": ["changed", "value", "recv", "try_recv", "clone", "close", "channel", "stats"],
    "Channel": [
        "send", "try_send", "send_blocking", "send_many", "recv", "try_recv", "recv_blocking", "recv_ok", "recv_many", "batches",
        "close", "closed", "wait_closed", "capacity", "stats", "sender", "receiver",
    ],
    "group": ["go", "abort"],
    "WaitGroup": ["add", "done", "wait", "go"],
    "Mutex": ["lock", "try_lock", "unlock"],
    "RWMutex": ["lock", "try_lock", "unlock", "rlock", "try_rlock", "runlock", "reading"],
    "Semaphore": ["acquire", "try_acquire", "release"],
    "Once": ["do"],
    "Cond": ["wait", "wait_for", "signal", "broadcast"],
    "context": ["background", "with_cancel", "with_timeout", "with_deadline", "with_value", "Cancelled", "DeadlineExceeded"],
}  # fmt: skip


@pytest.mark.parametrize("name", CORE)
def test_the_contract_is_exported(name):
    assert name in routines.__all__
    assert hasattr(routines, name)


def test_all_is_sorted_out():
    assert len(set(routines.__all__)) == len(routines.__all__)
    for name in routines.__all__:
        assert not name.startswith("_")
        getattr(routines, name)


def test_a_star_import_brings_all_and_nothing_else():
    names = {}
    exec("from routines import *", names)
    names.pop("__builtins__")
    assert set(names) == set(routines.__all__)


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, names in SURFACE.items() for name in names]
)
def test_every_method_of_the_contract_is_there(kind, name):
    assert hasattr(getattr(routines, kind), name)


@pytest.mark.parametrize("name", CORE)
def test_everything_has_a_docstring(name):
    assert inspect.getdoc(getattr(routines, name))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (kind, name)
        for kind, names in SURFACE.items()
        for name in names
        if not name.startswith("_") and kind != "Routine"
    ],
)
def test_every_method_of_an_end_has_a_docstring(kind, name):
    assert inspect.getdoc(getattr(getattr(routines, kind), name))


def test_the_package_is_marked_as_typed_and_has_stubs():
    package = Path(routines.__file__).parent
    assert (package / "py.typed").exists()
    compiled = {path.name.split(".")[0] for pattern in ("*.so", "*.pyd") for path in package.glob(pattern)}
    public = {
        getattr(routines, name).__module__.rpartition(".")[2]
        for name in routines.__all__
        if getattr(getattr(routines, name), "__module__", "").startswith("routines.")
    }
    for module in compiled & public:
        assert (package / f"{module}.pyi").exists(), f"{module} has no stub"


def test_the_stages_are_a_module_of_their_own_and_shadow_nothing():
    stages = importlib.import_module("routines.stages")
    assert set(stages.__all__) == {
        "batch", "collect", "filter", "into", "map", "merge", "pipe", "throttle",
    }  # fmt: skip
    for name in stages.__all__:
        assert inspect.getdoc(getattr(stages, name))
        assert name not in routines.__all__


def test_the_types_say_that_they_live_in_the_package():
    for name in ("Routine", "Sender", "Receiver", "Channel", "Subscription", "WatchReceiver"):
        assert getattr(routines, name).__module__.startswith("routines")
        assert getattr(routines, name).__name__ == name


def test_the_version_is_a_string():
    assert isinstance(routines.__version__, str)


def test_importing_twice_gives_the_same_module():
    assert importlib.import_module("routines") is routines


def test_importing_does_not_start_a_loop_or_a_thread():
    import threading

    assert threading.active_count() >= 1
    with pytest.raises(RuntimeError):
        __import__("asyncio").get_running_loop()
