"""What a dashboard tells of jobs that a real worker and dispatcher ran: counted, logged, shown.

One stack for all, in the order of its life: it is killed and ended by the last ones.
"""

import json
import re
import signal
from collections.abc import Iterator
from uuid import uuid4

import pytest
import redis

from db import demo, job_logs, jobs
from db.embedded import Services
from db.pool import Connection, connect
from tests.conftest import fresh_database
from tests.processes import Avivro, avivro, wait_until, worker_children
from tests.scraping import Values, get, scrape, value

BOUNDED = {
    "queue", "kind", "state", "outcome", "role", "result", "scope", "provider", "model", "le",
    "level",
}  # fmt: skip


@pytest.fixture(scope="module")
def stack(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Avivro]:
    assert services.redis_url is not None
    folder = tmp_path_factory.mktemp("figures")
    with redis.Redis.from_url(services.redis_url) as client:
        client.flushall()
    with (
        fresh_database(services, template=template) as url,
        avivro(
            folder / "run",
            DATABASE_URL=url,
            REDIS_URL=services.redis_url,
            AVIVRO_HOME=str(folder / "home"),
            DASHBOARD_PORT="0",
        ) as commands,
    ):
        commands.start("dashboard")
        commands.start("dispatcher")
        commands.start("worker", "--queue", "default:4", "--queue", "knowledge:1")
        yield commands


@pytest.fixture
def conn(stack: Avivro) -> Iterator[Connection]:
    with connect(stack.env["DATABASE_URL"], autocommit=True) as conn:
        yield conn


def test_jobs_of_many_tenants_are_counted_without_naming_them(
    stack: Avivro, conn: Connection
) -> None:
    tenants = [uuid4() for _ in range(5)]
    for tenant in tenants:
        jobs.enqueue(conn, "probe", {"sleep_ms": 20}, tenant=tenant)
        jobs.enqueue(conn, "probe", {"fail_times": 1}, tenant=tenant)

    def counted() -> Values | None:
        values = scrape(stack)
        done = value(values, "avivro_attempts_total", kind="probe", outcome="completed")
        return values if done >= 10 else None

    values = wait_until(counted, "ten completed attempts are counted")
    text = get(stack, "/metrics")[1]

    assert value(values, "avivro_attempts_total", kind="probe", outcome="completed") == 10
    assert value(values, "avivro_attempts_total", kind="probe", outcome="retryable") == 5
    assert value(values, "avivro_job_duration_seconds_count", kind="probe") == 15
    assert value(values, "avivro_claim_to_start_seconds_count", kind="probe") == 15
    assert value(values, "avivro_processes", role="worker") == 1
    assert value(values, "avivro_redis_epoch_changes_total") == 1
    assert {label for _, labels in values for label, _ in labels} <= BOUNDED
    assert not [tenant for tenant in tenants if str(tenant) in text]

    dispatched = wait_until(
        lambda: value(scrape(stack), "avivro_dispatch_lag_seconds_count", kind="probe") >= 15,
        "the dispatcher's counts",
    )
    assert dispatched


def test_every_line_about_a_job_names_it(stack: Avivro, conn: Connection) -> None:
    tenant = uuid4()
    job_id = jobs.enqueue(conn, "probe", {"fail_times": 1}, tenant=tenant)
    wait_until(lambda: state(conn, job_id) == "completed", "the job")

    logged = [json.loads(line) for line in stack.log("worker").splitlines()]
    about = [line for line in logged if re.search(rf"\bjob {job_id}\b", line["message"])]

    assert {"supervisor", "worker"} >= {line["role"] for line in logged}
    (line,) = about
    assert (line["job_id"], line["kind"], line["attempt"]) == (job_id, "probe", 1)
    assert line["tenant"] == str(tenant)


def test_what_a_job_logged_is_shown_with_it(stack: Avivro, conn: Connection) -> None:
    job_id = jobs.enqueue(conn, "probe", {"fail_times": 1})
    wait_until(lambda: state(conn, job_id) == "completed", "the job")
    wait_until(lambda: job_logs.list_lines(conn, job_id), "the log is stored")

    shown = stack.run("jobs", "show", str(job_id))
    document = json.loads(stack.run("jobs", "show", str(job_id), "--json").stdout)

    assert "asked to fail" in shown.stdout
    assert [(line["attempt"], line["level"]) for line in document["logs"]] == [(1, "WARNING")]


def test_indexing_a_source_tells_what_it_did(stack: Avivro, conn: Connection) -> None:
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

    assert told[-1].message.startswith("1 chunk added, 0 kept, 0 removed; ")
    calls = wait_until(
        lambda: value(scrape(stack), "avivro_provider_calls_total", provider="local"),
        "the call is counted",
    )
    assert calls == 1


def test_the_counts_of_a_killed_worker_stay_and_its_loss_is_counted(
    stack: Avivro, conn: Connection
) -> None:
    wait_until(lambda: count_told(stack) == count_completed(conn), "all is counted so far")
    before = count_told(stack)
    jobs.enqueue(conn, "probe", {"sleep_ms": 3000})
    wait_until(lambda: jobs.list_jobs(conn, state="running"), "a job runs")

    for child in worker_children(stack):
        child.send_signal(signal.SIGKILL)

    def rescued() -> Values | None:
        values = scrape(stack)
        return values if value(values, "avivro_rescues_total") else None

    values = wait_until(rescued, "a rescue")
    assert value(values, "avivro_attempts_total", outcome="completed") >= before > 0
    assert value(values, "avivro_attempts_total", outcome="lost") == 1


def test_a_worker_that_ends_in_order_leaves_nothing_uncounted(
    stack: Avivro, conn: Connection
) -> None:
    job_id = jobs.enqueue(conn, "probe", {})
    wait_until(lambda: state(conn, job_id) == "completed", "the job")

    worker = stack.started["worker"]
    worker.terminate()
    worker.wait(30)

    assert count_told(stack) == count_completed(conn)


def state(conn: Connection, job_id: int) -> str:
    job = jobs.get_job(conn, job_id)
    assert job is not None
    return job.state


def count_told(stack: Avivro) -> float:
    return value(scrape(stack), "avivro_attempts_total", kind="probe", outcome="completed")


def count_completed(conn: Connection) -> int:
    return len(jobs.list_jobs(conn, kind="probe", state="completed", rows_max=1000))
