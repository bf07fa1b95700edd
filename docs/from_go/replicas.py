"""The first of three replicas: ask all, use the first answer,
call the others off.
"""

from routines import go, run, select, sleep

LATENCY = {"north": 10.0, "south": 0.001, "west": 10.0}


async def ask(replica):
    await sleep(LATENCY[replica])
    return f"the answer of {replica}"


async def first(*replicas):
    asked = [go(ask, replica) for replica in replicas]
    try:
        # A routine is a source: ready when it is done.
        return (await select(*asked)).value
    finally:
        # No context to pass down: each stops where it waits.
        for routine in asked:
            routine.abort()


async def main():
    print(await first("north", "south", "west"))


run(main)
