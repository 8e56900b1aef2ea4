"""Server-sent events: a beat every few seconds with what the bar shows, for as long as they watch.

The figures are read once for all who watch, by whoever asks first after they grew old.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from threading import Lock
from typing import Any

import psycopg
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from db import badges
from workers.dashboard.site import SAFE, Site

BEAT_S = 3.0
# Older figures are not worth showing while newer ones come.
LATELY_S = 10.0
WATCHERS_MAX = 200

log = logging.getLogger(__name__)


class Board:
    """What the bar shows beside the names of pages, kept for a beat."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._lock = Lock()
        self._badges: dict[str, dict[str, str]] = {}
        self._fresh_until = 0.0

    def read(self) -> dict[str, dict[str, str]]:
        """By page: {"text": "3 new", "level": "bad" or "warn"}; what it last was while away."""
        with self._lock:
            if time.monotonic() >= self._fresh_until:
                try:
                    with self._site.read() as conn:
                        self._badges = label(badges.count(conn))
                except psycopg.Error as error:
                    log.warning("badges: %s", str(error).strip().partition("\n")[0])
                self._fresh_until = time.monotonic() + BEAT_S
            return self._badges

    def lately(self) -> dict[str, dict[str, str]]:
        """What somebody watched a moment ago; without a look of its own, for a page not to wait."""
        age_s = time.monotonic() - self._fresh_until
        return self._badges if age_s < LATELY_S else {}


def label(counts: badges.Badges) -> dict[str, dict[str, str]]:
    shown = {
        "/errors": (counts.discards, "{} new", "bad"),
        "/queues": (counts.paused_queues, "{} paused", "warn"),
        "/tenants": (counts.paused_tenants, "{} held", "warn"),
        "/knowledge": (counts.failing_sources, "{} failing", "warn"),
        "/webhooks": (counts.stopped_webhooks, "{} cut off", "bad"),
        "/email": (counts.uncertain_emails, "{} to settle", "bad"),
    }
    return {
        page: {"text": text.format(few(number)), "level": level}
        for page, (number, text, level) in shown.items()
        if number
    }


def few(number: int) -> str:
    return f"{badges.COUNT_MAX}+" if number > badges.COUNT_MAX else str(number)


def routes(site: Site) -> list[Route]:
    board = Board(site)
    site.badges = board.lately
    watchers: set[object] = set()

    async def live(request: Request) -> Response:
        if not await run_in_threadpool(site.knows, request):
            return Response(status_code=401, headers=SAFE)
        if len(watchers) >= WATCHERS_MAX:
            return Response(status_code=503, headers={**SAFE, "Retry-After": "30"})
        return StreamingResponse(
            beats(request, site, board, watchers), media_type="text/event-stream", headers=SAFE
        )

    return [Route("/live", live)]


async def beats(
    request: Request, site: Site, board: Board, watchers: set[object]
) -> AsyncIterator[str]:
    """Each only to who may read still: where a session ended, its windows end with it."""
    me = object()
    watchers.add(me)
    try:
        while await run_in_threadpool(site.knows, request, away=True):
            told = {"clock": clock(), "badges": await run_in_threadpool(board.read)}
            yield event("beat", told)
            await asyncio.sleep(BEAT_S)
    finally:
        watchers.discard(me)


def event(name: str, told: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(told)}\n\n"


def clock() -> str:
    return f"{datetime.now(UTC):%H:%M:%S}"
