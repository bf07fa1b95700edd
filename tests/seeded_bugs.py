"""Programs with one known bug each, of the kind that a test finds only by luck, and their correct twins."""

import routines


async def joined(*started):
    for routine in started:
        await routine


# -- a read and a write with an await between them


async def lost_update():
    log, total = routines.Channel(8), 0

    async def add():
        nonlocal total
        before = total
        await log.send("adding")  # the buffer has room, so it nearly never waits
        total = before + 1

    await joined(*[routines.go(add) for _ in range(3)])
    assert total == 3


async def kept_update():
    log, total = routines.Channel(8), 0

    async def add():
        nonlocal total
        await log.send("adding")
        total += 1

    await joined(*[routines.go(add) for _ in range(3)])
    assert total == 3


# -- two locks, each a channel with one token, taken in both orders


def lock():
    made = routines.Channel(1)
    made.try_send("token")
    return made


async def opposite_lock_order():
    a, b = lock(), lock()

    async def use(first, second):
        await first.recv()
        await second.recv()
        second.try_send("token")
        first.try_send("token")

    await joined(routines.go(use, a, b), routines.go(use, b, a))


async def same_lock_order():
    a, b = lock(), lock()

    async def use(first, second):
        await first.recv()
        await second.recv()
        second.try_send("token")
        first.try_send("token")

    await joined(routines.go(use, a, b), routines.go(use, a, b))


# -- a consumer that is cancelled between taking a value and keeping it


async def finished(routine):
    try:
        await routine.join()
    except routines.Aborted:
        pass


async def consumed_by(take):
    values, kept = routines.Channel(4), []
    for value in range(3):
        values.try_send(value)
    values.close()
    await finished(routines.go(take, values, kept))
    kept += [value async for value in values]
    assert sorted(kept) == [0, 1, 2]


async def value_lost_by_its_consumer():
    async def take(values, kept):
        async for value in values:
            await routines.yield_now()  # a cancellation comes here, and the value is nowhere
            kept.append(value)

    await consumed_by(take)


async def value_kept_by_its_consumer():
    async def take(values, kept):
        async for value in values:
            kept.append(value)
            await routines.yield_now()

    await consumed_by(take)


# -- looking whether something is there, and then counting on it


async def check_then_act():
    jobs, log, done = routines.Channel(4), routines.Channel(4), 0
    jobs.try_send("the only one")

    async def work():
        nonlocal done
        if len(jobs):
            await log.send("there is one")  # the buffer has room
            jobs.try_recv()
            done += 1

    await joined(routines.go(work), routines.go(work))
    assert done == 1


async def act_and_see():
    jobs, log, done = routines.Channel(4), routines.Channel(4), 0
    jobs.try_send("the only one")

    async def work():
        nonlocal done
        await log.send("looking")
        try:
            jobs.try_recv()
        except routines.RecvError:
            return
        done += 1

    await joined(routines.go(work), routines.go(work))
    assert done == 1


# -- counting on select to take the first of its cases


async def order_assumed_in_select():
    work, stop = routines.Channel(2), routines.Channel(1)
    work.try_send("a job")
    stop.try_send("now")
    jobs = []
    while True:
        chosen = await routines.select(work, stop)
        if chosen.index == 1:
            break
        jobs.append(chosen.value)
    assert jobs == ["a job"]


async def order_asked_of_select():
    work, stop = routines.Channel(2), routines.Channel(1)
    work.try_send("a job")
    stop.try_send("now")
    jobs = []
    while True:
        chosen = await routines.select(work, stop, biased=True)
        if chosen.index == 1:
            break
        jobs.append(chosen.value)
    assert jobs == ["a job"]


# -- a value that comes at the very moment at which the receiver gives up


async def timeout_taken_for_nothing_received():
    answers, got = routines.Channel(1), []

    async def answer():
        await routines.sleep(1)
        await answers.send("answer")

    async def ask():
        try:
            async with routines.timeout(1):
                got.append(await answers.recv())
                await routines.sleep(0)
        except routines.Timeout:
            assert not got

    await joined(routines.go(answer), routines.go(ask))


async def timeout_that_looks():
    answers, got = routines.Channel(1), []

    async def answer():
        await routines.sleep(1)
        await answers.send("answer")

    async def ask():
        try:
            async with routines.timeout(1):
                got.append(await answers.recv())
                await routines.sleep(0)
        except routines.Timeout:
            pass

    await joined(routines.go(answer), routines.go(ask))
    assert got == ["answer"] or len(answers) == 1


# -- a bug of depth three: three of its steps have to come in one order, among many others


async def published_before_it_was_filled():
    log = routines.Channel(64)
    slot, published, seen = None, False, []

    async def write():
        nonlocal slot, published
        await log.send("begin")
        published = True
        await log.send("between")
        slot = "value"
        await log.send("end")

    async def read():
        for _ in range(3):
            await log.send("look")
        if published:
            seen.append(slot)

    async def bystander():
        for _ in range(5):
            await log.send("noise")

    await joined(routines.go(read), routines.go(write), routines.go(bystander))
    assert None not in seen


async def filled_before_it_was_published():
    log = routines.Channel(64)
    slot, published, seen = None, False, []

    async def write():
        nonlocal slot, published
        await log.send("begin")
        slot = "value"
        await log.send("between")
        published = True
        await log.send("end")

    async def read():
        for _ in range(3):
            await log.send("look")
        if published:
            seen.append(slot)

    async def bystander():
        for _ in range(5):
            await log.send("noise")

    await joined(routines.go(read), routines.go(write), routines.go(bystander))
    assert None not in seen
