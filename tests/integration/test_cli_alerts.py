"""`avivro alerts`, as an operator uses it."""

import json

import pytest
from typer.testing import CliRunner

from db.pool import Connection
from tests.watching import Post, posting
from workers.cli import app

OPEN = (
    "INSERT INTO worker.alerts (key, level, title, evidence, advice, runbook, began_at, opened_at,"
    " seen_at, recovered_at) VALUES (%s, 'stop', %s, 'e', 'a', 'no-worker', now(), now(), now(),"
    " CASE WHEN %s THEN now() END)"
)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, database_url: str) -> pytest.MonkeyPatch:
    monkeypatch.setenv("DATABASE_URL", database_url)
    return monkeypatch


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["alerts", *arguments])
    return result.exit_code, result.stdout


def configure(environment: pytest.MonkeyPatch, post: Post, *, hook: str = "/ok") -> None:
    environment.setenv("ALERT_EMAIL", "on-call@example.com")
    environment.setenv("ALERT_WEBHOOK_URL", post.hook.origin + hook)
    environment.setenv("EMAIL_URL", post.mail.url())


def test_open_alerts_come_before_those_that_are_over(
    conn: Connection, environment: pytest.MonkeyPatch
) -> None:
    conn.execute(OPEN, ("a", "stands", False))
    conn.execute(OPEN, ("b", "is over", True))

    listed = json.loads(run("list", "--json")[1])
    still = json.loads(run("list", "--open", "--json")[1])

    assert [alert["title"] for alert in listed] == ["stands", "is over"]
    assert [alert["key"] for alert in still] == ["a"]
    assert "no-worker" in run("list")[1]


def test_a_test_message_goes_both_ways(environment: pytest.MonkeyPatch) -> None:
    with posting() as post:
        configure(environment, post)

        code, out = run("test", "--json")

    assert code == 0
    assert [(r["way"], r["ok"]) for r in json.loads(out)] == [("email", True), ("webhook", True)]
    assert post.subjects() == ["[Avivro] Test of alerts"]
    assert json.loads(post.hook.posts[0].body)["text"].startswith("This is a test")


def test_a_way_that_fails_says_why_and_keeps_the_address_to_itself(
    environment: pytest.MonkeyPatch,
) -> None:
    with posting() as post:
        configure(environment, post, hook="/status/403/secret")

        code, out = run("test")

    assert code == 1
    assert "answered 403" in out
    assert "secret" not in out


def test_with_nobody_to_tell_it_says_what_to_set(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("ALERT_EMAIL", raising=False)
    environment.delenv("ALERT_WEBHOOK_URL", raising=False)

    assert run("test")[0] == 3
