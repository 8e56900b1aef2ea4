"""What goes wrong with sources of type `notion`, and what the customer is told."""

import json
import logging
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb

from pipelines.errors import Permanent, Transient
from pipelines.gateways import patience
from pipelines.gateways.addresses import Egress
from pipelines.gateways.http import Client
from pipelines.readers import notion as reader
from tests.fakes_http import Answer
from tests.fakes_notion import TOKEN, FakeNotion, block, failed, id_of, notion, rate_limited
from tests.knowledge import Indexing
from tests.resyncing import resync
from tests.traces import watching

LATER = "2025-03-01T10:00:00.000Z"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNotion]:
    monkeypatch.setattr(reader, "RATE_PER_S", 1000.0)
    monkeypatch.setattr(patience, "FIRST_WAIT_S", 0.01)
    with notion() as served:
        yield served


def insert(knowledge: Indexing, server: FakeNotion, **settings: Any) -> UUID:
    given = Jsonb({"base_url": server.url, **settings})
    source_id = knowledge.insert("notion", settings=given)
    knowledge.set_credentials(source_id, token=TOKEN)
    return source_id


def paragraph(text: str, *inside: Any) -> dict[str, Any]:
    return block("paragraph", text, *inside)


def test_a_wrong_token_tells_what_to_do_and_keeps_the_content(
    knowledge: Indexing, server: FakeNotion
) -> None:
    server.add_page("Page", paragraph("text"))
    source_id = insert(knowledge, server)
    knowledge.run()
    before = knowledge.chunks(source_id)
    server.token = "another"

    knowledge.conn.execute("UPDATE public.knowledge_sources SET status = 'pending'")
    with watching() as traces, pytest.raises(Permanent, match="enter the integration's current"):
        knowledge.run()

    assert knowledge.chunks(source_id) == before
    assert traces.places(knowledge.conn, TOKEN) == []


def test_a_token_that_expires_midway_loses_no_page(knowledge: Indexing, server: FakeNotion) -> None:
    for number in range(4):
        server.add_page(f"Page {number}", paragraph(f"text {number}"), edited=LATER)
    source_id = insert(knowledge, server)
    knowledge.run()
    before = knowledge.chunks(source_id)
    for page in server.pages.values():
        page["last_edited_time"] = "2025-04-01T00:00:00.000Z"
    server.mishaps[len(server.calls) + 4] = lambda call: failed(401, "unauthorized", "expired")

    with pytest.raises(Permanent):
        resync(knowledge, source_id)

    assert knowledge.chunks(source_id) == before


def test_nothing_shared_tells_how_to_share(knowledge: Indexing, server: FakeNotion) -> None:
    insert(knowledge, server)

    with pytest.raises(Permanent, match="under Connections"):
        knowledge.run()


def test_a_page_that_is_not_shared_tells_how_to_share(
    knowledge: Indexing, server: FakeNotion
) -> None:
    insert(knowledge, server, pages=[id_of("nobody's")])

    with pytest.raises(Permanent, match="under Connections"):
        knowledge.run()


def test_without_credentials_the_customer_is_told(knowledge: Indexing, server: FakeNotion) -> None:
    knowledge.insert("notion", settings=Jsonb({"base_url": server.url}))

    with pytest.raises(Permanent, match="enter the token of a Notion integration"):
        knowledge.run()


def test_rate_limits_are_waited_for(knowledge: Indexing, server: FakeNotion) -> None:
    server.add_page("Page", paragraph("text"))
    server.mishaps |= {1: rate_limited(0), 3: rate_limited(1)}
    source_id = insert(knowledge, server)

    knowledge.run()

    assert knowledge.contents(source_id) == ["Page\n\ntext"]


@pytest.mark.parametrize(
    ("mishap", "failure"),
    [
        (rate_limited(300), Transient),
        (lambda call: failed(503, "service_unavailable", TOKEN), Transient),
        (lambda call: Answer(502, TOKEN.encode()), Transient),
        (lambda call: Answer(200, b"<html>" + TOKEN.encode()), Transient),
        (lambda call: Answer(200, b'{"results": 5}'), Transient),
        (lambda call: Answer(200, b"[" * 100_000), Transient),
        (lambda call: failed(403, "restricted_resource", TOKEN), Permanent),
        (lambda call: failed(400, "validation_error", TOKEN), Permanent),
        (lambda call: Answer(302, b"", {"Location": "http://127.0.0.1:1/"}), Permanent),
        (lambda call: Answer(404, TOKEN.encode()), Permanent),
    ],
)
def test_every_failure_is_one_of_two_and_shows_no_secret(
    knowledge: Indexing, server: FakeNotion, mishap: Any, failure: type[Exception]
) -> None:
    server.mishaps |= dict.fromkeys(range(1, 20), mishap)
    insert(knowledge, server)

    with watching() as traces:
        with pytest.raises(failure):
            knowledge.run()
        logging.getLogger("worker").warning("done")

    assert traces.places(knowledge.conn, TOKEN) == []


def test_a_slow_answer_ends_at_its_deadline(
    knowledge: Indexing, server: FakeNotion, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.gateways import adapters

    monkeypatch.setattr(adapters.Limits.__init__, "__defaults__", (10_000, 0.3))
    server.mishaps[1] = lambda call: Answer(200, b"{}", drip_s=3)
    insert(knowledge, server)

    with pytest.raises(Transient, match="did not answer in full within 0.3 seconds"):
        knowledge.run()


def test_paging_in_a_circle_ends(knowledge: Indexing, server: FakeNotion) -> None:
    looped = {"object": "list", "results": [], "has_more": True, "next_cursor": id_of("x")}
    server.mishaps |= dict.fromkeys(
        range(1, 20), lambda call: Answer(200, json.dumps(looped).encode())
    )
    insert(knowledge, server)

    with pytest.raises(Permanent, match="circle"):
        knowledge.run()


def test_pages_that_hold_each_other_are_read_once(knowledge: Indexing, server: FakeNotion) -> None:
    one, two = id_of("One"), id_of("Two")
    server.add_page("One", {"type": "child_page", "child_page": {}, "id": two})
    server.add_page("Two", {"type": "child_page", "child_page": {}, "id": one})
    source_id = insert(knowledge, server, pages=[one])

    knowledge.run()

    assert knowledge.contents(source_id) == ["One", "Two"]


def test_endless_nesting_is_left_out_and_told(knowledge: Indexing, server: FakeNotion) -> None:
    good = server.add_page("Good", paragraph("text"))
    endless = {**block("toggle", "again"), "has_children": True, "id": id_of("loop")}
    bad = server.add_page("Bad", endless)
    server.blocks[id_of("loop")] = [{**server.blocks[bad][0], "has_children": True}]
    server.blocks[bad][0]["has_children"] = True
    source_id = insert(knowledge, server, pages=[good, bad])

    report = knowledge.run()

    assert knowledge.contents(source_id) == ["Good\n\ntext"]
    assert "'Bad' was left out: its blocks are nested more than 30 deep" in report.skipped[0]


@pytest.mark.parametrize("base", ["http://127.0.0.1", "http://[::ffff:7f00:1]", "http://localhost"])
def test_a_base_url_inside_is_not_reached(
    knowledge: Indexing, server: FakeNotion, base: str
) -> None:
    knowledge.client.close()
    knowledge.client = Client(Egress.parse(""))
    port = server.url.rpartition(":")[2]
    source_id = knowledge.insert("notion", settings=Jsonb({"base_url": f"{base}:{port}"}))
    knowledge.set_credentials(source_id, token=TOKEN)

    with pytest.raises(Permanent, match="off limits"):
        knowledge.run()

    assert server.calls == []


@pytest.mark.parametrize("base", ["file:///etc/passwd", "http://user:pass@example.com", "x", "//a"])
def test_a_base_url_of_another_kind_is_refused(
    knowledge: Indexing, server: FakeNotion, base: str
) -> None:
    source_id = knowledge.insert("notion", settings=Jsonb({"base_url": base}))
    knowledge.set_credentials(source_id, token=TOKEN)

    with pytest.raises(Permanent):
        knowledge.run()
