"""Statements about crawls; see crawls.sql. No function commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from db.pool import Connection
from db.statements import load

SQL = load("crawls")

FETCHED_HOURS = 24


@dataclass(frozen=True, slots=True)
class Site:
    """A source that stands for a site, or did (`is_crawl` says which); `status` was its last."""

    id: UUID
    agent_id: UUID
    user_id: UUID
    type: str
    url: str | None
    settings: dict[str, Any]
    status: str
    is_crawl: bool


@dataclass(slots=True)
class Crawl:
    """How far a crawl is; see `worker.crawls`. Changed in memory, stored with each page."""

    number: int
    job_id: int
    asked: str
    stage: str
    site: str
    visits: int
    kept: int
    failures_in_row: int
    complete: bool
    limits_hit: list[str]
    removed: int


@dataclass(frozen=True, slots=True)
class Page:
    """An address to visit, with what earlier visits left.

    `child_is_whole` says that its source is indexed, with the settings that it should have.
    """

    url: str
    role: str
    depth: int
    tries: int
    text_hash: str | None
    links: list[str]
    seen: dict[str, Any]
    offered_at: str | None
    lastmod: str | None
    fetched_at: datetime | None
    address: str | None
    child_id: UUID | None
    wait_s: float
    child_is_whole: bool | None


@dataclass(frozen=True, slots=True)
class NewPage:
    url: str
    pattern: str | None = None
    offered_at: str | None = None


@dataclass(frozen=True, slots=True)
class Visit:
    """What a visit found; `address` is what the page calls itself."""

    state: str
    child_id: UUID | None = None
    address: str | None = None
    text_hash: str | None = None
    links: Sequence[str] = ()
    seen: dict[str, Any] | None = None
    indexed: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Child:
    """The source that a page becomes."""

    agent_id: UUID
    parent_id: UUID
    name: str
    url: str
    settings: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fetched:
    """A page that waits for its child to be indexed; `body` is compressed by zlib."""

    url: str
    content_type: str | None
    seen: dict[str, Any]
    body: bytes


def begin_crawl(conn: Connection, source_id: UUID) -> Site | None:
    """Set the source to "processing" and load it; None when it is gone."""
    cursor = conn.cursor(row_factory=class_row(Site))
    return cursor.execute(SQL.begin_crawl, {"source_id": source_id}).fetchone()


def create_site(
    conn: Connection, *, agent_id: UUID, name: str, url: str, settings: dict[str, Any]
) -> UUID:
    """Insert a source that stands for a site; a trigger enqueues its crawl."""
    arguments = {"agent_id": agent_id, "name": name, "url": url, "settings": Jsonb(settings)}
    row = conn.execute(SQL.create_site, arguments).fetchone()
    assert row is not None
    return UUID(str(row[0]))


def load_crawl(conn: Connection, source_id: UUID) -> Crawl | None:
    cursor = conn.cursor(row_factory=class_row(Crawl))
    return cursor.execute(SQL.load_crawl, {"source_id": source_id}).fetchone()


def start_crawl(conn: Connection, source_id: UUID, *, job_id: int, asked: str, site: str) -> Crawl:
    """A new crawl in the place of the last one; its pages begin with none."""
    cursor = conn.cursor(row_factory=class_row(Crawl))
    arguments = {"source_id": source_id, "job_id": job_id, "asked": asked, "site": site}
    crawl = cursor.execute(SQL.start_crawl, arguments).fetchone()
    assert crawl is not None
    return crawl


def save_crawl(conn: Connection, source_id: UUID, crawl: Crawl) -> None:
    conn.execute(
        SQL.save_crawl,
        {
            "source_id": source_id,
            "stage": crawl.stage,
            "site": crawl.site,
            "visits": crawl.visits,
            "kept": crawl.kept,
            "failures_in_row": crawl.failures_in_row,
            "complete": crawl.complete,
            "limits_hit": crawl.limits_hit,
            "removed": crawl.removed,
        },
    )


def end_crawl(conn: Connection, source_id: UUID, *, number: int) -> bool:
    """False when it has ended already, or another one has begun."""
    arguments = {"source_id": source_id, "number": number}
    return conn.execute(SQL.end_crawl, arguments).rowcount > 0


def next_page(
    conn: Connection, source_id: UUID, *, crawl: int, agent_id: UUID, settings: dict[str, Any]
) -> Page | None:
    """The next of the frontier; children are compared with how they should be."""
    arguments = {
        "source_id": source_id,
        "crawl": crawl,
        "agent_id": agent_id,
        "settings": Jsonb(settings),
    }
    cursor = conn.cursor(row_factory=class_row(Page))
    return cursor.execute(SQL.next_page, arguments).fetchone()


def count_queued(conn: Connection, source_id: UUID, *, crawl: int) -> int:
    row = conn.execute(SQL.count_queued, {"source_id": source_id, "crawl": crawl}).fetchone()
    assert row is not None
    return int(row[0])


def count_patterns(
    conn: Connection, source_id: UUID, *, crawl: int, patterns: Sequence[str]
) -> dict[str, int]:
    arguments = {"source_id": source_id, "crawl": crawl, "patterns": list(patterns)}
    return dict(conn.execute(SQL.count_patterns, arguments).fetchall())


def list_known(conn: Connection, source_id: UUID, *, crawl: int, urls: Sequence[str]) -> set[str]:
    """Which of the addresses this crawl has met."""
    arguments = {"source_id": source_id, "crawl": crawl, "urls": list(urls)}
    return {row[0] for row in conn.execute(SQL.list_known, arguments).fetchall()}


def add_pages(
    conn: Connection,
    source_id: UUID,
    *,
    crawl: int,
    pages: Sequence[NewPage],
    depth: int,
    role: str = "page",
) -> int:
    """Queue what this crawl has not met yet; how many that were. Each address once."""
    cursor = conn.execute(
        SQL.add_pages,
        {
            "source_id": source_id,
            "crawl": crawl,
            "role": role,
            "depth": depth,
            "urls": [page.url for page in pages],
            "patterns": [page.pattern for page in pages],
            "offered_at": [page.offered_at for page in pages],
        },
    )
    return cursor.rowcount


def settle_page(
    conn: Connection, source_id: UUID, url: str, visit: Visit, *, fetched: bool = True
) -> None:
    """Without `fetched` the page's age stays what it was."""
    conn.execute(
        SQL.settle_page,
        {
            "source_id": source_id,
            "url": url,
            "state": visit.state,
            "child_id": visit.child_id,
            "address": visit.address,
            "text_hash": visit.text_hash,
            "links": list(visit.links),
            "seen": Jsonb(visit.seen or {}),
            "indexed": visit.indexed,
            "reason": visit.reason,
            "fetched": fetched,
        },
    )


def fail_page(conn: Connection, source_id: UUID, url: str, *, state: str, reason: str) -> None:
    """The visit ended without a page to look at; what was known of it stays."""
    arguments = {"source_id": source_id, "url": url, "state": state, "reason": reason}
    conn.execute(SQL.fail_page, arguments)


def report_progress(conn: Connection, source_id: UUID, progress: dict[str, Any]) -> None:
    conn.execute(SQL.report_progress, {"source_id": source_id, "progress": Jsonb(progress)})


def put_page_off(
    conn: Connection, source_id: UUID, url: str, *, wait_s: float, reason: str
) -> None:
    arguments = {"source_id": source_id, "url": url, "wait_s": wait_s, "reason": reason}
    conn.execute(SQL.put_page_off, arguments)


def find_twin(
    conn: Connection, source_id: UUID, *, crawl: int, url: str, text_hash: str
) -> tuple[str, UUID] | None:
    """(address, child) of another page that is the source of the same text."""
    arguments = {"source_id": source_id, "crawl": crawl, "url": url, "text_hash": text_hash}
    return conn.execute(SQL.find_twin, arguments).fetchone()


def find_owner(
    conn: Connection, source_id: UUID, *, crawl: int, url: str, address: str
) -> tuple[UUID, bool] | None:
    """The child that has this address, and whether another page of this crawl became it."""
    arguments = {"source_id": source_id, "crawl": crawl, "url": url, "address": address}
    return conn.execute(SQL.find_owner, arguments).fetchone()


def requeue_orphans(conn: Connection, source_id: UUID, *, crawl: int) -> int:
    arguments = {"source_id": source_id, "crawl": crawl}
    return conn.execute(SQL.requeue_orphans, arguments).rowcount


def add_child(conn: Connection, child: Child) -> UUID:
    """Insert a child; a trigger enqueues its indexing in the same transaction."""
    row = conn.execute(
        SQL.add_child,
        {
            "agent_id": child.agent_id,
            "parent_id": child.parent_id,
            "name": child.name,
            "url": child.url,
            "settings": Jsonb(child.settings),
        },
    ).fetchone()
    assert row is not None
    return UUID(str(row[0]))


def renew_child(conn: Connection, child_id: UUID, child: Child) -> None:
    """Let a child be indexed again; a trigger enqueues it."""
    conn.execute(
        SQL.renew_child,
        {
            "child_id": child_id,
            "agent_id": child.agent_id,
            "name": child.name,
            "url": child.url,
            "settings": Jsonb(child.settings),
        },
    )


def touch_child(conn: Connection, child_id: UUID) -> None:
    conn.execute(SQL.touch_child, {"child_id": child_id})


def put_fetched(conn: Connection, source_id: UUID, fetched: Fetched) -> None:
    conn.execute(
        SQL.put_fetched,
        {
            "source_id": source_id,
            "url": fetched.url,
            "content_type": fetched.content_type,
            "seen": Jsonb(fetched.seen),
            "body": fetched.body,
        },
    )


def load_fetched(conn: Connection, source_id: UUID, *, url: str) -> Fetched | None:
    """What the crawler fetched for the source at this address, not long ago."""
    cursor = conn.cursor(row_factory=class_row(Fetched))
    arguments = {"source_id": source_id, "url": url, "hours": FETCHED_HOURS}
    return cursor.execute(SQL.load_fetched, arguments).fetchone()


def list_leftovers(
    conn: Connection, source_id: UUID, *, crawl: int, complete: bool, rows_max: int
) -> list[UUID]:
    arguments = {
        "source_id": source_id,
        "crawl": crawl,
        "complete": complete,
        "rows_max": rows_max,
    }
    return [row[0] for row in conn.execute(SQL.list_leftovers, arguments).fetchall()]


def list_children(conn: Connection, source_id: UUID, *, rows_max: int) -> list[UUID]:
    arguments = {"source_id": source_id, "rows_max": rows_max}
    return [row[0] for row in conn.execute(SQL.list_children, arguments).fetchall()]


def delete_sources(conn: Connection, ids: Sequence[UUID]) -> int:
    return conn.execute(SQL.delete_sources, {"ids": list(ids)}).rowcount


def forget_pages(conn: Connection, source_id: UUID, *, crawl: int) -> None:
    conn.execute(SQL.forget_pages, {"source_id": source_id, "crawl": crawl})


def forget_crawl(conn: Connection, source_id: UUID) -> None:
    conn.execute(SQL.forget_crawl, {"source_id": source_id})
