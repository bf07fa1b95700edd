"""Replicated requests: ask the fastest, and after a pause the others as well; the first
answer counts, the rest is stopped.
"""

from contextlib import suppress

from routines import Aborted, Timeout, go, run, select, sleep


async def hedged(ask, replicas, pause):
    """The first answer. Another replica is asked whenever `pause` seconds bring none, or when one fails.

    Raises the last failure where all of them fail.
    """
    waiting = list(replicas)
    asked = []
    try:
        while True:
            if waiting:
                asked.append(go(ask, waiting.pop(0)))
            open_ones = [each for each in asked if not (each.done() and each.exception())]
            try:
                chosen = await select(*open_ones or asked, timeout=pause if waiting else None)
            except Timeout:
                continue  # slow: ask one more
            except ConnectionError:
                if len(open_ones) <= 1 and not waiting:
                    raise
            else:
                return chosen.value
    finally:
        for each in asked:
            each.abort("another one was first")
        for each in asked:
            with suppress(Aborted, ConnectionError):
                await each.join()


LATENCY = {"north": 10.0, "west": 0.001, "south": 0.002}


async def ask(replica):
    await sleep(LATENCY[replica])
    if replica == "west":
        raise ConnectionError("west is out of order")
    return f"the answer of {replica}"


async def main():
    print(await hedged(ask, ["north", "west", "south"], pause=0.005))
    try:
        await hedged(ask, ["west", "west"], pause=0.005)
    except ConnectionError as error:
        print(error)


if __name__ == "__main__":
    run(main)
# the answer of south
# west is out of order
