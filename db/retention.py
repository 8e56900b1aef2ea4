"""What is deleted by age, batch by batch; see retention.sql. No function commits."""

from dataclasses import dataclass
from datetime import datetime

from db.pool import Connection
from db.statements import load

SQL = load("retention")

ENDED_DAYS = 7
DISCARDED_DAYS = 90
EFFECTS_DAYS = 7
VECTORS_DAYS = 90
TICKS_DAYS = 90
BUCKETS_DAYS = 1
HOSTS_DAYS = 1
# The longest window that pages show is a day; yesterday stays for comparison.
MINUTES_HOURS = 49
FETCHED_DAYS = 1
RUNS_DAYS = 180
EVENTS_DAYS = 90
DELIVERIES_DAYS = 30
SECRETS_DAYS = 1
# What customers see goes by these. Usage, bills and what they are made of are never deleted.
ANALYTICS_DAYS = 400
ACTIVITY_DAYS = 730
READ_NOTIFICATIONS_DAYS = 90
NOTIFICATIONS_DAYS = 400
EMAILS_DAYS = 400
WEBHOOK_DELIVERIES_DAYS = 90
# Longer than any of them may be reminded of again: see pipelines/remind_follow_ups.py.
REMINDERS_DAYS = 60
# Longer than a conversation is open without a message: pipelines/close_idle_conversations.py.
REOPENINGS_DAYS = 7
HOLDS_DAYS = 1
RAMPS_DAYS = 90


@dataclass(frozen=True, slots=True)
class Batch:
    """How many rows went, and the time of the last; the next batch goes on from there."""

    deleted: int
    last_at: datetime | None


def delete_jobs(conn: Connection, *, since: datetime | None, rows_max: int) -> Batch:
    """Completed and cancelled jobs, later discarded ones, with their logs."""
    days = {"ended_days": ENDED_DAYS, "discarded_days": DISCARDED_DAYS}
    return delete(conn, SQL.delete_jobs, since=since, rows_max=rows_max, **days)


def delete_effects(conn: Connection, *, since: datetime | None, rows_max: int) -> Batch:
    return delete(conn, SQL.delete_effects, since=since, rows_max=rows_max, days=EFFECTS_DAYS)


def delete_vectors(conn: Connection, *, since: datetime | None, rows_max: int) -> Batch:
    """Remembered embeddings that nobody asked for in a long time."""
    return delete(conn, SQL.delete_vectors, since=since, rows_max=rows_max, days=VECTORS_DAYS)


def delete_ticks(conn: Connection, *, since: datetime | None, rows_max: int) -> Batch:
    """Ticks of schedules, but never the last one of each."""
    return delete(conn, SQL.delete_ticks, since=since, rows_max=rows_max, days=TICKS_DAYS)


def delete_buckets(conn: Connection, *, since: datetime | None, rows_max: int) -> Batch:
    return delete(conn, SQL.delete_buckets, since=since, rows_max=rows_max, days=BUCKETS_DAYS)


def delete_minutes(conn: Connection, *, since: datetime | None, rows_max: int) -> Batch:
    """The history of single minutes."""
    hours = {"hours": MINUTES_HOURS}
    return delete(conn, SQL.delete_minutes, since=since, rows_max=rows_max, **hours)


def delete_hosts(conn: Connection, *, since: datetime | None, rows_max: int) -> Batch:
    """Gates, queues and robots.txt of hosts that nobody asked for a day."""
    return delete(conn, SQL.delete_hosts, since=since, rows_max=rows_max, days=HOSTS_DAYS)


def delete_fetched(conn: Connection, *, since: datetime | None, rows_max: int) -> Batch:
    """Pages that a crawler fetched and nobody indexed."""
    return delete(conn, SQL.delete_fetched, since=since, rows_max=rows_max, days=FETCHED_DAYS)


def delete_runs(conn: Connection, *, since: datetime | None, rows_max: int) -> Batch:
    """The history of sources, but never what their chunks come from."""
    return delete(conn, SQL.delete_runs, since=since, rows_max=rows_max, days=RUNS_DAYS)


def delete_bodies(conn: Connection, *, since: datetime | None, rows_max: int) -> Batch:
    """What ended deliveries sent."""
    return delete(conn, SQL.delete_bodies, since=since, rows_max=rows_max, days=DELIVERIES_DAYS)


def delete_attempts(conn: Connection, *, since: datetime | None, rows_max: int) -> Batch:
    """The attempts of ended deliveries, but for what their rows say."""
    return delete(conn, SQL.delete_attempts, since=since, rows_max=rows_max, days=DELIVERIES_DAYS)


def delete_secrets(conn: Connection, *, since: datetime | None, rows_max: int) -> Batch:
    return delete(conn, SQL.delete_secrets, since=since, rows_max=rows_max, days=SECRETS_DAYS)


def delete_events(conn: Connection, *, since: datetime | None, rows_max: int) -> Batch:
    """What was told of mails, but for what their rows say."""
    return delete(conn, SQL.delete_events, since=since, rows_max=rows_max, days=EVENTS_DAYS)


def delete_analytics(conn: Connection, *, since: datetime | None, rows_max: int) -> Batch:
    """Analytics events; the days that they count into keep their figures."""
    conn.execute(SQL.keep_figures)
    return delete(conn, SQL.delete_analytics, since=since, rows_max=rows_max, days=ANALYTICS_DAYS)


def delete_activity(conn: Connection, *, since: datetime | None, rows_max: int) -> Batch:
    return delete(conn, SQL.delete_activity, since=since, rows_max=rows_max, days=ACTIVITY_DAYS)


def delete_read_notifications(conn: Connection, *, since: datetime | None, rows_max: int) -> Batch:
    days = {"days": READ_NOTIFICATIONS_DAYS}
    return delete(conn, SQL.delete_read_notifications, since=since, rows_max=rows_max, **days)


def delete_notifications(conn: Connection, *, since: datetime | None, rows_max: int) -> Batch:
    """Notifications that nobody read."""
    days = {"days": NOTIFICATIONS_DAYS}
    return delete(conn, SQL.delete_notifications, since=since, rows_max=rows_max, **days)


def delete_emails(conn: Connection, *, since: datetime | None, rows_max: int) -> Batch:
    """Mails that ended one way or the other, with their events."""
    return delete(conn, SQL.delete_emails, since=since, rows_max=rows_max, days=EMAILS_DAYS)


def delete_deliveries(conn: Connection, *, since: datetime | None, rows_max: int) -> Batch:
    """Deliveries that ended, with their bodies and attempts."""
    days = {"days": WEBHOOK_DELIVERIES_DAYS}
    return delete(conn, SQL.delete_deliveries, since=since, rows_max=rows_max, **days)


def delete_lead_reminders(conn: Connection, *, since: datetime | None, rows_max: int) -> Batch:
    days = {"days": REMINDERS_DAYS}
    return delete(conn, SQL.delete_lead_reminders, since=since, rows_max=rows_max, **days)


def delete_reminders(conn: Connection, *, since: datetime | None, rows_max: int) -> Batch:
    return delete(conn, SQL.delete_reminders, since=since, rows_max=rows_max, days=REMINDERS_DAYS)


def delete_holds(conn: Connection, *, since: datetime | None, rows_max: int) -> Batch:
    """Holds of lanes that are over."""
    days = {"days": HOLDS_DAYS, "ramp_days": RAMPS_DAYS}
    return delete(conn, SQL.delete_holds, since=since, rows_max=rows_max, **days)


def delete_reopenings(conn: Connection, *, since: datetime | None, rows_max: int) -> Batch:
    days = {"days": REOPENINGS_DAYS}
    return delete(conn, SQL.delete_reopenings, since=since, rows_max=rows_max, **days)


def delete(
    conn: Connection, statement: bytes, *, since: datetime | None, rows_max: int, **ages: int
) -> Batch:
    conn.execute(SQL.plan_by_index)
    row = conn.execute(statement, {"since": since, "rows_max": rows_max, **ages}).fetchone()
    assert row is not None
    return Batch(*row)
