"""Sessions: what begins and ends them, and which forms are theirs."""

import re
from collections.abc import Iterator

import pytest

from db import audit, operators
from db.audit import Wanted
from db.pool import Connection
from tests.dashboard_world import CHEAP, Desk, Visitor, open_desk
from workers.dashboard.sessions import COOKIE, form_token
from workers.dashboard.site import NOTICE_COOKIE
from workers.networks import parse_networks

PASSWORD = "four plain words here"
NEW = "another four plain words"


@pytest.fixture
def desk(database_url: str, redis_url: str) -> Iterator[Desk]:
    with open_desk(database_url, redis_url) as desk:
        yield desk


@pytest.fixture
def ada(desk: Desk, conn: Connection) -> Visitor:
    """Signed in, in a browser of her own."""
    operators.insert_operator(conn, "ada", role="operator", password_hash=CHEAP.hash(PASSWORD))
    return signed_in(desk)


def signed_in(desk: Desk, address: str = "127.0.0.1") -> Visitor:
    visitor = desk.visitor(address)
    assert visitor.sign_in("ada", PASSWORD).status_code == 303
    return visitor


def is_in(visitor: Visitor) -> bool:
    return visitor.client.get("/account").status_code == 200


def cookies_of(response: object) -> dict[str, str]:
    lines = response.headers.get_list("set-cookie")  # type: ignore[attr-defined]
    return {line.partition("=")[0]: line for line in lines}


def test_the_cookie_is_kept_from_scripts_and_other_sites(desk: Desk, ada: Visitor) -> None:
    cookie = cookies_of(desk.visitor().sign_in("ada", PASSWORD))[COOKIE]

    assert {"HttpOnly", "SameSite=lax", "Path=/", "Max-Age=43200"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


def test_over_https_the_cookie_never_travels_in_the_clear(
    database_url: str, redis_url: str, ada: Visitor
) -> None:
    with open_desk(database_url, redis_url, public_url="https://workers.example.com") as desk:
        visitor = desk.visitor()
        visitor.client.base_url = "https://workers.example.com"
        answer = visitor.sign_in("ada", PASSWORD)
        found = visitor.client.get("/account")
        token = form_token(visitor.client.cookies[f"__Host-{COOKIE}"])
        noticed = visitor.client.post("/account/end_others", data={"csrf": token})

    cookies = cookies_of(answer) | cookies_of(noticed)
    assert cookies.keys() >= {f"__Host-{COOKIE}", NOTICE_COOKIE}
    assert [name for name, line in cookies.items() if "Secure" not in line.split("; ")] == []
    assert COOKIE not in cookies_of(answer)
    assert found.status_code == 200
    assert found.headers["strict-transport-security"].startswith("max-age=")


def test_a_cookie_that_came_in_the_clear_opens_nothing_over_https(
    database_url: str, redis_url: str, ada: Visitor
) -> None:
    with open_desk(database_url, redis_url, public_url="https://workers.example.com") as desk:
        planted = desk.visitor()
        planted.client.cookies.set(COOKIE, ada.session())

        assert not is_in(planted)


def test_only_a_trusted_proxy_says_that_it_was_https(
    database_url: str, redis_url: str, ada: Visitor
) -> None:
    with open_desk(
        database_url, redis_url, dashboard_trusted_proxies=parse_networks("10.0.0.1")
    ) as desk:
        answers = [
            desk.visitor(address).client.get("/healthz", headers={"X-Forwarded-Proto": "https"})
            for address in ("10.0.0.1", "10.0.0.2")
        ]

    assert ["strict-transport-security" in answer.headers for answer in answers] == [True, False]


def test_signing_in_makes_a_new_token_and_ends_the_old_session(desk: Desk, ada: Visitor) -> None:
    before = ada.session()
    fixed = desk.visitor()
    fixed.client.cookies.set(COOKIE, before)

    login = desk.visitor()
    token = login.login_token()
    login.client.cookies.set(COOKIE, before, domain="127.0.0.1")
    login.client.post(
        "/login", data={"name": "ada", "password": PASSWORD, "csrf": token, "next": "/"}
    )

    assert login.session() != before
    assert not is_in(fixed)


def test_signing_out_ends_the_session_in_the_database(desk: Desk, ada: Visitor) -> None:
    token = ada.session()

    ada.post("/logout")

    again = desk.visitor()
    again.client.cookies.set(COOKIE, token)
    assert not is_in(again)
    assert ada.session() == ""


@pytest.mark.parametrize(
    "change",
    [
        "expires_at = now()",
        "seen_at = now() - interval '2 hours'",
        "token_hash = sha256('x')",
    ],
)
def test_a_session_ends(conn: Connection, ada: Visitor, change: str) -> None:
    conn.execute(f"UPDATE worker.operator_sessions SET {change}".encode())

    assert not is_in(ada)


def test_a_page_that_refreshes_itself_is_nobody_at_work(conn: Connection, ada: Visitor) -> None:
    conn.execute("UPDATE worker.operator_sessions SET seen_at = now() - interval '1 hour'")

    ada.client.get("/audit", headers={"HX-Request": "true", "HX-Target": "live"})
    still = seen_ago_s(conn)
    ada.client.get("/audit")

    assert still > 3_000
    assert seen_ago_s(conn) < 60


def seen_ago_s(conn: Connection) -> float:
    row = conn.execute(
        "SELECT extract(epoch FROM now() - max(seen_at))::float FROM worker.operator_sessions"
    ).fetchone()
    assert row is not None
    return float(row[0])


def test_the_database_holds_nothing_that_opens_a_session(
    conn: Connection, desk: Desk, ada: Visitor
) -> None:
    rows = conn.execute("SELECT s::text FROM worker.operator_sessions AS s").fetchall()
    token_hash = conn.execute("SELECT encode(token_hash, 'hex'), id::text FROM"
                              " worker.operator_sessions").fetchone()  # fmt: skip
    assert token_hash is not None

    assert all(ada.session() not in row[0] for row in rows)
    for stolen in token_hash:
        thief = desk.visitor()
        thief.client.cookies.set(COOKIE, stolen)
        assert not is_in(thief)


def test_a_new_password_ends_all_other_sessions(desk: Desk, ada: Visitor, conn: Connection) -> None:
    other = signed_in(desk)
    before = ada.session()

    done = ada.post("/account/password", current=PASSWORD, new=NEW, again=NEW, next="/account")

    assert done.headers["location"] == "/account"
    assert (is_in(ada), is_in(other)) == (True, False)
    assert ada.session() != before
    assert desk.visitor().sign_in("ada", PASSWORD).status_code == 401
    entry = audit.search(conn, Wanted(action="change_password"), before=None, rows_max=1)
    assert entry.entries[0].details == {"sessions_ended": 1}


def test_a_new_password_needs_the_current_one_and_few_may_guess_it(ada: Visitor) -> None:
    fields = {"new": NEW, "again": NEW}

    wrong = [ada.post("/account/password", current="wrong", **fields).status_code for _ in range(6)]
    right = ada.post("/account/password", current=PASSWORD, **fields).status_code

    assert wrong == [403] * 5 + [429]
    assert right == 429


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"new": NEW, "again": NEW + "!"}, "not typed alike"),
        ({"new": "short", "again": "short"}, "12 are needed"),
        ({"new": PASSWORD, "again": PASSWORD}, "is the old one"),
        ({"again": NEW}, "field new is missing"),
    ],
)
def test_a_bad_new_password_is_refused(ada: Visitor, fields: dict[str, str], says: str) -> None:
    answer = ada.post("/account/password", current=PASSWORD, **fields)

    assert (answer.status_code, says in answer.text) == (400, True)


def test_one_may_end_ones_sessions_and_no_others(
    desk: Desk, ada: Visitor, conn: Connection
) -> None:
    lost, eve = signed_in(desk, "198.51.100.7"), desk.browser("admin", "eve")
    page = ada.client.get("/account").text
    (session_id,) = re.findall(r'name="session_id" value="([0-9a-f-]+)"', page)

    by_eve = eve.send("/account/end_session", csrf=eve.token, session_id=session_id)
    kept = is_in(lost)
    ada.post("/account/end_session", session_id=session_id)

    assert "198.51.100.7" in page
    assert by_eve[0] == 404
    assert (kept, is_in(lost), is_in(ada)) == (True, False, True)


def test_one_may_end_all_others_at_once(desk: Desk, ada: Visitor) -> None:
    others = [signed_in(desk), signed_in(desk)]

    ada.post("/account/end_others")

    assert [is_in(each) for each in others] == [False, False]
    assert is_in(ada)


def test_a_form_needs_the_token_of_its_own_session(desk: Desk, ada: Visitor) -> None:
    other = signed_in(desk)
    tokens = ["", "0" * 64, form_token(""), form_token(other.session()), "ж", ada.session()]

    statuses = [
        ada.client.post("/account/end_others", data={"csrf": token}).status_code for token in tokens
    ]

    assert statuses == [403] * len(tokens)
    assert is_in(other)


def test_a_form_of_another_site_is_refused_even_with_its_token(ada: Visitor) -> None:
    token = form_token(ada.session())
    foreign = [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:8801"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ]
    ours = [{"Origin": "http://127.0.0.1:8800"}, {"Sec-Fetch-Site": "same-origin"}]

    statuses = [
        ada.client.post("/account/end_others", data={"csrf": token}, headers=headers).status_code
        for headers in foreign + ours
    ]

    assert statuses == [403] * len(foreign) + [303] * len(ours)


def test_what_a_cookie_may_hold_breaks_nothing(desk: Desk) -> None:
    texts = ["x" * 5_000, "%00", "<script>", "' OR 1=1", "\x80\xff", "a b", '"']

    statuses = [
        desk.visitor()
        .client.get(
            "/account",
            headers={b"Cookie": f"{COOKIE}={text}; avivro_notice={text}".encode("latin-1")},
        )
        .status_code
        for text in texts
    ]

    assert set(statuses) == {303}


def test_a_notice_of_anybodys_is_shown_as_text(ada: Visitor) -> None:
    ada.client.cookies.set("avivro_notice", "%3Cscript%3Ealert(1)%3C/script%3E")

    page = ada.client.get("/account").text

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_a_name_of_a_browser_is_shown_as_text(desk: Desk, ada: Visitor) -> None:
    evil = desk.visitor()
    evil.client.headers["User-Agent"] = "<img src=x onerror=alert(1)>" + "x" * 1_000
    evil.sign_in("ada", PASSWORD)

    page = ada.client.get("/account").text

    assert "<img src=x" not in page
    assert "&lt;img src=x" in page
