"""A pipeline: read, parse in three workers, sum up. The first stage that fails ends all
of them.
"""

import asyncio

from routines import channel, run


async def read(lines, out):
    with out:
        for line in lines:
            await out.send(line)


async def parse(lines, out):
    with lines, out:
        async for line in lines:
            name, _, value = line.partition("=")
            await out.send((name, int(value)))


async def total(lines):
    """The sum for each name. ExceptionGroup with a ValueError: a line has no number."""
    raw_tx, raw = channel(16)
    parsed_tx, parsed = channel(16)
    sums = {}
    async with asyncio.TaskGroup() as stages:
        stages.create_task(read(lines, raw_tx))
        for _ in range(3):
            stages.create_task(parse(raw.clone(), parsed_tx.clone()))
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
    except* ValueError as failures:
        print(failures.exceptions[0])


if __name__ == "__main__":
    run(main)
# [('a', 4), ('b', 2)]
# invalid literal for int() with base 10: 'two'
