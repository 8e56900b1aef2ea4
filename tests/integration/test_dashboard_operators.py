"""The page for admins: who may sign in. Its commands do the same."""

import json
import re
from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner

from db import audit, operators
from db.audit import Wanted
from db.operators import Account
from db.pool import Connection
from tests.dashboard_world import Desk, open_desk
from workers.cli import app

Cli = Callable[..., str]
ONE_TIME = re.compile(r'<code class="secret">([\w-]+)</code>')


@pytest.fixture
def desk(database_url: str, redis_url: str) -> Iterator[Desk]:
    with open_desk(database_url, redis_url) as desk:
        yield desk


@pytest.fixture
def cli(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs `avivro` with these arguments; what it printed."""
    monkeypatch.setenv("DATABASE_URL", database_url)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    return run


def account(conn: Connection, name: str) -> Account:
    found = operators.find_operator(conn, name)
    assert found is not None
    return found


def test_an_added_operator_comes_in_with_the_password_shown_once(
    desk: Desk, conn: Connection
) -> None:
    admin = desk.browser("admin", "root")

    status, page = admin.send(
        "/operators/add", csrf=admin.token, name="grace", role="operator", why="on call"
    )
    password = ONE_TIME.search(page)

    assert status == 200
    assert password is not None
    answer = desk.visitor().sign_in("grace", password[1])
    assert answer.headers["location"] == "/account"
    entry = audit.search(conn, Wanted(action="add_operator"), before=None, rows_max=9).entries[0]
    assert (entry.operator, entry.role, entry.why) == ("root", "admin", "on call")
    assert entry.details == {"role": "operator", "origin": "password"}
    assert password[1] not in admin.get("/operators") + admin.get("/audit")


def test_a_name_is_taken_once_in_whatever_case(desk: Desk) -> None:
    admin = desk.browser("admin", "root")

    status, text = admin.send(
        "/operators/add", csrf=admin.token, name="ROOT", role="viewer", why="x"
    )

    assert status == 409
    assert "There is an operator ROOT already." in text


def test_another_role_ends_the_sessions_of_the_one_before(desk: Desk, conn: Connection) -> None:
    grace = desk.browser("admin", "grace")
    admin = desk.browser("admin", "root")
    conn.execute("UPDATE worker.operators SET password_hash = 'x'")

    admin.post("/operators/role", name="grace", role="viewer", why="left the team")

    assert grace.client.get("/operators").headers["location"].startswith("/login")
    assert account(conn, "grace").role == "viewer"
    entry = audit.search(conn, Wanted(action="change_role"), before=None, rows_max=1).entries[0]
    assert entry.details == {"before": "admin", "after": "viewer", "sessions_ended": 1}


def test_a_disabled_operator_is_out_at_once(desk: Desk) -> None:
    grace = desk.browser("viewer", "grace")
    admin = desk.browser("admin", "root")

    admin.post("/operators/disable", name="grace", why="left")

    assert grace.status("/audit") == 303
    admin.post("/operators/enable", name="grace", why="back")
    assert grace.status("/audit") == 303


def test_a_new_password_ends_the_old_one_and_lifts_locks(desk: Desk, conn: Connection) -> None:
    desk.browser("viewer", "grace")
    admin = desk.browser("admin", "root")
    visitor = desk.visitor()
    for _ in range(5):
        visitor.sign_in("grace", "wrong")

    _, page = admin.send("/operators/password", csrf=admin.token, name="grace", why="forgot")

    password = ONE_TIME.search(page)
    assert password is not None
    assert visitor.sign_in("grace", password[1]).status_code == 303


def test_there_is_always_an_admin_left(desk: Desk, conn: Connection, cli: Cli) -> None:
    admin = desk.browser("admin", "root")
    conn.execute("UPDATE worker.operators SET password_hash = 'x'")

    answers = [
        admin.send("/operators/disable", csrf=admin.token, name="root", why="x"),
        admin.send("/operators/role", csrf=admin.token, name="root", role="viewer", why="x"),
    ]
    commands = [("disable", "root"), ("role", "root", "viewer")]
    results = [CliRunner().invoke(app, ["operators", *each]) for each in commands]

    assert [status for status, _ in answers] == [400, 400]
    assert all("the last admin" in text for _, text in answers)
    assert [result.exit_code for result in results] == [1, 1]
    assert account(conn, "root").role == "admin"
    assert account(conn, "root").disabled_at is None


def test_what_is_so_already_is_refused_and_leaves_no_entry(
    desk: Desk, conn: Connection, cli: Cli
) -> None:
    desk.browser("viewer", "grace")
    admin = desk.browser("admin", "root")
    admin.post("/operators/disable", name="grace", why="left")
    disabled_at = account(conn, "grace").disabled_at

    answers = [
        admin.send("/operators/disable", csrf=admin.token, name="grace", why="left"),
        admin.send("/operators/role", csrf=admin.token, name="grace", role="viewer", why="x"),
    ]
    result = CliRunner().invoke(app, ["operators", "disable", "grace"])

    assert ([status for status, _ in answers], result.exit_code) == ([409, 409], 1)
    assert account(conn, "grace").disabled_at == disabled_at
    assert [e.action for e in audit.search(conn, Wanted(), before=None, rows_max=9).entries] == [
        "disable_operator"
    ]


def test_bad_fields_are_refused(desk: Desk, conn: Connection) -> None:
    admin = desk.browser("admin", "root")
    bad = (
        {"name": "", "role": "viewer"},
        {"name": "x\u202ey", "role": "viewer"},
        {"name": "x" * 201, "role": "viewer"},
        {"name": "grace", "role": "root"},
        {"name": "grace", "role": "viewer", "origin": "friend"},
        {"name": "grace", "role": "viewer", "why": " "},
    )

    answers = [
        admin.send("/operators/add", **{"csrf": admin.token, "why": "x", **fields})
        for fields in bad
    ]

    assert [status for status, _ in answers] == [400] * len(bad)
    assert [each.name for each in operators.list_operators(conn)] == ["root"]


def test_a_name_with_markup_is_shown_as_text(desk: Desk) -> None:
    admin = desk.browser("admin", "root")
    name = "<img src=x onerror=alert(1)>"
    admin.post("/operators/add", name=name, role="viewer", origin="header", why="<b>because</b>")

    for page in (admin.get("/operators"), admin.get("/audit")):
        assert "<img src=x" not in page
        assert "&lt;img src=x onerror=alert(1)&gt;" in page
        assert "<b>because" not in page


def test_no_page_shows_a_hash(desk: Desk, conn: Connection) -> None:
    admin = desk.browser("admin", "root")
    conn.execute("UPDATE worker.operators SET password_hash = '$argon2id$secret'")

    assert "argon2id" not in admin.get("/operators")


def test_the_commands_do_the_same(database_url: str, conn: Connection, cli: Cli) -> None:
    added = cli("operators", "add", "grace", "--role", "operator", "--why", "on call")
    cli("operators", "role", "grace", "viewer")
    cli("operators", "disable", "grace")
    cli("operators", "enable", "grace")
    reset = cli("operators", "password", "grace")
    (listed,) = json.loads(cli("operators", "list", "--json"))

    first, second = (re.search(r"one-time password: (\S+)", text) for text in (added, reset))
    assert first is not None
    assert second is not None
    assert first[1] != second[1]
    assert (listed["name"], listed["role"]) == ("grace", "viewer")
    assert listed["must_change_password"] is True
    assert "password_hash" not in listed
    entries = audit.search(conn, Wanted(operator=None), before=None, rows_max=9).entries
    assert [entry.action for entry in reversed(entries)] == [
        "add_operator",
        "change_role",
        "disable_operator",
        "enable_operator",
        "reset_password",
    ]
    assert {entry.role for entry in entries} == {"cli"}
    assert all(re.fullmatch(r"cli:.+@.+", entry.operator) for entry in entries)
    assert entries[-1].why == "on call"
