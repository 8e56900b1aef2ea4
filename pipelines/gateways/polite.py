"""Requests that wait for their turn: one gate a host, shared by all workers through Postgres."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import urlsplit
from uuid import UUID

from db import hosts
from db.fence import Fence
from pipelines.errors import Snooze
from pipelines.gateways.http import LOOP_GRACE_S, Request, Response
from pipelines.gateways.http_failures import parse_retry_after

# Between two requests to a host, by whichever workers: two a second and a little room, so that two
# are reached where a job comes again in between.
GAP_S = 0.4
# Requests to one host under way at a time: a slow host keeps threads free for others.
REQUESTS_MAX = 3
# A thread sleeps so long for a turn, twice as long where its tenant waits for no other at that
# host; for a later one the job gives it back and comes again.
PATIENCE_S = 1.0
# A job that has fetched something would lose it by coming again.
LATER_PATIENCE_S = 10.0
CLOSED_S_MAX = 600.0
# For a host that says it is asked too often and not for how long.
CLOSED_S = 5.0
CLOSING_STATUSES = frozenset({429, 503})
LOOK_EVERY_S = 0.2
NOBODY = UUID(int=0)


class Requester(Protocol):
    """What fetching works with: the guarded client, or one that waits for its turn as well."""

    def request(self, request: Request) -> Response: ...


@dataclass(slots=True)
class PoliteClient:
    """The requests of one attempt of one job, each in its turn.

    Raises Snooze where the turn is too far away to sleep for it. A redirect that the client
    follows is counted afterwards. No transaction is open while it waits.
    """

    client: Requester
    db: Fence
    tenant: UUID | None = None
    gap_s: float = GAP_S
    later_patience_s: float = LATER_PATIENCE_S
    _has_asked: bool = False

    def request(self, request: Request) -> Response:
        host = host_key(request.url)
        patience_s = self.later_patience_s if self._has_asked else PATIENCE_S
        held_until = self._take(host, request, patience_s)
        self._has_asked = True
        closed_s = 0.0
        try:
            response = self.client.request(request)
            closed_s = closing_s(response, now=datetime.now(UTC))
        finally:
            self._end(host, held_until, closed_s)
        if response.url != request.url:
            self._count_redirect(response.url)
        return response

    def wait_turn(self, lane: str, *, gap_s: float) -> None:
        """Wait for a turn of something slower than requests, such as a crawl delay.

        The request that follows is waited for longer: this turn would be lost with it.
        """
        held_until = self._wait(lane, PATIENCE_S, gap_s=gap_s, hold_s=0.0)
        self._has_asked = True
        self._end(lane, held_until, 0.0)

    def _take(self, host: str, request: Request, patience_s: float) -> datetime:
        hold_s = request.deadline_s + 2 * LOOP_GRACE_S
        return self._wait(host, patience_s, gap_s=self.gap_s, hold_s=hold_s)

    def _wait(self, host: str, patience_s: float, *, gap_s: float, hold_s: float) -> datetime:
        give_up_at = time.monotonic() + patience_s
        while True:
            left_s = max(0.0, give_up_at - time.monotonic())
            with self.db.write() as conn:
                turn = hosts.take_turn(
                    conn,
                    host,
                    tenant=self.tenant or NOBODY,
                    gap_s=gap_s,
                    patience_s=left_s,
                    hold_s=hold_s,
                    holders_max=REQUESTS_MAX,
                )
            if turn.granted:
                assert turn.held_until is not None
                self._sleep(turn.wait_s)
                return turn.held_until
            if turn.wait_s > left_s:
                raise Snooze(turn.wait_s)
            self._sleep(turn.wait_s)

    def _sleep(self, wait_s: float) -> None:
        until = time.monotonic() + wait_s
        while (left_s := until - time.monotonic()) > 0:
            self.db.check()
            time.sleep(min(left_s, LOOK_EVERY_S))

    def _end(self, host: str, held_until: datetime, closed_s: float) -> None:
        with self.db.pool.connection() as conn:
            hosts.end_turn(conn, host, held_until=held_until, closed_s=closed_s)

    def _count_redirect(self, url: str) -> None:
        with self.db.pool.connection() as conn:
            hosts.put_off(conn, host_key(url), gap_s=self.gap_s)


def closing_s(response: Response, *, now: datetime) -> float:
    """For how long the host asks everybody to stay away."""
    if response.status not in CLOSING_STATUSES:
        return 0.0
    asked_s = parse_retry_after(response.headers.get("Retry-After"), now=now)
    if asked_s is None:
        return CLOSED_S if response.status == 429 else 0.0
    return min(asked_s, CLOSED_S_MAX)


def host_key(url: str) -> str:
    """The host as its gate is named: www., http and https are one; another port is another."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return ""
    host = (parts.hostname or "").rstrip(".").removeprefix("www.")
    return host if port in (None, 80, 443) else f"{host}:{port}"
