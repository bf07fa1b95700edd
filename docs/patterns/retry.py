"""Retries: with a pause that doubles and is drawn at random, so that many clients do
not come back at once, all within one deadline.
"""

import random

from routines import Timeout, run, sleep, timeout


async def retry(function, *, attempts, pause, deadline, on=OSError):
    """What `function` returns; the last failure after so many attempts, Timeout when the time is over."""
    failures = 0
    async with timeout(deadline):
        while True:
            try:
                return await function()
            except on:
                failures += 1
                if failures == attempts:
                    raise
            await sleep(random.uniform(0.5, 1) * pause * 2 ** (failures - 1))


class Flaky:
    """A service that refuses so many times."""

    def __init__(self, refusals):
        self.calls, self.refusals = 0, refusals

    async def ask(self):
        self.calls += 1
        if self.calls <= self.refusals:
            raise ConnectionRefusedError(f"refused {self.calls} times")
        return "an answer"


async def main():
    service = Flaky(2)
    print(await retry(service.ask, attempts=4, pause=0.001, deadline=5), "after", service.calls, "calls")
    try:
        await retry(Flaky(9).ask, attempts=3, pause=0.001, deadline=5)
    except ConnectionRefusedError as error:
        print(error)
    try:
        await retry(Flaky(99).ask, attempts=99, pause=10, deadline=0.01)
    except Timeout:
        print("too late")


if __name__ == "__main__":
    run(main)
# an answer after 3 calls
# refused 3 times
# too late
