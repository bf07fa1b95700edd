"""A worker pool: at most three downloads at a time, each answered on a channel of its own.

A request carries the sender for its answer, so answers cannot be mixed up, and the caller takes
them in the order it likes, here the order of its requests. A request that fails fails alone: its
channel closes with the exception as the cause, and the worker goes on to the next.

    python examples/worker_pool.py
"""

from __future__ import annotations

from typing import NamedTuple

from routines import ChannelClosed, Receiver, Sender, channel, go, run, sleep

WORKERS = 3
PAGES = ["index", "about", "missing", "news", "contact", "archive", "search"]


class Request(NamedTuple):
    """One page to fetch, and where to send its text."""

    page: str
    answer: Sender[str]


class Pool:
    """What the workers have in common: here, only the figures that show how busy they were."""

    def __init__(self) -> None:
        self.busy = 0
        self.most_busy = 0

    async def fetch(self, page: str) -> str:
        """Stands for a slow request over the network."""
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        try:
            await sleep(0.001)
            if page == "missing":
                raise LookupError(f"no page {page!r}")
            return f"text of {page}"
        finally:
            self.busy -= 1

    async def work(self, requests: Receiver[Request]) -> None:
        """Serve requests until there are no more."""
        with requests:
            async for request in requests:
                try:
                    text = await self.fetch(request.page)
                except LookupError as error:
                    request.answer.close(error)
                else:
                    # Room for one, so this never waits for a caller that is busy elsewhere.
                    await request.answer.send(text)
                    request.answer.close()


class Outcome(NamedTuple):
    """What came of all requests."""

    answers: dict[str, str]
    most_busy: int


async def main() -> Outcome:
    """The answer for each page, and how many requests ran at the same time at most."""
    pool = Pool()
    requests: Sender[Request]
    open_requests: Receiver[Request]
    requests, open_requests = channel(len(PAGES))
    for _ in range(WORKERS):
        go(pool.work, open_requests.clone())
    open_requests.close()

    pending: dict[str, Receiver[str]] = {}
    with requests:
        for page in PAGES:
            answer: Sender[str]
            answer, pending[page] = channel(1)
            await requests.send(Request(page, answer))

    answers: dict[str, str] = {}
    for page, answered in pending.items():
        try:
            answers[page] = await answered.recv()
        except ChannelClosed as closed:
            answers[page] = f"failed: {closed.__cause__}"
    return Outcome(answers, pool.most_busy)


if __name__ == "__main__":
    outcome = run(main)
    for page, text in outcome.answers.items():
        print(f"{page:8} {text}")
    print(f"at most {outcome.most_busy} at a time")
