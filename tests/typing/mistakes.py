# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""What a type checker has to refuse: an ignored line without an error is an error itself."""

from typing import Any

from routines import (
    Channel,
    ChannelStats,
    Receiver,
    Sender,
    case,
    channel,
    current,
    go,
    run,
    select,
    sleep,
    spawn,
    yield_now,
)


async def double(number: int) -> int:
    return 2 * number


def not_async(number: int) -> int:
    return number


async def wrong_values(tx: Sender[int], rx: Receiver[int], ch: Channel[int]) -> None:
    await tx.send("text")  # type: ignore[arg-type]
    tx.try_send(None)  # type: ignore[arg-type]
    await tx.send_many(["text"])  # type: ignore[list-item]
    await tx.send_many(1)  # type: ignore[arg-type]
    await ch.send("text")  # type: ignore[arg-type]
    await rx.recv_many("many")  # type: ignore[arg-type]
    tx.close("why")  # type: ignore[arg-type]
    await sleep("long")  # type: ignore[arg-type]


async def never_awaited(tx: Sender[int], rx: Receiver[int]) -> None:
    tx.send(1)  # type: ignore[unused-coroutine]
    rx.recv()  # type: ignore[unused-coroutine]
    sleep(1)  # type: ignore[unused-coroutine]
    go(double, 1).join()  # type: ignore[unused-coroutine]


def made_by_hand() -> None:
    Sender()  # type: ignore[call-arg]
    Receiver()  # type: ignore[call-arg]
    ChannelStats()  # type: ignore[call-arg]
    Channel("many")  # type: ignore[arg-type]
    channel("many")  # type: ignore[arg-type]


def wrong_ends(tx: Sender[int], rx: Receiver[int]) -> None:
    rx.send(1)  # type: ignore[attr-defined]
    tx.recv()  # type: ignore[attr-defined]
    tx.stats().sent = 0  # type: ignore[misc]
    tx.capacity = 1  # type: ignore[misc]
    strings: Sender[str] = tx  # type: ignore[assignment]
    wider: Sender[object] = tx  # type: ignore[assignment]
    narrower: Receiver[bool] = rx  # type: ignore[assignment]
    either: Channel[Any] = rx  # type: ignore[assignment]
    print(strings, wider, narrower, either)


async def wrong_spawns() -> None:
    go(double)  # type: ignore[call-overload]
    go(double, "text")  # type: ignore[call-overload]
    go(double, 1, 2)  # type: ignore[call-overload]
    go(double, other=1)  # type: ignore[call-overload]
    go(double(1), 2)  # type: ignore[call-overload]
    go(not_async, 1)  # type: ignore[call-overload]
    go(1)  # type: ignore[call-overload]
    spawn(double)  # type: ignore[arg-type]
    spawn(yield_now())  # type: ignore[arg-type]
    run(double)  # type: ignore[arg-type]
    current().abort()  # type: ignore[union-attr]


async def wrong_selects(tx: Sender[int], rx: Receiver[int]) -> None:
    await select(tx)  # type: ignore[call-overload]
    await select().recv(rx)  # type: ignore[misc]
    select().recv(tx)  # type: ignore[call-overload]
    select().recv(rx, lambda: None)  # type: ignore[misc, arg-type]
    select().send(tx, "text")  # type: ignore[misc]
    select().send(rx, 1)  # type: ignore[call-overload]
    case(1)  # type: ignore[call-overload]
