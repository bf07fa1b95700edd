"""A subscription: one loop that fetches, keeps what is not
taken yet, delivers, and answers to close. None switches a
case off.
"""

from routines import Channel, Selected, go, run, select


def fetch(batch):
    return [f"item {2 * batch}", f"item {2 * batch + 1}"]


async def serve(updates, closing):
    pending = []
    delivered, batch = 0, 0
    due = Channel(1)
    await due.send(None)
    while True:
        # None is never ready.
        update = updates.case(pending[0]) if pending else None
        start_fetch = due if len(pending) < 3 else None  # enough for now
        match await select(start_fetch, update, closing):
            case Selected(0):
                pending += fetch(batch)
                batch += 1
                await due.send(None)
            case Selected(1):
                del pending[0]
                delivered += 1
            case Selected(2, reply):
                updates.close()
                await reply.send(delivered)
                return


async def main():
    updates, closing = Channel(), Channel()
    go(serve, updates, closing)
    for _ in range(5):
        print(await updates.recv())
    reply = Channel()
    await closing.send(reply)
    print("delivered", await reply.recv())
    _, is_open = await updates.recv_ok()
    print("open", str(is_open).lower())


run(main)
