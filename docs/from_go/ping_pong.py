"""Two players and one ball, on an unbuffered channel: the
table.
"""

from types import SimpleNamespace

from routines import Channel, go, run


async def play(name, table, over):
    async for ball in table:
        ball.hits += 1
        print(name, ball.hits)
        if ball.hits == 6:
            over.close()
            return
        await table.send(ball)


async def main():
    table = Channel()  # both ends in one, as in Go
    over = Channel()
    go(play, "ping", table, over)
    await table.send(SimpleNamespace(hits=0))
    go(play, "pong", table, over)
    await over.wait_closed()


run(main)
