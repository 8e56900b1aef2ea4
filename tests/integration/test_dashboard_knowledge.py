"""Knowledge: what its page counts and lists is what the rows say; what it does, it notes."""

import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from db import badges, watched_sources
from db.pool import Connection
from tests.dashboard_world import Desk, open_desk
from tests.integration import schema_world as world
from workers.dashboard.pages import knowledge as page


@pytest.fixture
def desk(database_url: str, redis_url: str) -> Iterator[Desk]:
    with open_desk(database_url, redis_url) as desk:
        yield desk


@pytest.fixture
def agent(conn: Connection) -> UUID:
    world.sign_up(conn, world.OWNER, "owner@example.com")
    world.insert(conn, "agents", world.row("agents"))
    conn.execute("UPDATE public.agents SET embedding_model = 'text-embedding-ada-002'")
    return world.row_id("agents")


def add(conn: Connection, agent: UUID, *, status: str = "completed", **columns: Any) -> UUID:
    """A source in that state, and no job of it."""
    id = uuid4()
    values = {"id": id, "agent_id": agent, "name": "Help", "type": "url", **columns}
    with conn.transaction():
        conn.execute("SET LOCAL session_replication_role = replica")
        world.insert(conn, "knowledge_sources", {**values, "status": status})
    return id


def fail_refreshes(conn: Connection, source: UUID, times: int, **columns: object) -> None:
    values = {"source_id": source, "failures": times, **columns}
    names, places = ", ".join(values), ", ".join(f"%({name})s" for name in values)
    conn.execute(f"INSERT INTO worker.source_syncs ({names}) VALUES ({places})".encode(), values)


def row(conn: Connection, query: str, *values: object) -> dict[str, Any]:
    found = conn.cursor(row_factory=dict_row).execute(query.encode(), values).fetchone()
    assert found is not None
    return found


def jobs_of(conn: Connection, source: UUID) -> list[tuple[str, float]]:
    """Kind, and in how many seconds it is due."""
    return conn.execute(
        "SELECT kind, round(extract(epoch FROM run_at - created_at)::numeric, 1)::float8"
        " FROM worker.jobs WHERE args ->> 'source_id' = %s ORDER BY id",
        [str(source)],
    ).fetchall()


def count_jobs(conn: Connection) -> int:
    """But for the welcome of whoever signed up."""
    query = "SELECT count(*) AS jobs FROM worker.jobs WHERE queue = 'knowledge'"
    return int(row(conn, query)["jobs"])


def noted(conn: Connection) -> list[dict[str, Any]]:
    cursor = conn.cursor(row_factory=dict_row)
    query = "SELECT action, target, role, why, details FROM worker.audit_log ORDER BY id"
    return cursor.execute(query).fetchall()


def test_counts_are_those_of_the_rows(conn: Connection, agent: UUID) -> None:
    for status, number in (("pending", 2), ("processing", 3), ("failed", 4), ("completed", 5)):
        for _ in range(number):
            add(conn, agent, status=status)
    late, well, better = (add(conn, agent) for _ in range(3))
    conn.execute("SET session_replication_role = replica")
    fail_refreshes(conn, late, 3, due_at="2020-01-01 00:00+00", paused_at="2020-01-02 00:00+00")
    fail_refreshes(conn, well, 2, due_at="2999-01-01 00:00+00")
    fail_refreshes(conn, better, 0, due_at="2999-01-01 00:00+00")
    # One that failed in both ways is one.
    failed = row(conn, "SELECT id FROM public.knowledge_sources WHERE status = 'failed'")["id"]
    fail_refreshes(conn, failed, 7)

    counts = watched_sources.count(conn)

    assert (counts.total, counts.pending, counts.processing, counts.failed) == (17, 2, 3, 4)
    assert (counts.failing, counts.stale, counts.paused) == (5, 1, 1)
    assert badges.count(conn).failing_sources == 5


def test_the_page_tells_what_fails_is_stuck_slow_and_stale(
    conn: Connection, desk: Desk, agent: UUID
) -> None:
    add(conn, agent, status="failed", name="Tariff", error_message="The file has a password.")
    add(conn, agent, status="processing", name="Forgotten", updated_at="2020-01-01 00:00+00")
    slow = add(conn, agent, status="processing", name="Long")
    conn.execute(
        "INSERT INTO worker.jobs (kind, queue, state, args, unique_key, attempt, max_attempts,"
        " started_at) VALUES ('index_source', 'knowledge', 'running', %s, %s, 1, 3,"
        " now() - interval '41 min')",
        [Jsonb({"source_id": str(slow)}), str(slow)],
    )
    stale = add(conn, agent, name="Feed", auto_sync=True)
    fail_refreshes(conn, stale, 0, due_at="2020-01-01 00:00+00")

    found = desk.browser("viewer").get("/knowledge")

    table = found.partition("Slow and failing")[2].partition("All sources")[0]
    order = re.findall(r"</svg>(failing|stuck|slow|stale)</span>", table)
    assert order == ["failing", "stuck", "slow", "stale"]
    for told in ("The file has a password.", "41 min for one run", "no job works on it"):
        assert told in table
    assert "Index again" not in found


def test_costs_are_the_sums_of_what_was_used(conn: Connection, desk: Desk, agent: UUID) -> None:
    for days, usd, kind in ((0, "1.25", "embedding"), (0, "0.50", "embedding"),
                            (1, "4.00", "embedding"), (0, "99", "message")):  # fmt: skip
        conn.execute(
            "INSERT INTO public.usage_logs (user_id, usage_type, ai_model, total_tokens,"
            " total_cost, created_at) VALUES (%s, %s, 'text-embedding-ada-002', 1000, %s,"
            " now() - make_interval(days => %s))",
            [world.OWNER, kind, usd, days],
        )

    days_found = watched_sources.sum_days(conn, days=3)
    (spender,) = watched_sources.sum_tenants(conn, rows_max=5)

    assert [float(day.usd) for day in days_found] == [0, 4.0, 1.75]
    assert (float(spender.usd), spender.tokens, spender.tenants) == (1.75, 2000, 1)
    assert "$1.75</b>" in desk.browser("viewer").get("/knowledge")


def test_a_list_is_filtered_and_paged_without_gaps(
    conn: Connection, desk: Desk, agent: UUID
) -> None:
    ids = [add(conn, agent, name=f"Page {n}%") for n in range(page.PAGE_ROWS + 3)]
    for n, id in enumerate(ids):
        conn.execute(
            "UPDATE public.knowledge_sources SET created_at = now() - make_interval(secs => %s)"
            " WHERE id = %s",
            [n // 2, id],
        )
    other = add(conn, agent, name="Other", type="file", status="failed", url="https://x.example/a")
    viewer = desk.browser("viewer")
    rows = re.compile(r'data-open href="/knowledge/([0-9a-f-]{36})"')

    first = viewer.get("/knowledge?q=%25")
    older = re.search(r'class="btn" href="(/knowledge\?[^"]*before=[^"]*)">Older', first)
    assert older is not None
    second = viewer.get(older[1].replace("&amp;", "&"))

    assert sorted(rows.findall(first) + rows.findall(second)) == sorted(map(str, ids))
    for query in ("type=file", "status=failed&q=oth", f"q={other}", "trouble=failing",
                  f"tenant={world.OWNER}&type=file"):  # fmt: skip
        assert rows.findall(viewer.get(f"/knowledge?{query}")) == [str(other)], query
    assert rows.findall(viewer.get(f"/knowledge?tenant={uuid4()}")) == []


@pytest.mark.parametrize(
    "query", ["status=x", "tenant=5", "before=x", "before=2026_x", "q=" + "x" * 300, "q=%00"]
)
def test_what_is_no_filter_is_refused(desk: Desk, query: str) -> None:
    assert desk.browser("viewer").status(f"/knowledge?{query}") == 400


def test_a_source_is_shown_without_what_is_secret_or_in_it(
    conn: Connection, desk: Desk, agent: UUID
) -> None:
    source = add(
        conn, agent, name="<script>alert(1)</script>\u202e", content="DOCUMENTTEXT",
        url="https://me:PASSWORD@shop.example/in?key=QUERYKEY",
        settings={"api": {"headers": {"X-Key": "HEADERVALUE"}}}, error_message="<b>no</b>",
        status="failed",
    )  # fmt: skip
    conn.execute(
        "INSERT INTO worker.source_credentials (source_id, credentials) VALUES (%s, %s)",
        [source, Jsonb({"token": "CREDENTIAL"})],
    )
    odd = add(conn, agent, name="Odd", url="javascript:alert(2)", status="failed")
    viewer = desk.browser("viewer")

    shown = viewer.get(f"/knowledge/{source}") + viewer.get("/knowledge")

    for secret in ("DOCUMENTTEXT", "PASSWORD", "QUERYKEY", "HEADERVALUE", "CREDENTIAL"):
        assert secret not in shown
    for markup in ("<script>alert", "<b>no", "\u202e", 'href="javascript', "javascript:alert"):
        assert markup not in shown + viewer.get(f"/knowledge/{odd}")
    assert "stored; they are never shown" in shown
    assert viewer.status(f"/knowledge/{uuid4()}") == 404
    assert viewer.status("/knowledge/nothing") == 404


def test_a_source_shows_its_runs_jobs_pages_and_cost(
    conn: Connection, desk: Desk, agent: UUID
) -> None:
    source = add(conn, agent, settings={"crawl": True}, chunks_count=12, tokens_count=3_000_000)
    child = add(conn, agent, status="failed", name="Child", parent_id=source)
    for usd, status in (("0.25", "completed"), ("0.50", "completed"), ("0", "failed")):
        conn.execute(
            "INSERT INTO worker.sync_runs (source_id, kind, status, started_at, report)"
            " VALUES (%s, 'index_source', %s, now() - interval '9 s', %s)",
            [source, status, Jsonb({"tokens_embedded": 70, "cost_usd": usd, "documents": "<b>"})],
        )
    conn.execute(
        "INSERT INTO worker.crawls (source_id, number, job_id, asked, stage, site)"
        " VALUES (%s, 4, 1, 'x', 'done', 'https://shop.example')",
        [source],
    )
    conn.execute(
        "INSERT INTO worker.crawl_pages (source_id, url, role, crawl, depth, state)"
        " SELECT %s, 'https://shop.example/' || n, 'page', 4, 1,"
        " CASE WHEN n < 3 THEN 'gone' ELSE 'kept' END FROM generate_series(0, 9) AS n",
        [source],
    )

    shown = desk.browser("viewer").get(f"/knowledge/{source}")

    flat = " ".join(re.sub(r"<[^>]*>", " ", shown).split())
    assert "$0.7500 for 210 tokens in 3 runs" in flat
    assert "$0.3000 at most, with text-embedding-ada-002" in flat
    assert "7 kept 3 gone" in flat
    assert f'href="/knowledge/{child}"' in shown
    assert f"args.source_id%3A{source}" in shown


def test_indexing_one_again_is_what_its_owner_asks_for(
    conn: Connection, desk: Desk, agent: UUID
) -> None:
    source = add(conn, agent, status="failed")
    operator = desk.browser("operator")

    place = operator.post("/knowledge/index", source_id=source, next="/knowledge?q=a", why="fixed")
    again = operator.send("/knowledge/index", csrf=operator.token, source_id=source, why="x")

    assert place == "/knowledge?q=a"
    assert row(conn, "SELECT status FROM public.knowledge_sources")["status"] == "pending"
    assert jobs_of(conn, source) == [("index_source", 0.0)]
    assert again[0] == 409
    (entry,) = noted(conn)
    assert (entry["action"], entry["target"], entry["why"], entry["role"]) == (
        "index_source", f"source {source}", "fixed", "operator"
    )  # fmt: skip


@pytest.mark.parametrize("status", ["pending", "processing"])
def test_one_that_no_job_works_on_can_be_indexed_again(
    conn: Connection, desk: Desk, agent: UUID, status: str
) -> None:
    source = add(conn, agent, status=status)

    desk.browser("operator").post("/knowledge/index", source_id=source)

    assert [kind for kind, _ in jobs_of(conn, source)] == ["index_source"]


def test_refreshing_now_enqueues_the_refresh(conn: Connection, desk: Desk, agent: UUID) -> None:
    source = add(conn, agent)

    desk.browser("operator").post("/knowledge/resync", source_id=source)

    assert jobs_of(conn, source) == [("resync_source", 0.0)]
    assert noted(conn)[0]["details"] == {
        "job_id": row(conn, "SELECT id FROM worker.jobs WHERE queue = 'knowledge'")["id"]
    }


def test_what_the_preview_shows_is_what_is_done(conn: Connection, desk: Desk, agent: UUID) -> None:
    wanted = [add(conn, agent, status="failed", tokens_count=1_000_000) for _ in range(3)]
    busy = add(conn, agent, status="pending", type="url")
    spared = add(conn, agent, status="failed", type="file")
    operator = desk.browser("operator")

    seen = operator.get("/knowledge/index-all?type=url")
    late = add(conn, agent, status="failed")
    done = operator.press(seen, "/knowledge/index-all", why="mended")
    again = operator.press(seen, "/knowledge/index-all", why="mended")

    flat = " ".join(re.sub(r"<[^>]*>", " ", seen).split())
    for told in (
        "3 sources of 1 tenant are",
        "3,000,000 tokens are stored",
        "$0.3000 if all of that changed",
        "1 waits",
    ):
        assert told in flat
    assert "Index 3 again</button>" in seen
    dues = sorted(due for id in wanted for _, due in jobs_of(conn, id))
    assert dues == [0.0, page.INDEX_GAP_S, 2 * page.INDEX_GAP_S]
    assert jobs_of(conn, busy) == jobs_of(conn, spared) == jobs_of(conn, late) == []
    assert done[0] == again[0] == 303
    (entry,) = noted(conn)
    assert (entry["action"], entry["details"]["changed"]) == ("index_sources", 3)
    assert sorted(entry["details"]["ids"]) == sorted(map(str, wanted))
    assert entry["details"]["filter"] == {"type": "url"}


def test_what_is_on_its_way_or_gone_by_then_is_left(
    conn: Connection, desk: Desk, agent: UUID
) -> None:
    left, gone, taken = (add(conn, agent, status="failed") for _ in range(3))
    operator = desk.browser("operator")

    seen = operator.get("/knowledge/index-all")
    conn.execute("DELETE FROM public.knowledge_sources WHERE id = %s", [gone])
    operator.post("/knowledge/index", source_id=taken)
    answer = operator.press(seen, "/knowledge/index-all")

    assert "3</b> <span>of them were never read" in seen
    assert answer[0] == 303
    assert len(jobs_of(conn, left)) == len(jobs_of(conn, taken)) == 1
    assert [entry["details"].get("changed") for entry in noted(conn)] == [None, 1]


def test_no_more_than_the_cap_at_a_time(
    conn: Connection, desk: Desk, agent: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        add(conn, agent, status="failed")
    operator = desk.browser("operator")

    all_of_them = operator.get("/knowledge/index-all?status=failed")
    monkeypatch.setattr(page, "INDEX_MAX", 2)
    seen = operator.get("/knowledge/index-all?status=failed")
    beyond = operator.press(all_of_them, "/knowledge/index-all")
    done = operator.press(seen, "/knowledge/index-all")

    assert "3</b> <span>beyond the cap of 2" in seen
    assert (beyond[0], done[0]) == (400, 303)
    assert count_jobs(conn) == 2


def test_a_viewer_sees_no_button_and_changes_nothing(
    conn: Connection, desk: Desk, agent: UUID
) -> None:
    source = add(conn, agent, status="failed")
    viewer = desk.browser("viewer")

    shown = viewer.get("/knowledge") + viewer.get(f"/knowledge/{source}")

    assert '<form method="post" action="/knowledge' not in shown
    assert "index-all" not in shown
    for path in ("index", "resync", "index-all"):
        answer = viewer.send(
            f"/knowledge/{path}", csrf=viewer.token, source_id=source, count=1, why="x"
        )
        assert answer[0] == 403, path
    assert viewer.status("/knowledge/index-all") == 403
    assert count_jobs(conn) == 0


def test_an_empty_page_teaches_how_to_add_a_source(desk: Desk) -> None:
    shown = desk.browser("viewer").get("/knowledge")

    assert "INSERT INTO knowledge_sources" in shown
    assert "avivro ingest" in shown


def test_a_source_of_a_million_characters_keeps_the_page_small(
    conn: Connection, desk: Desk, agent: UUID
) -> None:
    long = "x" * 1_000_000
    source = add(conn, agent, status="failed", name=long, error_message=long, url=long)
    viewer = desk.browser("viewer")

    assert len(viewer.get("/knowledge")) < 60_000
    assert len(viewer.get(f"/knowledge/{source}")) < 60_000
