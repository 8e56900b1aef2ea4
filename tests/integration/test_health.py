"""What a look at a real database finds."""

from typing import Any
from uuid import uuid4

import pytest

from db import health, processes
from db.pool import Connection
from workers.finding import Finding
from workers.health import examine, look
from workers.jobs import QUEUES

ALL: dict[str, Any] = {queue: {"threads": 4} for queue in QUEUES}
TENANT = "00000000-0000-4000-8000-000000000001"


def join(conn: Connection, role: str, host: str = "a", **queues: Any) -> Any:
    id = uuid4()
    processes.register(conn, id=id, role=role, host=host, pid=7, queues=queues)
    return id


def complete_crew(conn: Connection) -> None:
    join(conn, "worker", **ALL)
    join(conn, "dispatcher")
    join(conn, "scheduler")


def wait(
    conn: Connection,
    kind: str,
    *,
    for_s: float,
    queue: str = "default",
    number: int = 1,
    state: str = "available",
    limit_key: str | None = None,
) -> None:
    conn.execute(
        "INSERT INTO worker.jobs (kind, queue, state, run_at, max_attempts, limit_key)"
        " SELECT %s, %s, %s, now() - make_interval(secs => %s), 3, %s"
        " FROM generate_series(1, %s)",
        (kind, queue, state, for_s, limit_key, number),
    )


def keys(found: list[Finding]) -> list[str]:
    return [finding.key for finding in found]


def found_in(conn: Connection) -> dict[str, Finding]:
    return {finding.key: finding for finding in examine(conn, [])}


def test_where_all_is_well_nothing_is_found(conn: Connection, redis_url: str) -> None:
    complete_crew(conn)
    wait(conn, "probe", for_s=1)

    assert look(conn, redis_url=redis_url) == []


def test_who_is_missing_is_named_and_what_waits_is_counted(
    conn: Connection, redis_url: str
) -> None:
    wait(conn, "probe", for_s=600, number=3)

    found = look(conn, redis_url=redis_url)

    assert keys(found) == ["no_worker", "no_dispatcher", "no_scheduler"]
    assert "3 jobs wait, the oldest for 10 min, since" in found[0].evidence


def test_a_redis_that_is_away_is_a_finding_and_no_exception(conn: Connection) -> None:
    complete_crew(conn)

    found = look(conn, redis_url="redis://127.0.0.1:1/0")

    assert keys(found) == ["redis_down"]
    assert "refused" in found[0].evidence


def test_a_queue_that_nobody_serves_says_who_did(conn: Connection) -> None:
    join(conn, "dispatcher")
    join(conn, "scheduler")
    join(conn, "worker", **{q: of for q, of in ALL.items() if q != "sentiment"})
    last = join(conn, "worker", host="wrk-s1", sentiment={"threads": 4})
    processes.resign(conn, id=last)
    wait(conn, "analyze_sentiment", for_s=2460, queue="sentiment", number=312)

    (finding,) = [f for f in examine(conn, []) if f.cause is None]

    assert finding.key == "queue_unserved:sentiment"
    assert finding.title == "sentiment stands still: no worker takes analyze_sentiment"
    assert "312 jobs wait, the oldest for 41 min" in finding.evidence
    assert "on wrk-s1, left" in finding.evidence


@pytest.mark.parametrize("state", ["scheduled", "dispatched"])
def test_kinds_and_queues_that_nobody_knows_are_named(conn: Connection, state: str) -> None:
    complete_crew(conn)
    conn.execute(
        "INSERT INTO worker.jobs (kind, queue, state, max_attempts, run_at)"
        " VALUES ('martian', 'default', %s, 3, now() + interval '1 s'),"
        " ('venusian', 'venus', 'available', 3, now())", (state,),
    )  # fmt: skip

    found = found_in(conn)

    assert sorted(found) == ["kind_unknown:martian", "queue_unserved:venus"]
    assert "1 job waits" in found["kind_unknown:martian"].evidence
    assert "avivro worker --queue" not in found["queue_unserved:venus"].do


def test_idle_threads_beside_jobs_that_could_run_are_the_dispatchers_fault(
    conn: Connection,
) -> None:
    complete_crew(conn)
    wait(conn, "probe", for_s=45, number=2)

    found = found_in(conn)

    assert list(found) == ["dispatcher_behind"]
    assert "default: 2 jobs wait" in found["dispatcher_behind"].evidence


def test_a_retry_that_is_due_and_stays_one_is_the_dispatchers_fault(conn: Connection) -> None:
    complete_crew(conn)
    wait(conn, "probe", for_s=45, state="retryable")

    assert list(found_in(conn)) == ["dispatcher_behind"]


def test_jobs_that_wait_behind_busy_threads_are_late_only(conn: Connection) -> None:
    complete_crew(conn)
    wait(conn, "probe", for_s=90)
    wait(conn, "probe", for_s=90, state="running", number=4)

    found = found_in(conn)

    assert list(found) == ["queue_age:default"]
    assert "4 are in flight on 4 threads" in found["queue_age:default"].evidence


@pytest.mark.parametrize(
    ("scope", "name"), [("queue", "default"), ("kind", "probe"), ("tenant", TENANT)]
)
def test_what_is_paused_is_held_and_not_late(conn: Connection, scope: str, name: str) -> None:
    complete_crew(conn)
    wait(conn, "probe", for_s=900, number=3)
    if scope == "tenant":
        conn.execute("UPDATE worker.jobs SET tenant = %s", (name,))
    conn.execute(
        "INSERT INTO worker.pauses (scope, name, reason) VALUES (%s, %s, 'moving house')",
        (scope, name),
    )

    found = found_in(conn)

    assert list(found) == [f"paused:{scope}:{name}"]
    assert "moving house" in found[f"paused:{scope}:{name}"].evidence


def test_what_a_limit_holds_back_is_not_late(conn: Connection) -> None:
    complete_crew(conn)
    wait(conn, "prune", for_s=900)
    wait(conn, "prune", for_s=900, state="running")
    wait(conn, "deliver_webhook", for_s=900, queue="webhooks", limit_key="dead")
    conn.execute("INSERT INTO worker.lane_holds (lane) VALUES ('deliver_webhook:dead')")

    assert found_in(conn) == {}


def test_what_follows_from_something_else_names_it(conn: Connection) -> None:
    join(conn, "worker", **ALL)
    join(conn, "scheduler")
    wait(conn, "probe", for_s=900)

    found = found_in(conn)

    assert found["queue_age:default"].cause == found["dispatcher_behind"].cause == "no_dispatcher"
    assert keys(look(conn, redis_url=None)) == ["no_dispatcher"]


def test_a_process_that_was_killed_is_missed_until_another_takes_its_place(
    conn: Connection,
) -> None:
    complete_crew(conn)
    dead = join(conn, "worker", host="b", **ALL)
    conn.execute(
        "UPDATE worker.processes SET expires_at = now() - interval '1 s' WHERE id = %s", (dead,)
    )
    before = found_in(conn)
    conn.execute("DELETE FROM worker.processes WHERE id = %s", (dead,))
    after = found_in(conn)

    successor = join(conn, "worker", host="b", **ALL)
    replaced = found_in(conn)
    processes.resign(conn, id=successor)

    assert list(before) == list(after) == ["lost:worker@b"]
    assert "nothing took its place" in after["lost:worker@b"].title
    # That its successor left in order later does not make it missed again.
    assert replaced == found_in(conn) == {}


def test_a_machine_with_a_new_name_takes_the_place_of_a_lost_one(conn: Connection) -> None:
    complete_crew(conn)
    dead = join(conn, "worker", host="pod-1", **ALL)
    conn.execute("UPDATE worker.processes SET expires_at = now() WHERE id = %s", (dead,))
    join(conn, "worker", host="a", **ALL)
    before = found_in(conn)

    join(conn, "worker", host="pod-2", **ALL)

    assert list(before) == ["lost:worker@pod-1"]
    assert found_in(conn) == {}


def test_a_process_that_leaves_in_order_is_not_missed(conn: Connection) -> None:
    complete_crew(conn)
    leaving = join(conn, "worker", host="b", **ALL)
    processes.expire(conn, id=leaving, started=[])
    processes.expire(conn, id=leaving, started=[], cause="exit code 0")
    conn.execute("DELETE FROM worker.processes WHERE expires_at < now()")
    processes.resign(conn, id=join(conn, "dispatcher", host="b"))

    assert found_in(conn) == {}
    assert conn.execute("SELECT count(*) FROM worker.departures").fetchone() == (2,)


def test_processes_that_keep_dying_are_found_although_each_is_replaced(conn: Connection) -> None:
    complete_crew(conn)
    for _ in range(3):
        dead = join(conn, "worker", host="b", **ALL)
        processes.expire(conn, id=dead, started=[1], cause="signal SIGSEGV")
        conn.execute("DELETE FROM worker.processes WHERE id = %s", (dead,))
    join(conn, "worker", host="b", **ALL)

    found = found_in(conn)

    assert list(found) == ["crashes:worker@b"]
    assert "3 within 15 min" in found["crashes:worker@b"].evidence
    assert "SIGSEGV" in found["crashes:worker@b"].evidence


def test_a_canary_that_does_not_arrive_is_found(conn: Connection) -> None:
    complete_crew(conn)
    conn.execute(
        "INSERT INTO worker.schedules (name, kind, cron, begins_at, next_at) VALUES"
        " ('watch_health', 'watch_health', '* * * * *', now() - interval '1 h', now())"
    )
    never = found_in(conn)
    conn.execute("UPDATE worker.canary SET landed_at = now() - interval '200 s'")
    late = found_in(conn)
    conn.execute("UPDATE worker.canary SET landed_at = now() - interval '100 s'")

    assert list(never) == list(late) == ["jobs_do_not_flow"]
    assert found_in(conn) == {}


def test_schedules_are_late_a_minute_after_their_time(conn: Connection) -> None:
    complete_crew(conn)
    conn.execute(
        "INSERT INTO worker.schedules (name, kind, cron, next_at, paused_at) VALUES"
        " ('late', 'probe', '* * * * *', now() - interval '240 s', NULL),"
        " ('due', 'probe', '* * * * *', now() - interval '20 s', NULL),"
        " ('paused', 'probe', '* * * * *', now() - interval '1 h', now())"
    )

    found = found_in(conn)

    assert list(found) == ["schedules_late"]
    assert found["schedules_late"].evidence == "Late are late by 4.0 min."


def test_a_transaction_that_stays_open_is_found(conn: Connection, database_url: str) -> None:
    with conn.transaction():
        conn.execute("SELECT pg_current_xact_id()")
        server = health.read_server(conn, age_s=-1)

    assert server.oldest_pid == conn.info.backend_pid
    assert 0 < server.connections <= server.connections_max


def test_a_look_reads_few_rows_of_many(conn: Connection) -> None:
    complete_crew(conn)
    conn.execute(
        "INSERT INTO worker.jobs (kind, queue, state, max_attempts, run_at, finished_at)"
        " SELECT 'probe', 'default', CASE WHEN n %% 2 = 0 THEN 'completed' ELSE 'available' END,"
        " 3, now(), CASE WHEN n %% 2 = 0 THEN now() END FROM generate_series(1, 20000) AS n",
        (),
    )
    conn.execute("ANALYZE worker.jobs")

    plan = conn.execute(
        b"EXPLAIN (ANALYZE, FORMAT JSON) " + health.SQL.list_queues,
        {"queues": list(QUEUES), "lanes_max": 300, "count_max": 1000},
    ).fetchone()

    assert plan is not None
    assert rows_read(plan[0][0]["Plan"]) < 2_000


def rows_read(node: dict[str, Any]) -> float:
    own = 0.0
    if node.get("Relation Name") == "jobs":
        own = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    return own + sum(rows_read(child) for child in node.get("Plans", ()))
