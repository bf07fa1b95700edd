"""The workloads on gevent: greenlets over `gevent.queue.Queue`, Python's fastest queue so far."""

from __future__ import annotations

from collections.abc import Callable

import gevent
from gevent.queue import Queue


def produce(queue: Queue[int], count: int) -> None:
    """Put the ints below `count`."""
    for i in range(count):
        queue.put(i)


def consume(queue: Queue[int], count: int) -> int:
    """Get `count` ints and return the last."""
    value = -1
    for _ in range(count):
        value = queue.get()
    return value


def capacity64(count: int) -> None:
    """Send `count` ints from one greenlet to another through a queue that holds sixty-four."""
    queue: Queue[int] = Queue(64)
    producer = gevent.spawn(produce, queue, count)
    consumer = gevent.spawn(consume, queue, count)
    producer.get()
    assert consumer.get() == count - 1


WORKLOADS: dict[str, Callable[[int], None]] = {"capacity64": capacity64}
