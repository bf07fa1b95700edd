"""Plants known bugs in the compiled core, one at a time, and shows that the tests find each: ``python tools/mutants.py``.

A mutant is a text that stands exactly once in a source file, and what stands there instead. The unmutated package is built
once, in a temporary directory, as a debug build; a mutant is a copy of that in which one file differs, so only what depends on
that file is compiled again. The tests most likely to notice run first, the other tests of the package after them. A test that
fails, a crash and a hang all kill; a mutant that outlives every test survives, and is a test that is missing.

    python tools/mutants.py --list              what there is
    python tools/mutants.py --check             that each text still stands once; builds nothing
    python tools/mutants.py --only ring heap    those whose name or file contains one of these
    python tools/mutants.py --jobs 4            that many at a time; the default is one for every core
    python tools/mutants.py --first             only the tests most likely to notice: quick, but what survives need not survive all

Ends with status 1 where a mutant survived, or could not be planted or built.
"""

import argparse
import concurrent.futures
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
COPIED = [
    "routines",
    "tests",
    "setup.py",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "examples",
    "benchmarks",
    "docs",
    "tools",
    "MANIFEST.in",
]
# They look at the checkout and not at what the core does, or need what is not copied; soak programs only take time.
LEFT_OUT = [
    "ecosystem", "promela", "typing", "test_digest.py", "test_package_founding.py", "test_typing.py", "test_examples.py",
    "test_proof_mutants.py", "test_proof_promela.py", "test_proof_memory.py",
]  # fmt: skip
TEST_SECONDS = 20
FIRST_SECONDS = 240
REST_SECONDS = 900

CHANNEL = ["test_channel_closing.py", "test_channel_cancellation.py", "test_channel_batches.py", "test_channel_commit.py",
           "test_channel_model.py", "test_channel_basics.py", "test_channel_handles.py", "go"]  # fmt: skip
SELECT = [
    "test_select_contract.py",
    "test_select_races.py",
    "test_select_selector.py",
    "test_select_model.py",
    "go",
]
CORE = ["test_core_task.py", "test_core_spawn.py", "test_core_asyncio.py", "test_core_join.py", "test_core_failure.py",
        "test_core_fairness.py", "test_core_lifetime.py", "test_citizen_order.py"]  # fmt: skip
TIMER = ["test_core_sleep.py", "test_timer.py", "test_heap_model.py"]
SYNC = ["test_sync_locks.py", "test_sync_waiting.py", "test_sync_threads.py"]
GROUP = ["test_group_block.py", "test_sync_waiting.py"]
BROADCAST = [
    "test_broadcast_contract.py",
    "test_broadcast_races.py",
    "test_broadcast_model.py",
    "test_watch_contract.py",
]
RING = ["test_ring_model.py", "test_channel_values.py", "test_channel_basics.py", "test_channel_model.py"]


class Mutant(NamedTuple):
    name: str
    file: str
    text: str
    instead: str
    why: str
    first: list[str]


MUTANTS = [
    # -- the ring
    Mutant("ring-full-early", "_ring.pxd", "return ring.used > ring.mask", "return ring.used > ring.mask + 1",
           "off by one: a full ring takes another item, over the oldest", RING),
    Mutant("ring-push-place", "_ring.pxd", "(ring.head + ring.used) & ring.mask, <PyObject *>item)",
           "(ring.head + ring.used + 1) & ring.mask, <PyObject *>item)", "off by one: a push leaves a hole", RING),
    Mutant("ring-pop-head", "_ring.pxd", "ring.head = (index + 1) & ring.mask", "ring.head = index + 1",
           "the head does not wrap around", RING),
    Mutant("ring-front-head", "_ring.pxd", "ring.head = (ring.head - 1) & ring.mask", "ring.head = ring.head & ring.mask",
           "putting back overwrites the oldest item", ["test_channel_commit.py", "test_channel_cancellation.py", *RING]),
    Mutant("ring-push-many-room", "_ring.pxd", "min(at_most, ring.mask + 1 - ring.used)", "min(at_most, ring.mask + 1)",
           "many at once go over the oldest items", ["test_channel_batches.py", *RING]),
    Mutant("ring-push-many-place", "_ring.pxd", "<PyObject *>ring.slots, (ring.head + ring.used) & ring.mask, ring.mask,",
           "<PyObject *>ring.slots, ring.used & ring.mask, ring.mask,", "many at once go where a ring that begins at 0 has room",
           ["test_channel_batches.py", *RING]),
    Mutant("ring-pop-many-head", "_ring.pxd", "ring.head = (ring.head + count) & ring.mask", "ring.head = ring.head + count",
           "the head does not wrap around when many are taken", ["test_channel_batches.py", *RING]),
    Mutant("ring-pop-many-used", "_ring.pxd", "    ring.used -= count\n", "    ring.used -= min(count, 1)\n",
           "of many that are taken one is counted", ["test_channel_batches.py", *RING]),
    Mutant("ring-grow-order", "_ring.pyx", "<PyObject *>self.slots, self.head, self.used,", "<PyObject *>self.slots, 0, self.used,",
           "growing a ring that has wrapped around forgets the order", RING),
    Mutant("ring-grow-straight", "_ring.pxd", "Py_ssize_t straight = count < size - first ? count : size - first;", "Py_ssize_t straight = count;",
           "growing a ring that has wrapped around reads beyond its end", RING),
    Mutant("ring-grow-head", "_ring.pyx", "            self.head = 0\n", "            pass\n",
           "growing leaves the head where it was", RING),
    Mutant("ring-grow-size", "_ring.pyx", "while size < items:", "while size < items - 1:",
           "off by one: growing stops one item short", RING),
    # -- the heap
    Mutant("heap-sift-up", "_heap.pyx", "parent = (index - 1) >> 1", "parent = index >> 1",
           "off by one: the parent of an even entry is its sister", TIMER),
    Mutant("heap-tie", "_heap.pyx", "return a.order < b.order", "return a.order > b.order",
           "among equal deadlines the last comes first", TIMER),
    Mutant("heap-cancel", "_heap.pyx", "        entry.target = None\n        if PyList_GET_ITEM",
           "        if PyList_GET_ITEM", "a cancelled timer fires", TIMER),
    Mutant("heap-remove", "_heap.pyx", "        sift_down(self.entries, self.used, 0)\n", "",
           "the heap is no heap after the first has left", TIMER),
    Mutant("heap-compact-order", "_heap.pyx", "for index in range((kept >> 1) - 1, -1, -1):",
           "for index in range((kept >> 1) - 1, 0, -1):", "a compacted heap is not sifted at its top", TIMER),
    Mutant("heap-compact-count", "_heap.pyx", "        self.cancelled = 0\n", "", "compaction forgets to count anew", TIMER),
    Mutant("heap-never-compacts", "_heap.pyx", "self.cancelled * 2 > self.used", "self.cancelled > self.used",
           "cancelled timers are kept for ever", TIMER),
    Mutant("heap-due", "_heap.pyx", "entry.deadline > now", "entry.deadline > now + 2000000",
           "a timer fires two milliseconds early", TIMER),
    Mutant("heap-cancelled-count", "_heap.pyx", "            self.cancelled -= 1\n", "",
           "cancelled entries that leave are counted on", TIMER),
    # -- the channel
    Mutant("queue-previous", "_core.pxd", "        park.next.previous = park.previous\n", "        pass\n",
           "drop an unlink: the next neighbour still knows one that has left", CHANNEL),
    Mutant("queue-last", "_core.pxd", "        (<WaitQueue>waiting).last = park.previous\n", "        pass\n",
           "drop an unlink: the last in the queue leaves, and stays the last", CHANNEL),
    Mutant("queue-of-one", "_core.pxd", "    if (<WaitQueue>waiting).length == 1:\n        (<WaitQueue>waiting).last = None\n", "",
           "a queue that has become one of one remembers a last, which leaves and is appended to", CHANNEL),
    Mutant("queue-second", "_core.pxd", "            before = <PyObject *>(<WaitQueue>waiting).first\n", "            pass\n",
           "the second in a queue comes behind nobody", CHANNEL),
    Mutant("queue-length", "_core.pxd", "    (<WaitQueue>waiting).length -= 1\n", "", "wrong counter of who waits", CHANNEL),
    Mutant("deliver-lifo", "_channel.pyx",
           "    cdef ChannelPark receiver = <ChannelPark>channel.receivers.first\n",
           "    cdef ChannelPark receiver = <ChannelPark>(\n"
           "        channel.receivers.first if channel.receivers.last is None else channel.receivers.last)\n",
           "the receiver that came last is served first", CHANNEL),
    Mutant("deliver-count", "_channel.pyx", "    receiver.value = value\n    count_received(channel)\n",
           "    receiver.value = value\n", "a hand-over of one of many, or at once, is not counted as received", CHANNEL),
    Mutant("hand-over-count", "_channel.pyx",
           "    routines_move_value(<PyObject *>sender, <PyObject *>receiver)\n    count_received(channel)\n",
           "    routines_move_value(<PyObject *>sender, <PyObject *>receiver)\n", "a hand-over is not counted as received", CHANNEL),
    Mutant("deliver-no-wake", "_channel.pyx", "    receiver.value = value\n    count_received(channel)\n    return settle_park(receiver)\n",
           "    receiver.value = value\n    count_received(channel)\n    receiver.state = PARK_COMPLETE\n    return 0\n",
           "forget a wake: a receiver that was given one of many, or a value at once, sleeps on", CHANNEL),
    Mutant("hand-over-no-wake", "_channel.pyx",
           "<PyObject *>receiver)\n    count_received(channel)\n    return settle_park(receiver)\n",
           "<PyObject *>receiver)\n    count_received(channel)\n    receiver.state = PARK_COMPLETE\n    return 0\n",
           "forget a wake: the receiver has its value and sleeps on", CHANNEL),
    Mutant("move-keeps", "_channel.pyx",
           "            routines_as_park(giver)->value = none_; \\\\\n        } while (0)\n\n    /* The same into",
           "            (void)none_; \\\\\n        } while (0)\n\n    /* The same into",
           "a value that moves from one operation to the other is owned by both", CHANNEL),
    Mutant("push-value-uncounted", "_channel.pyx", "            ring_->used++; \\\\\n", "            ring_->used += 0; \\\\\n",
           "a value that goes into the buffer is not among those that can be taken", CHANNEL),
    Mutant("take-value-keeps", "_channel.pyx", "        *place = Py_NewRef(Py_None);\n", "",
           "a value that is returned is still owned by its operation", CHANNEL),
    Mutant("take-no-wake", "_channel.pyx",
           "    count_received(channel)\n    if sender.state == PARK_COMPLETE:\n        wake(sender)\n",
           "    count_received(channel)\n", "forget a wake: a sender whose value went into a batch sleeps on", CHANNEL),
    Mutant("take-over-no-wake", "_channel.pyx", "    return settle_park(sender)\n", "    sender.state = PARK_COMPLETE\n    return 0\n",
           "forget a wake: a sender whose value was taken sleeps on", CHANNEL),
    Mutant("take-over-unlink", "_channel.pyx",
           "    queue_remove(<PyObject *>channel.senders, sender)\n    routines_move_value",
           "    routines_move_value", "drop an unlink: a sender whose value was taken stays in the queue", CHANNEL),
    Mutant("take-over-swapped", "_channel.pyx",
           "    routines_move_value(<PyObject *>sender, <PyObject *>receiver)\n    count_sent(channel)\n",
           "    routines_move_value(<PyObject *>receiver, <PyObject *>sender)\n    count_sent(channel)\n",
           "swap two names: the receiver gives its None to the sender", CHANNEL),
    Mutant("take-count", "_channel.pyx", "    cdef object value\n    count_sent(channel)\n    if sender.many:",
           "    cdef object value\n    if sender.many:", "what a parked sender gave to a batch or a buffer is not counted as sent", CHANNEL),
    Mutant("take-over-count", "_channel.pyx", "    count_sent(channel)\n    count_received(channel)\n    return settle_park(sender)\n",
           "    count_received(channel)\n    return settle_park(sender)\n", "what a parked sender gave is not counted as sent", CHANNEL),
    Mutant("refill-one", "_channel.pyx", "            wake(sender)\n    return 0\n\n\ncdef int make_room",
           "            wake(sender)\n        return 0\n    return 0\n\n\ncdef int make_room",
           "only one waiting sender comes into a buffer that was emptied", CHANNEL),
    Mutant("refill-over", "_channel.pyx", "while channel.senders.first is not None and channel.used < channel.capacity:",
           "while channel.senders.first is not None and channel.used <= channel.capacity:",
           "off by one: a buffer takes one value more than its capacity", CHANNEL),
    Mutant("refill-no-wake", "_channel.pyx",
           "        ring_push_reserved(channel, take_value_of(channel, sender))\n        if sender.state == PARK_COMPLETE:\n"
           "            wake(sender)\n",
           "        ring_push_reserved(channel, take_value_of(channel, sender))\n",
           "forget a wake: a sender whose value has come into the buffer sleeps on", CHANNEL),
    Mutant("no-refill", "_channel.pyx", "    if channel.senders.first is not None:\n        refill(channel)\n    elif",
           "    if channel.senders.first is not None:\n        pass\n    elif", "room in the buffer is not given to who waits for it",
           CHANNEL),
    Mutant("close-keeps-senders", "_channel.pyx",
           "    queue_remove(<PyObject *>waiting, park)\n    park.failed = True\n    park.state = PARK_COMPLETE\n    if room",
           "    queue_remove(<PyObject *>waiting, park)\n    park.state = PARK_COMPLETE\n    if room",
           "closing tells a parked sender that it has sent", CHANNEL),
    Mutant("close-wakes-one", "_channel.pyx", "            wake(<Park>park)\n    return 0\n", "            return wake(<Park>park)\n    return 0\n",
           "forget a wake: a close wakes the first alone", CHANNEL),
    Mutant("close-cause", "_channel.pyx", "    channel.closed = True\n    channel.cause = cause\n", "    channel.closed = True\n",
           "the cause of a close is forgotten", CHANNEL),
    Mutant("close-no-watchers", "_channel.pyx", "        tell_senders(channel)\n    return notify_watchers(channel)\n",
           "        tell_senders(channel)\n    return 0\n", "wait_closed() is not told of a close", CHANNEL),
    Mutant("drain-no-watchers", "_channel.pyx", "        if channel.used == 0 and channel.watchers is not None:\n",
           "        if channel.used == 1 and channel.watchers is not None:\n",
           "wait_closed() of a receiver is not told that the channel is drained", CHANNEL),
    Mutant("send-before-room", "_channel.pyx",
           "    elif channel.used < channel.capacity:\n        routines_push_value(",
           "    elif channel.used <= channel.capacity:\n        channel.reserve(channel.used + 1)\n        routines_push_value(",
           "off by one: a send does not block on a full buffer", CHANNEL),
    Mutant("send-unlink", "_channel.pyx",
           "        retire_send(self)\n        return None\n\n    cdef int unlink(self) except -1:\n        if self.channel is not None:\n"
           "            queue_remove(<PyObject *>self.channel.senders, self)\n",
           "        retire_send(self)\n        return None\n\n    cdef int unlink(self) except -1:\n",
           "drop an unlink: a cancelled sender stays in the queue", CHANNEL),
    Mutant("send-many-unlink", "_channel.pyx",
           "        return count\n\n    cdef int unlink(self) except -1:\n        if self.channel is not None:\n"
           "            queue_remove(<PyObject *>self.channel.senders, self)\n",
           "        return count\n\n    cdef int unlink(self) except -1:\n",
           "drop an unlink: a cancelled sender of many stays in the queue", CHANNEL),
    Mutant("send-reused", "_channel.pyx",
           "    if end.spare_send is not None and Py_REFCNT(<PyObject *>end.spare_send) == 1:\n",
           "    if end.spare_send is not None:\n", "a send that somebody has kept is used again", CHANNEL),
    Mutant("receive-reused", "_channel.pyx",
           "    if end.spare_receive is not None and Py_REFCNT(<PyObject *>end.spare_receive) == 1:\n",
           "    if end.spare_receive is not None:\n", "a receive that somebody has kept is used again", CHANNEL),
    Mutant("receive-unlink", "_channel.pyx", "            queue_remove(<PyObject *>self.channel.receivers, self)\n", "            pass\n",
           "drop an unlink: a cancelled receiver stays in the queue, and gets a value", CHANNEL),
    Mutant("give-back-lost", "_channel.pyx", "        return put_back(self.channel, value)\n", "        return 0\n",
           "a received value that nobody fetches is lost", CHANNEL),
    Mutant("put-back-last", "_channel.pyx", "        ring_push_front_reserved(channel, value)\n",
           "        ring_push_reserved(channel, value)\n", "a value that goes back goes behind the others", CHANNEL),
    Mutant("batch-over", "_channel.pyx", "    while count < at_most:\n", "    while count <= at_most:\n",
           "off by one: a batch of one value too many", CHANNEL),
    Mutant("take-batch-over", "_channel.pyx", "    cdef Py_ssize_t count = min(at_most, channel.used)\n", "    cdef Py_ssize_t count = channel.used\n",
           "a batch is as large as what is buffered", CHANNEL),
    Mutant("take-batch-count", "_channel.pyx", "    count_received_many(channel, count)\n", "", "a batch is not counted as received", CHANNEL),
    Mutant("take-batch-no-refill", "_channel.pyx", "    after_taking(channel)\n    return values\n\n\ncdef PySendResult",
           "    return values\n\n\ncdef PySendResult", "room that a full batch has left is not given to who waits for it", CHANNEL),
    Mutant("take-batch-alone", "_channel.pyx", "    if count < at_most and (channel.senders.first is not None or channel.feed is not None):",
           "    if count < at_most and channel.feed is not None:", "a batch from a buffer leaves out those that wait to send", CHANNEL),
    Mutant("batch-ignores-senders", "_channel.pyx",
           "        elif channel.senders.first is not None:\n            value = take_from_sender(channel)\n        else:\n            break\n",
           "        else:\n            break\n", "a batch leaves out the values of those that wait to send", CHANNEL),
    Mutant("many-position", "_channel.pyx",
           "        cdef object value = self.chunk[self.position]\n        self.position += 1\n        self.count += 1\n",
           "        cdef object value = self.chunk[self.position]\n        self.position += 1\n",
           "a parked send_many() reports too few values sent", CHANNEL),
    Mutant("give-values-count", "_channel.pyx", "        self.position += given\n        self.count += given\n",
           "        self.position += given\n", "a send_many() into a buffer reports too few values sent", CHANNEL),
    Mutant("give-values-over", "_channel.pyx", "channel.capacity - channel.used)\n        )", "channel.capacity)\n        )",
           "send_many() fills a buffer over its capacity", CHANNEL),
    Mutant("give-values-budget", "_channel.pyx", "                    operations_left -= <int>given - 1\n", "",
           "values that go into the buffer together cost one operation", ["test_core_fairness.py", *CHANNEL]),
    Mutant("drop-sender-twice", "_channel.pyx", "            self.counts_sender = False\n", "",
           "a sender that is closed, and then dropped, is counted off twice", CHANNEL),
    Mutant("drop-receiver-open", "_channel.pyx",
           "            if state.open_receivers == 0:\n                # Nobody", "            if state.open_receivers == 1:\n                # Nobody",
           "off by one: the last receiver but one closes the channel", CHANNEL),
    Mutant("close-end-others", "_channel.pyx", "        if park.goes_through(end):\n", "        if True:\n",
           "closing one handle fails what waits through its clones", CHANNEL),
    Mutant("send-no-budget", "_channel.pyx",
           "cdef inline void consume_operation() noexcept:\n    global operations_left\n    operations_left -= 1\n",
           "cdef inline void consume_operation() noexcept:\n    pass\n",
           "the budget never ends: a routine over a full buffer starves all others", ["test_core_fairness.py"]),
    # -- select
    Mutant("select-loser-stays", "_select.pyx",
           "                    queue_remove(<PyObject *>(<End>source).state.receivers, node)\n                    continue",
           "                    continue", "a losing case stays in its channel's queue", SELECT),
    Mutant("select-loser-sends", "_select.pyx",
           "                    queue_remove(<PyObject *>(<SendCase>source).end.state.senders, node)\n", "                    pass\n",
           "a losing send stays in its channel's queue, and sends", SELECT),
    Mutant("select-claim-index", "_select.pyx",
           "    cdef int claim(self, CaseNode winner) except -1:\n        self.outcome = CHOSEN_CASE\n",
           "    cdef int claim(self, CaseNode winner) except -1:\n        self.outcome = CHOSEN_CASE\n        winner.index = 0\n",
           "a parked select says that its first case won", SELECT),
    Mutant("select-no-wake", "_select.pyx", "        self.unlink()\n        return wake_driver(self)\n\n    cdef int expire",
           "        self.unlink()\n        return 0\n\n    cdef int expire", "forget a wake: a select that was claimed sleeps on", SELECT),
    Mutant("select-value-lost", "_select.pyx",
           "        if kind_of(<PyObject *>source) == CASE_RECEIVE:\n            put_back((<End>source).state, value)\n        return 0\n",
           "        return 0\n", "what a select received and nobody fetches is lost", SELECT),
    Mutant("select-first-always", "_select.pyx", "if ready == 1 or below(ready) == 0:", "if ready == 1:",
           "among ready cases the first is always taken", SELECT),
    Mutant("select-last-often", "_select.pyx", "if ready == 1 or below(ready) == 0:", "if ready == 1 or below(2) == 0:",
           "among three ready cases the last is taken half of the time", SELECT),
    Mutant("select-biased-reset", "_select.pyx", "            self.in_order = False\n            if self.scheduler",
           "            if self.scheduler", "a select that is used again is biased like its last use", SELECT),
    Mutant("select-timer-stays", "_select.pyx", "            self.scheduler.stop_timer(timer)\n", "            pass\n",
           "a select that was in time leaves its timer", ["test_timer.py", *SELECT]),
    Mutant("select-expire-state", "_select.pyx", "        self.outcome = CHOSEN_TIMEOUT\n        self.state = PARK_COMPLETE\n        self.unlink()\n",
           "        self.outcome = CHOSEN_TIMEOUT\n        self.state = PARK_COMPLETE\n        self.linked = 0\n        self.unlink()\n",
           "a select that is too late stays in every queue", SELECT),
    Mutant("selector-forgets", "_select.pyx", "            watch.queued = False\n", "            pass\n",
           "a case that was not ready once never comes up again", SELECT),
    Mutant("selector-two-ready", "_select.pyx",
           "        self.hub.park = None\n        park.watch = self\n        park.value = value\n",
           "        park.watch = self\n        park.value = value\n", "a selector is offered a second value before it ran", SELECT),
    Mutant("selector-remove", "_select.pyx", "            queue_remove(<PyObject *>self.channel.receive_watches, self)\n", "            pass\n",
           "a removed case still watches its channel", SELECT),
    Mutant("selector-count", "_channel.pyx", "            return True\n        uncount_received(channel)\n", "            return True\n",
           "an offer that no selector takes is counted as received", SELECT),
    Mutant("selector-ghost", "_select.pyx", "            del self.watches[watch.key]\n            watch.unlink()\n", "            del self.watches[watch.key]\n",
           "a case that could not be added comes up all the same", ["test_select_selector.py"]),
    Mutant("select-late-timeout", "_select.pyx", "            if self.timeout_ns > 0 and self.timer is None:\n", "            if False:\n",
           "a timeout that comes while a select is linked is lost", ["test_select_races.py"]),
    Mutant("selector-meets-itself", "_select.pyx",
           "            self.hub.park = None\n            try:\n                done = self.perform_into(park)\n            finally:\n"
           "                if not done:\n                    self.hub.park = park\n",
           "            done = self.perform_into(park)\n            if done:\n                self.hub.park = None\n",
           "a selector that waits sends to itself", SELECT),
    # -- timers
    Mutant("sleep-unlink", "_timer.pyx", "        self.timer = None\n        return self.scheduler.stop_timer(timer)\n",
           "        self.timer = None\n        return 0\n", "a cancelled sleep leaves its timer", TIMER),
    Mutant("ticker-drift", "_timer.pyx", "            self.deadline += self.period\n", "            self.deadline = now + self.period\n",
           "a late tick delays all that follow", TIMER),
    Mutant("timeout-stays", "_timer.pyx", "            self.scheduler.timers.cancel(self.timer)\n", "            pass\n",
           "a block that was in time leaves its timer", TIMER),
    Mutant("timeout-reused", "_timer.pyx",
           "    if scope is not None and Py_REFCNT(<PyObject *>scope) == 1 + kept_enter.keeps(scope) + kept_exit.keeps(scope):",
           "    if scope is not None:",
           "a timeout that somebody has kept is used again", TIMER),
    Mutant("timeout-uncancel", "_timer.pyx", "if task.uncancel() <= self.cancelling and", "if task.uncancel() < self.cancelling and",
           "off by one: a block that is too late raises a cancellation", TIMER),
    Mutant("feed-stop", "_timer.pyx", "                self.scheduler.stop_timer(timer)\n        return 0\n\n\ncdef int attach_feed",
           "                pass\n        return 0\n\n\ncdef int attach_feed", "a stopped ticker ticks on", TIMER),
    Mutant("feed-collected", "_timer.pyx", "if heap.entries is not None and len(heap.entries) >= heap.used:", "if True:",
           "a ticker that is collected with its loop touches a heap that was cleared", ["test_timer.py"]),
    # -- the core
    Mutant("drain-not-armed", "_core.pyx", "                if self.ready.used != 0:\n                    self.arm_at(scheduled)\n            elif",
           "                pass\n            elif", "the budget is spent, and the loop is not asked to go on", CORE),
    Mutant("budget-never-refilled", "_core.pyx", "    reset_operations()\n    if not inside and", "    if not inside and",
           "the budget of operations is never refilled", ["test_core_fairness.py", *CORE]),
    Mutant("budget-give-way", "_core.pyx", "    yield_to_routines()\n    return 1\n", "    return 0\n",
           "an operation never gives way", ["test_core_fairness.py", *CORE]),
    Mutant("budget-to-loop", "_core.pyx", "    yield_to_routines()\n    return 1\n", "    return 1\n",
           "one that has no operations left waits for a turn of the loop", ["test_core_fairness.py", *CORE]),
    Mutant("drain-endless", "_core.pyx", "now - started > DRAIN_BUDGET_NS or steps >= DRAIN_BUDGET_STEPS",
           "now - started > 1000 * DRAIN_BUDGET_NS", "a drain goes on for seconds, and the loop starves",
           ["test_core_fairness.py", *CORE]),
    Mutant("untracked-left", "_core.pyx",
           "            self.draining = self.holding = False\n            if self.untracked != 0:\n                self.track_ready()\n",
           "            self.draining = self.holding = False\n",
           "the collector never learns of a routine that was not stepped", ["test_core_lifetime.py", *CORE]),
    Mutant("untracked-stepped", "_core.pyx", "        if routine.untracked:\n            track(routine)\n        if PyCoro", "        if PyCoro",
           "the collector learns of a routine when it is done, and not when it is stepped", ["test_core_lifetime.py", *CORE]),
    Mutant("untracked-alone", "_core.pyx",
           "            scheduler.draining = False\n            if scheduler.untracked != 0:\n                scheduler.track_ready()\n",
           "            scheduler.draining = False\n",
           "the collector never learns of a routine that one woken alone has started", ["test_core_lifetime.py", *CORE]),
    Mutant("method-rebound", "_method.pyx",
           "type(instance) is self.owner and routines_may_rebind(<PyObject *>bound, 2):", "type(instance) is self.owner:",
           "a method that somebody has kept is bound to another timeout", TIMER),
    Mutant("method-any-owner", "_method.pyx", "type(instance) is self.owner and ", "", "a method is bound to what is no timeout", TIMER),
    Mutant("settle-no-joiners", "_core.pyx",
           "                wake_joiners(joiners)\n", "                pass\n", "forget a wake: joiners sleep on", ["test_core_join.py", *CORE]),
    Mutant("settle-uncounted", "_core.pyx", "                joiners.ended(self)     # somebody counts routines\n", "                pass\n",
           "who counts routines is not told that one has ended", GROUP),
    Mutant("settle-live", "_core.pyx", "        delist(scheduler, self)\n        if status == ROUTINE_RETURNED:", "        if status == ROUTINE_RETURNED:",
           "a finished routine stays among the live ones", CORE),
    Mutant("cancel-unlink", "_core.pyx", "                park.unlink()\n                park.state = PARK_CANCELLED\n",
           "                park.state = PARK_CANCELLED\n", "drop an unlink: a cancelled routine's operation stays in its queue",
           ["test_channel_cancellation.py", *CORE]),
    Mutant("cancel-complete", "_core.pyx", "                self.cancelling_step = CANCEL_AT_SUSPENSION\n            return 0\n",
           "                pass\n            return 0\n",
           "a cancellation of a routine whose operation is complete is forgotten",
           ["test_channel_commit.py", "test_channel_cancellation.py", *CORE]),
    Mutant("throw-again", "_core.pyx",
           "    routine.cancelling_step = CANCEL_NOTHING\n    if request == CANCEL_AT_STEP:\n        return routine.cancelled_error()\n",
           "    if request == CANCEL_AT_STEP:\n        return routine.cancelled_error()\n",
           "a cancellation that was raised at a step is raised again", CORE),
    Mutant("uncancel-keeps", "_core.pyx", "            if self.cancel_requests == 0 and self.cancelling_step in",
           "            if self.cancel_requests == 1 and self.cancelling_step in", "off by one: uncancel() does not stop what was not raised yet",
           ["test_core_task.py", "test_channel_commit.py", *CORE]),
    Mutant("throw-no-give-back", "_core.pyx", "            if task is None:\n                self.give_back()\n",
           "            if task is None:\n                pass\n", "an exception thrown over a received value loses it",
           ["test_channel_commit.py", "test_channel_cancellation.py", *CORE]),
    Mutant("close-no-unlink", "_core.pyx", "            self.driver = None\n            self.unlink()\n        elif self.state == PARK_COMPLETE:",
           "            self.driver = None\n        elif self.state == PARK_COMPLETE:", "closing a coroutine leaves its operation in the queue",
           ["test_channel_cancellation.py", *CORE]),
    Mutant("hand-back-count", "_core.pyx", "        task.cancel(*arguments)\n        task.uncancel()\n", "        task.cancel(*arguments)\n",
           "a cancellation that is handed back counts twice", ["test_channel_commit.py", *CORE]),
    Mutant("inbox-wake", "_core.pyx", "            elif not self.told:\n", "            elif not self.told and len(self.inbox) == 2:\n",
           "off by one: the first that another thread wakes sleeps on", ["test_channel_threads.py", "test_runtime_workers.py"]),
    Mutant("inbox-order", "_core.pyx", "        for driver in self.inbox:\n", "        for driver in reversed(self.inbox):\n",
           "what another thread has woken goes on in the wrong order", ["test_thread_wakeups.py", "test_channel_threads.py"]),
    Mutant("inbox-told-stays", "_core.pyx", "        self.told = False\n        for driver", "        for driver",
           "only the first wake-up from another thread is told to the loop", ["test_thread_wakeups.py", "test_channel_threads.py"]),
    Mutant("inbox-told-though-not", "_core.pyx", "                        self.told = False\n                        self.woken", "                        self.woken",
           "a loop that could not be told of a wake-up does not look either", ["test_core_failure.py"]),
    Mutant("inbox-nobody-looks", "_core.pyx", "                        self.woken_by_others = True     # so the next drain looks\n", "",
           "the same, as no drain knows that it is to look", ["test_core_failure.py"]),
    Mutant("returns-itself", "_core.pyx", "routines_install_clear(Routine, clear_result)\n", "",
           "a routine that returns itself is never freed", ["test_core_lifetime.py"]),
    Mutant("arm-stale", "_core.pyx", "                if self.drain_handle is asked:\n", "                if True:\n",
           "a drain that another thread's loop made before the call returned is waited for still", ["test_thread_wakeups.py"]),
    Mutant("linger-clock", "_core.pyx", "                    looked = self.clock = now\n                    steps_left = self.steps_to_clock\n",
           "                    steps_left = 1\n", "after a conversation slow steps starve the loop", ["test_thread_lingering.py"]),
    Mutant("linger-lost", "_core.pyx", "        if not self.inbox:\n            return False\n        self.collect_woken()\n        return True\n",
           "        return False\n", "who was woken while the loop lingered is not stepped", ["test_thread_lingering.py"]),
    Mutant("linger-for-ever", "_core.pyx", "        self.lingering = False\n        if not", "        if not",
           "the loop is taken to look although it sleeps", ["test_thread_lingering.py"]),
    Mutant("linger-thread-sleeps", "_core.pyx", "            if park.state != PARK_OPEN:\n                return 0\n        driver.lock",
           "        driver.lock", "a thread that was woken while it lingered goes to sleep", ["test_thread_lingering.py"]),
    Mutant("linger-never", "_linger.pxd", "        routines_add(&routines_lingering_now, -1);\n", "",
           "who has lingered counts as one that does for ever, so soon nobody may", ["test_thread_lingering.py"]),
    Mutant("bad-yield-swallows", "_core.pyx", "            routine.cancelling_step = CANCEL_AT_STEP    # a cancellation takes its place\n",
           "            pass\n", "a bad yield loses the cancellation that waits for it", ["test_core_task.py"]),
    Mutant("gave-way-uncounted", "_core.pyx", "        self.giving_way -= len(routines)\n", "        self.giving_way -= 1\n",
           "wrong counter: those that gave way together count as ready after their turn", ["test_runtime_stats.py"]),
    Mutant("spawn-half-done", "_core.pyx",
           "    if not scheduler.holding and scheduler.drain_handle is None and scheduler.thread == routines_this_thread():\n        scheduler.arm()\n", "",
           "a spawn that the loop refuses leaves a routine that lives", ["test_core_failure.py"]),
    Mutant("foreign-place", "_core.pyx", "            moved.foreign_place = <int>place\n", "            pass\n",
           "a routine that waits for a future stays in the list that keeps it alive", ["test_core_lifetime.py", *CORE]),
    Mutant("wakeup-of-another", "_core.pyx", "routine is not None and wakeup.future == arguments[0]:", "routine is not None:",
           "a future that calls back twice uses up the wake-up of another routine", ["test_core_asyncio.py"]),
    Mutant("wakeup-shared", "_core.pyx", "    else:\n        scheduler.spare_wakeup = None\n", "",
           "two routines that wait leave the same callback", ["test_core_asyncio.py"]),
    Mutant("wakeup-at-once", "_core.pyx", "    if wakeup.routine is not routine:\n        return called_back_at_once(scheduler, routine, future)\n", "",
           "a future that calls back when the callback is left there is waited for for ever", ["test_core_asyncio.py"]),
    Mutant("wakeup-keeps", "_core.pyx", "        wakeup.routine = None\n        scheduler = routine.scheduler\n",
           "        scheduler = routine.scheduler\n", "the spare callback keeps the routine that it has woken", ["test_core_asyncio.py"]),
    Mutant("task-bound", "_core.pyx", "        self.counted = False\n        self.scheduler.bound_tasks -= 1\n",
           "        self.counted = False\n", "wrong counter: the ring grows with each wake-up of a task",
           ["test_core_lifetime.py", *CORE]),
    Mutant("reserve-one", "_core.pyx", "        if everybody > self.ready.mask:\n            self.ready.reserve(everybody + 1)\n",
           "        if everybody > self.ready.mask + 2:\n            self.ready.reserve(everybody - 1)\n",
           "off by one: no room in the ring for the last", CORE),
    Mutant("parks-count", "_core.pyx", "        (<Park>raw).blocking = 0\n        increment(scheduler.counters.parks)\n",
           "        (<Park>raw).blocking = 0\n", "parks are not counted", ["test_runtime_stats.py", "test_runtime_run.py"]),
    Mutant("bind-no-waiter", "_core.pyx", "            routine_->waiter = (PyObject *)park_; \\\\\n", "            Py_INCREF(Py_None); \\\\\n",
           "a routine that parks does not know on what, so its cancellation does not end the operation",
           ["test_channel_cancellation.py", *CORE]),
    Mutant("bind-uncounted", "_core.pyx", "(void *)Py_NewRef((PyObject *)routine_); \\\\", "(void *)routine_; \\\\",
           "an operation borrows the routine that waits for it", CORE),
    Mutant("step-cancelled", "_core.pyx",
           "            or routine.cancelling_step != CANCEL_NOTHING\n        ):\n            return scheduler.park_routine",
           "        ):\n            return scheduler.park_routine",
           "a cancellation that is to come at the next suspension is forgotten there", ["test_channel_commit.py", *CORE]),
    Mutant("step-twice", "_core.pyx", "(<Park>raw).state != PARK_OPEN or <PyObject *>(<Park>raw).driver != <PyObject *>None\n",
           "(<Park>raw).state != PARK_OPEN\n", "an operation that is awaited already gets another driver", CORE),
    Mutant("wake-status", "_core.pxd", "    (<Routine>driver).status = 0    # ROUTINE_READY\n", "",
           "forget a state: a routine is put into the ring, and is not ready there", CORE),
    Mutant("wake-not-holding", "_core.pxd", "not (<Scheduler>scheduler).holding or ", "",
           "forget a wake: a routine is put into a ring that nobody drains", CORE),
    Mutant("wake-keeps-driver", "_core.pxd", "            park_->driver = (void *)none_; \\\\\n", "            (void)none_; \\\\\n",
           "a routine that is woken is owned by the ring and by its operation, and counted once", CORE),
    # -- the current task
    Mutant("current-uncounted", "_current.pxd", "        *place = Py_NewRef(task);\n", "        *place = task;\n",
           "asyncio's dictionary of current tasks borrows the running one", CORE),
    Mutant("current-leaks", "_current.pxd", "        Py_DECREF(old);\n", "        (void)old;\n",
           "whoever ran before is never let go", ["test_core_lifetime.py", *CORE]),
    Mutant("current-stays", "_current.pxd", "    if (routines_delete_task(tasks, loop, hash) == 0) return 0;\n",
           "    if (tasks != NULL && loop != NULL) return 0;\n",
           "a routine is still asyncio's current task when the loop has its turn", ["test_core_task.py", "test_core_asyncio.py", *CORE]),
    Mutant("joiner-unlink", "_core.pyx",
           "            queue_remove(<PyObject *>self.target.joiners, self)\n        return 0\n\n    cdef int cancel_through",
           "            pass\n        return 0\n\n    cdef int cancel_through",
           "a cancelled joiner stays with the routine", ["test_core_join.py", *CORE]),
    Mutant("join-timeout-stays", "_core.pyx", "        if self.timer is not None:\n            self.stop_timer()\n        if self.expired:",
           "        if self.expired:", "a join that was in time leaves its timer", ["test_core_join.py", *CORE]),
    Mutant("yield-by-hand", "_core.pyx", "    yielded_now = NULL\n    reset_operations()", "    reset_operations()",
           "a yield that was driven by hand is taken for one of a later step", ["test_citizen_order.py"]),
    Mutant("arm-timer-late", "_core.pyx",
           "self.timers.add(deadline, target)\n        if self.timer_handle is None or deadline < self.timer_deadline:",
           "self.timers.add(deadline, target)\n        if self.timer_handle is None:",
           "an earlier timer than the one that is armed comes late", TIMER),
    Mutant("rearm-timer-late", "_core.pyx",
           "self.timers.put(entry, deadline, target)\n        if self.timer_handle is None or deadline < self.timer_deadline:",
           "self.timers.put(entry, deadline, target)\n        if self.timer_handle is None:",
           "the same for a timer that is used again", TIMER),
    # -- locks
    Mutant("lock-overtakes", "_sync.pyx", "        if permits.waiters.first is not None or permits.free < park.wanted:",
           "        if permits.free < park.wanted:", "who wants few overtakes who waits for many", SYNC),
    Mutant("try-overtakes", "_sync.pyx", "    if permits.waiters.first is not None or permits.free < wanted:", "    if permits.free < wanted:",
           "an attempt overtakes those who wait", SYNC),
    Mutant("serve-stays-free", "_sync.pyx", "        permits.free -= first.wanted\n", "", "a lock that is handed on is free as well", SYNC),
    Mutant("serve-one", "_sync.pyx", "    while permits.waiters.first is not None:\n        first", "    if permits.waiters.first is not None:\n        first",
           "forget a wake: of the readers that can go on only the first does", SYNC),
    Mutant("lock-unlink", "_sync.pyx", "        queue_remove(<PyObject *>permits.waiters, self)\n        # From", "        # From",
           "drop an unlink: a cancelled waiter is handed the lock", SYNC),
    Mutant("lock-no-way", "_sync.pyx", "        self.state = PARK_CANCELLED\n        return serve(permits)\n", "        self.state = PARK_CANCELLED\n        return 0\n",
           "forget a wake: those behind a cancelled waiter sleep on", SYNC),
    Mutant("lock-lost", "_sync.pyx", "        return 0 if self.permits is None else release_permits(self.permits, self.wanted)\n", "        return 0\n",
           "a lock that was granted to nobody stays locked", SYNC),
    Mutant("cond-broadcast-one", "_sync.pyx", "            left -= 1\n", "            left = 0\n", "forget a wake: a broadcast wakes the first alone", SYNC),
    Mutant("cond-signal-lost", "_sync.pyx", "        elif progress == SIGNAL_SINGLE:\n            pass_on(signals)\n        return 1\n", "        return 1\n",
           "a signal that was spent on a waiter that is cancelled is lost", SYNC),
    Mutant("cond-no-mutex", "_sync.pyx", "    queue_append(<PyObject *>park.permits.waiters, park)\n    return 0\n", "    return settle_park(park)\n",
           "a waiter that was signalled goes on without the mutex", SYNC),
    # -- groups
    Mutant("zero-wakes-one", "_groups.pyx", "    for park in settled:\n        wake(park)\n", "    for park in settled:\n        return wake(park)\n",
           "forget a wake: at zero the first alone goes on", GROUP),
    Mutant("wait-group-counts", "_groups.pyx", "            return change(self, -1)\n", "            return 0\n", "a routine that ends is counted on", GROUP),
    Mutant("group-active", "_groups.pyx", "        if member is None or not member.held:\n            self.active -= 1\n", "",
           "a member that ends keeps its place in the limit", GROUP),
    Mutant("group-held", "_groups.pyx", "        if member is None or not member.held:\n", "        if True:\n",
           "a member that is aborted at its gate gives back a place that it had not", GROUP),
    Mutant("counted-kept", "_groups.pyx", "        routine.joiners = None      # a routine that is done does not keep what counted it\n", "",
           "a routine that is done keeps its wait group", GROUP),
    Mutant("counted-for-one", "_groups.pyx", "        return new_member(self)\n", "        return WaitQueue.__new__(WaitQueue)\n",
           "a routine of a wait group that somebody joins is not counted any more", GROUP),
    Mutant("member-no-joiners", "_groups.pyx", "        wake_joiners(self)\n", "", "forget a wake: who joined a member sleeps on", GROUP),
    Mutant("group-limit", "_groups.pyx", "    if group.limit and group.active >= group.limit:", "    if group.limit and group.active > group.limit:",
           "off by one: one member more than the limit runs", GROUP),
    Mutant("group-gates", "_groups.pyx", "self.active < self.limit and not self.ending:", "self.active <= self.limit and not self.ending:",
           "off by one: a member that ends lets two in", GROUP),
    Mutant("group-gate-unlink", "_groups.pyx", "            queue_remove(<PyObject *>group.gates, self)\n", "            pass\n",
           "drop an unlink: a member that was let in, or aborted, stays at the gate", GROUP),
    Mutant("group-goes-on", "_groups.pyx", "        return self.end(reason)\n", "        return 0\n", "the first failure does not end the rest", GROUP),
    Mutant("group-late", "_groups.pyx", "    if group.ending:\n        abort_member(routine, group.reason)\n", "",
           "a member that is started in a group that ends runs", GROUP),
    Mutant("group-parent", "_groups.pyx", "        self.parent.cancel(self.reason)\n", "        pass\n", "the body of a group that fails is not ended", GROUP),
    # -- broadcast and watch
    Mutant("lagged-fewer", "_broadcast.pyx", "        return max(self.first - member.position, 0)\n", "        return max(self.first - member.position - 1, 0)\n",
           "off by one: a slow subscriber is told of one missed value too few", BROADCAST),
    Mutant("overwrite-count", "_broadcast.pyx", "            self.counts_at(self.first + 1)[0] += stand[0]\n", "",
           "who lacked the value that was overwritten is not counted among those who lack the next", BROADCAST),
    Mutant("broadcast-first-takes", "_broadcast.pyx", "        if number == self.first and self.counts_at(number)[0] == 0:", "        if number == self.first:",
           "a value goes when the first subscriber has it", BROADCAST),
    Mutant("broadcast-left", "_broadcast.pyx", "        self.counts_at(max(member.position, self.first))[0] -= 1\n", "",
           "wrong counter: values wait for a subscriber that has left", BROADCAST),
    Mutant("broadcast-joined", "_broadcast.pyx", "        member.position = self.first + self.channel.used\n", "        member.position = self.first\n",
           "a new subscriber gets what was sent before", BROADCAST),
    Mutant("broadcast-place", "_broadcast.pyx", "        moved.place = member.place\n", "", "the member that takes a place does not know it", BROADCAST),
    Mutant("broadcast-no-room", "_broadcast.pyx", "        else:\n            self.use_room()\n", "",
           "forget a wake: room that a subscriber has left by going is not given to who waits for it", BROADCAST),
    Mutant("broadcast-counts", "_broadcast.pyx", "range(self.first, self.first + self.channel.used + 1)", "range(self.first, self.first + self.channel.used)",
           "off by one: growing forgets who is up to date", BROADCAST),
    Mutant("broadcast-close", "_broadcast.pyx",
           "            tell_receivers(own)\n        if channel.closed and not own.closed and not self.left_for(member):\n            close_state(own, channel.cause)\n",
           "            tell_receivers(own)\n", "subscribers that wait are not told of a close", BROADCAST),
    Mutant("watch-again", "_broadcast.pyx", "        member.position = self.version\n        if self.channel", "        if self.channel",
           "a value that was seen is a change again", BROADCAST),
    Mutant("watch-stale", "_broadcast.pyx", "            park.value = self.value\n            member.position", "            member.position",
           "who has not fetched a value yet gets that, and not the newest", BROADCAST),
]  # fmt: skip


def selected(words):
    return [
        each for each in MUTANTS if not words or any(word in each.name or word in each.file for word in words)
    ]


def places(mutant, tree=ROOT):
    """How often the text stands in its file."""
    return (tree / "routines" / mutant.file).read_text().count(mutant.text)


def stale(mutants):
    return [each for each in mutants if places(each) != 1]


def environment(tree):
    return {**os.environ, "PYTHONPATH": str(tree), "ROUTINES_DEBUG": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def run(command, tree, seconds):
    """Status and output; None where it was not over in time. Whatever it has started ends with it."""
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        process = subprocess.Popen(
            command, cwd=tree, env=environment(tree), stdout=output, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        output.seek(0)
        return status, output.read()


def build(tree):
    return run([sys.executable, "setup.py", "-q", "build_ext", "--inplace"], tree, 900)


def pytest(tree, arguments, seconds):
    return run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-x",
            "-q",
            "-p",
            "no:cacheprovider",
            f"--timeout={TEST_SECONDS}",
            "--timeout-method=thread",  # a loop that hangs may also hang when the test is over
            *arguments,
        ],
        tree,
        seconds,
    )


def first_arguments(names):
    # One kind of loop is enough for most bugs; the others come with the rest.
    return [f"tests/{name}" for name in names if (ROOT / "tests" / name).exists()] + [
        "-k", "not debug- and not uvloop-", "-m", "not stress",
    ]  # fmt: skip


def rest_arguments():
    return ["tests", *(f"--ignore=tests/{name}" for name in LEFT_OUT)]


def copy_sources(tree):
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(
                source, tree / name, ignore=shutil.ignore_patterns("*.so", "*.pyd", "*.c", "__pycache__")
            )
        elif source.exists():
            shutil.copy2(source, tree / name)


def plant(mutant, tree):
    path = tree / "routines" / mutant.file
    path.write_text(path.read_text().replace(mutant.text, mutant.instead))


def killer(status, output):
    """In a few words, what ended a run that did not pass."""
    if status is None:
        return "hung"
    failed = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if failed:
        return failed[0].split(" - ")[0]
    if status < 0 or "Fatal Python error" in output or "Timeout (" in output:
        return f"crashed, status {status}"
    if "Timeout" in output:
        return "hung in a test"
    return f"status {status}: {output.strip().splitlines()[-1] if output.strip() else 'no output'}"


def attempt(mutant, base, work, first_only):
    """(verdict, by what, seconds)"""
    begun = time.monotonic()
    tree = work / mutant.name
    shutil.copytree(base, tree, symlinks=True)
    try:
        plant(mutant, tree)
        status, output = build(tree)
        if status != 0:
            return "NOT BUILT", output[-2000:], time.monotonic() - begun
        verdict, by = "SURVIVED", ""
        runs = [(first_arguments(mutant.first), FIRST_SECONDS)]
        if not first_only:
            runs.append((rest_arguments(), REST_SECONDS))
        for arguments, seconds in runs:
            status, output = pytest(tree, arguments, seconds)
            if status != 0:
                verdict, by = "killed", killer(status, output)
                break
        return verdict, by, time.monotonic() - begun
    finally:
        shutil.rmtree(tree, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", nargs="+", metavar="WORD", default=[], help="those whose name or file contains a word"
    )
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="how many at a time"
    )
    parser.add_argument("--first", action="store_true", help="run only the tests most likely to notice")
    parser.add_argument("--list", action="store_true", help="print the mutants and end")
    parser.add_argument("--check", action="store_true", help="only see that each text stands once")
    options = parser.parse_args()
    chosen = selected(options.only)
    if options.list:
        for each in chosen:
            print(f"{each.name:24} {each.file:13} {each.why}")
        return 0
    wrong = stale(chosen)
    for each in wrong:
        print(
            f"{each.name}: the text stands {places(each)} times in {each.file}; take the change into the mutant"
        )
    if options.check or not chosen:
        return bool(wrong)
    chosen = [each for each in chosen if each not in wrong]
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        work = Path(folder)
        base = work / "unmutated"
        base.mkdir()
        copy_sources(base)
        status, output = build(base)
        if status != 0:
            sys.exit(f"the unmutated package does not build:\n{output[-4000:]}")
        # A test that fails without a mutant would kill them all.
        first = sorted({name for each in chosen for name in each.first})
        for arguments in (
            [first_arguments(first)] if options.first else [first_arguments(first), rest_arguments()]
        ):
            status, output = pytest(base, arguments, REST_SECONDS)
            if status != 0:
                sys.exit(
                    f"the tests do not pass without a mutant: {killer(status, output)}\n{output[-4000:]}"
                )
        results = {}
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            futures = {pool.submit(attempt, each, base, work, options.first): each for each in chosen}
            for future in concurrent.futures.as_completed(futures):
                each = futures[future]
                results[each.name] = verdict, by, seconds = future.result()
                print(f"{verdict:9} {seconds:5.0f} s  {each.name:24} {each.file:13} {by}", flush=True)
    survivors = [each for each in chosen if results[each.name][0] == "SURVIVED"]
    unbuilt = [each for each in chosen if results[each.name][0] == "NOT BUILT"]
    print(f"\n{len(chosen) - len(survivors) - len(unbuilt)} of {len(chosen)} mutants killed")
    for each in survivors:
        print(f"survived: {each.name} ({each.file}): {each.why}")
    return bool(survivors or unbuilt or wrong)


if __name__ == "__main__":
    sys.exit(main())
