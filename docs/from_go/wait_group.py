"""A WaitGroup, and a Mutex around what all of them touch and
pause in between.
"""

from routines import Mutex, WaitGroup, run, yield_now


async def main():
    wg, mutex = WaitGroup(), Mutex()
    balance = 0

    async def pay(amount):
        nonlocal balance
        async with mutex:
            read = balance
            await yield_now()  # without the lock, another would read the same
            balance = read + amount

    for i in range(1, 101):
        wg.go(pay, i)
    await wg.wait()
    print(balance)


run(main)
