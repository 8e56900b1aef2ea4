"""Races that would leave figures wrong for good, or make a visitor wait; each one played."""

import threading
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from db.fence import Fence
from db.pool import Connection, connect, open_pool
from pipelines import aggregate_daily_stats, summarize_usage
from tests.integration.people import sign_up
from tests.processes import wait_until
from tests.recount import (
    differences,
    recount_days,
    recount_months,
    stored_days,
    stored_months,
)
from tests.stepping import Stepped, hold_job, running_job

# More than an aggregation has, so that the last of them lets it end.
STEPS_MAX = 12
Write = Callable[[Connection, UUID], object]


def aggregate(url: str) -> None:
    with connect(url, autocommit=True) as conn, open_pool(url, size_max=2) as pool:
        while conn.execute("SELECT FROM worker.stats_marks LIMIT 1").fetchone() is not None:
            aggregate_daily_stats.run(Fence(pool, running_job(conn, "aggregate_daily_stats"), 1))


def wrong(conn: Connection) -> object:
    return differences(stored_days(conn), recount_days(conn))


def make_agent(conn: Connection, owner: UUID | None = None) -> UUID:
    agent = uuid4()
    conn.execute(
        "INSERT INTO public.agents (id, user_id, name) VALUES (%s, %s, 'Agent')",
        (agent, owner or sign_up(conn, agent.hex)),
    )
    return agent


def visit(conn: Connection, agent: UUID, at: str = "2024-03-09 20:00+00") -> UUID:
    conversation = uuid4()
    conn.execute(
        "INSERT INTO public.conversations (id, agent_id, visitor_id, created_at)"
        " VALUES (%s, %s, 'v1', %s)",
        (conversation, agent, at),
    )
    return conversation


def say(conn: Connection, conversation: UUID, at: str = "2024-03-09 20:00+00") -> UUID:
    message = uuid4()
    conn.execute(
        "INSERT INTO public.messages (id, conversation_id, role, content, created_at)"
        " VALUES (%s, %s, 'user', 'text', %s)",
        (message, conversation, at),
    )
    return message


def set_zone(conn: Connection, user: UUID) -> None:
    conn.execute(
        "UPDATE public.user_profiles SET time_zone = 'Asia/Kathmandu' WHERE id = %s", (user,)
    )


def open_lead(conn: Connection, agent: UUID) -> None:
    conn.execute("INSERT INTO public.leads (agent_id) VALUES (%s)", (agent,))


def open_widget(conn: Connection, agent: UUID) -> None:
    conn.execute(
        "INSERT INTO public.analytics_events (agent_id, event_type) VALUES (%s, 'widget_opened')",
        (agent,),
    )


def converse(conn: Connection, agent: UUID) -> None:
    say(conn, visit(conn, agent))


@pytest.mark.parametrize("write", [converse, open_lead, open_widget], ids=lambda w: w.__name__)
def test_an_aggregation_that_stands_still_holds_up_no_visitor(
    conn: Connection, database_url: str, write: Write
) -> None:
    agent = make_agent(conn)
    converse(conn, agent)
    fence = hold_job(database_url, "aggregate_daily_stats")
    story = Stepped(database_url, lambda pool: aggregate_daily_stats.run(fence(pool)))
    conn.execute("SET lock_timeout = '1s'")

    for _ in range(STEPS_MAX):
        write(conn, agent)
        story.step()

    story.finish()
    aggregate(database_url)
    assert wrong(conn) == {}


def test_an_agent_that_moves_to_an_owner_whose_zone_is_changing_is_counted_in_the_new_zone(
    conn: Connection, database_url: str
) -> None:
    owner, agent = sign_up(conn, "new-owner"), make_agent(conn)
    visit(conn, agent)

    with connect(database_url) as changing, connect(database_url) as moving:
        set_zone(changing, owner)
        end = in_turn(moving, "UPDATE public.agents SET user_id = %s WHERE id = %s", (owner, agent))
        aggregate(database_url)
        changing.commit()
        end()
    aggregate(database_url)

    assert wrong(conn) == {}


def test_an_agent_made_while_its_owners_zone_is_changing_is_counted_in_the_new_zone(
    conn: Connection, database_url: str
) -> None:
    owner, agent = sign_up(conn, "new-owner"), uuid4()

    with connect(database_url) as changing, connect(database_url) as making:
        set_zone(changing, owner)
        end = in_turn(
            making,
            "INSERT INTO public.agents (user_id, id, name) VALUES (%s, %s, 'Agent')",
            (owner, agent),
            lambda: visit(making, agent),
        )
        aggregate(database_url)
        changing.commit()
        end()
    aggregate(database_url)

    assert wrong(conn) == {}


def in_turn(
    conn: Connection,
    statement: str,
    values: tuple[object, ...],
    after: Callable[[], object] = lambda: None,
) -> Callable[[], None]:
    """Run and commit it, and be back soon even if it must wait; the answer waits for it."""

    def run() -> None:
        conn.execute(statement.encode(), values)
        after()
        conn.commit()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(0.2)
    return thread.join


@pytest.mark.parametrize("moved_twice", [False, True])
def test_a_message_that_is_being_edited_follows_its_conversation(
    conn: Connection, database_url: str, moved_twice: bool
) -> None:
    old, new = make_agent(conn), make_agent(conn)
    talk = visit(conn, old)
    message = say(conn, talk)
    aggregate(database_url)

    with connect(database_url) as editing:
        editing.execute("UPDATE public.messages SET role = 'assistant' WHERE id = %s", (message,))
        conn.execute("UPDATE public.conversations SET agent_id = %s WHERE id = %s", (new, talk))
        run_once(database_url)
        if moved_twice:
            conn.execute("UPDATE public.conversations SET agent_id = %s WHERE id = %s", (old, talk))
        run_once(database_url)
        editing.commit()
    aggregate(database_url)

    assert wrong(conn) == {}


def test_a_message_written_while_its_conversation_moves_counts_for_the_new_agent(
    conn: Connection, database_url: str
) -> None:
    old, new = make_agent(conn), make_agent(conn)
    talk = visit(conn, old)

    with connect(database_url) as moving, connect(database_url) as saying:
        moving.execute("UPDATE public.conversations SET agent_id = %s WHERE id = %s", (new, talk))
        end = in_turn(
            saying,
            "INSERT INTO public.messages (conversation_id, role, content)"
            " VALUES (%s, 'user', 'text')",
            (talk,),
        )
        moving.commit()
        end()
    aggregate(database_url)

    assert wrong(conn) == {}


def run_once(url: str) -> None:
    with connect(url, autocommit=True) as conn, open_pool(url, size_max=2) as pool:
        aggregate_daily_stats.run(Fence(pool, running_job(conn, "aggregate_daily_stats"), 1))


def test_a_first_visit_that_commits_late_makes_the_later_one_a_return(
    conn: Connection, database_url: str
) -> None:
    agent = make_agent(conn)
    visit(conn, agent, "2024-03-15 12:00+00")
    talk = visit(conn, agent, "2024-03-20 12:00+00")
    with connect(database_url) as late:
        late.execute(
            "UPDATE public.conversations SET created_at = '2024-03-01 12:00+00' WHERE id = %s",
            (talk,),
        )
        visit(conn, agent, "2024-03-09 12:00+00")
        aggregate(database_url)
        late.commit()
    aggregate(database_url)

    assert wrong(conn) == {}


def test_an_aggregation_that_is_held_up_overwrites_nothing_newer(
    conn: Connection, database_url: str
) -> None:
    """It has looked before the last visit, and writes after another has counted that one."""
    agent = make_agent(conn)
    visit(conn, agent, "2024-03-01 12:00+00")
    aggregate(database_url)
    for day in (1, 2):
        visit(conn, agent, f"2024-03-0{day} 13:00+00")
    fence = hold_job(database_url, "aggregate_daily_stats")

    with connect(database_url) as holding:
        holding.execute("SELECT FROM public.daily_stats WHERE agent_id = %s FOR UPDATE", (agent,))
        stories = []
        for _ in range(2):
            stories.append(
                Stepped(database_url, lambda pool: aggregate_daily_stats.run(fence(pool)))
            )
            stories[-1].gate.open()
            wait_until_held_up(conn, stories[-1], waiting=len(stories))
            visit(conn, agent, "2024-03-02 14:00+00")
    for story in stories:
        story.finish()
    aggregate(database_url)

    assert wrong(conn) == {}


@pytest.mark.parametrize("is_first", [False, True])
def test_usage_logged_while_its_month_is_summed_is_counted(
    conn: Connection, database_url: str, is_first: bool
) -> None:
    user = sign_up(conn, "owner")
    if not is_first:
        log_usage(conn, user)
    conn.execute(
        "INSERT INTO public.usage_logs (user_id, usage_type) VALUES (%s, 'message')", (user,)
    )
    fence = hold_job(database_url, "summarize_usage")

    with connect(database_url) as late:
        log_usage(late, user)
        story = Stepped(database_url, lambda pool: summarize_usage.run(fence(pool)))
        story.gate.open()
        wait_until_held_up(conn, story)
    story.finish()

    story = Stepped(database_url, lambda pool: summarize_usage.run(fence(pool)))
    story.finish()
    assert differences(stored_months(conn), recount_months(conn)) == {}


def wait_until_held_up(conn: Connection, story: Stepped, *, waiting: int = 1) -> None:
    """Until so many wait for a lock, or the story is over without having waited."""

    def is_held_up() -> bool:
        row = conn.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchone()
        assert row is not None
        return story.is_over or int(row[0]) >= waiting

    wait_until(is_held_up, "the story waits")


def log_usage(conn: Connection, user: UUID) -> None:
    conn.execute("SELECT public.log_usage(%s, NULL, 'message', 5, 0.5)", (user,))


def test_a_row_without_a_time_stops_nobody(conn: Connection, database_url: str) -> None:
    """Owners may write the time of a lead; infinity lies in no day."""
    agent = make_agent(conn)
    converse(conn, agent)
    for at in ("infinity", "-infinity"):
        conn.execute("INSERT INTO public.leads (agent_id, created_at) VALUES (%s, %s)", (agent, at))
    conn.execute("UPDATE public.leads SET created_at = 'infinity' WHERE created_at = '-infinity'")
    set_zone(conn, owner_of(conn, agent))

    aggregate(database_url)

    conn.execute("DELETE FROM public.leads")
    assert wrong(conn) == {}


def owner_of(conn: Connection, agent: UUID) -> UUID:
    row = conn.execute("SELECT user_id FROM public.agents WHERE id = %s", (agent,)).fetchone()
    assert row is not None
    return UUID(str(row[0]))


def test_a_day_of_many_leads_and_one_conversation_stops_nobody(
    conn: Connection, database_url: str
) -> None:
    agent = make_agent(conn)
    converse(conn, agent)
    conn.execute(
        "INSERT INTO public.leads (agent_id, created_at)"
        " SELECT %s, '2024-03-09 20:00+00' FROM generate_series(1, 10001)",
        (agent,),
    )

    aggregate(database_url)

    assert wrong(conn) == {}
