# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""Select as users write it; checked, not run."""

import asyncio
from typing import Any, assert_type

from routines import (
    Channel,
    Receiver,
    Routine,
    Selected,
    Selector,
    Sender,
    Ticker,
    after,
    case,
    select,
)


async def built(
    numbers: Receiver[int], texts: Channel[str], tx: Sender[int], routine: Routine[bytes]
) -> None:
    assert_type(await select().recv(numbers).run(), int)
    assert_type(await select().recv(numbers).recv(texts).run(), int | str)
    assert_type(await select().recv(routine).run(), bytes)
    assert_type(await select().recv(numbers, str).run(), str)
    assert_type(await select().recv(numbers, lambda number: [number]).run(), list[int])
    assert_type(await select().recv(texts, on_close=lambda: None).run(), str | None)
    assert_type(await select().recv(after(1.0)).run(), float)
    assert_type(
        await select()
        .recv(numbers, lambda number: f"from numbers: {number}")
        .recv(texts, lambda text: text.upper(), on_close=lambda: "closed")
        .send(tx, 1, lambda: "sent")
        .timeout(1.0, lambda: "late")
        .default(lambda: "nothing ready")
        .run(),
        str,
    )
    assert_type(await select().send(tx, 1).timeout(1.0).run(), None)
    assert_type(await select(biased=True).recv(numbers).default().run(), int | None)
    assert_type(await select().biased().recv(numbers).run(), int)
    assert_type(await select().recv(case(asyncio.Event())).run(), bool)
    assert_type(await select().recv(case(asyncio.sleep(1, "slept"))).run(), str)


async def direct(
    numbers: Receiver[int], texts: Channel[str], tx: Sender[int], routine: Routine[bytes]
) -> None:
    sources = [numbers, None, Ticker(1.0), routine]
    assert_type(await select(*sources), Selected)
    assert_type(await select(*sources, timeout=1.0), Selected)
    assert_type(await select(timeout=1.0), Selected)
    assert_type(await select(numbers, default=None), Selected)
    assert_type(await asyncio.wait_for(select(numbers, texts), 1.0), Selected)
    chosen = await select(numbers, texts, tx.case(1), None, timeout=1.0, biased=True)
    assert_type(chosen, Selected)
    assert_type(chosen.index, int)
    assert_type(chosen.ok, bool)
    match chosen:
        case Selected(0, value):
            assert_type(value, Any)
        case Selected(index=1, ok=False):
            pass
        case _:
            pass
    index, value, ok, source = chosen
    print(index, value, ok, source)


async def prepared(numbers: Receiver[int], tx: Sender[int]) -> None:
    selector = Selector(numbers, tx.case(1), None, biased=True)
    key = selector.add(case(asyncio.Event()))
    assert_type(key, int)
    selector.remove(key)
    assert_type(await selector.next(), Selected)
    async for chosen in selector:
        assert_type(chosen, Selected)
