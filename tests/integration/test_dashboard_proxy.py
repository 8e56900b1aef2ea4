"""Companies' own accounts: a proxy that vouches for people in a header."""

from collections.abc import Iterator

import pytest

from db import operators
from db.pool import Connection
from tests.dashboard_world import Desk, open_desk
from workers.networks import parse_networks

PROXY = "10.1.2.3"


@pytest.fixture
def proxied(database_url: str, redis_url: str) -> Iterator[Desk]:
    with open_desk(
        database_url,
        redis_url,
        dashboard_trusted_proxies=parse_networks("10.0.0.0/8"),
        dashboard_trusted_header="X-Forwarded-User",
        dashboard_default_role="viewer",
    ) as desk:
        yield desk


def test_who_a_trusted_proxy_names_is_in(proxied: Desk, conn: Connection) -> None:
    visitor = proxied.visitor(address=PROXY)
    visitor.client.headers["X-Forwarded-User"] = "grace"

    sent = visitor.client.get("/audit")
    let_in = visitor.client.get(sent.headers["location"])

    assert (let_in.status_code, let_in.headers["location"]) == (303, "/audit")
    assert visitor.client.get("/audit").status_code == 200
    account = operators.find_operator(conn, "grace")
    assert account is not None
    assert (account.role, account.origin) == ("viewer", "header")


def test_the_header_of_anybody_else_is_nothing(proxied: Desk, conn: Connection) -> None:
    visitor = proxied.visitor(address="203.0.113.9")
    visitor.client.headers["X-Forwarded-User"] = "grace"
    visitor.client.headers["X-Forwarded-For"] = PROXY

    answer = visitor.client.get("/login")

    assert answer.status_code == 200
    assert operators.list_operators(conn) == []


def test_without_the_setting_the_header_is_nothing(database_url: str, redis_url: str) -> None:
    with open_desk(
        database_url, redis_url, dashboard_trusted_proxies=parse_networks("10.0.0.0/8")
    ) as desk:
        visitor = desk.visitor(address=PROXY)
        answer = visitor.client.get("/login", headers={"X-Forwarded-User": "grace"})

    assert answer.status_code == 200


def test_a_session_of_the_proxys_is_none_without_its_word(proxied: Desk) -> None:
    visitor = proxied.visitor(address=PROXY)
    visitor.client.headers["X-Forwarded-User"] = "grace"
    visitor.client.get("/login")
    stolen = visitor.session()

    answers = []
    for address, name in ((PROXY, None), (PROXY, "eve"), ("203.0.113.9", "grace")):
        thief = proxied.visitor(address=address)
        thief.client.cookies.set("avivro_session", stolen)
        headers = {} if name is None else {"X-Forwarded-User": name}
        answers.append(thief.client.get("/audit", headers=headers).status_code)

    assert answers == [303, 303, 303]


@pytest.mark.parametrize("names", [["grace", "admin"], ["grace, admin"], ["grace,"]])
def test_two_names_at_once_are_none(proxied: Desk, names: list[str]) -> None:
    visitor = proxied.visitor(address=PROXY)
    headers = [("X-Forwarded-User", name) for name in names]

    assert visitor.client.get("/login", headers=headers).status_code == 200


def test_the_proxy_cannot_name_an_operator_with_a_password(proxied: Desk, conn: Connection) -> None:
    operators.insert_operator(conn, "admin", role="admin", password_hash="x")
    visitor = proxied.visitor(address=PROXY)

    answer = visitor.client.get("/login", headers={"X-Forwarded-User": "admin"})

    assert answer.status_code == 403


def test_wrong_passwords_count_for_the_address_that_the_proxy_saw(
    proxied: Desk, conn: Connection
) -> None:
    visitor = proxied.visitor(address=PROXY)

    visitor.sign_in("ada", "wrong", headers={"X-Forwarded-For": "1.1.1.1, 198.51.100.7, 10.9.9.9"})

    row = conn.execute("SELECT address FROM worker.login_failures").fetchone()
    assert row == ("198.51.100.7",)
