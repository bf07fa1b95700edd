"""Go's concurrency for asyncio: routines, channels and select, at Go's speed.

Everything here works inside a running asyncio program, from routines and from plain tasks alike.
"""

from . import _registry
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
from ._select import Selected, Selector, case, select
from ._stats import ChannelStats
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
from .runtime import Runtime, RuntimeConfig, run, runtime

_registry.install()

__version__ = "0.1.0"

__all__ = [
    "Aborted",
    "BroadcastSender",
    "Channel",
    "ChannelClosed",
    "ChannelStats",
    "Deadlock",
    "Error",
    "Lagged",
    "Receiver",
    "RecvError",
    "Routine",
    "Runtime",
    "RuntimeClosed",
    "RuntimeConfig",
    "SelectError",
    "Selected",
    "Selector",
    "SendError",
    "Sender",
    "SpawnError",
    "Subscription",
    "Ticker",
    "Timeout",
    "WatchReceiver",
    "WatchSender",
    "after",
    "broadcast",
    "case",
    "channel",
    "current",
    "dump",
    "go",
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
