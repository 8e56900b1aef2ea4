"""The frontier's next page is found by its index, however long the frontier is."""

from uuid import uuid4

from db import crawls
from db.pool import Connection
from tests.knowledge import Indexing

PAGES = 20_000


def test_the_next_of_a_long_frontier_is_read_and_not_searched_for(knowledge: Indexing) -> None:
    conn: Connection = knowledge.conn
    source_id = knowledge.insert(content="x")
    conn.execute(
        "INSERT INTO worker.crawl_pages (source_id, url, role, crawl, depth)"
        " SELECT %s, 'http://a.example/' || n, 'page', 1 + n %% 2, n %% 5"
        " FROM generate_series(1, %s) AS n",
        (source_id, PAGES),
    )
    arguments = {"source_id": source_id, "crawl": 2, "agent_id": uuid4(), "settings": "{}"}

    plan = conn.execute(
        b"EXPLAIN (ANALYZE, BUFFERS OFF, TIMING OFF, FORMAT TEXT) " + crawls.SQL.next_page,
        arguments,
    ).fetchall()

    text = "\n".join(row[0] for row in plan)
    assert "crawl_pages_queued_idx" in text
    assert "Sort" not in text
