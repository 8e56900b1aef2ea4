"""Seeded rows: linked, counted, spread over the days, and the same for the same seed."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from typer import Typer
from typer.testing import CliRunner

from db import seeding
from db.migrate import migrate
from db.pool import Connection, connect
from db.seeding import SeededError
from db.seeding_rows import Plan
from workers.cli import seeding as command

PLAN = Plan(agents=10, conversations=300, messages=2_500, seed=1, until=datetime.now(UTC))
# Each counter of a parent beside what its children say.
WRONG_COUNTERS = """
SELECT 'conversation' FROM public.conversations AS c
WHERE message_count <> (SELECT count(*) FROM public.messages WHERE conversation_id = c.id)
   OR is_lead <> EXISTS (SELECT FROM public.leads WHERE conversation_id = c.id)
   OR duration_seconds <> coalesce((
        SELECT floor(extract(epoch FROM max(m.created_at) - c.created_at) + 0.5)
        FROM public.messages AS m WHERE m.conversation_id = c.id), 0)
UNION ALL
SELECT 'agent' FROM public.agents AS a
WHERE total_conversations <> (SELECT count(*) FROM public.conversations WHERE agent_id = a.id)
   OR total_messages <> (SELECT coalesce(sum(message_count), 0) FROM public.conversations
                         WHERE agent_id = a.id)
   OR total_leads <> (SELECT count(*) FROM public.leads WHERE agent_id = a.id)
"""


def test_as_many_rows_as_asked_are_written_and_counted(conn: Connection) -> None:
    seeded = seeding.fill(conn, PLAN, ignore)

    assert (seeded.agents, seeded.conversations, seeded.messages) == (10, 300, 2_500)
    assert count(conn, "messages") == 2_500
    assert count(conn, "user_profiles") == seeded.users == 3
    assert count(conn, "leads") == seeded.leads > 0


def test_every_counter_is_right_at_the_end(conn: Connection) -> None:
    seeding.fill(conn, PLAN, ignore)

    assert conn.execute(WRONG_COUNTERS).fetchall() == []


def test_rows_are_spread_over_ninety_days_and_none_is_in_the_future(conn: Connection) -> None:
    seeding.fill(conn, PLAN, ignore)

    for table in ("conversations", "messages", "leads", "notifications"):
        row = conn.execute(
            "SELECT count(DISTINCT created_at::date), max(created_at) <= now(), "
            f"min(created_at) >= now() - interval '91 days' FROM public.{table}".encode()
        ).fetchone()
        assert row is not None
        assert row[0] > 25, table
        assert row[1:] == (True, True), table


def test_messages_take_turns_in_the_order_of_their_times(conn: Connection) -> None:
    seeding.fill(conn, PLAN, ignore)

    out_of_turn = conn.execute(
        "SELECT count(*) FROM (SELECT role, row_number() OVER "
        "(PARTITION BY conversation_id ORDER BY created_at) AS place FROM public.messages) AS m "
        "WHERE (role = 'user') <> (place % 2 = 1)"
    ).fetchone()

    assert out_of_turn == (0,)


def test_workers_find_their_marks(conn: Connection) -> None:
    seeding.fill(conn, PLAN, ignore)

    marks = conn.execute(
        "SELECT count(DISTINCT conversation_id) FROM worker.sentiment_marks"
    ).fetchone()
    asked = conn.execute(
        "SELECT count(DISTINCT conversation_id) FROM public.messages WHERE role = 'user'"
    ).fetchone()

    assert marks == asked


def test_the_same_seed_makes_the_same_rows(
    conn: Connection, empty_database_url: str, database_url: str
) -> None:
    migrate(empty_database_url)

    seeding.fill(conn, PLAN, ignore)
    with connect(empty_database_url, autocommit=True) as other:
        seeding.fill(other, PLAN, ignore)
        second = digest(other)

    assert digest(conn) == second


def test_another_seed_makes_other_rows_beside_the_first(conn: Connection) -> None:
    seeding.fill(conn, PLAN, ignore)

    seeding.fill(conn, replace(PLAN, seed=2), ignore)

    assert count(conn, "messages") == 5_000
    assert conn.execute(WRONG_COUNTERS).fetchall() == []


def test_the_same_seed_twice_is_refused(conn: Connection) -> None:
    seeding.fill(conn, PLAN, ignore)

    with pytest.raises(SeededError, match="seed 1 are in this database already"):
        seeding.fill(conn, PLAN, ignore)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"agents": 0}, "0 agents: give 1 to 100000"), ({"messages": -1}, "-1 messages"),
     ({"conversations": 0}, "messages need conversations")],
)  # fmt: skip
def test_a_plan_that_cannot_be_is_refused(
    conn: Connection, change: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        seeding.fill(conn, replace(PLAN, **change), ignore)  # type: ignore[arg-type]


def test_more_messages_than_fit_ninety_days_still_end_by_now(conn: Connection) -> None:
    crowded = replace(PLAN, conversations=1, messages=90_000, until=datetime.now(UTC))

    seeding.fill(conn, crowded, ignore)

    late = conn.execute("SELECT count(*) FROM public.messages WHERE created_at > now()").fetchone()
    assert late == (0,)


def test_the_command_prints_what_it_wrote(
    conn: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    app = Typer()
    command.register(app)
    arguments = ["--agents=2", "--conversations=5", "--messages=20", "--seed=7", "--json"]

    first = CliRunner().invoke(app, arguments)
    again = CliRunner().invoke(app, arguments)

    assert first.exit_code == 0
    assert '"seed": 7' in first.stdout
    assert '"messages": 20' in first.stdout
    assert count(conn, "messages") == 20
    assert (again.exit_code, "give another --seed" in again.stderr) == (1, True)


def ignore(table: str, rows: int) -> None:
    """No progress to show."""


def count(conn: Connection, table: str) -> int:
    row = conn.execute(f"SELECT count(*) FROM public.{table}".encode()).fetchone()
    assert row is not None
    return int(row[0])


def digest(conn: Connection) -> list[tuple[str, Decimal]]:
    """A sum over every row of what seeding writes."""
    return conn.execute(
        "SELECT 'm', sum(hashtext(concat_ws(',', id, conversation_id, content, created_at))) "
        "FROM public.messages UNION ALL "
        "SELECT 'c', sum(hashtext(concat_ws(',', id, agent_id, visitor_id, created_at))) "
        "FROM public.conversations UNION ALL "
        "SELECT 'l', sum(hashtext(concat_ws(',', id, conversation_id, email, created_at))) "
        "FROM public.leads UNION ALL "
        "SELECT 'a', sum(hashtext(concat_ws(',', id, user_id, name))) FROM public.agents"
    ).fetchall()


def test_nobody_is_mailed_of_made_up_rows(conn: Connection) -> None:
    with conn.transaction():
        seeding.fill(conn, PLAN, ignore)

    assert count(conn, "email_logs") == 0
