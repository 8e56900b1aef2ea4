"""A tenant's monthly cap: what it stops, what it says, and how work goes on."""

import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from db import demo, spending
from db.pool import Connection, connect
from pipelines.errors import Snooze
from pipelines.gateways.embedder import PRICES_USD
from pipelines.gateways.local_embedder import LocalEmbedder
from pipelines.gateways.openai import OpenAIEmbedder
from tests.fakes import FakeOpenAI, fake_openai
from tests.integration.test_index_source import long_text
from tests.knowledge import Indexing
from tests.processes import Avivro

ADA = "text-embedding-ada-002"


@pytest.fixture
def openai(knowledge: Indexing) -> Iterator[FakeOpenAI]:
    with fake_openai() as fake:
        knowledge.embedder = OpenAIEmbedder(model=ADA, api_key=fake.api_key, base_url=fake.base_url)
        yield fake


@pytest.fixture
def tenant(knowledge: Indexing) -> UUID:
    owner: UUID = knowledge.row("SELECT user_id FROM public.agents")["user_id"]
    return owner


def set_cap(conn: Connection, tenant: UUID, usd: str | None) -> None:
    with conn.transaction():
        spending.set_cap(conn, tenant, None if usd is None else Decimal(usd))


def spent(knowledge: Indexing) -> Decimal:
    total: Decimal = knowledge.row("SELECT coalesce(sum(total_cost), 0) AS s FROM usage_logs")["s"]
    return total


def run_paused(knowledge: Indexing) -> dict[str, Any]:
    with pytest.raises(Snooze):
        knowledge.run()
    return knowledge.row("SELECT * FROM worker.jobs WHERE kind = 'index_source'")


def test_the_database_knows_the_same_prices(conn: Connection) -> None:
    assert spending.list_prices(conn) == PRICES_USD


def test_without_a_cap_everything_is_embedded(
    knowledge: Indexing, openai: FakeOpenAI, tenant: UUID
) -> None:
    source_id = knowledge.insert(content=long_text(60))

    knowledge.run()

    assert knowledge.source(source_id)["status"] == "completed"
    assert knowledge.rows("SELECT * FROM worker.spending_reservations") == []


def test_at_the_cap_the_source_says_so_and_its_job_sleeps_until_the_month_is_over(
    knowledge: Indexing, openai: FakeOpenAI, tenant: UUID
) -> None:
    set_cap(knowledge.conn, tenant, "0.0001")
    source_id = knowledge.insert(content=long_text(60))

    job = run_paused(knowledge)

    row = knowledge.source(source_id)
    ends_at = knowledge.row(
        "SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month')"
        " AT TIME ZONE 'UTC' AS at"
    )["at"]
    assert openai.billed == []
    assert row["status"] == "processing"
    assert "embedding budget of $0.0001 is used up" in row["error_message"]
    assert row["progress"] == {"stage": "paused", "note": row["error_message"]}
    assert (job["state"], job["max_attempts"] - job["attempt"]) == ("scheduled", 3)
    assert abs((job["run_at"] - ends_at).total_seconds()) < 5


def test_what_is_paid_never_exceeds_the_cap(
    knowledge: Indexing, openai: FakeOpenAI, tenant: UUID
) -> None:
    set_cap(knowledge.conn, tenant, "0.004")
    knowledge.insert(content=long_text(1000))

    run_paused(knowledge)

    assert Decimal("0.001") < spent(knowledge) <= Decimal("0.004")


def test_the_owner_is_told_once_a_month(
    knowledge: Indexing, openai: FakeOpenAI, tenant: UUID
) -> None:
    set_cap(knowledge.conn, tenant, "0")
    for _ in range(3):
        knowledge.insert(content=long_text(20))
        with pytest.raises(Snooze):
            knowledge.run()

    notices = knowledge.rows("SELECT user_id, type FROM public.notifications")
    assert notices == [{"user_id": tenant, "type": "embedding_budget_reached"}]


def test_a_raised_cap_wakes_what_sleeps_at_once_and_nothing_is_paid_twice(
    knowledge: Indexing, openai: FakeOpenAI, tenant: UUID
) -> None:
    set_cap(knowledge.conn, tenant, "0.004")
    source_id = knowledge.insert(content=long_text(1000))
    run_paused(knowledge)

    set_cap(knowledge.conn, tenant, "5")
    knowledge.run()

    texts = openai.billed
    row = knowledge.source(source_id)
    assert (row["status"], row["error_message"]) == ("completed", None)
    assert len(texts) == len(set(texts)) > 0
    assert knowledge.rows("SELECT * FROM worker.spending_pauses") == []


@pytest.mark.parametrize("usd", ["0.000001", "0.00005"])
def test_a_cap_that_is_still_too_low_wakes_nobody(
    knowledge: Indexing, openai: FakeOpenAI, tenant: UUID, usd: str
) -> None:
    set_cap(knowledge.conn, tenant, "0")
    knowledge.insert(content=long_text(60))
    run_paused(knowledge)

    set_cap(knowledge.conn, tenant, usd)
    with knowledge.conn.transaction():
        woken = spending.wake_paused_jobs(knowledge.conn)

    assert woken == 0


def test_the_turn_of_the_month_wakes_what_sleeps(
    knowledge: Indexing, openai: FakeOpenAI, tenant: UUID
) -> None:
    set_cap(knowledge.conn, tenant, "0.004")
    knowledge.insert(content=long_text(1000))
    run_paused(knowledge)
    knowledge.conn.execute(
        "UPDATE public.usage_logs SET created_at = created_at - interval '32 days'"
    )

    with knowledge.conn.transaction():
        woken = spending.wake_paused_jobs(knowledge.conn)

    assert woken == 1


def test_other_tenants_are_not_affected(
    knowledge: Indexing, openai: FakeOpenAI, tenant: UUID
) -> None:
    set_cap(knowledge.conn, tenant, "0")
    knowledge.insert(content=long_text(60))
    run_paused(knowledge)
    other = demo.ensure_user(knowledge.conn, email="other@example.com", full_name="Other")
    knowledge.agent_id = demo.create_agent(
        knowledge.conn, user_id=other, name="Other", description="", system_prompt=""
    )
    source_id = knowledge.insert(content=long_text(60, marked=" of another"))

    knowledge.run()

    assert knowledge.source(source_id)["status"] == "completed"


def test_a_free_model_is_never_stopped(knowledge: Indexing, tenant: UUID) -> None:
    knowledge.embedder = LocalEmbedder()
    set_cap(knowledge.conn, tenant, "0")
    source_id = knowledge.insert(content=long_text(60))

    knowledge.run()

    assert knowledge.source(source_id)["status"] == "completed"


def test_what_was_paid_for_before_is_free(
    knowledge: Indexing, openai: FakeOpenAI, tenant: UUID
) -> None:
    knowledge.insert(content=long_text(60))
    knowledge.run()
    set_cap(knowledge.conn, tenant, "0")
    again = knowledge.insert(content=long_text(60))

    knowledge.run()

    assert knowledge.source(again)["status"] == "completed"


def running(conn: Connection, tenant: UUID) -> int:
    row = conn.execute(
        "INSERT INTO worker.jobs (kind, queue, tenant, state, attempt, max_attempts)"
        " VALUES ('probe', 'default', %s, 'running', 1, 3) RETURNING id",
        (tenant,),
    ).fetchone()
    assert row is not None
    return int(row[0])


def reserve(conn: Connection, job_id: int, tenant: UUID, usd: str) -> bool:
    with conn.transaction():
        return spending.reserve_spending(
            conn, job_id=job_id, attempt=1, tenant=tenant, usd=Decimal(usd)
        ).allowed


def test_what_others_have_in_flight_counts(
    conn: Connection, knowledge: Indexing, tenant: UUID
) -> None:
    set_cap(conn, tenant, "1")
    first, second = running(conn, tenant), running(conn, tenant)

    answers = [
        reserve(conn, first, tenant, "0.6"),
        reserve(conn, second, tenant, "0.6"),
        reserve(conn, first, tenant, "0.4"),
        reserve(conn, second, tenant, "0.6"),
    ]

    assert answers == [True, False, True, True]


def test_what_a_dead_attempt_had_in_flight_counts_no_more(
    conn: Connection, knowledge: Indexing, tenant: UUID
) -> None:
    set_cap(conn, tenant, "1")
    dead, alive = running(conn, tenant), running(conn, tenant)
    reserve(conn, dead, tenant, "1")
    conn.execute("UPDATE worker.jobs SET attempt = 2 WHERE id = %s", (dead,))

    assert reserve(conn, alive, tenant, "1")


def test_many_at_once_reserve_no_more_than_the_cap(
    conn: Connection, knowledge: Indexing, database_url: str, tenant: UUID
) -> None:
    set_cap(conn, tenant, "1")
    ids = [running(conn, tenant) for _ in range(8)]
    answers: list[bool] = []

    def ask(job_id: int) -> None:
        with connect(database_url) as own:
            answers.append(reserve(own, job_id, tenant, "0.3"))

    threads = [threading.Thread(target=ask, args=(job_id,)) for job_id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sorted(answers) == [False] * 5 + [True] * 3


def test_the_command_caps_and_lists(commands: Avivro, conn: Connection) -> None:
    tenant = demo.ensure_user(conn, email="owner@example.com", full_name="Owner")

    capped = commands.run("tenants", "cap", str(tenant), "2.50")
    listed = commands.run("tenants", "list")
    lifted = commands.run("tenants", "cap", str(tenant), "none")

    assert "a cap of 2.5 USD a month" in capped.stdout
    assert "2.5" in listed.stdout
    assert "no cap" in lifted.stdout


def test_a_tenant_that_is_not_there_cannot_be_capped(commands: Avivro) -> None:
    asked = commands.run("tenants", "cap", str(uuid4()), "5")

    assert asked.returncode == 1
    assert "there is no tenant" in asked.stderr
