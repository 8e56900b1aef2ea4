"""Who is mailed of sign-ups and of leads, and how often."""

import threading
from uuid import UUID, uuid4

import pytest
from psycopg.types.json import Jsonb

from db import announcements, demo, jobs
from db.fence import LeaseLost
from db.jobs import Finish
from db.pool import Connection, connect, open_pool
from tests.mailed import mails
from tests.queueing import claim_one, start_worker
from workers import config
from workers.actors import load_doorways, run_job
from workers.jobs import AnnounceLeads, enqueue
from workers.tools import Toolbox


@pytest.fixture
def owner(conn: Connection) -> UUID:
    return demo.ensure_user(conn, email="owner@example.com", full_name="Ola Owner")


@pytest.fixture
def agent_id(conn: Connection, owner: UUID) -> UUID:
    return demo.create_agent(conn, user_id=owner, name="Bot", description="", system_prompt="")


def sign_up(conn: Connection, email: str, **metadata: str) -> None:
    conn.execute(
        "INSERT INTO auth.users (id, email, raw_user_meta_data) VALUES (%s, %s, %s)",
        (uuid4(), email, Jsonb(metadata)),
    )


def capture(conn: Connection, agent_id: UUID, *names: str) -> None:
    """Leads of one statement."""
    conn.execute(
        "INSERT INTO public.leads (agent_id, name, email)"
        " SELECT %s, name, name || '@example.com' FROM unnest(%s::text[]) AS name",
        (agent_id, list(names)),
    )


def pass_minutes(conn: Connection, minutes: int) -> None:
    conn.execute(
        "UPDATE worker.lead_mails SET mailed_at = mailed_at - make_interval(mins => %s)",
        (minutes,),
    )


def announce(conn: Connection) -> int:
    return announcements.announce_leads(conn, agents_max=100)


def test_a_new_account_is_welcomed_once(conn: Connection) -> None:
    sign_up(conn, "jane@example.com", full_name="Jane Doe")

    conn.execute("UPDATE auth.users SET email = 'jane@new.example'")

    (data,) = mails(conn, "welcome")
    assert data["full_name"] == "Jane Doe"


def test_an_account_without_a_name_is_welcomed_by_its_address(conn: Connection) -> None:
    sign_up(conn, "jane@example.com")

    assert [data["full_name"] for data in mails(conn, "welcome")] == ["jane"]


def test_an_account_without_an_address_gets_no_mail(conn: Connection) -> None:
    conn.execute("INSERT INTO auth.users (id, phone) VALUES (%s, '+15550100')", (uuid4(),))

    assert mails(conn, "welcome") == []


def test_a_quiet_transaction_mails_nobody(conn: Connection) -> None:
    with conn.transaction():
        announcements.be_quiet(conn)
        sign_up(conn, "b@example.com")
        owner = demo.ensure_user(conn, email="a@example.com", full_name="A")
        agent = demo.create_agent(conn, user_id=owner, name="Bot", description="", system_prompt="")

        capture(conn, agent, "Ann")

    assert mails(conn, "welcome") + mails(conn, "new_lead") == []
    assert conn.execute("SELECT count(*) FROM worker.lead_marks").fetchone() == (0,)


def test_the_demos_account_is_not_welcomed(conn: Connection) -> None:
    demo.ensure_user(conn, email="demo@example.com", full_name="Demo")

    assert mails(conn, "welcome") == []


def test_the_transaction_after_a_quiet_one_mails_again(conn: Connection) -> None:
    with conn.transaction():
        announcements.be_quiet(conn)

    sign_up(conn, "a@example.com")

    assert len(mails(conn, "welcome")) == 1


def test_a_lead_is_mailed_in_its_own_transaction(conn: Connection, agent_id: UUID) -> None:
    capture(conn, agent_id, "Ann")

    (data,) = mails(conn, "new_lead")
    assert (data["lead_name"], data["lead_email"]) == ("Ann", "Ann@example.com")
    assert (data["agent_name"], data["lead_count"]) == ("Bot", 1)


def test_visitors_leads_are_mailed_too(conn: Connection, agent_id: UUID) -> None:
    conn.execute("UPDATE public.agents SET is_published = true")
    conn.execute("SET ROLE anon")

    conn.execute(
        "INSERT INTO public.leads (agent_id, email) VALUES (%s, 'v@x.example')", (agent_id,)
    )

    conn.execute("RESET ROLE")
    assert [data["lead_name"] for data in mails(conn, "new_lead")] == ["v@x.example"]


def test_a_burst_makes_one_mail_now_and_one_later(conn: Connection, agent_id: UUID) -> None:
    capture(conn, agent_id, "Ann")
    for number in range(40):
        capture(conn, agent_id, f"Visitor {number}")
    assert announce(conn) == 0

    pass_minutes(conn, 6)
    announce(conn)
    announce(conn)

    first, second = mails(conn, "new_lead")
    assert first["lead_count"] == 1
    assert (second["lead_count"], len(second["leads"])) == (40, 10)


def test_the_next_lead_takes_those_with_it_that_waited(conn: Connection, agent_id: UUID) -> None:
    capture(conn, agent_id, "Ann")
    capture(conn, agent_id, "Ben")
    pass_minutes(conn, 6)

    capture(conn, agent_id, "Cleo")

    assert [data["lead_count"] for data in mails(conn, "new_lead")] == [1, 2]


def test_leads_at_the_same_moment_make_one_mail_and_all_are_told_of(
    conn: Connection, database_url: str, agent_id: UUID
) -> None:
    def write(number: int) -> None:
        with connect(database_url) as other:
            capture(other, agent_id, f"Visitor {number}")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(mails(conn, "new_lead")) == 1

    pass_minutes(conn, 6)
    announce(conn)

    assert [data["lead_count"] for data in mails(conn, "new_lead")] == [1, 5]


def test_a_lead_waits_for_nobody_who_is_mailing(
    conn: Connection, database_url: str, agent_id: UUID
) -> None:
    with connect(database_url) as other:
        other.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('leads:' || %s, 0))", (agent_id,)
        )
        conn.execute("SET statement_timeout = '5s'")

        capture(conn, agent_id, "Ann")

    assert mails(conn, "new_lead") == []
    assert announce(conn) == 1
    assert [data["lead_name"] for data in mails(conn, "new_lead")] == ["Ann"]


def test_a_lead_that_was_rolled_back_is_in_no_mail(conn: Connection, agent_id: UUID) -> None:
    with conn.transaction(force_rollback=True):
        capture(conn, agent_id, "Regretted")

    capture(conn, agent_id, "Meanwhile")

    assert [data["lead_name"] for data in mails(conn, "new_lead")] == ["Meanwhile"]


def test_an_import_over_many_agents_is_left_to_the_schedule(conn: Connection, owner: UUID) -> None:
    conn.execute(
        "INSERT INTO public.agents (user_id, name, system_prompt)"
        " SELECT %s, 'Bot ' || n, '' FROM generate_series(1, 20) AS n",
        (owner,),
    )

    conn.execute("INSERT INTO public.leads (agent_id, name) SELECT id, 'Ann' FROM public.agents")

    assert mails(conn, "new_lead") == []
    assert announce(conn) == 20
    assert len(mails(conn, "new_lead")) == 20


def test_a_visitors_lead_stands_though_its_mail_cannot_be_written(
    conn: Connection, agent_id: UUID
) -> None:
    conn.execute("ALTER TABLE public.email_logs ADD CONSTRAINT no CHECK (false) NOT VALID")

    capture(conn, agent_id, "Ann")

    assert conn.execute("SELECT name FROM public.leads").fetchall() == [("Ann",)]


def test_leads_that_were_deleted_are_in_no_mail(conn: Connection, agent_id: UUID) -> None:
    capture(conn, agent_id, "Ann")
    capture(conn, agent_id, "Ben")
    conn.execute("DELETE FROM public.leads WHERE name = 'Ben'")
    pass_minutes(conn, 6)

    announce(conn)

    assert len(mails(conn, "new_lead")) == 1


def test_the_job_mails_what_waits_and_running_it_twice_changes_nothing(
    conn: Connection, database_url: str, agent_id: UUID
) -> None:
    load_doorways()
    capture(conn, agent_id, "Ann")
    capture(conn, agent_id, "Ben")
    pass_minutes(conn, 6)
    conn.execute("DELETE FROM worker.jobs")

    with open_pool(database_url, size_max=2) as pool:
        for _ in range(2):
            enqueue(conn, AnnounceLeads())
            job = claim_one(conn, start_worker(conn, queue="default"))
            result = run_job(job, Toolbox(config.load(), pool))
            jobs.finish_jobs(conn, [Finish(job.id, job.attempt, "completed", result=result)])
            conn.execute("DELETE FROM worker.jobs")

    assert [data["lead_count"] for data in mails(conn, "new_lead")] == [1, 1]


def test_an_attempt_that_lost_its_lease_mails_nothing(
    conn: Connection, database_url: str, agent_id: UUID
) -> None:
    load_doorways()
    capture(conn, agent_id, "Ann")
    capture(conn, agent_id, "Ben")
    pass_minutes(conn, 6)
    conn.execute("DELETE FROM worker.jobs")
    enqueue(conn, AnnounceLeads())
    job = claim_one(conn, start_worker(conn, queue="default"))
    conn.execute("UPDATE worker.jobs SET attempt = attempt + 1")

    with open_pool(database_url, size_max=2) as pool, pytest.raises(LeaseLost):
        run_job(job, Toolbox(config.load(), pool))

    assert len(mails(conn, "new_lead")) == 1
