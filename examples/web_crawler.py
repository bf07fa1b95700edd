"""A web crawler: every page of a site, so many at a time, with retries, time limits and robots.txt.

One routine, the coordinator, owns the list of what is to be fetched. In each turn of its loop it hands the next address to
whichever worker is free, or takes a page that has come, whatever is possible first: a select that sends and receives. As nobody
else adds to the list, it knows when everything is done: nothing to hand out, and nobody busy.

    pip install aiohttp rich
    python examples/web_crawler.py                                   # a site that it serves itself, on loopback
    python examples/web_crawler.py http://127.0.0.1:8000/ --workers 20
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from html.parser import HTMLParser
from typing import NamedTuple
from urllib.parse import urldefrag, urljoin, urlsplit
from urllib.robotparser import RobotFileParser

import aiohttp
from aiohttp import web

from routines import (
    Aborted,
    ChannelClosed,
    Receiver,
    Sender,
    Timeout,
    channel,
    go,
    group,
    run,
    select,
    sleep,
    timeout,
)

ATTEMPTS = 3
PAUSE = 0.02
"""Seconds before the second attempt; twice that before the third."""

PATIENCE = 10.0
"""Seconds for one attempt."""

SECONDS_PER_FRAME = 0.1


class Page(NamedTuple):
    """What came of one address."""

    url: str
    status: int
    """0 where no answer came."""
    size: int
    seconds: float
    links: list[str]
    problem: str = ""


class Crawl:
    """A crawl as far as it has come; whoever draws it may look at any time."""

    def __init__(self, start: str, limit: int) -> None:
        self.start = start
        self.limit = limit
        self.todo = deque([start])
        self.seen = {start}
        self.linked_from: dict[str, str] = {}
        self.busy = 0
        self.pages: list[Page] = []
        self.robots = RobotFileParser()

    @property
    def broken(self) -> list[Page]:
        """Pages that could not be had."""
        return [page for page in self.pages if page.problem]

    def add(self, page: Page) -> None:
        """Take a page, and queue those of its links that are new, on this site and allowed."""
        self.pages.append(page)
        for link in page.links:
            if len(self.seen) >= self.limit:
                return
            same_site = urlsplit(link)[:2] == urlsplit(self.start)[:2]
            if same_site and link not in self.seen and self.robots.can_fetch("*", link):
                self.seen.add(link)
                self.linked_from[link] = page.url
                self.todo.append(link)


class Links(HTMLParser):
    """The addresses that a page links to."""

    def __init__(self, base: str) -> None:
        super().__init__()
        self.base = base
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called for each tag."""
        if tag == "a":
            for name, value in attrs:
                if name == "href" and value:
                    self.found.append(urldefrag(urljoin(self.base, value)).url)


async def fetch(session: aiohttp.ClientSession, url: str) -> Page:
    """One page. A failure that may pass is tried again after a pause, the others are told in the page."""
    begun = time.monotonic()
    problem, status = "", 0
    for attempt in range(ATTEMPTS):
        if attempt:
            await sleep(PAUSE * 2 ** (attempt - 1))
        try:
            async with timeout(PATIENCE), session.get(url) as response:
                body = await response.text(errors="replace")
                status, problem = response.status, "" if response.ok else f"status {response.status}"
                if status < 500:
                    links = Links(str(response.url))
                    if response.ok and response.content_type == "text/html":
                        links.feed(body)
                    return Page(url, status, len(body), time.monotonic() - begun, links.found, problem)
        except Timeout:
            problem, status = f"no answer in {PATIENCE:g} s", 0
        except aiohttp.ClientError as error:
            problem, status = str(error) or type(error).__name__, 0
    return Page(url, status, 0, time.monotonic() - begun, [], problem)


async def work(session: aiohttp.ClientSession, jobs: Receiver[str], pages: Sender[Page]) -> None:
    """Fetch what is handed out, until there is nothing more."""
    with jobs, pages, suppress(ChannelClosed):  # closed: the crawl has been stopped
        async for url in jobs:
            await pages.send(await fetch(session, url))


async def crawl(
    start: str, *, workers: int = 10, limit: int = 10_000, watch: Callable[[Crawl], None]
) -> Crawl:
    """Crawl the site of `start`.

    Args:
        start: the first address.
        workers: how many pages are fetched at the same time.
        limit: addresses, after which no more are taken up.
        watch: called at once with the crawl, to draw it.

    Raises:
        Exception: what a worker met and did not foresee; the others are stopped.
    """
    jobs: Sender[str]
    open_jobs: Receiver[str]
    done: Sender[Page]
    pages: Receiver[Page]
    jobs, open_jobs = channel()
    done, pages = channel()
    state = Crawl(start, limit)
    watch(state)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=workers)) as session,
        group() as crew,
    ):
        robots = await fetch_robots(session, start)
        state.robots.parse(robots.splitlines())
        for _ in range(workers):
            crew.go(work, session, open_jobs.clone(), done.clone())
        open_jobs.close()
        done.close()
        with jobs, pages:
            while state.todo or state.busy:
                # None is never ready: with nothing to hand out, only a page can come.
                hand_out = jobs.case(state.todo[0]) if state.todo else None
                chosen = await select(hand_out, pages)
                if chosen.index == 0:
                    state.todo.popleft()
                    state.busy += 1
                else:
                    state.busy -= 1
                    state.add(chosen.value)
    return state


async def fetch_robots(session: aiohttp.ClientSession, start: str) -> str:
    """The site's robots.txt; nothing where it has none."""
    try:
        async with timeout(PATIENCE), session.get(urljoin(start, "/robots.txt")) as response:
            return await response.text() if response.ok else ""
    except (Timeout, aiohttp.ClientError):
        return ""


# -- a site to crawl


class Site:
    """A few hundred pages with everything that a crawler meets: slow, moved, missing, forbidden, out of order for a while."""

    def __init__(self, pages: int) -> None:
        self.pages = pages
        self.requests: dict[str, int] = {}

    async def page(self, request: web.Request) -> web.StreamResponse:
        """A page that links to two others, so they form a tree."""
        number = int(request.match_info["number"])
        tries = self.requests[request.path] = self.requests.get(request.path, 0) + 1
        if number % 17 == 5:
            await sleep(0.05)
        if number % 23 == 7 and tries == 1:
            raise web.HTTPServiceUnavailable(text="try again")
        if number % 29 == 11 and "moved" not in request.query:
            raise web.HTTPFound(f"/page/{number}?moved")
        links = [f"/page/{child}" for child in (2 * number + 1, 2 * number + 2) if child < self.pages]
        if number % 50 == 9:
            links += [
                f"/missing/{number}",
                "/private/diary",
                "http://elsewhere.invalid/",
                f"/page/{number}#top",
            ]
        body = "".join(f'<p><a href="{link}">{link}</a></p>' for link in links)
        return web.Response(text=f"<h1>Page {number}</h1>{body}", content_type="text/html")

    async def robots(self, request: web.Request) -> web.Response:
        """What crawlers may not look at."""
        return web.Response(text="User-agent: *\nDisallow: /private/\n")

    async def private(self, request: web.Request) -> web.Response:
        """Counted, so that a test can see that nobody has come."""
        self.requests[request.path] = self.requests.get(request.path, 0) + 1
        return web.Response(text="secret")

    @asynccontextmanager
    async def served(self) -> AsyncGenerator[str, None]:
        """Serve it on a free port of loopback; gives the address of the first page."""
        app = web.Application()
        app.router.add_get("/page/{number:\\d+}", self.page)
        app.router.add_get("/robots.txt", self.robots)
        app.router.add_get("/private/{name}", self.private)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            yield f"http://{host}:{port}/page/0"
        finally:
            await runner.cleanup()


# -- what one sees


class Display:
    """Progress on a terminal: a bar where `rich` is installed, a line where it is not, nothing in a pipe."""

    def __init__(self) -> None:
        self.crawl: Crawl | None = None

    def watch(self, crawl: Crawl) -> None:
        """Draw this one from now on."""
        self.crawl = crawl

    def figures(self) -> tuple[int, int, str]:
        """Pages done, pages known, and the rest in words."""
        if self.crawl is None:
            return 0, 1, ""
        state = self.crawl
        return len(state.pages), len(state.seen), f"{state.busy} under way, {len(state.broken)} broken"

    async def draw(self) -> None:
        """Draw until aborted."""
        try:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        except ImportError:
            await self.draw_plainly()
            return
        columns = (
            TextColumn("crawling"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
            task = bar.add_task("", total=None)
            while True:
                done, known, words = self.figures()
                bar.update(task, completed=done, total=known, description=words)
                bar.refresh()
                await sleep(SECONDS_PER_FRAME)

    async def draw_plainly(self) -> None:
        """One line, drawn over itself."""
        try:
            while True:
                done, known, words = self.figures()
                print(
                    f"\r\x1b[Kcrawling  {done:,} of {known:,}  {words}", end="", file=sys.stderr, flush=True
                )
                await sleep(SECONDS_PER_FRAME)
        finally:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    @asynccontextmanager
    async def shown(self) -> AsyncGenerator[None, None]:
        """Draw while the block runs, if anybody can see it."""
        drawing = go(self.draw) if sys.stderr.isatty() else None
        try:
            yield
        finally:
            if drawing is not None:
                drawing.abort("the crawl is over")
                with suppress(Aborted):
                    await drawing.join()


async def main(start: str = "", *, workers: int = 10, limit: int = 10_000) -> Crawl:
    """The crawl of `start`, or of a site of its own."""
    display = Display()
    async with display.shown():
        if start:
            return await crawl(start, workers=workers, limit=limit, watch=display.watch)
        async with Site(150).served() as own:
            return await crawl(own, workers=workers, limit=limit, watch=display.watch)


def report(state: Crawl, seconds: float) -> str:
    """What there is to say in the end."""
    size = sum(page.size for page in state.pages)
    lines = [f"{len(state.pages):,} pages, {size:,} characters, in {seconds:.2f} s"]
    lines += [
        f"broken: {page.url}: {page.problem}, linked from {state.linked_from.get(page.url, 'nowhere')}"
        for page in state.broken
    ]
    slowest = sorted(state.pages, key=lambda page: page.seconds)[-3:]
    lines += [f"slow: {page.url} took {page.seconds * 1e3:.0f} ms" for page in reversed(slowest)]
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description="Crawl a site; without an address, one that it serves itself."
    )
    parser.add_argument("start", nargs="?", default="", metavar="URL")
    parser.add_argument("--workers", type=int, default=10, help="pages at the same time (10)")
    parser.add_argument("--limit", type=int, default=10_000, help="pages after which to stop (10,000)")
    options = parser.parse_args()
    begun = time.monotonic()
    try:
        crawled = run(main(options.start, workers=options.workers, limit=options.limit))
    except KeyboardInterrupt:
        sys.exit(130)
    print(report(crawled, time.monotonic() - begun))
