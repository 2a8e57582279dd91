"""The real page under twenty visitors, and under twenty that leave, stop and flood. Ends on its own.

    python -m benchmarks.load [--seconds 300] [--visitors 20] [--profile visitors|hostile|both]

Starts `app.py` with the embedded model on this machine. Prints percentiles, memory and disk, and at last every promise
of docs/RELIABILITY.md with whether it held; the exit code is 1 if one did not.
"""

import argparse
import asyncio
import random
import secrets
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np

from .visitors import NotDone, Page, Visitor, photo, running

SIZES = ((640, 480), (1280, 960), (2048, 1536), (4000, 3000))
TABS = ("depth", "3d", "measure", "statistics", "photo3d")
REFUSALS = ("waiting, and no more can", "no room for more files", "requests of others are waiting", "Stopped.")
SETTLE_S = 75.0  # a session that no browser shows ends within a minute
PATIENCE_S = 120.0  # of a newcomer, under siege


@dataclass
class Figures:
    """What was seen: seconds by kind of request, refusals, errors, memory by time."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    served: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    refused: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    errors: list[str] = field(default_factory=list)
    memory: list[tuple[int, float]] = field(default_factory=list)  # requests so far, MB
    disk_peak: int = 0

    @property
    def requests(self) -> int:
        return sum(map(len, self.seconds.values()))

    def with_(self, other: "Figures") -> "Figures":
        """Return both as one; their whole runs follow each other."""
        both = Figures(errors=self.errors + other.errors, disk_peak=max(self.disk_peak, other.disk_peak))
        for figures in (self, other):
            for kind, values in figures.seconds.items():
                both.seconds[kind] += values
            for counts, given in ((both.served, figures.served), (both.refused, figures.refused)):
                for key, value in given.items():
                    counts[key] += value  # type: ignore[index]
        both.seconds["whole run"] = [sum(both.seconds["whole run"])]
        return both

    @asynccontextmanager
    async def timed(self, kind: str) -> AsyncIterator[None]:
        start = time.perf_counter()
        try:
            yield
        except NotDone as error:
            planned = next((words for words in REFUSALS if words in str(error)), None)
            if planned:
                self.refused[planned] += 1
            else:
                self.errors.append(f"{kind}: {error}")
        except (httpx.HTTPError, ValueError, TimeoutError) as error:
            self.errors.append(f"{kind}: {type(error).__name__} {error}")
        else:
            self.seconds[kind].append(time.perf_counter() - start)


async def visit(url: str, figures: Figures, number: int, chance: random.Random) -> None:
    """One visit: open the page, give a photo, look at some tabs; one in ten leaves at once, one in ten presses Stop."""
    async with Visitor(url) as visitor:
        async with figures.timed("page"):
            await visitor.open()
        kind = chance.random()
        job = asyncio.create_task(_estimate(visitor, figures, number, chance))
        if kind < 0.2:
            await asyncio.sleep(chance.uniform(0.2, 2))
            if kind < 0.1:
                job.cancel()
                await asyncio.gather(job, return_exceptions=True)
                return
            async with figures.timed("stop"):
                await visitor.press("stop")
        await job
        for tab in chance.sample(TABS, 2):
            async with figures.timed("tab"):
                await visitor.tab(tab)
            await asyncio.sleep(chance.uniform(0.2, 1.5))
        if chance.random() < 0.1:
            async with figures.timed("files"):
                await visitor.tab("files")
                await visitor.make("zip")


async def _estimate(visitor: Visitor, figures: Figures, number: int, chance: random.Random) -> None:
    data = await asyncio.to_thread(photo, *chance.choice(SIZES), chance.randrange(2**31))
    done = len(figures.seconds["estimate"])
    async with figures.timed("estimate"):
        await visitor.upload(f"photo{number}.jpg", data)
    figures.served[number] += len(figures.seconds["estimate"]) > done


async def visits(url: str, figures: Figures, number: int, until: float) -> None:
    chance = random.Random(number)
    while time.monotonic() < until:
        with suppress(httpx.HTTPError):
            await visit(url, figures, number, chance)


async def watched(page: Page, figures: Figures, until: float) -> None:
    """Note memory and disk twice a second."""
    while time.monotonic() < until:
        figures.memory.append((figures.requests, page.memory_mb()))
        figures.disk_peak = max(figures.disk_peak, sum(page.files().values()))
        await asyncio.sleep(0.5)


async def crowd(page: Page, count: int, seconds: float) -> Figures:
    """Let `count` visitors come and go for `seconds`; what they have begun they end."""
    figures, until = Figures(), time.monotonic() + seconds
    watcher = asyncio.create_task(watched(page, figures, until + 600))
    start = time.monotonic()
    await asyncio.gather(*(visits(page.url, figures, number, until) for number in range(count)))
    watcher.cancel()
    figures.seconds["whole run"] = [time.monotonic() - start]
    return figures


async def flood(url: str, figures: Figures, number: int, until: float) -> None:
    """Do what nobody should: queue without end, fetch no answer, leave in the middle, send what is no request."""
    chance = random.Random(1000 + number)
    data = await asyncio.to_thread(photo, *SIZES[1], number)
    while time.monotonic() < until:
        with suppress(httpx.HTTPError, NotDone, asyncio.TimeoutError, ValueError):
            async with Visitor(url) as visitor:
                answer = await visitor.http.post(
                    "gradio_api/upload", files={"files": ("x.jpg", data + secrets.token_bytes(16))}
                )
                if answer.status_code == 200:
                    visitor.values[visitor.ids["photo"]] = {"path": answer.json()[0]}
                await _join_for_nothing(visitor, figures, number)
                await visitor.http.post("gradio_api/queue/join", json={"fn_index": 10**9, "data": "x"})
                await visitor.http.post("gradio_api/call/estimate", json={"data": [{"path": "/etc/passwd"}]})
                async with asyncio.timeout(chance.uniform(0.1, 2)):
                    await visitor.open()
        await asyncio.sleep(chance.uniform(0.5, 1.5))


async def _join_for_nothing(visitor: Visitor, figures: Figures, number: int) -> None:
    """Ask for estimates under ever new names, and for the largest picture, and fetch no answer."""
    run = visitor.events(visitor.ids["go"], "click")[0]
    load, (tab, [scene]) = visitor.events(None, "load")[0], visitor.tab_events("3d")
    for event, count, session, by in (
        (run, 20, None, None), (load, 1, visitor.session, None), (scene, 10, visitor.session, tab)
    ):  # fmt: skip
        values = [visitor.values.get(id_) for id_ in event["inputs"]]
        body = {"fn_index": event["id"], "data": values, "trigger_id": by, "event_data": None}
        for _ in range(count):
            name = session or secrets.token_hex(8)
            await visitor.http.post("gradio_api/queue/join", json=body | {"session_hash": name})
            figures.served[number] += 1


async def siege(page: Page, count: int, seconds: float) -> Figures:
    """Flood the page, and see what a newcomer gets meanwhile."""
    figures, until = Figures(), time.monotonic() + seconds
    watcher = asyncio.create_task(watched(page, figures, until + 600))
    others = [asyncio.create_task(flood(page.url, figures, number, until)) for number in range(count)]
    while time.monotonic() < until:
        with suppress(httpx.HTTPError):
            async with figures.timed("page"), asyncio.timeout(PATIENCE_S), Visitor(page.url) as visitor:
                await visitor.open()
            async with figures.timed("estimate"), asyncio.timeout(PATIENCE_S), Visitor(page.url) as visitor:
                await visitor.upload("mine.jpg", photo(640, 480, 1))
        await asyncio.sleep(1)
    await asyncio.gather(*others)
    watcher.cancel()
    return figures


async def settled(page: Page) -> tuple[float, int]:
    """Wait until everybody has left and nothing runs; return resident MB and bytes on disk that sessions left."""
    until = time.monotonic() + 300
    while time.monotonic() < until:
        health = await asyncio.to_thread(page.health)
        if not health["waiting_estimates"]:
            break
        await asyncio.sleep(0.5)
    await asyncio.sleep(SETTLE_S)
    return page.memory_mb(), sum(size for path, size in page.files().items() if "own" in path.parts)


def table(figures: Figures) -> None:
    print(f"  {'':10} {'count':>6} {'p50':>7} {'p90':>7} {'p99':>7} {'max':>7}  seconds")
    for kind, values in figures.seconds.items():
        if values:
            marks = np.percentile(values, (50, 90, 99))
            print(f"  {kind:10} {len(values):6} " + " ".join(f"{v:7.2f}" for v in (*marks, max(values))))
    for words, count in figures.refused.items():
        print(f"  refused as planned, “{words}”: {count}")
    for error in sorted(set(figures.errors))[:10]:
        print(f"  ERROR {figures.errors.count(error)} × {error[:300]}")


def rate(figures: Figures) -> float:
    return len(figures.seconds["estimate"]) / figures.seconds["whole run"][0]


async def visitors_profile(page: Page, count: int, seconds: float) -> list[tuple[str, bool]]:
    first = await crowd(page, 1, seconds / 5)
    after_one, _ = await settled(page)
    print(f"\n1 visitor, {seconds / 5:.0f} s: {rate(first):.3f} estimates/s, idle afterwards {after_one:.0f} MB")
    table(first)
    warm = await crowd(page, count, seconds / 2)  # all that is loaded once is loaded now
    half, _ = await settled(page)
    many = await crowd(page, count, seconds / 2)
    peak = max(resident for _, resident in warm.memory + many.memory)
    after, left = await settled(page)
    grows = 100 * (after - half) / many.requests
    both = warm.with_(many)
    share = rate(both) / max(rate(first), 1e-9)
    served = [both.served[number] for number in range(count)]
    print(f"\n{count} visitors, {seconds:.0f} s: {rate(both):.3f} estimates/s ({share:.0%} of one visitor's)")
    table(both)
    print(f"  photos per visitor: {min(served)} to {max(served)}, median {statistics.median(served)}")
    print(
        f"  resident: peak {peak:.0f} MB, idle {half:.0f} MB half-way and {after:.0f} MB at the end: {grows:+.1f} MB",
        end="",
    )
    print(f" per 100 requests; {first.requests} + {both.requests} requests")
    print(f"  disk: peak {both.disk_peak / 1e6:.0f} MB, {left / 1e6:.1f} MB of sessions left behind")
    log = page.log.read_text()
    return [
        ("no error that is not a planned refusal", not first.errors and not both.errors and '"trace"' not in log),
        ("every visitor is served", min(served) > 0),
        ("throughput at least 90 % of one visitor's", share >= 0.9),
        ("idle memory at most 1.3 × that after one visitor", after <= 1.3 * after_one),
        ("idle memory grows by at most 1 MB per 100 requests", grows <= 1),
        ("no files of sessions are left", left == 0),
    ]


async def hostile_profile(page: Page, count: int, seconds: float) -> list[tuple[str, bool]]:
    before = page.memory_mb()
    figures = await siege(page, count, seconds)
    peak = max(resident for _, resident in figures.memory)
    after, left = await settled(page)
    print(f"\n{count} that flood, {seconds:.0f} s: {sum(figures.served.values())} estimates put into the queue")
    table(figures)
    print(f"  resident: {before:.0f} MB before, peak {peak:.0f} MB, {after:.0f} MB when all have left")
    print(f"  disk: peak {figures.disk_peak / 1e6:.0f} MB; log {page.log.stat().st_size / 1e3:.0f} kB")
    async with Visitor(page.url) as visitor:
        await visitor.open()
        await visitor.upload("after.jpg", photo(640, 480, 2))
    return [
        ("a newcomer always gets the page", bool(figures.seconds["page"]) and not figures.errors),
        ("afterwards a photo is estimated", True),  # else `NotDone` has been raised
        ("disk within the quota of 2 GB", figures.disk_peak < 2.2e9),
        ("no files of sessions are left", left == 0),
        ("the log stays below 1 MB", page.log.stat().st_size < 1e6),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--profile", choices=("visitors", "hostile", "both"), default="both")
    arguments = parser.parse_args()
    promises: list[tuple[str, bool]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, profile in (("visitors", visitors_profile), ("hostile", hostile_profile)):
            if arguments.profile in (name, "both"):
                with running(Path(folder) / name) as page:
                    work = profile(page, arguments.visitors, arguments.seconds)
                    promises += asyncio.run(asyncio.wait_for(work, 3 * arguments.seconds + 900))
                promises.append((f"{name}: exit code 0 on SIGTERM", page.process.returncode == 0))
    print()
    for promise, held in promises:
        print(f"{'held  ' if held else 'BROKEN'}  {promise}")
    sys.exit(not all(held for _, held in promises))


if __name__ == "__main__":
    main()
