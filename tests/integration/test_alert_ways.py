"""Ways by which alerts leave: a folder, a silent one, and addresses that lead nowhere."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from db.pool import Connection, Pool, open_pool
from tests.watching import (
    Clockwork,
    Post,
    file_watchdog,
    keep_alive,
    posting,
    serve_email,
    stop_email,
    watchdog_of,
)
from workers import alert_ways
from workers.alert_messages import Message
from workers.alert_ways import NotSent, Webhook

ONCE = [("queue_unserved:email", "opened")]


@pytest.fixture
def post() -> Iterator[Post]:
    with posting() as post:
        yield post


@pytest.fixture
def pool(database_url: str) -> Iterator[Pool]:
    with open_pool(database_url, size_max=6, autocommit=True) as pool:
        yield pool


def test_a_mail_to_a_folder_is_one_file_an_event(
    conn: Connection, pool: Pool, post: Post, tmp_path: Path
) -> None:
    keep_alive(conn)
    stop_email(conn)
    clock = Clockwork([file_watchdog(pool, tmp_path)])
    clock.pass_s(90)
    serve_email(conn)
    clock.pass_s(90)

    mails = sorted(path.read_text() for path in tmp_path.glob("*.eml"))
    assert len(mails) == 2
    assert all("/runbooks/queue-unserved (avivro dashboard)" in mail for mail in mails)


def test_a_silent_way_keeps_the_other_one_and_the_looking_alive(
    conn: Connection, pool: Pool, post: Post
) -> None:
    class Silent:
        name = "email"
        target = "nowhere"

        def send(self, message: object) -> None:
            raise NotSent("timed out")

    keep_alive(conn)
    watchdog = watchdog_of(pool, post)
    watchdog._ways = [Silent(), watchdog._ways[1]]
    stop_email(conn)
    Clockwork([watchdog]).pass_s(300)

    assert post.events() == ONCE


@pytest.mark.parametrize("url", ["http://", "http://a:b@127.0.0.1/x", "http://127.0.0.1:1/x"])
def test_an_address_where_nothing_can_be_reached_is_a_failure_in_words(url: str) -> None:
    message = Message(uuid4(), "subject", "text", {})

    with pytest.raises(NotSent, match=r"\w+ \w+"):
        Webhook(url).send(message)


@pytest.mark.parametrize("hook", ["/dead/secret", "/status/302/secret", "/dead/x?token=secret"])
def test_no_failure_tells_the_rest_of_the_address(
    post: Post, monkeypatch: pytest.MonkeyPatch, hook: str
) -> None:
    monkeypatch.setattr(alert_ways, "SEND_S", 0.2)
    way = Webhook(post.hook.origin + hook)

    with pytest.raises(NotSent) as failure:
        way.send(Message(uuid4(), "subject", "text", {}))

    assert "secret" not in f"{failure.value} {way.target}"
