"""Tenants' shares, weights and pauses, as operators see and change them."""

import random
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from psycopg.types.json import Jsonb

from db import backlog, lanes, processes
from db.backlog import NOBODY
from db.pool import Connection
from tests.dashboard_world import Desk, open_desk
from workers.dashboard import flow
from workers.dashboard.kept import Pace
from workers.dashboard.tenant_rows import Tally, build

HOSTILE = "<script>alert(1)</script>\u202e\"'" + "W" * 5000


@pytest.fixture
def desk(database_url: str, redis_url: str) -> Iterator[Desk]:
    with open_desk(database_url, redis_url) as desk:
        yield desk


def add_account(conn: Connection, *, company: str, name: str = "Pat", email: str = "") -> UUID:
    tenant = uuid4()
    conn.execute(
        "INSERT INTO auth.users (id, email, raw_user_meta_data) VALUES (%s, %s, %s)",
        (tenant, email or f"{tenant}@example.com", Jsonb({"full_name": name})),
    )
    conn.execute(
        "UPDATE public.user_profiles SET company_name = %s WHERE id = %s", (company, tenant)
    )
    conn.execute("DELETE FROM worker.jobs")
    return tenant


def add_jobs(
    conn: Connection,
    tenant: UUID | None,
    state: str,
    jobs: int,
    *,
    kind: str = "index_source",
    queue: str = "knowledge",
    priority: int = 0,
    age_s: float = 300.0,
) -> None:
    """Waiting ones are due since then; others began at that time."""
    conn.execute(
        "INSERT INTO worker.jobs (kind, queue, tenant, priority, state, max_attempts, attempt,"
        " run_at, started_at, finished_at)"
        " SELECT %(kind)s, %(queue)s, %(tenant)s, %(priority)s, %(state)s, 3, 1,"
        " now() - make_interval(secs => %(age)s),"
        " CASE WHEN %(state)s <> 'available' THEN now() - make_interval(secs => %(age)s) END,"
        " CASE WHEN %(state)s IN ('completed', 'discarded')"
        "  THEN now() - make_interval(secs => %(age)s - 1) END"
        " FROM generate_series(1, %(jobs)s)",
        {
            "kind": kind, "queue": queue, "tenant": tenant, "priority": priority,
            "state": state, "jobs": jobs, "age": age_s,
        },
    )  # fmt: skip


def start_worker(conn: Connection, queue: str = "knowledge", threads: int = 5) -> None:
    processes.register(
        conn,
        id=uuid4(),
        role="worker",
        host="here",
        pid=1,
        queues={queue: {"threads": threads, "job_ms": 10.0}},
    )


def row_of(page: str, tenant: UUID) -> str:
    rows = page.split('<tr role="row" data-row ')
    return next(row for row in rows if row.startswith(f'id="t-{tenant}"'))


def audited(conn: Connection, action: str) -> list[tuple[str, str, dict[str, object]]]:
    return conn.execute(
        "SELECT target, why, details FROM worker.audit_log WHERE action = %s ORDER BY id", (action,)
    ).fetchall()


def test_the_page_of_an_empty_database_teaches(desk: Desk) -> None:
    page = desk.browser("viewer").get("/tenants")

    assert "Nobody waits" in page
    assert "avivro jobs enqueue" in page


def test_figures_are_those_of_a_naive_recount(conn: Connection) -> None:
    rng = random.Random(7)
    tenants = [None, *(uuid4() for _ in range(6))]
    for _ in range(120):
        queue = rng.choice(("knowledge", "email", "default"))
        add_jobs(
            conn,
            rng.choice(tenants),
            rng.choice(("available", "running", "dispatched", "completed", "discarded")),
            rng.randint(1, 9),
            queue=queue,
            kind={"knowledge": "index_source", "email": "send_email"}.get(queue, "probe"),
            priority=rng.choice((0, 0, 5)),
            age_s=rng.uniform(5, 2000),
        )

    tally = Tally(flow.look(conn, flow.count(conn)))
    rows = {row.name.id: row for row in build(tally)}

    waiting: Counter[UUID] = Counter()
    begun: Counter[UUID] = Counter()
    flying: Counter[UUID] = Counter()
    for tenant, state, is_recent in conn.execute(
        "SELECT tenant, state, started_at > now() - interval '15 min' FROM worker.jobs"
    ).fetchall():
        waiting[tenant or NOBODY] += state == "available"
        flying[tenant or NOBODY] += state in ("running", "dispatched")
        begun[tenant or NOBODY] += bool(is_recent)
    assert {each: row.jobs for each, row in rows.items()} == {k: v for k, v in waiting.items() if v}
    for each, row in rows.items():
        assert (row.running + row.dispatched, row.share.got) == (flying[each], begun[each])
        assert sum(tally.by_minute(each)) == begun[each]


def test_what_is_begun_is_shared_out_and_no_more(conn: Connection) -> None:
    heavy, light = uuid4(), uuid4()
    start_worker(conn)
    lanes.set_weight(conn, heavy, 3.0)
    for tenant, jobs in ((heavy, 30), (light, 50)):
        add_jobs(conn, tenant, "completed", jobs)
        add_jobs(conn, tenant, "available", 500, age_s=800)

    rows = {row.name.id: row for row in build(Tally(flow.look(conn, flow.count(conn))))}

    assert (rows[heavy].share.fair, rows[light].share.fair) == (60, 20)
    assert (rows[heavy].verdict, rows[light].verdict) == ("behind", "over")


def test_a_busy_quarter_of_an_hour_is_told_from_its_last_jobs(conn: Connection) -> None:
    tenant = uuid4()
    add_jobs(conn, tenant, "completed", 30, age_s=100)
    add_jobs(conn, tenant, "completed", 30, age_s=600)
    since = datetime.now(UTC) - flow.WINDOW

    seen_since, started = backlog.list_started(conn, since=since, jobs_max=30)

    assert sum(row.jobs for row in started) == 0
    assert (datetime.now(UTC) - seen_since).total_seconds() == pytest.approx(99, abs=5)


def test_each_reason_to_wait_has_its_verdict(conn: Connection) -> None:
    start_worker(conn)
    held, unserved, capped = uuid4(), uuid4(), uuid4()
    add_jobs(conn, held, "available", 3)
    add_jobs(conn, unserved, "available", 3, queue="email", kind="send_email")
    add_jobs(conn, capped, "available", 3, kind="crawl_site")
    add_jobs(conn, capped, "running", 2, kind="crawl_site", age_s=5)
    conn.execute("UPDATE worker.kinds SET cap = 2 WHERE kind = 'crawl_site'")
    lanes.pause(conn, scope="tenant", name=str(held), reason="twice", paused_by="ada")

    rows = {row.name.id: row for row in build(Tally(flow.look(conn, flow.count(conn))))}

    assert [(rows[t].verdict, rows[t].words) for t in (held, unserved, capped)] == [
        ("held", "by ada: twice"),
        ("stopped", "no worker for email"),
        ("capped", "crawl_site: 2 at a time"),
    ]


def test_long_jobs_of_others_are_no_stop(conn: Connection) -> None:
    behind_long, alone = uuid4(), uuid4()
    start_worker(conn)
    start_worker(conn, "default")
    add_jobs(conn, uuid4(), "running", 5, age_s=1500)
    add_jobs(conn, behind_long, "available", 1, age_s=1000)
    add_jobs(conn, alone, "available", 1, kind="probe", queue="default", age_s=1000)

    rows = {row.name.id: row for row in build(Tally(flow.look(conn, flow.count(conn))))}

    assert (rows[behind_long].verdict, rows[alone].verdict) == ("capped", "stopped")


def test_a_backlog_drains_at_the_pace_since_it_came(conn: Connection, desk: Desk) -> None:
    fresh, steady = uuid4(), uuid4()
    start_worker(conn)
    add_jobs(conn, fresh, "available", 100, age_s=20)
    add_jobs(conn, fresh, "completed", 20, age_s=2)
    add_jobs(conn, steady, "available", 60, age_s=600)
    for age_s in range(10, 610, 10):
        add_jobs(conn, steady, "completed", 1, age_s=age_s)

    page = desk.browser().get("/tenants")

    told = {
        tenant: float(re.findall(r"([\d.]+) min\s*</td>", row_of(page, tenant))[-1])
        for tenant in (fresh, steady)
    }
    assert 1.6 < told[fresh] < 2.3
    assert 9 < told[steady] < 11.5


def test_an_invisible_name_leaves_something_to_press(conn: Connection, desk: Desk) -> None:
    tenant = add_account(conn, company="\u200b\ufeff", name=" \u202e ", email="pat@example.com")
    add_jobs(conn, tenant, "available", 1)

    assert "<b>pat@example.com</b>" in row_of(desk.browser().get("/tenants"), tenant)


def test_who_is_gone_and_nobody_are_named(conn: Connection, desk: Desk) -> None:
    gone = uuid4()
    add_jobs(conn, gone, "available", 2)
    add_jobs(conn, None, "available", 2)

    page = desk.browser().get("/tenants")

    assert "no account any more" in row_of(page, gone)
    assert "no tenant" in row_of(page, NOBODY)
    assert "/tenants/pause" not in row_of(page, NOBODY)
    assert "no account any more" in desk.browser().get(f"/tenants/{gone}")


def test_hostile_names_stay_text(conn: Connection, desk: Desk) -> None:
    tenant = add_account(conn, company=HOSTILE, name=HOSTILE)
    add_jobs(conn, tenant, "available", 1)
    conn.execute(
        "INSERT INTO worker.jobs (kind, queue, tenant, state, max_attempts, finished_at, errors)"
        " VALUES ('probe', 'default', %s, 'discarded', 1, now(), %s)",
        (tenant, Jsonb([{"attempt": 1, "error": HOSTILE, "trace": None}])),
    )
    lanes.pause(conn, scope="tenant", name=str(tenant), reason=HOSTILE, paused_by=HOSTILE)

    for path in ("/tenants", f"/tenants/{tenant}", "/tenants?q=%3Cscript", "/queues", "/usage"):
        page = desk.browser().get(path)

        assert "<script>alert" not in page
        assert "W" * 600 not in page, path


def test_a_tenant_is_found_by_id_and_by_beginnings(conn: Connection, desk: Desk) -> None:
    acme = add_account(conn, company="Acme 100% GmbH", name="Åsa Berg", email="asa@acme.example")
    other = add_account(conn, company="Other", email="x@other.example")
    browser = desk.browser("viewer")

    assert browser.client.get(f"/tenants?q={acme}").headers["location"] == f"/tenants/{acme}"
    for beginning in ("acme 100%25", "ASA@", "%C3%85sa"):
        page = browser.get(f"/tenants?q={beginning}")
        assert (f"/tenants/{acme}" in page, f"/tenants/{other}" in page) == (True, False)
    assert "No account begins like this" in browser.get("/tenants?q=%25")
    assert browser.status("/tenants/nonsense") == 404


def test_the_idle_are_shown_page_by_page_on_demand(conn: Connection, desk: Desk) -> None:
    everybody = {add_account(conn, company=f"C{n}") for n in range(60)}
    busy = everybody.pop()
    add_jobs(conn, busy, "available", 1)
    browser = desk.browser("viewer")

    closed = browser.get("/tenants")
    first = browser.get("/tenants?idle=show")
    following = re.search(r'href="(/tenants\?idle=show&amp;after=[^"#]+)', first)

    assert "59 more tenants have nothing" in re.sub(r"\s+", " ", closed)
    assert following is not None
    second = browser.get(following[1].replace("&amp;", "&"))
    found = [set(re.findall(r'href="/tenants/([0-9a-f-]{36})"', p[p.index('id="idle"'):]))
             for p in (first, second)]  # fmt: skip
    assert [len(each) for each in found] == [50, 9]
    assert found[0] | found[1] == {str(each) for each in everybody}


def test_pausing_calls_back_and_is_noted(conn: Connection, desk: Desk) -> None:
    tenant = uuid4()
    add_jobs(conn, tenant, "dispatched", 3, age_s=1)
    add_jobs(conn, tenant, "running", 2, age_s=1)
    add_jobs(conn, tenant, "available", 4)
    browser = desk.browser("operator", "ada")

    before = browser.get("/tenants")
    browser.post("/tenants/pause", tenant=tenant, why="imports twice", next="/tenants")
    after = browser.get("/tenants")

    assert "4 jobs wait on, 3 on the runway are called back, 2 that run go on" in re.sub(
        r"\s+", " ", row_of(before, tenant)
    )
    states = conn.execute("SELECT state, count(*) FROM worker.jobs GROUP BY 1").fetchall()
    assert dict(states) == {"available": 7, "running": 2}
    assert audited(conn, "pause_tenant") == [(f"tenant {tenant}", "imports twice", {"recalled": 3})]
    assert lanes.list_pauses(conn)[0].paused_by == "ada"
    assert "by ada: imports twice" in after
    assert "paused" in browser.get(f"/tenants/{tenant}")

    browser.post("/tenants/resume", tenant=tenant, next="/tenants")

    assert lanes.list_pauses(conn) == []
    assert len(audited(conn, "resume_tenant")) == 1
    assert browser.send("/tenants/resume", tenant=tenant)[0] == 403


def test_a_pause_shows_at_once_although_figures_are_kept(
    conn: Connection, database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow, "PACE", Pace(age_s=3_600.0, rest=1.0, grace_s=3_600.0))
    tenant = uuid4()
    add_jobs(conn, tenant, "available", 1)
    with open_desk(database_url, redis_url) as desk:
        browser = desk.browser("operator", "ada")
        browser.get("/tenants")

        browser.post("/tenants/pause", tenant=tenant, why="imports twice", next="/tenants")

        assert "by ada: imports twice" in browser.get("/tenants")


def test_a_weight_is_set_noted_and_set_back(conn: Connection, desk: Desk) -> None:
    tenant = uuid4()
    browser = desk.browser()

    browser.post("/tenants/weigh", tenant=tenant, weight="0.01", why="a flood")
    browser.post("/tenants/weigh", tenant=tenant, weight="100", why="a deadline")
    page = browser.get(f"/tenants/{tenant}")
    browser.post("/tenants/weigh", tenant=tenant, weight="1", why="over")

    assert lanes.list_weights(conn) == {}
    assert [(why, d["to"]) for _, why, d in audited(conn, "set_weight")] == [
        ("a flood", 0.01), ("a deadline", 100.0), ("over", 1.0),
    ]  # fmt: skip
    assert "a deadline" in page


def test_a_weight_out_of_range_changes_nothing(conn: Connection, desk: Desk) -> None:
    browser = desk.browser()
    token = re.search(r'name="csrf" value="([0-9a-f]+)"', browser.get(f"/tenants/{uuid4()}"))
    assert token is not None

    for weight in ("0", "0.009", "100.01", "-1", "nan", "inf", "1e2", "1_0", "٣", "", "9" * 400):
        status, said = browser.send(
            "/tenants/weigh", csrf=token[1], tenant=uuid4(), weight=weight, why="x"
        )

        assert (status, "from 0.01 to 100" in said) == (400, True), weight
    assert conn.execute("SELECT count(*) FROM worker.tenants").fetchone() == (0,)
    assert audited(conn, "set_weight") == []


def test_a_weight_is_foreseen_in_words(conn: Connection, desk: Desk) -> None:
    one, two, held = uuid4(), uuid4(), uuid4()
    for tenant in (one, two, held):
        add_jobs(conn, tenant, "available", 5)
    lanes.set_weight(conn, one, 7.0)
    lanes.pause(conn, scope="tenant", name=str(held))
    browser = desk.browser("viewer")

    page = browser.get(f"/tenants/{one}?weight=3")
    of_held = browser.get(f"/tenants/{held}?weight=2")
    of_nobody = browser.get(f"/tenants/{uuid4()}?weight=3")

    assert "75% of what knowledge starts, while one other waits there" in page
    assert "20% of what knowledge starts, while 2 others wait there" in of_held
    assert "75% beside one other tenant of weight 1" in of_nobody
    assert browser.status(f"/tenants/{one}?weight=300") == 400


def test_a_viewer_sees_no_button_and_may_do_nothing(conn: Connection, desk: Desk) -> None:
    tenant = uuid4()
    add_jobs(conn, tenant, "available", 1)
    viewer = desk.browser("viewer")

    for path in ("/tenants", f"/tenants/{tenant}", "/queues", "/queues/knowledge", "/usage"):
        assert "/tenants/weigh" not in viewer.get(path)
        assert "/pause" not in viewer.get(path)
    for action in ("/tenants/pause", "/tenants/resume", "/tenants/weigh", "/queues/pause",
                   "/queues/resume"):  # fmt: skip
        assert viewer.send(action, tenant=tenant)[0] == 403
    assert lanes.list_pauses(conn) == []


def test_nobody_cannot_be_paused(conn: Connection, desk: Desk) -> None:
    browser = desk.browser()
    token = re.search(r'name="csrf" value="([0-9a-f]+)"', browser.get("/tenants"))
    assert token is not None

    answer = browser.send("/tenants/pause", csrf=token[1], tenant=NOBODY, why="x")

    assert (answer[0], lanes.list_pauses(conn)) == (400, [])
