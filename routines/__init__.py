"""Go's concurrency for asyncio: routines, channels and select, at Go's speed.

Everything here works inside a running asyncio program, from routines and from plain tasks alike.
"""

from . import _registry, context
from ._broadcast import (
    BroadcastSender,
    Subscription,
    WatchReceiver,
    WatchSender,
    broadcast,
    oneshot,
    watch,
)
from ._channel import Channel, Receiver, Sender, channel
from ._core import Routine, current, go, set_debug, spawn, task_factory, yield_now
from ._groups import WaitGroup
from ._select import Selected, Selector, case, select
from ._stats import ChannelStats
from ._sync import Mutex, RWMutex, Semaphore
from ._timer import Ticker, after, sleep, timeout
from .debug import dump
from .errors import (
    Aborted,
    ChannelClosed,
    Deadlock,
    Error,
    Lagged,
    RecvError,
    RuntimeClosed,
    SelectError,
    SendError,
    SpawnError,
    Timeout,
)
from .groups import group
from .runtime import Runtime, RuntimeConfig, run, runtime
from .sync import Cond, Once

_registry.install()

__version__ = "0.1.0"

__all__ = [
    "Aborted",
    "BroadcastSender",
    "Channel",
    "ChannelClosed",
    "ChannelStats",
    "Cond",
    "Deadlock",
    "Error",
    "Lagged",
    "Mutex",
    "Once",
    "RWMutex",
    "Receiver",
    "RecvError",
    "Routine",
    "Runtime",
    "RuntimeClosed",
    "RuntimeConfig",
    "SelectError",
    "Selected",
    "Selector",
    "Semaphore",
    "SendError",
    "Sender",
    "SpawnError",
    "Subscription",
    "Ticker",
    "Timeout",
    "WaitGroup",
    "WatchReceiver",
    "WatchSender",
    "after",
    "broadcast",
    "case",
    "channel",
    "context",
    "current",
    "dump",
    "go",
    "group",
    "oneshot",
    "run",
    "runtime",
    "select",
    "set_debug",
    "sleep",
    "spawn",
    "task_factory",
    "timeout",
    "watch",
    "yield_now",
]
