"""Contexts: who is done when, why, and what they carry."""

import asyncio
import gc
import math
import random
import threading
import time
import weakref
from datetime import timedelta

import pytest
from helpers import collect, outcome, settle, until

import routines
from routines import RuntimeConfig, Selector, Timeout, context, go, select
from routines.context import (
    Cancelled,
    Context,
    DeadlineExceeded,
    background,
    with_cancel,
    with_deadline,
    with_timeout,
    with_value,
)


def tell(ctx):
    return type(ctx.err())


# --- the root


async def test_the_background_is_never_done():
    ctx = background()
    assert ctx is background()
    assert ctx.err() is ctx.cause() is ctx.deadline() is ctx.value("anything") is None
    chosen = await select(ctx.done(), default="nothing")
    assert chosen.value == "nothing"
    assert repr(ctx) == "<Context never done>"


# --- cancelling


async def test_cancel_is_seen_by_who_waits(start):
    ctx, cancel = with_cancel(background())
    waiting = start(ctx.done().recv_ok())
    selecting = start(outcome(select(ctx.done())))
    await settle()
    assert ctx.err() is None
    assert not waiting.done()
    cancel()
    assert tell(ctx) is Cancelled
    assert await waiting == (None, False)
    chosen = await selecting
    assert (chosen.index, chosen.ok) == (0, False)
    assert (await select(ctx.done())).ok is False
    with pytest.raises(routines.ChannelClosed) as caught:
        await ctx.done().recv()
    assert isinstance(caught.value.__cause__, Cancelled)


async def test_the_cause_is_kept():
    ctx, cancel = with_cancel(background())
    cause = ValueError("enough")
    cancel(cause)
    cancel(KeyError("too late"))
    cancel()
    assert ctx.cause() is cause
    assert tell(ctx) is Cancelled
    assert ctx.err().__cause__ is cause
    assert ctx.err() is not ctx.err(), "each may raise it"
    assert repr(ctx) == "<Context done: ValueError('enough')>"


async def test_without_a_cause_the_cause_is_the_error():
    ctx, cancel = with_cancel(background())
    cancel()
    assert type(ctx.cause()) is Cancelled
    assert ctx.err().__cause__ is None


async def test_a_cause_is_an_exception():
    ctx, cancel = with_cancel(background())
    with pytest.raises(TypeError, match="cause"):
        cancel("because")
    assert ctx.err() is None


async def test_a_tree_is_done_from_where_it_was_cancelled_downwards():
    root, cancel_root = with_cancel(background())
    left, cancel_left = with_cancel(root)
    right, _ = with_cancel(root)
    leaf, _ = with_cancel(with_value(left, "key", 1))
    beside = with_value(right, "key", 2)
    receivers = [ctx.done() for ctx in (root, left, right, leaf, beside)]
    cause = ValueError()
    cancel_left(cause)
    assert [ctx.err() is not None for ctx in (root, left, right, leaf, beside)] == [
        False,
        True,
        False,
        True,
        False,
    ]
    assert leaf.cause() is cause
    assert [receiver.closed for receiver in receivers] == [False, True, False, True, False]
    cancel_root()
    assert all(ctx.err() for ctx in (root, left, right, leaf, beside))
    assert all(receiver.closed for receiver in receivers)
    assert leaf.cause() is cause


async def test_a_child_of_one_that_is_done_is_done():
    parent, cancel = with_cancel(background())
    cause = ValueError()
    cancel(cause)
    for child in (with_cancel(parent)[0], with_timeout(parent, 60)[0], with_value(parent, 1, 2)):
        assert tell(child) is Cancelled
        assert child.cause() is cause
        assert child.done().closed


async def test_all_are_done_before_anybody_is_woken():
    parent, cancel = with_cancel(background())
    child, _ = with_cancel(parent)
    seen = []

    async def look(receiver, other):
        await receiver.recv_ok()
        seen.append(tell(other))

    looking = [go(look, parent.done(), child), go(look, child.done(), parent)]
    await settle()
    cancel()
    await asyncio.gather(*looking)
    assert seen == [Cancelled, Cancelled]


async def test_the_receivers_are_handles_of_ones_own():
    ctx, cancel = with_cancel(background())
    with ctx.done() as receiver:
        pass
    assert receiver.closed
    assert not ctx.done().closed
    assert (await select(ctx.done(), default=None)).index == -1
    cancel()


async def test_a_selector_over_a_context():
    ctx, cancel = with_cancel(background())
    tx, rx = routines.channel(1)
    selector = Selector(rx, ctx.done())
    await tx.send("value")
    assert (await selector.next()).value == "value"
    cancel()
    chosen = await selector.next()
    assert (chosen.index, chosen.ok) == (1, False)


# --- deadlines


async def test_a_timeout_is_never_early(start):
    begun = time.monotonic()
    ctx, cancel = with_timeout(background(), timedelta(milliseconds=5))
    assert begun + 0.005 <= ctx.deadline() <= time.monotonic() + 0.005
    waiting = start(ctx.done().recv_ok())
    await waiting
    assert time.monotonic() >= ctx.deadline()
    assert tell(ctx) is DeadlineExceeded
    assert type(ctx.cause()) is DeadlineExceeded
    cancel()
    assert tell(ctx) is DeadlineExceeded


async def test_one_that_is_cancelled_before_its_deadline():
    ctx, cancel = with_timeout(background(), 60)
    assert "s left" in repr(ctx)
    cancel()
    assert tell(ctx) is Cancelled


async def test_one_whose_time_is_over_from_the_beginning():
    for ctx, _ in (
        with_timeout(background(), 0),
        with_deadline(background(), time.monotonic() - 1),
        with_deadline(background(), -math.inf),
    ):
        assert tell(ctx) is DeadlineExceeded
        assert ctx.done().closed


async def test_the_sooner_deadline_holds():
    soon, _ = with_timeout(background(), 0.002)
    late, _ = with_timeout(soon, 60)
    assert late.deadline() == soon.deadline()
    await late.done().recv_ok()
    assert tell(late) is tell(soon) is DeadlineExceeded
    late, cancel_late = with_timeout(background(), 60)
    soon, _ = with_timeout(with_value(late, 1, 2), 0.002)
    assert soon.deadline() < late.deadline()
    await soon.done().recv_ok()
    assert late.err() is None
    cancel_late()


async def test_a_deadline_that_never_comes():
    ctx, cancel = with_deadline(background(), math.inf)
    assert ctx.deadline() == math.inf
    assert ctx.err() is None
    cancel()
    ctx, cancel = with_timeout(background(), 1e12)
    await settle()
    assert ctx.err() is None
    cancel()


def test_a_deadline_needs_a_loop():
    with pytest.raises(RuntimeError, match="running event loop"):
        with_timeout(background(), 1)
    parent, cancel = with_cancel(background())
    with pytest.raises(RuntimeError, match="running event loop"):
        with_timeout(parent, 1)
    cancel()
    assert tell(with_timeout(parent, 1)[0]) is Cancelled


def test_a_deadline_needs_timers():
    async def main():
        with_timeout(background(), 1)

    with pytest.raises(RuntimeError, match="enable_time"):
        routines.run(main, config=RuntimeConfig(enable_time=False))


async def test_a_timeout_leaves_no_timer_once_it_is_cancelled():
    ctx, cancel = with_timeout(background(), 60)
    reference = weakref.ref(ctx)
    cancel()
    del ctx, cancel
    collect()
    assert reference() is None


def test_the_errors_are_of_the_family():
    assert issubclass(Cancelled, routines.Error)
    assert issubclass(DeadlineExceeded, Timeout)
    assert issubclass(DeadlineExceeded, TimeoutError)
    assert not issubclass(Cancelled, asyncio.CancelledError)


# --- values


def test_values_are_found_from_the_leaf_upwards():
    root = with_value(background(), "user", "gopher")
    middle, cancel = with_cancel(with_value(root, "host", "localhost"))
    leaf = with_value(middle, "user", "snake")
    assert [leaf.value(key) for key in ("user", "host", "port")] == ["snake", "localhost", None]
    assert root.value("user") == "gopher"
    assert root.value("host") is None
    assert repr(leaf) == "<Context not done, values of 'user', 'host', 'user'>"
    assert root.deadline() is None
    cancel()
    assert tell(leaf) is Cancelled


def test_a_value_may_be_none_and_a_key_need_not_be_hashable():
    ctx = with_value(with_value(background(), ["key"], 1), "none", None)
    assert ctx.value(["key"]) == 1
    assert ctx.value("none") is None


# --- bad input


@pytest.mark.parametrize("wrong", [None, "parent", Context])
async def test_a_parent_is_a_context(wrong):
    for make in (
        lambda: with_cancel(wrong),
        lambda: with_timeout(wrong, 1),
        lambda: with_deadline(wrong, 1.0),
        lambda: with_value(wrong, 1, 1),
    ):
        with pytest.raises(TypeError, match="parent must be a Context"):
            make()


async def test_times_that_make_no_sense():
    with pytest.raises(ValueError, match="NaN"):
        with_deadline(background(), math.nan)
    for wrong in (None, "1", True, timedelta(1)):
        with pytest.raises(TypeError, match="t must be"):
            with_deadline(background(), wrong)
    for wrong in (-1, math.nan, timedelta(-1)):
        with pytest.raises(ValueError, match="negative or NaN"):
            with_timeout(background(), wrong)
    with pytest.raises(TypeError):
        with_timeout(background(), "1")


def test_a_key_is_not_none_and_a_context_not_made_by_hand():
    with pytest.raises(TypeError, match="k must not be None"):
        with_value(background(), None, 1)
    with pytest.raises(TypeError, match="made by"):
        Context()


# --- who keeps what alive


async def test_a_parent_keeps_its_children_until_they_are_done(start):
    root, cancel_root = with_cancel(background())

    def begin():
        child, _ = with_cancel(root)
        return start(child.done().recv_ok())

    waiting = begin()
    await settle()
    collect()
    await settle()
    assert not waiting.done()
    cancel_root()
    assert await waiting == (None, False)


async def test_one_that_is_done_is_kept_by_nobody():
    root, cancel_root = with_cancel(background())
    child, cancel = with_cancel(root)
    child.done()
    reference = weakref.ref(child)
    cancel()
    gc.disable()
    try:
        del child, cancel
        assert reference() is None
    finally:
        gc.enable()
    cancel_root()


# --- threads and chance


async def test_cancelled_from_another_thread(start):
    ctx, cancel = with_cancel(background())
    waiting = start(ctx.done().recv_ok())
    await settle()
    thread = threading.Thread(target=cancel)
    thread.start()
    assert await waiting == (None, False)
    thread.join()


def test_many_threads_make_and_cancel_in_one_tree():
    root, cancel_root = with_cancel(background())
    made = []

    def work(seed):
        randoms = random.Random(seed)
        parents = [root]
        for _ in range(200):
            ctx, cancel = with_cancel(randoms.choice(parents))
            ctx.done()
            parents.append(ctx)
            if randoms.random() < 0.3:
                cancel()
        made.extend(parents)

    threads = [threading.Thread(target=work, args=[seed]) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cancel_root()
    assert all(tell(ctx) is Cancelled for ctx in made)
    assert all(ctx.done().closed for ctx in made)


async def test_a_pipeline_that_is_cancelled_ends(start):
    ctx, cancel = with_cancel(background())

    async def generate(ctx, tx):
        number = 0
        with tx:
            while (await select(tx.case(number), ctx.done())).index == 0:
                number += 1

    tx, rx = routines.channel()
    generating = go(generate, ctx, tx)
    del tx
    assert [await rx.recv() for _ in range(3)] == [0, 1, 2]
    cancel()
    await generating
    await until(lambda: rx.closed)


def test_the_module_is_a_name_of_the_package():
    assert routines.context is context
    assert set(context.__all__) >= {
        "background",
        "with_cancel",
        "with_timeout",
        "with_deadline",
        "with_value",
    }


async def test_one_that_a_signal_handler_cancels_while_its_parent_is_cancelled_keeps_its_own_cause():
    parent, cancel = with_cancel(background())
    child, cancel_child = with_cancel(parent)
    grandchild, _ = with_cancel(child)
    done = [child.done(), grandchild.done()]

    class Interrupted(set):
        def __iter__(self):
            each = list(super().__iter__())
            cancel_child(KeyError("child"))  # a signal handler that runs here
            return iter(each)

    parent._canceller.children = Interrupted(parent._canceller.children)
    cancel(ValueError("parent"))
    assert type(parent.cause()) is ValueError
    assert [type(each.cause()) for each in (child, grandchild)] == [KeyError, KeyError]
    assert [await each.recv_ok() for each in done] == [(None, False)] * 2


async def test_two_threads_that_ask_for_the_channel_at_once_get_the_same():
    ctx, cancel = with_cancel(background())
    first, second = ctx._canceller.done(), ctx._canceller.done()
    assert first is second
    cancel()
    assert first.closed
