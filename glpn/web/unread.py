"""Answers that the page has ready and nobody fetches: bounded, so that a stranger can't fill the memory with them.

Gradio keeps what an event answered until its sender asks, for as many events as anybody sends. One picture of a scene
is a megabyte.
"""

import asyncio
from typing import Any

import orjson
from gradio.queueing import Queue

MOST_UNREAD_BYTES = 200_000_000  # of all answers that wait to be fetched
PER_ANSWER = 20_000  # what one takes next to its text
MOST_OF_A_PAGE = 40  # events of one page that are not answered, or whose answer is not fetched
MOST_IN_LINE = 500  # events that have not begun, of all pages
MOST_PAGES = 2000  # whose line is kept after all has been fetched
TOO_MANY = "This page has sent more than can be answered at once. Wait a moment, or load it again."
FULL_HOUSE = "{count} requests of others are waiting. Please try again in a minute."


class _Answers(asyncio.Queue[Any]):
    """What waits for one page, with its size in bytes; `heard` once somebody has asked for it."""

    def __init__(self, pages: "_Pages") -> None:
        super().__init__()
        self.pages = pages
        self.bytes = 0
        self.heard = False

    async def get(self) -> Any:
        self.heard = True
        return await super().get()

    def _put(self, item: Any) -> None:
        size = PER_ANSWER + len(orjson.dumps(item.model_dump(), default=str))
        self.bytes += size
        super()._put((item, size))
        self.pages.trim()

    def _get(self) -> Any:
        item, size = super()._get()
        self.bytes -= size
        return item


class _Pages(dict[str, _Answers]):
    """The answers of all pages by session, oldest page first, as Gradio's queue keeps them."""

    def __init__(self, queue: Queue, most_bytes: int) -> None:
        super().__init__()
        self.queue = queue
        self.most_bytes = most_bytes

    def __setitem__(self, session: str, _: Any) -> None:
        super().__setitem__(session, _Answers(self))

    def trim(self) -> None:
        """Forget the pages that let most wait, those that never asked first, until the rest is small enough."""
        total = sum(answers.bytes for answers in self.values())
        if total <= self.most_bytes:
            return
        for session in sorted(self, key=lambda session: (self[session].heard, -self[session].bytes)):
            total -= self[session].bytes
            self.forget(session)
            if total <= self.most_bytes:
                return

    def forget(self, session: str) -> None:
        """Drop a page's answers, and its events that have not begun."""
        queue = self.queue
        for event in [event for job in queue.active_jobs if job for event in job if event.session_hash == session]:
            event.alive = False
        for line in queue.event_queue_per_concurrency_id.values():
            for event in [event for event in line.queue if event.session_hash == session]:
                line.queue.remove(event)
                queue.event_ids_to_events.pop(event._id, None)
        queue.pending_event_ids_session.pop(session, None)
        self.pop(session, None)

    def make_room(self) -> bool:
        """Forget pages that never asked for an answer while too many events wait; whether that was enough."""
        events = [event for line in self.queue.event_queue_per_concurrency_id.values() for event in line.queue]
        surplus = len(events) - MOST_IN_LINE
        if surplus >= 0:
            unheard = dict.fromkeys(event.session_hash for event in events if not self._is_heard(event.session_hash))
            for session in list(unheard)[: surplus + 1]:
                self.forget(session)
        if len(self) > MOST_PAGES:
            for session in [session for session in self if session not in self.queue.pending_event_ids_session]:
                del self[session]
        return len(self.queue) < MOST_IN_LINE

    def _is_heard(self, session: str) -> bool:
        return session in self and self[session].heard


def bound(queue: Queue, *, most_bytes: int = MOST_UNREAD_BYTES) -> None:
    """Let `queue` refuse events and forget answers beyond what this module names."""
    push = queue.push
    pages = queue.pending_messages_per_session = _Pages(queue, most_bytes)

    async def bounded(body: Any, request: Any, username: str | None) -> Any:
        if len(queue.pending_event_ids_session.get(body.session_hash, ())) >= MOST_OF_A_PAGE:
            return False, TOO_MANY, "queue_full"
        if not pages.make_room():
            return False, FULL_HOUSE.format(count=len(queue)), "queue_full"
        return await push(body, request, username)

    queue.push = bounded
