"""Who is let in, who is not, and what wrong passwords cost."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import pytest
from argon2 import PasswordHasher

from db import audit, operators
from db.audit import Wanted
from db.pool import Connection
from tests.dashboard_world import CHEAP, Desk, open_desk
from workers.dashboard import first
from workers.dashboard.forms import Refused
from workers.dashboard.passwords import CHARS_MAX, Passwords, check_new

PASSWORD = "four plain words here"


@pytest.fixture
def desk(database_url: str, redis_url: str) -> Iterator[Desk]:
    with open_desk(database_url, redis_url) as desk:
        yield desk


@pytest.fixture
def ada(conn: Connection) -> str:
    """An operator's name; her password is PASSWORD."""
    operators.insert_operator(conn, "ada", role="operator", password_hash=CHEAP.hash(PASSWORD))
    return "ada"


def actions(conn: Connection) -> list[tuple[str, str]]:
    found = audit.search(conn, Wanted(), before=None, rows_max=100)
    return [(entry.action, entry.target) for entry in reversed(found.entries)]


def test_the_right_password_leads_where_one_wanted_to_go(desk: Desk, ada: str) -> None:
    visitor = desk.visitor()

    answer = visitor.sign_in(ada, PASSWORD, next="/audit?operator=ada")

    assert (answer.status_code, answer.headers["location"]) == (303, "/audit?operator=ada")
    assert visitor.client.get("/audit").status_code == 200


def test_a_login_leads_to_no_other_site(desk: Desk, ada: str) -> None:
    targets = ("//evil.example", "https://evil.example", "/\\evil", "\n/x", "javascript:alert(1)")

    answers = [desk.visitor().sign_in(ada, PASSWORD, next=target) for target in targets]

    assert {answer.headers["location"] for answer in answers} == {"/"}


def test_the_name_is_known_in_any_case(desk: Desk, ada: str) -> None:
    assert desk.visitor().sign_in(" ADA ", PASSWORD).status_code == 303


def test_whatever_is_wrong_reads_the_same(desk: Desk, ada: str) -> None:
    wrong = (
        ("ada", "wrong"),
        ("ada", ""),
        ("ada", "x" * (CHARS_MAX + 50)),
        ("ada", "\0" * 12),
        ("nobody-here", PASSWORD),
        ("' or 1=1 --", PASSWORD),
        ("<script>alert(1)</script>", PASSWORD),
        ("a\0b", PASSWORD),
        ("", PASSWORD),
        ("n" * 5_000, PASSWORD),
    )

    answers = [desk.visitor(address=f"192.0.2.{n}").sign_in(*each) for n, each in enumerate(wrong)]

    assert {answer.status_code for answer in answers} == {401}
    assert all("Name or password is wrong." in answer.text for answer in answers)
    assert not any("<script>alert" in answer.text for answer in answers)


def test_a_name_that_does_not_exist_costs_a_hash_too(desk: Desk, ada: str) -> None:
    judged: list[str | None] = []
    right = desk.site.passwords.is_right

    def is_right(password_hash: str | None, password: str) -> bool:
        judged.append(password_hash)
        return right(password_hash, password)

    desk.site.passwords.is_right = is_right  # type: ignore[method-assign]
    desk.visitor().sign_in("nobody-here", PASSWORD)
    desk.visitor().sign_in(ada, "wrong")

    assert [each is None for each in judged] == [True, False]


class Counting(PasswordHasher):
    """Remembers which hashes it judged."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=16, parallelism=1)
        self.judged: list[str] = []

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
        self.judged.append(str(hash))
        return super().verify(hash, password)


def test_a_hash_is_judged_for_nobody_with_the_same_parameters() -> None:
    hasher = Counting()
    passwords = Passwords(hasher)

    right = passwords.is_right(None, PASSWORD)

    assert not right
    assert ["m=16,t=1,p=1" in judged for judged in hasher.judged] == [True]


def test_five_wrong_passwords_lock_the_name_for_the_right_one_too(
    desk: Desk, ada: str, conn: Connection
) -> None:
    visitor = desk.visitor()

    statuses = [visitor.sign_in(ada, "wrong").status_code for _ in range(5)]
    answer = visitor.sign_in(ada, PASSWORD)

    assert statuses == [401] * 5
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 900
    assert "Try again in 15 min" in answer.text
    assert ("lock_login", "operator ada") in actions(conn)


def test_a_lock_ends(desk: Desk, ada: str, conn: Connection) -> None:
    visitor = desk.visitor()
    for _ in range(6):
        visitor.sign_in(ada, "wrong")

    conn.execute("UPDATE worker.login_failures SET at = at - interval '15 minutes'")

    assert visitor.sign_in(ada, "wrong").status_code == 401
    assert visitor.sign_in(ada, PASSWORD).status_code == 303


def test_tries_during_a_lock_do_not_lengthen_it(desk: Desk, ada: str, conn: Connection) -> None:
    visitor = desk.visitor()
    for _ in range(5):
        visitor.sign_in(ada, "wrong")
    conn.execute("UPDATE worker.login_failures SET at = at - interval '14 minutes'")

    waits_s = [int(visitor.sign_in(ada, "wrong").headers["retry-after"]) for _ in range(3)]

    assert all(0 < wait_s <= 60 for wait_s in waits_s)


def test_thirty_at_once_get_five_tries(desk: Desk, ada: str) -> None:
    visitors = [desk.visitor() for _ in range(30)]

    with ThreadPoolExecutor(30) as threads:
        statuses = list(threads.map(lambda each: each.sign_in(ada, "wrong").status_code, visitors))

    assert statuses.count(401) <= 5
    assert set(statuses) <= {401, 429, 503}


def test_a_right_password_forgets_the_wrong_ones(desk: Desk, ada: str, conn: Connection) -> None:
    visitor = desk.visitor()
    for _ in range(4):
        visitor.sign_in(ada, "wrong")

    visitor.sign_in(ada, PASSWORD)

    assert conn.execute("SELECT count(*) FROM worker.login_failures").fetchone() == (0,)


def test_others_addresses_are_not_locked(desk: Desk, ada: str) -> None:
    attacker = desk.visitor(address="203.0.113.9")
    for _ in range(6):
        attacker.sign_in(ada, "wrong")

    assert desk.visitor(address="198.51.100.7").sign_in(ada, PASSWORD).status_code == 303


def test_an_address_that_tries_many_names_is_locked(desk: Desk, ada: str) -> None:
    attacker = desk.visitor(address="203.0.113.9")

    statuses = [attacker.sign_in(f"name-{n}", "wrong").status_code for n in range(25)]

    assert statuses == [401] * 20 + [429] * 5
    assert attacker.sign_in(ada, PASSWORD).status_code == 429


def test_nobody_can_lock_out_a_browser_that_was_let_in_before(
    desk: Desk, ada: str, conn: Connection
) -> None:
    hers = desk.visitor(address="198.51.100.7")
    hers.sign_in(ada, PASSWORD)
    conn.execute(
        "INSERT INTO worker.login_failures (name, address)"
        " SELECT 'ada', '203.0.113.' || n FROM generate_series(1, 100) AS n"
    )

    stranger = desk.visitor(address="192.0.2.1").sign_in(ada, PASSWORD)
    again = hers.sign_in(ada, PASSWORD)

    assert (stranger.status_code, again.status_code) == (429, 303)


def test_a_known_browser_is_no_way_around_the_lock(desk: Desk, ada: str) -> None:
    hers = desk.visitor()
    hers.sign_in(ada, PASSWORD)

    statuses = [hers.sign_in(ada, "wrong").status_code for _ in range(6)]

    assert statuses == [401] * 5 + [429]


def test_a_forwarded_address_counts_only_from_a_trusted_proxy(
    database_url: str, redis_url: str, ada: str
) -> None:
    with open_desk(database_url, redis_url) as desk:
        liar = desk.visitor(address="203.0.113.9")
        told = [
            liar.sign_in(ada, "wrong", headers={"X-Forwarded-For": f"10.0.0.{n}"}).status_code
            for n in range(6)
        ]

    assert told[-1] == 429


def test_wrong_passwords_of_days_before_are_deleted(desk: Desk, ada: str, conn: Connection) -> None:
    conn.execute(
        "INSERT INTO worker.login_failures (at, name, address)"
        " VALUES (now() - interval '2 days', 'x', 'y')"
    )

    desk.visitor().sign_in(ada, "wrong")

    assert conn.execute("SELECT name FROM worker.login_failures").fetchall() == [("ada",)]


def test_a_disabled_operator_is_told_what_strangers_are(
    desk: Desk, ada: str, conn: Connection
) -> None:
    conn.execute("UPDATE worker.operators SET disabled_at = now()")

    answer = desk.visitor().sign_in(ada, PASSWORD)

    assert (answer.status_code, "Name or password is wrong." in answer.text) == (401, True)


def test_signing_in_and_out_is_in_the_audit_log(desk: Desk, ada: str, conn: Connection) -> None:
    visitor = desk.visitor()
    visitor.sign_in(ada, PASSWORD)

    left = visitor.post("/logout")

    assert left.headers["location"] == "/login?out=1"
    assert actions(conn) == [("log_in", "operator ada"), ("log_out", "operator ada")]


def test_a_hash_of_weaker_parameters_is_made_anew(desk: Desk, conn: Connection) -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=16, parallelism=2).hash(PASSWORD)
    operators.insert_operator(conn, "ada", role="viewer", password_hash=weak)

    desk.visitor().sign_in("ada", PASSWORD)

    account = operators.find_operator(conn, "ada")
    assert account is not None
    assert account.password_hash is not None
    assert not CHEAP.check_needs_rehash(account.password_hash)
    assert desk.visitor().sign_in("ada", PASSWORD).status_code == 303


def test_a_login_form_of_another_site_is_refused(desk: Desk, ada: str) -> None:
    visitor = desk.visitor()
    token = visitor.login_token()
    fields = {"name": ada, "password": PASSWORD, "csrf": token}

    answers = [
        visitor.client.post("/login", data=fields, headers=headers).status_code
        for headers in (
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
        )
    ]
    bare = desk.visitor().client.post("/login", data=fields).status_code

    assert answers == [403] * 4
    assert bare == 403
    assert visitor.client.post("/login", data=fields).status_code == 303


def test_the_first_start_prints_one_password_that_works_once(
    desk: Desk, database_url: str, conn: Connection
) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: create(database_url), range(8)))
    (password,) = [each for each in made if each]

    visitor = desk.visitor()
    answer = visitor.sign_in("admin", password)
    again = desk.visitor().sign_in("admin", password)

    assert answer.headers["location"] == "/account"
    assert again.status_code == 401
    stored = conn.execute("SELECT string_agg(o::text, '') FROM worker.operators AS o").fetchone()
    assert stored is not None
    assert password not in stored[0]


def create(url: str) -> str | None:
    from db.pool import connect

    with connect(url) as conn:
        return first.create(conn, Passwords(CHEAP))


def test_nothing_is_open_before_a_password_of_ones_own(desk: Desk, conn: Connection) -> None:
    password = first.create(conn, Passwords(CHEAP))
    assert password is not None
    visitor = desk.visitor()
    visitor.sign_in("admin", password)

    away = visitor.client.get("/audit")
    live = visitor.client.get("/live")
    refused = visitor.post("/operators/add", name="eve", role="admin", why="x")
    short = visitor.post("/account/password", new="too short", again="too short")
    done = visitor.post("/account/password", new=PASSWORD, again=PASSWORD, next="/audit")

    assert away.headers["location"] == "/account"
    assert live.status_code == 401
    assert refused.status_code == 403
    assert short.status_code == 400
    assert done.headers["location"] == "/audit"
    assert visitor.client.get("/audit").status_code == 200
    assert desk.visitor().sign_in("admin", PASSWORD).status_code == 303


@pytest.mark.parametrize(
    ("password", "says"),
    [
        ("eleven char", "12 are needed"),
        ("x" * 1_001, "longer than 1000"),
        ("Maria.Gonzales", "the name itself"),
        ("a" * 12, "over and over"),
    ],
)
def test_a_password_that_is_guessed_at_once_is_refused(password: str, says: str) -> None:
    with pytest.raises(Refused, match=says):
        check_new(password, name="maria.gonzales")


def test_any_long_password_is_taken() -> None:
    check_new("только строчные буквы", name="ada")


def test_tokens_and_passwords_are_not_in_the_log(
    desk: Desk, ada: str, caplog: pytest.LogCaptureFixture
) -> None:
    visitor = desk.visitor()
    visitor.sign_in(ada, "a wrong password")
    visitor.sign_in(ada, PASSWORD)

    text = caplog.text
    assert "a wrong password" not in text
    assert PASSWORD not in text
    assert visitor.session() not in text


def test_a_page_shows_no_token_of_the_session(desk: Desk, ada: str) -> None:
    visitor = desk.visitor()
    visitor.sign_in(ada, PASSWORD)

    assert visitor.session() not in visitor.client.get("/account").text


def test_what_a_visitor_may_send_never_breaks_the_login(desk: Desk) -> None:
    bodies: list[Any] = [b"", b"\xff\xfe", b"name=%00&password=%FF", b"a=" * 20_000]
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    statuses = [
        desk.visitor().client.post("/login", content=body, headers=headers).status_code
        for body in bodies
    ]

    assert all(400 <= status < 500 for status in statuses), statuses
    assert re.fullmatch(r"40[0-9]|41[0-9]", str(statuses[0]))
