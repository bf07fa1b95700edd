"""The examples run, as programs and as modules, and their results are right."""

import asyncio
import importlib.util
import math
import os
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path

import pytest
from helpers import until

import routines
from routines import channel, go, run

EXAMPLES = Path(__file__).parents[1] / "examples"
PROGRAMS = sorted(path.stem for path in EXAMPLES.glob("*.py"))
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(routines.__file__).parents[1])}


# What each needs beyond this package; the extra "examples".
NEEDS = {"web_crawler": "aiohttp"}


def load(name):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    path = EXAMPLES / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"example_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_has_a_test_of_its_result():
    assert PROGRAMS
    for name in PROGRAMS:
        assert f"test_{name}" in globals()


@pytest.mark.parametrize("name", PROGRAMS)
def test_example_runs_as_a_program(name, tmp_path):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", str(EXAMPLES / f"{name}.py")],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=30,
    )
    # In debug mode asyncio tells of a callback that took 0.1 s, as any may on a busy machine.
    errors = [line for line in done.stderr.splitlines() if not line.startswith("Executing <")]
    assert (done.returncode, errors) == (0, [])
    assert done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals here")
@pytest.mark.parametrize(
    ("name", "shown"),
    [("web_crawler", "crawling"), ("chat_server", "lines said"), ("log_pipeline", "to sum up")],
)
@pytest.mark.parametrize("rich", ["with", "without"])
def test_example_shows_its_progress_on_a_terminal(name, shown, rich, tmp_path):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    if rich == "with":
        pytest.importorskip("rich")
    else:
        (tmp_path / "rich").mkdir()
        (tmp_path / "rich" / "__init__.py").write_text("raise ImportError('not here')")
    ours, theirs = os.openpty()
    environment = ENVIRONMENT | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), ENVIRONMENT["PYTHONPATH"]]),
        "TERM": "xterm",
        "COLUMNS": "100",
    }
    drawn = bytearray()

    def look():
        try:
            while seen := os.read(ours, 65536):
                drawn.extend(seen)
        except OSError:
            pass  # its last holder has closed it

    looking = threading.Thread(target=look)
    looking.start()
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py")],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=theirs,
        timeout=50,
    )
    os.close(theirs)
    looking.join(10)
    os.close(ours)
    assert done.returncode == 0, drawn.decode()
    assert shown in drawn.decode()


@pytest.mark.parametrize("name", PROGRAMS)
def test_example_says_what_it_is_and_how_to_run_it(name):
    module = load(name)
    assert f"python examples/{name}.py" in module.__doc__
    assert module.main.__doc__


def test_producer_consumer():
    example = load("producer_consumer")
    received = run(example.main)
    assert received == dict.fromkeys(range(10), 100)


def test_fan_out_fan_in():
    example = load("fan_out_fan_in")
    squares = run(example.main)
    assert sorted(each.number for each in squares) == list(range(example.JOBS))
    assert all(each.square == each.number**2 for each in squares)
    assert {each.worker for each in squares} == set(range(5))


def test_ping_pong():
    example = load("ping_pong")
    assert run(example.main) == 2 * example.ROUND_TRIPS


def test_prime_sieve():
    primes = run(load("prime_sieve").main)
    assert len(primes) == 100
    assert primes == [n for n in range(2, 542) if all(n % d for d in range(2, n))]


def test_worker_pool():
    example = load("worker_pool")
    answers, most_busy = run(example.main)
    assert list(answers) == example.PAGES
    assert answers.pop("missing") == "failed: no page 'missing'"
    assert all(text == f"text of {page}" for page, text in answers.items())
    assert 1 <= most_busy <= example.WORKERS


def test_multiplexer():
    example = load("multiplexer")
    heard = run(example.main)
    for talker, lines in example.LINES.items():
        assert [line.number for line in heard if line.talker == talker] == list(range(lines))
    assert len(heard) == sum(example.LINES.values())


def test_rate_limiter():
    example = load("rate_limiter")
    passed = run(example.main)
    assert len(passed) == example.REQUESTS
    for number, seconds in enumerate(passed):
        # The ticker is made after the clock was read, and never fires early.
        assert seconds >= (number + 1 - example.BURST) * example.PACE


def test_heartbeat():
    example = load("heartbeat")
    results, workers = run(example.main)
    assert workers == 2
    assert results == [job * job for job in range(example.JOBS) if job != 3]


def test_first_of_three_replicas():
    example = load("first_of_three_replicas")
    assert run(example.main) == ("south: WHERE IS THE CAT?", "no answer in time", 0)


def test_first_of_three_replicas_keeps_an_answer_that_comes_together_with_a_failure(monkeypatch):
    example = load("first_of_three_replicas")
    # West fails and south answers in one turn, so the select that learns of the failure finds both done.
    monkeypatch.setattr(example, "LATENCY", {"north": 10.0, "west": 0.0, "south": 0.0})
    replicas = example.Replicas()
    answer = run(replicas.first_answer("q", patience=30.0))
    assert (answer, replicas.connected) == ("south: Q", set())


def test_power_series():
    example = load("power_series")
    exponential, tangent = run(example.main)
    assert exponential == [Fraction(1, math.factorial(power)) for power in range(example.TERMS)]
    odd = [Fraction(1), Fraction(1, 3), Fraction(2, 15), Fraction(17, 315), Fraction(62, 2835)]
    assert tangent == [odd[power // 2] if power % 2 else 0 for power in range(example.TERMS)]


def test_web_crawler():
    example = load("web_crawler")
    site = example.Site(120)

    async def main():
        async with site.served() as start:
            return await example.crawl(start, workers=7, watch=lambda crawl: None)

    crawl = run(main)
    paths = {page.url.partition("/page/")[2]: page for page in crawl.pages}
    good = {page.url for page in crawl.pages if not page.problem}
    assert {f"{crawl.start[:-1]}{number}" for number in range(120)} <= good
    assert len(crawl.pages) == len(crawl.seen)
    # Out of order at the first time, moved, missing, forbidden.
    assert site.requests["/page/7"] == 2
    assert paths["11"].status == 200
    assert sorted(page.url.rpartition("/")[2] for page in crawl.broken) == ["109", "59", "9"]
    assert {page.status for page in crawl.broken} == {404}
    assert not any(path.startswith("/private") for path in site.requests)


def test_web_crawler_stops_at_its_limit_and_tells_of_a_site_that_is_not_there():
    example = load("web_crawler")
    site = example.Site(120)

    async def main():
        async with site.served() as start:
            limited = await example.crawl(start, limit=10, watch=lambda crawl: None)
        return limited, await example.crawl(start, watch=lambda crawl: None)

    limited, gone = run(main)
    assert len(limited.pages) == 10
    assert [(page.status, bool(page.problem)) for page in gone.pages] == [(0, True)]
    assert "broken: " in example.report(gone, 1.0)


def test_chat_server():
    example = load("chat_server")
    outcome = run(example.main(clients=6, lines=4))
    first, *others = outcome.heard.values()
    assert len(first) == 24
    assert all(heard == first for heard in others)
    for name in outcome.heard:
        assert [line for line in first if line.startswith(f"{name}:")] == [
            f"{name}: line {n}" for n in range(4)
        ]
    assert (outcome.room.said, outcome.room.members, outcome.room.dropped) == (24, {}, [])


async def test_chat_server_loses_who_does_not_read_and_nobody_waits_for_them():
    example = load("chat_server")
    room = example.Room()
    events, happening = channel()
    running = go(room.run, happening)
    outboxes = {}
    for name in ("reader", "sleeper"):
        answer, answered = channel(1)
        await events.send(example.Joined(name, answer))
        outboxes[name] = await answered.recv()
    answer, answered = channel(1)
    await events.send(example.Joined("reader", answer))
    assert await answered.recv_ok() == (None, False)  # that name is taken

    heard = []
    for number in range(example.OUTBOX + 1):
        await events.send(example.Said("reader", str(number)))
        heard += await outboxes["reader"].recv_many(example.OUTBOX)
    events.close()
    await running.join()
    heard += [line async for line in outboxes["reader"]]
    assert room.dropped == ["sleeper"]
    assert len(outboxes["sleeper"]) == example.OUTBOX
    assert [line for line in heard if line.startswith("reader: ")] == [
        f"reader: {n}" for n in range(example.OUTBOX + 1)
    ]
    assert "* sleeper has been lost" in heard


async def test_chat_server_says_what_is_in_the_outboxes_before_it_ends():
    example = load("chat_server")
    room = example.Room()
    async with example.served(room) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"Ann\nhello\n/who\n")
        await until(lambda: room.delivered == 3)
    said = (await reader.read()).decode().splitlines()
    assert said == ["your name?", "* Ann has joined", "Ann: hello", "here are Ann"]
    writer.close()
    await writer.wait_closed()


def test_log_pipeline():
    example = load("log_pipeline")
    outcome = run(example.main(3_000))
    assert outcome.gauge.lines == 3_003
    assert outcome.gauge.rejected == 3
    assert sum(minute["requests"] for minute in outcome.minutes) == 3_000
    assert [minute["minute"] for minute in outcome.minutes] == sorted(
        {minute["minute"] for minute in outcome.minutes}
    )
    expected = [example.parse_line(line) for line in example.made_up_log(3_000)]
    assert sum(minute["bytes"] for minute in outcome.minutes) == sum(each.size for each in expected if each)


def test_log_pipeline_reads_no_faster_than_it_writes(tmp_path):
    example = load("log_pipeline")
    log = tmp_path / "access.log"
    # A minute a line, so the writer is the slow stage.
    lines = [
        f'h - - [31/Jan/2026:{n // 60 % 24:02}:{n % 60:02}:00 +0000] "GET / HTTP/1.1" 200 1\n'
        for n in range(24 * 60)
    ]
    log.write_text("".join(lines) + "".join(lines).replace("31/Jan", "01/Feb"))
    gate = threading.Event()
    stored = []

    def store(text):
        gate.wait()
        stored.extend(text.splitlines())

    async def main():
        gauge = example.Gauge()
        processing = go(example.process, log, store, gauge)
        in_flight = (2 * example.BATCHES_AHEAD + example.PARSERS + 2) * example.LINES_IN_BATCH
        try:
            # The writer is stuck, so all behind it fills up, and then nobody goes on.
            await parked_behind(gauge)
            assert gauge.lines <= in_flight < 2 * len(lines)
            assert not stored
        finally:
            gate.set()
        await processing.join()
        return gauge

    async def parked_behind(gauge):
        await until(lambda: len(gauge.channels) == 3)
        minutes, replies = gauge.channels["to write"], gauge.channels["to sum up"]
        await until(lambda: minutes.stats().waiting_senders == 1 and replies.stats().waiting_senders == 1)

    gauge = run(main)
    assert gauge.lines == len(stored) == 2 * len(lines)


def test_log_pipeline_tells_what_it_cannot_read_or_write(tmp_path):
    example = load("log_pipeline")
    with pytest.raises(FileNotFoundError):
        run(example.process(tmp_path / "none", print, example.Gauge()))
    log = tmp_path / "access.log"
    log.write_text("".join(example.made_up_log(2_000)))

    def full(text):
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        run(example.process(log, full, example.Gauge()))
    assert not any(thread.name == "log-reader" for thread in threading.enumerate())
