"""One thread of a runtime: an event loop, the scheduler on it, and the way to its end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from time import monotonic
from typing import TYPE_CHECKING, Any, NoReturn

from ._core import Routine, Scheduler, scheduler_for, task_factory

if TYPE_CHECKING:
    from .runtime import Runtime, RuntimeConfig

__all__: list[str] = []

ENDED = "the runtime is shut down"

IO_METHODS = (
    "add_reader",
    "add_writer",
    "connect_accepted_socket",
    "connect_read_pipe",
    "connect_write_pipe",
    "create_connection",
    "create_datagram_endpoint",
    "create_server",
    "create_unix_connection",
    "create_unix_server",
    "getaddrinfo",
    "getnameinfo",
    "sendfile",
    "sock_accept",
    "sock_connect",
    "sock_recv",
    "sock_recv_into",
    "sock_recvfrom",
    "sock_recvfrom_into",
    "sock_sendall",
    "sock_sendfile",
    "sock_sendto",
    "start_tls",
    "subprocess_exec",
    "subprocess_shell",
)
TIME_METHODS = ("call_at", "call_later")


def _refusing(method: str, field: str) -> Callable[..., NoReturn]:
    def refuse(*_args: Any, **_options: Any) -> NoReturn:
        raise RuntimeError(f"{method}() is switched off here: this runtime was configured with {field}=False")

    return refuse


def restrict(loop: asyncio.AbstractEventLoop, config: RuntimeConfig) -> None:
    """Make the loop refuse what the configuration switches off."""
    refused: list[str] = []
    for methods, field, enabled in (
        (IO_METHODS, "enable_io", config.enable_io),
        (TIME_METHODS, "enable_time", config.enable_time),
    ):
        if not enabled:
            for method in methods:
                setattr(loop, method, _refusing(method, field))
            refused += methods
    scheduler_for(loop).refuses_time = not config.enable_time
    vars(loop)["_routines_refused"] = refused


def allow(loop: asyncio.AbstractEventLoop) -> None:
    """Take that back: to close a loop, asyncio needs its timers."""
    for method in vars(loop).pop("_routines_refused", ()):
        delattr(loop, method)
    scheduler_for(loop).refuses_time = False


async def end_all(reason: str) -> None:
    """Abort everything that runs on this loop, and whatever is started meanwhile, and wait until it has ended."""
    told: set[asyncio.Task[Any]] = {asyncio.current_task()}  # type: ignore[arg-type]
    while left := asyncio.all_tasks() - told:
        for task in left:
            if type(task) is Routine:
                task.abort(reason)
            else:
                task.cancel(reason)
        told |= left
        await _ended(left)


async def _ended(tasks: set[asyncio.Task[Any]]) -> None:
    """Wait until they have ended. Nearly all do in a turn or two, and a callback on each would cost more than that."""
    for _ in range(2):
        await asyncio.sleep(0)
        tasks = {task for task in tasks if not task.done()}
        if not tasks:
            return
    await asyncio.wait(tasks)


class Worker:
    """A thread of a runtime; or the thread that called `run`, or that of a plain asyncio loop, which it has not started."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.thread: threading.Thread | None = None
        self.failure: BaseException | None = None
        self.ended: Future[None] = Future()  # of the thread
        self._ready = threading.Event()
        self._stop: asyncio.Event | None = None

    loop: asyncio.AbstractEventLoop
    scheduler: Scheduler

    def adopt(self, loop: asyncio.AbstractEventLoop, runtime: Runtime) -> None:
        """Take a loop that somebody runs, or will run."""
        self.loop = loop
        self.scheduler = scheduler_for(loop)
        self.scheduler.runtime = runtime

    def start(self, runtime: Runtime, config: RuntimeConfig) -> None:
        """Start the thread; `wait_ready` tells when it can be used."""
        # A daemon: a program that ends without a shutdown ends, as one in Go does.
        self.thread = threading.Thread(target=self._main, args=(runtime, config), name=self.name, daemon=True)
        self.thread.start()

    def wait_ready(self) -> None:
        """Wait until the loop runs; raises what kept it from running."""
        self._ready.wait()
        if self.failure is not None:
            raise self.failure

    def join(self, deadline: float | None) -> None:
        """Wait for the end of the thread, but not past the deadline."""
        if self.thread is not None:  # pragma: no branch - a worker that has none is not joined: no shutdown()
            self.thread.join(None if deadline is None else max(0.0, deadline - monotonic()))

    @property
    def running(self) -> bool:
        """Whether its own thread has not ended."""
        return self.thread is not None and self.thread.is_alive()

    @property
    def alive(self) -> bool:
        """Whether a routine that is started here can run."""
        return self.failure is None and not self.loop.is_closed()

    def _main(self, runtime: Runtime, config: RuntimeConfig) -> None:
        try:
            with asyncio.Runner(debug=config.debug or None, loop_factory=config.loop_factory) as runner:
                loop = runner.get_loop()
                self.adopt(loop, runtime)
                restrict(loop, config)
                try:
                    runner.run(self._serve())
                except BaseException as error:
                    self.failure = error  # known before the runner's end ends what waits here
                    raise
                finally:
                    allow(loop)
        except BaseException as error:
            if self.failure is None:
                self.failure = error
            if self._ready.is_set():
                raise  # reported by threading.excepthook
        finally:
            self._ready.set()
            self.ended.set_result(None)

    async def _serve(self) -> None:
        # Only now: what waits here for the end is not to count as a routine.
        self.loop.set_task_factory(task_factory)
        self._stop = asyncio.Event()
        self._ready.set()
        await self._stop.wait()
        await end_all(ENDED)

    def ask_to_stop(self) -> None:
        """Have the thread end what runs there, and then itself; from any thread."""
        if self._stop is not None:
            try:
                self.loop.call_soon_threadsafe(self._stop.set)
            except RuntimeError:
                if not self.loop.is_closed():
                    raise
