"""Alerts: after a time of grace, once, with a recovery, whatever fails in between."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from threading import Thread

import pytest
from psycopg.sql import SQL

from db import alerts, health
from db.pool import Connection, Pool, connect, open_pool
from tests.fakes_smtp import Drop, Say
from tests.watching import (
    PUBLIC_URL,
    START,
    Clockwork,
    Post,
    keep_alive,
    posting,
    serve_email,
    stop_email,
    watchdog_of,
)
from workers.alert_rules import Rules
from workers.watchdog import Watchdog

ONCE = [("queue_unserved:email", "opened")]
TWICE = [*ONCE, ("queue_unserved:email", "recovered")]


@pytest.fixture
def post() -> Iterator[Post]:
    with posting() as post:
        yield post


@pytest.fixture
def pool(database_url: str) -> Iterator[Pool]:
    with open_pool(database_url, size_max=6, autocommit=True) as pool:
        yield pool


@pytest.fixture
def clock(conn: Connection, pool: Pool, post: Post) -> Clockwork:
    keep_alive(conn)
    return Clockwork([watchdog_of(pool, post)])


def test_what_lasts_is_told_once_and_so_is_its_end(
    conn: Connection, clock: Clockwork, post: Post
) -> None:
    stop_email(conn)
    clock.pass_s(300)
    told = post.events()
    serve_email(conn)
    clock.pass_s(300)

    assert told == ONCE
    assert post.events() == TWICE
    assert post.subjects() == [
        "[Avivro] Stopped: email stands still: no worker takes send_email",
        "[Avivro] Recovered: email stands still: no worker takes send_email",
    ]


def test_a_message_says_what_why_what_to_do_and_where_to_read_on(
    conn: Connection, clock: Clockwork, post: Post
) -> None:
    stop_email(conn)
    clock.pass_s(90)

    (mail,) = post.messages()
    body = mail.get_body(("plain",))
    assert body is not None
    text = body.get_content()
    assert mail["To"] == "on-call@example.com"
    assert "1 job waits, the oldest for" in text
    assert "What to do: Start a worker for it: avivro worker --queue email." in text
    assert f"Runbook: {PUBLIC_URL}/runbooks/queue-unserved" in text


def test_what_passes_within_its_time_of_grace_is_told_to_nobody(
    conn: Connection, clock: Clockwork, post: Post
) -> None:
    stop_email(conn)
    clock.pass_s(45)
    serve_email(conn)
    clock.pass_s(300)

    assert post.events() == []
    assert alerts.list_alerts(conn) == []


def test_what_comes_and_goes_is_not_told_each_time(
    conn: Connection, clock: Clockwork, post: Post
) -> None:
    stop_email(conn)
    clock.pass_s(90)
    for _ in range(4):
        serve_email(conn)
        clock.pass_s(30)
        stop_email(conn)
        clock.pass_s(30)

    assert post.events() == ONCE


def test_what_comes_back_again_and_again_must_stay_away_for_longer(
    conn: Connection, clock: Clockwork, post: Post
) -> None:
    for _ in range(5):
        stop_email(conn)
        clock.pass_s(90)
        serve_email(conn)
        clock.pass_s(90)

    assert len(post.events()) <= 5


def test_a_sign_that_nobody_looked_at_for_long_begins_anew(
    conn: Connection, clock: Clockwork, post: Post
) -> None:
    stop_email(conn)
    clock.pass_s(15)
    clock.at += timedelta(hours=1)
    clock.pass_s(45)

    assert post.events() == []


def test_two_watchdogs_tell_once(
    conn: Connection, clock: Clockwork, pool: Pool, post: Post
) -> None:
    clock.watchdogs.append(watchdog_of(pool, post))
    stop_email(conn)
    clock.pass_s(300)
    serve_email(conn)
    clock.pass_s(300)

    assert post.events() == TWICE
    assert len(post.subjects()) == 2


def test_two_that_send_at_the_same_moment_send_once(
    conn: Connection, clock: Clockwork, pool: Pool, post: Post
) -> None:
    stop_email(conn)
    with pool.connection() as own:
        for seconds in range(0, 90, 15):
            clock.watchdogs[0].look(own, START + timedelta(seconds=seconds))
    others = [watchdog_of(pool, post) for _ in range(4)]
    at = START + timedelta(seconds=90)

    threads = [Thread(target=tell, args=(pool, other, at)) for other in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert post.events() == ONCE
    assert len(post.subjects()) == 1


def tell(pool: Pool, watchdog: Watchdog, at: datetime) -> None:
    with pool.connection() as own:
        watchdog.tell(own, at)


def test_another_watchdog_goes_on_after_a_restart(
    conn: Connection, clock: Clockwork, pool: Pool, post: Post
) -> None:
    stop_email(conn)
    clock.pass_s(90)
    clock.watchdogs = [watchdog_of(pool, post)]
    clock.pass_s(90)
    serve_email(conn)
    clock.pass_s(120)

    assert post.events() == TWICE


def test_one_that_died_before_it_sent_is_stood_in_for(
    conn: Connection, clock: Clockwork, pool: Pool, post: Post
) -> None:
    stop_email(conn)
    with pool.connection() as own:
        for seconds in range(0, 90, 15):
            clock.watchdogs[0].look(own, START + timedelta(seconds=seconds))
        clock.at = START + timedelta(seconds=90)
        for way in ("email", "webhook"):
            assert alerts.claim_notice(own, way=way, at=clock.at) is not None
    clock.pass_s(90)
    within = post.events()
    clock.pass_s(60)

    assert within == []
    assert post.events() == ONCE
    assert len(post.subjects()) == 1


def test_what_cannot_be_sent_is_tried_again_with_longer_waits(
    conn: Connection, clock: Clockwork, post: Post
) -> None:
    post.mail.at("mail", *[Say("451 4.3.0 not now")] * 4)
    stop_email(conn)
    clock.pass_s(75)
    (untold,) = alerts.list_alerts(conn)
    clock.pass_s(270)

    assert untold.untold is not None
    assert "not now" in untold.untold
    assert post.events() == ONCE
    assert len(post.subjects()) == 1
    assert conn.execute(
        "SELECT attempts FROM worker.alert_notices WHERE way = 'email'"
    ).fetchall() == [(5,)]


def test_an_end_that_cannot_be_sent_is_tried_again_too(
    conn: Connection, clock: Clockwork, post: Post
) -> None:
    stop_email(conn)
    clock.pass_s(90)
    post.mail.at("mail", *[Say("451 4.3.0 not now")] * 3)
    serve_email(conn)
    clock.pass_s(270)

    assert [subject.split(":")[0] for subject in post.subjects()] == [
        "[Avivro] Stopped",
        "[Avivro] Recovered",
    ]


def test_the_end_is_never_told_before_the_beginning(
    conn: Connection, clock: Clockwork, post: Post
) -> None:
    post.mail.at("mail", *[Say("451 4.3.0 not now")] * 4)
    stop_email(conn)
    clock.pass_s(90)
    serve_email(conn)
    clock.pass_s(360)

    assert [subject.split(":")[0] for subject in post.subjects()] == [
        "[Avivro] Stopped",
        "[Avivro] Recovered",
    ]


def test_a_mail_whose_end_was_not_confirmed_is_sent_again_under_the_same_id(
    conn: Connection, clock: Clockwork, post: Post
) -> None:
    post.mail.at("stored", Drop())
    stop_email(conn)
    clock.pass_s(300)

    first, second = post.messages()
    assert first["Message-ID"] == second["Message-ID"]


def test_a_receiver_that_refuses_is_no_success(conn: Connection, pool: Pool, post: Post) -> None:
    keep_alive(conn)
    post.hook_path = "/status/500"
    stop_email(conn)

    Clockwork([watchdog_of(pool, post)]).pass_s(90)

    (alert,) = alerts.list_alerts(conn)
    assert alert.untold is not None
    assert "answered 500" in alert.untold
    assert post.hook.origin in alert.untold
    assert "/status" not in alert.untold


def test_what_follows_from_something_else_opens_no_alert_and_keeps_one_open(
    conn: Connection, clock: Clockwork, post: Post
) -> None:
    stop_email(conn)
    clock.pass_s(90)
    conn.execute("DELETE FROM worker.processes WHERE role = 'worker'")
    clock.pass_s(300)

    assert post.events() == [*ONCE, ("no_worker", "opened")]


def test_a_pause_of_some_hours_is_no_alarm_and_a_forgotten_one_is(
    conn: Connection, pool: Pool, post: Post
) -> None:
    keep_alive(conn)
    conn.execute("INSERT INTO worker.pauses (scope, name) VALUES ('queue', 'email')")
    watchdog = watchdog_of(pool, post, rules=Rules(every_s=3600))
    clock = Clockwork([watchdog], every=timedelta(hours=1))
    clock.pass_s(24 * 3600)
    before = post.events()
    clock.pass_s(3600)

    assert before == []
    assert post.events() == [("paused:queue:email", "opened")]


def test_redis_down_is_told(conn: Connection, pool: Pool, post: Post, redis_url: str) -> None:
    keep_alive(conn)
    clock = Clockwork([watchdog_of(pool, post, redis_url="redis://127.0.0.1:1/0")])
    clock.pass_s(90)
    clock.watchdogs = [watchdog_of(pool, post, redis_url=redis_url)]
    clock.pass_s(120)

    assert post.events() == [("redis_down", "opened"), ("redis_down", "recovered")]


def test_without_postgres_a_watchdog_tells_of_that_by_itself_and_of_the_end(
    conn: Connection, pool: Pool, post: Post
) -> None:
    keep_alive(conn)
    watchdog = watchdog_of(pool, post)
    reachable = watchdog._borrow
    clock = Clockwork([watchdog])

    def refuse() -> Connection:
        return connect("postgresql://nobody@127.0.0.1:1/none")

    watchdog._borrow = refuse
    clock.pass_s(105)
    early = post.events()
    post.mail.at("mail", Say("451 4.3.0 not now"))
    clock.pass_s(300)
    told = post.events()
    watchdog._borrow = reachable
    clock.pass_s(60)

    assert early == []
    assert told == [("watchdog_blind", "opened")]
    assert post.events() == [*told, ("watchdog_blind", "recovered")]
    assert len(post.subjects()) == 2


@pytest.mark.parametrize("table", ["worker.watch", "worker.jobs", "worker.alert_notices"])
def test_a_table_that_somebody_keeps_locked_ends_no_watch(
    conn: Connection,
    database_url: str,
    clock: Clockwork,
    post: Post,
    monkeypatch: pytest.MonkeyPatch,
    table: str,
) -> None:
    monkeypatch.setattr(health, "LOOK_MS_MAX", 50)

    with connect(database_url) as holder:
        holder.execute(SQL("LOCK TABLE {}").format(SQL(table)))
        clock.pass_s(150)

    assert post.events() == [("watchdog_blind", "opened")]


def test_a_row_with_a_time_of_infinity_silences_nothing(
    conn: Connection, clock: Clockwork, post: Post
) -> None:
    conn.execute(
        "INSERT INTO public.email_logs (to_email, email_type, status, created_at)"
        " VALUES ('a@example.com', 'welcome', 'uncertain', '-infinity')"
    )
    stop_email(conn)
    clock.pass_s(90)

    assert ONCE[0] in post.events()


def test_a_bug_in_a_look_is_told_and_ends_no_alert(
    conn: Connection, clock: Clockwork, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_email(conn)
    clock.pass_s(90)

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("workers.watchdog.examine", fail)
    clock.pass_s(300)

    assert post.events() == [*ONCE, ("watchdog_blind", "opened")]
    assert alerts.count_open(conn) == {"stop": 1}


def test_alerts_are_kept_where_nobody_is_to_be_told(
    conn: Connection, pool: Pool, post: Post
) -> None:
    keep_alive(conn)
    stop_email(conn)
    watchdog = Watchdog(pool.connection, [], role="test", redis_url=None, public_url=None)

    Clockwork([watchdog]).pass_s(90)

    (alert,) = alerts.list_alerts(conn)
    assert (alert.key, alert.notified_at) == ("queue_unserved:email", None)
