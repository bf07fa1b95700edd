"""Ten producers, one consumer: each producer sends 100 messages into one bounded channel.

Every producer owns a clone of the sender and closes it when it is done. The channel closes with the
last of them, and that ends the consumer's loop: nobody counts producers, nobody sends an end
marker.

    python examples/producer_consumer.py
"""

from __future__ import annotations

from collections import Counter

from routines import Receiver, Sender, channel, go, run

PRODUCERS = 10
MESSAGES_EACH = 100

Message = tuple[int, int]
"""Who sent it, and the how-manyth of that producer it is."""


async def produce(producer: int, out: Sender[Message]) -> None:
    with out:
        for number in range(MESSAGES_EACH):
            # Blocks while the channel is full: a slow consumer slows its producers down.
            await out.send((producer, number))


async def consume(source: Receiver[Message]) -> Counter[int]:
    received: Counter[int] = Counter()
    async for producer, number in source:
        # The messages of one sender arrive in the order in which it sent them.
        assert number == received[producer]
        received[producer] += 1
    return received


async def main() -> Counter[int]:
    """How many messages arrived from each producer."""
    sender: Sender[Message]
    receiver: Receiver[Message]
    sender, receiver = channel(16)
    for producer in range(PRODUCERS):
        go(produce, producer, sender.clone())
    sender.close()
    return await consume(receiver)


if __name__ == "__main__":
    counts = run(main)
    print(f"{counts.total()} messages from {len(counts)} producers")
