"""The dashboard process beside a real worker and dispatcher."""

import json
import re
import signal
import socket
from http.client import HTTPConnection
from uuid import uuid4

import pytest
from prometheus_client.parser import text_string_to_metric_families

from db import demo, job_logs, jobs, processes
from db.pool import Connection
from tests.processes import Avivro, avivro, wait_until, worker_children

Values = dict[tuple[str, frozenset[tuple[str, str]]], float]
BOUNDED = {
    "queue", "kind", "state", "outcome", "role", "result", "scope", "provider", "model", "le",
    "level",
}  # fmt: skip


@pytest.fixture
def running(commands: Avivro) -> Avivro:
    commands.env["DASHBOARD_PORT"] = "0"
    commands.start("dashboard")
    return commands


def get(commands: Avivro, path: str) -> tuple[int, str]:
    """Status and body; waits for the process to listen."""
    ready = wait_until(
        lambda: re.search(r"dashboard ready: http://([\w.]+):(\d+)", commands.log("dashboard")),
        "the dashboard listens",
    )
    connection = HTTPConnection(ready[1], int(ready[2]), timeout=20)
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def scrape(commands: Avivro) -> Values:
    status, text = get(commands, "/metrics")
    assert status == 200, text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(values: Values, name: str, **labels: str) -> float:
    """The sum of the samples of this name that have these labels."""
    return sum(
        found for (sample, of), found in values.items() if sample == name and labels.items() <= of
    )


def test_it_is_ready_where_all_is_there(running: Avivro, conn: Connection) -> None:
    assert get(running, "/healthz") == (200, "ok\n")
    status, body = get(running, "/readyz")
    assert (status, json.loads(body)) == (200, {"ready": True, "problems": []})
    assert get(running, "/")[0] == 303
    wait_until(
        lambda: [p for p in processes.list_live(conn) if p.role == "dashboard"], "its own row"
    )


def test_it_ends_on_sigterm_and_takes_its_row_away(running: Avivro, conn: Connection) -> None:
    wait_until(lambda: processes.list_live(conn), "its row")
    process = running.started["dashboard"]

    process.terminate()

    assert process.wait(30) == 0
    assert processes.list_live(conn) == []


def test_what_is_missing_is_named_with_what_to_do(tmp_path_factory: pytest.TempPathFactory) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        nobody = server.getsockname()[1]
    with avivro(
        tmp_path_factory.mktemp("run"),
        DATABASE_URL=f"postgresql://nobody@127.0.0.1:{nobody}/none",
        REDIS_URL=f"redis://127.0.0.1:{nobody}/0",
        DASHBOARD_PORT="0",
    ) as alone:
        alone.start("dashboard")

        assert get(alone, "/healthz") == (200, "ok\n")
        status, body = get(alone, "/readyz")
        assert status == 503
        postgres, redis = json.loads(body)["problems"]
        assert postgres["what"].startswith("Postgres does not answer")
        assert "DATABASE_URL" in postgres["do"]
        assert redis["what"].startswith("Redis does not answer")
        assert get(alone, "/metrics")[0] == 503


def test_a_database_without_migrations_is_not_ready(
    empty_database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with avivro(
        tmp_path_factory.mktemp("run"),
        DATABASE_URL=empty_database_url,
        REDIS_URL=redis_url,
        DASHBOARD_PORT="0",
    ) as alone:
        alone.start("dashboard")

        status, body = get(alone, "/readyz")

    (problem,) = json.loads(body)["problems"]
    assert status == 503
    assert "create_worker_jobs" in problem["what"]
    assert problem["do"] == "run `avivro migrate`"


def test_a_taken_port_is_named(commands: Avivro) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        commands.env["DASHBOARD_PORT"] = str(server.getsockname()[1])

        result = commands.run("dashboard")

    assert result.returncode == 3
    assert "DASHBOARD_PORT" in result.stderr


def test_jobs_of_many_tenants_are_counted_without_naming_them(
    running: Avivro, conn: Connection
) -> None:
    running.start("dispatcher")
    running.start("worker", "--queue", "default:4")
    tenants = [uuid4() for _ in range(5)]
    for tenant in tenants:
        jobs.enqueue(conn, "probe", {"sleep_ms": 20}, tenant=tenant)
        jobs.enqueue(conn, "probe", {"fail_times": 1}, tenant=tenant)

    def counted() -> Values | None:
        values = scrape(running)
        done = value(values, "avivro_attempts_total", kind="probe", outcome="completed")
        return values if done >= 10 else None

    values = wait_until(counted, "ten completed attempts are counted", deadline_s=60)
    text = get(running, "/metrics")[1]

    assert value(values, "avivro_attempts_total", kind="probe", outcome="completed") == 10
    assert value(values, "avivro_attempts_total", kind="probe", outcome="retryable") == 5
    assert value(values, "avivro_job_duration_seconds_count", kind="probe") == 15
    assert value(values, "avivro_claim_to_start_seconds_count", kind="probe") == 15
    assert value(values, "avivro_processes", role="worker") == 1
    assert value(values, "avivro_redis_epoch_changes_total") == 1
    assert {label for _, labels in values for label, _ in labels} <= BOUNDED
    assert not [tenant for tenant in tenants if str(tenant) in text]

    dispatched = wait_until(
        lambda: value(scrape(running), "avivro_dispatch_lag_seconds_count", kind="probe") >= 15,
        "the dispatcher's counts",
    )
    assert dispatched


def test_the_counts_of_a_killed_worker_stay_and_its_loss_is_counted(
    running: Avivro, conn: Connection
) -> None:
    running.start("dispatcher")
    running.start("worker", "--queue", "default:2")
    jobs.enqueue(conn, "probe", {})
    wait_until(
        lambda: value(scrape(running), "avivro_attempts_total", outcome="completed") == 1,
        "the first count",
    )
    jobs.enqueue(conn, "probe", {"sleep_ms": 3000})
    wait_until(lambda: jobs.list_jobs(conn, state="running"), "a job runs")

    for child in worker_children(running):
        child.send_signal(signal.SIGKILL)

    def rescued() -> Values | None:
        values = scrape(running)
        return values if value(values, "avivro_rescues_total") else None

    values = wait_until(rescued, "a rescue")
    assert value(values, "avivro_attempts_total", outcome="completed") >= 1
    assert value(values, "avivro_attempts_total", outcome="lost") == 1


def test_a_worker_that_ends_in_order_leaves_nothing_uncounted(
    running: Avivro, conn: Connection
) -> None:
    running.start("dispatcher")
    running.start("worker", "--queue", "default:2")
    job_id = jobs.enqueue(conn, "probe", {})
    wait_until(lambda: state(conn, job_id) == "completed", "the job")

    worker = running.started["worker"]
    worker.terminate()
    worker.wait(30)

    assert value(scrape(running), "avivro_attempts_total", outcome="completed") == 1


def test_every_line_about_a_job_names_it(running: Avivro, conn: Connection) -> None:
    running.start("dispatcher")
    running.start("worker", "--queue", "default:2")
    tenant = uuid4()
    job_id = jobs.enqueue(conn, "probe", {"fail_times": 1}, tenant=tenant)
    wait_until(lambda: state(conn, job_id) == "completed", "the job")

    logged = [json.loads(line) for line in running.log("worker").splitlines()]
    about = [line for line in logged if str(job_id) in line["message"]]

    assert {"supervisor", "worker"} >= {line["role"] for line in logged}
    (line,) = about
    assert (line["job_id"], line["kind"], line["attempt"]) == (job_id, "probe", 1)
    assert line["tenant"] == str(tenant)


def test_what_a_job_logged_is_shown_with_it(running: Avivro, conn: Connection) -> None:
    running.start("dispatcher")
    running.start("worker", "--queue", "default:2")
    job_id = jobs.enqueue(conn, "probe", {"fail_times": 1})
    wait_until(lambda: state(conn, job_id) == "completed", "the job")
    wait_until(
        lambda: conn.execute("SELECT 1 FROM worker.job_logs").fetchone(), "the log is stored"
    )

    shown = running.run("jobs", "show", str(job_id))
    document = json.loads(running.run("jobs", "show", str(job_id), "--json").stdout)

    assert "asked to fail" in shown.stdout
    assert [(line["attempt"], line["level"]) for line in document["logs"]] == [(1, "WARNING")]


def test_indexing_a_source_tells_what_it_did(running: Avivro, conn: Connection) -> None:
    running.start("dispatcher")
    running.start("worker", "--queue", "knowledge:1")
    user_id = demo.ensure_user(conn, email="owner@example.com", full_name="Owner")
    agent_id = demo.create_agent(
        conn, user_id=user_id, name="Agent", description="", system_prompt=""
    )
    conn.execute(
        "INSERT INTO public.knowledge_sources (agent_id, name, type, content)"
        " VALUES (%s, 'soap', 'text', 'Soap is made of oil and lye.')",
        (agent_id,),
    )
    (job,) = jobs.list_jobs(conn, kind="index_source")
    wait_until(lambda: state(conn, job.id) == "completed", "the source is indexed")

    told = wait_until(lambda: job_logs.list_lines(conn, job.id)[1:], "its log")

    assert told[-1].message.startswith("1 chunks added, 0 kept, 0 removed; ")
    calls = wait_until(
        lambda: value(scrape(running), "avivro_provider_calls_total", provider="local"),
        "the call is counted",
    )
    assert calls == 1


def state(conn: Connection, job_id: int) -> str:
    job = jobs.get_job(conn, job_id)
    assert job is not None
    return job.state
