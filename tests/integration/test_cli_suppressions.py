"""`avivro emails suppressions`, as an operator uses it."""

import json

import pytest

from db import suppressions
from db.pool import Connection
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
