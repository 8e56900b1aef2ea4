"""One source a page: found again, made, renewed, or seen to be another one's duplicate."""

import zlib
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from db import crawls
from db.crawls import Child, Fetched, Visit
from db.crawls import Page as Known
from db.pool import Connection
from pipelines.crawling.work import Work
from pipelines.gateways.fetch import Page
from pipelines.knowledge.crawl_page import Facts, name_of
from pipelines.readers.fetched import validators

COMPRESSION = 6


@dataclass(frozen=True, slots=True)
class Read:
    """A page that was read: the answer, what it says of itself, where it leads."""

    answer: Page
    facts: Facts
    address: str
    links: tuple[str, ...]


def keep(conn: Connection, work: Work, page: Known, read: Read) -> Visit:
    """What becomes of a page with content: a child that is indexed, or a duplicate."""
    crawl, site_id, text_hash = work.crawl.number, work.site.id, read.facts.text_hash
    owner = crawls.find_owner(conn, site_id, crawl=crawl, url=page.url, address=read.address)
    child_id = own_child(page, owner, read.address)
    twin = crawls.find_twin(conn, site_id, crawl=crawl, url=page.url, text_hash=text_hash)
    if (owner is not None and owner[1]) or (twin is not None and twin[1] != child_id):
        same = read.address if twin is None else twin[0]
        return visit_of("duplicate", read, reason=f"the same as {same}")
    is_same = bool(page.child_is_whole) and text_hash == page.text_hash
    if is_same and child_id is not None:
        crawls.touch_child(conn, child_id)
    else:
        child_id = index(conn, work, child_id, read)
    work.crawl.kept += 1
    return replace(visit_of("kept", read), child_id=child_id, indexed=not is_same)


def visit_of(state: str, read: Read, *, reason: str | None = None) -> Visit:
    return Visit(
        state,
        address=read.address,
        text_hash=read.facts.text_hash,
        links=read.links,
        seen=validators(read.answer, {}),
        reason=reason,
    )


def own_child(page: Known, owner: tuple[UUID, bool] | None, address: str) -> UUID | None:
    """The source that has the address; else the one the page was, if it called itself the same."""
    if owner is not None:
        return owner[0]
    return page.child_id if page.address == address else None


def index(conn: Connection, work: Work, child_id: UUID | None, read: Read) -> UUID:
    """Make or renew the child, hand it what was fetched, and let the report wait for it."""
    name, answer = name_of(read.facts.title, read.address), read.answer
    child = Child(work.site.agent_id, work.site.id, name, read.address, work.child_settings)
    if child_id is None:
        child_id = crawls.add_child(conn, child)
    else:
        crawls.renew_child(conn, child_id, child)
    fetched = Fetched(
        read.address,
        answer.headers.get("Content-Type"),
        validators(answer, {}),
        zlib.compress(answer.body, COMPRESSION),
    )
    crawls.put_fetched(conn, child_id, fetched)
    work.desk.batches.add(conn, work.callback_id, child_id)
    return child_id


def keep_unchanged(
    conn: Connection, work: Work, page: Known, *, seen: dict[str, Any], fetched: bool
) -> None:
    """The source is as the page is. Without a request the page's age stays what it was."""
    assert page.child_id is not None
    crawls.touch_child(conn, page.child_id)
    work.crawl.kept += 1
    found = Visit(
        "kept",
        child_id=page.child_id,
        address=page.address,
        text_hash=page.text_hash,
        links=page.links,
        seen=seen,
    )
    crawls.settle_page(conn, work.site.id, page.url, found, fetched=fetched)
