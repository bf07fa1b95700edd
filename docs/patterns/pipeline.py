"""A pipeline: read, parse in three workers, sum up. The first stage that fails ends all
of them.
"""

from contextlib import suppress

from routines import ChannelClosed, channel, group, run


async def read(lines, out):
    with out, suppress(ChannelClosed):  # closed: nobody wants the rest
        for line in lines:
            await out.send(line)


async def parse(lines, out):
    with lines, out, suppress(ChannelClosed):
        async for line in lines:
            name, _, value = line.partition("=")
            await out.send((name, int(value)))


async def total(lines):
    """The sum for each name. ValueError: a line has no number."""
    raw_tx, raw = channel(16)
    parsed_tx, parsed = channel(16)
    sums = {}
    async with group() as stages:
        stages.go(read, lines, raw_tx)
        for _ in range(3):
            stages.go(parse, raw.clone(), parsed_tx.clone())
        raw.close()
        parsed_tx.close()  # only the clones count from here on
        with parsed:
            async for name, value in parsed:
                sums[name] = sums.get(name, 0) + value
    return sums


async def main():
    print(sorted((await total(["a=1", "b=2", "a=3"])).items()))
    try:
        await total(["a=1", "b=two", "a=3"])
    except ValueError as error:
        print(error)


if __name__ == "__main__":
    run(main)
# [('a', 4), ('b', 2)]
# invalid literal for int() with base 10: 'two'
