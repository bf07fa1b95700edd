"""A context: one deadline for a whole tree of calls, each of
which may have a shorter one of its own.
"""

from routines import after, context, run, select


async def load(ctx, what, takes):
    chosen = await select(after(takes), ctx.done())
    return what if chosen.index == 0 else f"no {what}"


async def page(ctx):
    print(await load(ctx, "text", 0.001))
    short, cancel = context.with_timeout(ctx, 0.010)
    print(await load(short, "advertisement", 10))
    say(ctx.err() is None, isinstance(short.err(), context.DeadlineExceeded))
    cancel()
    print(await load(ctx, "comments", 10))


def say(*truths):
    print(*(str(truth).lower() for truth in truths))


async def main():
    ctx, cancel = context.with_timeout(context.background(), 0.500)
    await page(ctx)
    cancel()


run(main)
