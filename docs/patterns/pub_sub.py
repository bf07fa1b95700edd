"""Publish and subscribe: everybody hears everything from then on; who does not keep up
is told how much was missed, and goes on.
"""

import asyncio

from routines import Lagged, broadcast, group, run


async def listen(news, heard):
    with news:
        async for value in news:
            heard.append(value)


async def main():
    topic, sleepy = broadcast(4)  # how far a subscriber may be behind
    heard = []
    async with group() as listeners:
        with topic:
            for _ in range(2):
                listeners.go(listen, topic.subscribe(), heard)
            for number in range(6):
                await topic.send(number)
                await asyncio.sleep(0)  # listeners have their turn
    print("both heard:", sorted(heard))
    try:
        await sleepy.recv()
    except Lagged as lagged:
        print("the sleepy one missed", lagged.missed, "and then hears", [value async for value in sleepy])


if __name__ == "__main__":
    run(main)
# both heard: [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
# the sleepy one missed 2 and then hears [2, 3, 4, 5]
