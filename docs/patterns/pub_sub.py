"""Publish and subscribe: each subscriber has a channel of its own, and one that does not keep up is dropped, not waited for."""

import asyncio

from routines import ChannelClosed, SendError, channel, run


class Topic:
    """Publishing never waits. A subscriber that leaves `backlog` values untaken loses its subscription."""

    def __init__(self, backlog):
        self.backlog = backlog
        self.subscribers = []

    def subscribe(self):
        tx, rx = channel(self.backlog)
        self.subscribers.append(tx)
        return rx

    def publish(self, value):
        for tx in self.subscribers.copy():
            try:
                tx.try_send(value)
            except SendError:
                tx.close(TimeoutError("too slow for this topic"))
                self.subscribers.remove(tx)
            except ChannelClosed:
                self.subscribers.remove(tx)  # it has left

    def close(self):
        for tx in self.subscribers:
            tx.close()
        self.subscribers.clear()


async def listen(news, heard):
    with news:
        async for value in news:
            heard.append(value)


async def main():
    topic = Topic(backlog=4)
    heard = []
    sleepy = topic.subscribe()
    async with asyncio.TaskGroup() as listeners:
        for _ in range(2):
            listeners.create_task(listen(topic.subscribe(), heard))
        for number in range(6):
            topic.publish(number)
            await asyncio.sleep(0)  # listeners have their turn
        topic.close()
    print("both heard:", sorted(heard))
    missed = [value async for value in sleepy]
    try:
        await sleepy.recv()
    except ChannelClosed as closed:
        print("the sleepy one:", missed, "then", closed.__cause__)


if __name__ == "__main__":
    run(main)
# both heard: [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
# the sleepy one: [0, 1, 2, 3] then too slow for this topic
