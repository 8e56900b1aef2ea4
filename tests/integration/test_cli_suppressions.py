"""`avivro emails suppressions` and `events`, as an operator uses them."""

import json
from datetime import UTC, datetime

import pytest

from db import email_events, suppressions
from db.email_events import Told
from db.pool import Connection
from tests.integration.mail_world import send
from tests.integration.schema_world import OWNER, sign_up
from tests.processes import Avivro


def test_an_address_is_added_listed_and_removed(conn: Connection, commands: Avivro) -> None:
    commands.run("emails", "suppressions", "add", "Max@B\u00dcCHER.example", "--note", "asked us")
    suppressions.add(conn, "jane@example.com", "bounced")

    listed = json.loads(commands.run("emails", "suppressions", "list", "--json").stdout)
    commands.run("emails", "suppressions", "remove", "MAX@xn--bcher-kva.example")
    again = commands.run("emails", "suppressions", "remove", "max@b\u00fccher.example")

    assert [(each["address"], each["reason"], each["note"]) for each in listed] == [
        ("jane@example.com", "bounced", None),
        ("max@xn--bcher-kva.example", "manual", "asked us"),
    ]
    assert (again.returncode, "nothing keeps mail from" in again.stderr) == (1, True)
    left = suppressions.list_suppressions(conn, rows_max=10)
    assert [each.address for each in left] == ["jane@example.com"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(("add", "no address"), "has no @"), (("list", "--reason", "bored"), "no reason bored")],
)
def test_a_wrong_command_says_what_is_wrong(
    commands: Avivro, arguments: tuple[str, ...], says: str
) -> None:
    ended = commands.run("emails", "suppressions", *arguments)

    assert ended.returncode == 2
    assert says in ended.stderr


def test_events_of_a_mail_say_who_it_was(conn: Connection, commands: Avivro) -> None:
    sign_up(conn, OWNER, "owner@example.com")
    email_id = send(conn)
    at = datetime(2026, 3, 1, tzinfo=UTC)
    told = Told("avivro", "opened", at, email_id=email_id, by_bot=True, details={"url": "x"})
    email_events.insert_events(conn, [told])

    (event,) = json.loads(commands.run("emails", "events", str(email_id), "--json").stdout)

    assert (event["type"], event["by_bot"], event["details"]) == ("opened", True, {"url": "x"})
