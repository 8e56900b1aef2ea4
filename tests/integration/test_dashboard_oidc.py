"""Companies' own accounts: an OpenID Connect provider."""

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from db import audit, operators
from db.audit import Wanted
from db.pool import Connection
from tests.dashboard_world import Desk, Visitor, open_desk
from tests.fakes_oidc import CLIENT_ID, CLIENT_SECRET, KEY, NEXT_KEY, OTHER_KEY, Oidc, fake_oidc
from workers.config import ConfigError, read
from workers.dashboard.oidc import Rejected, read_voucher

PUBLIC_URL = "http://127.0.0.1:8800"
CALLBACK = f"{PUBLIC_URL}/login/oidc/callback"
# What a token may say besides what it should, each enough to be refused.
BENT: list[dict[str, Any]] = [
    {"nonce": "of-another-sign-in"},
    {"nonce": None},
    {"aud": "another-client"},
    {"aud": None},
    {"aud": ["another-client", CLIENT_ID], "azp": "another-client"},
    {"iss": "https://evil.example"},
    {"iss": None},
    {"exp": int(time.time()) - 3_600},
    {"exp": None},
    {"exp": "soon"},
    {"nbf": int(time.time()) + 3_600},
    {"sub": None},
    {"sub": 7},
    {"email_verified": False},
    {"email_verified": "true"},
    {"email": None},
    {"email": "", "preferred_username": ""},
    {"email": None, "preferred_username": "boss@example.com"},
    {"email": "x" * 300},
    {"email": "a\u202eb"},
]


ENTRA = {
    "iss": "https://login.microsoftonline.com/9122040d-6c67-4c5b-b112-36a304b66dad/v2.0",
    "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ",
    "email": "grace@example.com",
    "preferred_username": "grace@example.com",
}


@pytest.mark.parametrize("said", [True, 1, "1", "true", "True"])
def test_entra_vouches_for_an_address_by_a_claim_of_its_own(said: object) -> None:
    assert read_voucher({**ENTRA, "xms_edov": said}).name == "grace@example.com"


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"xms_edov": False},
        {"xms_edov": "0"},
        {"xms_edov": True, "email": None},
        {"xms_edov": True, "email_verified": False},
        {"xms_edov": True, "iss": "https://login.example.com/"},
        {"xms_edov": True, "iss": "https://login.microsoftonline.com.evil.example/"},
    ],
)
def test_no_address_is_believed_that_entra_does_not_vouch_for(claims: dict[str, Any]) -> None:
    with pytest.raises(Rejected, match="neither a verified address"):
        read_voucher({**ENTRA, **claims})


@pytest.fixture
def provider() -> Iterator[Oidc]:
    with fake_oidc(CALLBACK) as provider:
        yield provider


@pytest.fixture
def desk(database_url: str, redis_url: str, provider: Oidc) -> Iterator[Desk]:
    with open_desk(
        database_url, redis_url, **settings(provider), dashboard_default_role="viewer"
    ) as desk:
        yield desk


@pytest.fixture
def closed(database_url: str, redis_url: str, provider: Oidc) -> Iterator[Desk]:
    """Nobody has a role by default."""
    with open_desk(database_url, redis_url, **settings(provider)) as desk:
        yield desk


def settings(provider: Oidc) -> dict[str, Any]:
    return {
        "public_url": PUBLIC_URL,
        "oidc_issuer": provider.url,
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": CLIENT_SECRET,
    }


def go(visitor: Visitor, *, next: str = "/audit") -> str:
    """To the provider and back; the callback's address, not yet asked for."""
    sent = visitor.client.get("/login/oidc", params={"next": next})
    assert sent.status_code == 303, sent.text
    answer = httpx2.get(sent.headers["location"], follow_redirects=False)
    assert answer.status_code == 302, answer.text
    back = urlsplit(answer.headers["location"])
    return f"{back.path}?{back.query}"


def come_back(visitor: Visitor) -> Any:
    return visitor.client.get(go(visitor))


def test_who_the_provider_lets_in_is_in(desk: Desk, conn: Connection) -> None:
    visitor = desk.visitor()

    answer = come_back(visitor)

    assert (answer.status_code, answer.headers["location"]) == (303, "/audit")
    assert visitor.client.get("/audit").status_code == 200
    account = operators.find_operator(conn, "grace@example.com")
    assert account is not None
    assert (account.role, account.origin, account.subject) == ("viewer", "oidc", "subject-1")
    entries = audit.search(conn, Wanted(), before=None, rows_max=9).entries
    assert [entry.action for entry in entries] == ["log_in", "add_operator"]


def test_the_login_offers_the_provider(desk: Desk) -> None:
    page = desk.visitor().client.get("/login?next=/audit").text

    assert 'href="/login/oidc?next=/audit"' in page


def test_nobody_is_let_in_who_was_not_added(closed: Desk, conn: Connection) -> None:
    answer = come_back(closed.visitor())

    assert answer.status_code == 403
    assert "an admin can let them in" in answer.text
    assert operators.list_operators(conn) == []


def test_an_added_one_comes_in_as_what_they_are(closed: Desk, conn: Connection) -> None:
    operators.insert_operator(conn, "Grace@example.com", role="operator", origin="oidc")
    visitor = closed.visitor()

    answer = come_back(visitor)

    assert answer.status_code == 303
    assert "role <b>operator</b>" in visitor.client.get("/audit").text


def test_a_name_belongs_to_the_first_subject_that_came_with_it(desk: Desk, provider: Oidc) -> None:
    come_back(desk.visitor())

    provider.claims = {"sub": "subject-2"}
    answer = come_back(desk.visitor())

    assert answer.status_code == 403
    assert "somebody else" in answer.text


def test_a_subject_keeps_its_operator_when_the_name_changes(
    desk: Desk, provider: Oidc, conn: Connection
) -> None:
    come_back(desk.visitor())

    provider.claims = {"email": "grace.married@example.com"}
    answer = come_back(desk.visitor())

    assert answer.status_code == 303
    assert [each.name for each in operators.list_operators(conn)] == ["grace@example.com"]


def test_the_provider_cannot_name_an_operator_with_a_password(
    desk: Desk, provider: Oidc, conn: Connection
) -> None:
    operators.insert_operator(conn, "admin", role="admin", password_hash="x")
    provider.claims = {"email": None, "preferred_username": "admin"}

    assert come_back(desk.visitor()).status_code == 403


def test_a_disabled_operator_stays_out(desk: Desk, conn: Connection) -> None:
    come_back(desk.visitor())
    conn.execute("UPDATE worker.operators SET disabled_at = now()")

    assert come_back(desk.visitor()).status_code == 403


def test_a_token_that_says_anything_else_is_refused(
    desk: Desk, provider: Oidc, conn: Connection
) -> None:
    answers = []
    for claims in BENT:
        provider.claims = claims
        visitor = desk.visitor()
        answers.append((claims, come_back(visitor).status_code, visitor.session()))

    assert [answer for answer in answers if answer[1:] != (403, "")] == []
    assert operators.list_operators(conn) == []


def test_a_token_without_the_providers_own_signature_is_refused(desk: Desk, provider: Oidc) -> None:
    statuses = []
    for algorithm, key in (("none", KEY), ("HS256", KEY), ("RS256", OTHER_KEY)):
        provider.algorithm, provider.key = algorithm, key
        statuses.append(come_back(desk.visitor()).status_code)

    assert statuses == [403, 403, 403]


def test_a_user_name_will_do_where_no_address_is_verified(desk: Desk, provider: Oidc) -> None:
    provider.claims = {"email_verified": False, "preferred_username": "grace"}

    assert come_back(desk.visitor()).status_code == 303


def test_a_key_that_the_provider_changed_is_asked_for(
    desk: Desk, provider: Oidc, monkeypatch: pytest.MonkeyPatch
) -> None:
    come_back(desk.visitor())
    monkeypatch.setattr("workers.dashboard.oidc.REFRESH_S", 0.0)

    provider.key, provider.published = NEXT_KEY, [NEXT_KEY]

    assert come_back(desk.visitor()).status_code == 303


def test_a_code_works_once(desk: Desk) -> None:
    visitor = desk.visitor()
    address = go(visitor)
    cookies = dict(visitor.client.cookies)
    visitor.client.get(address)

    thief = desk.visitor()
    thief.client.cookies.update(cookies)
    again = thief.client.get(address)

    assert again.status_code == 403
    assert "invalid_grant" in again.text
    assert thief.client.get("/audit").status_code == 303


def test_an_answer_belongs_to_the_browser_that_asked(desk: Desk, provider: Oidc) -> None:
    address = go(desk.visitor())
    other = desk.visitor()
    go(other)

    without, with_another = desk.visitor().client.get(address), other.client.get(address)

    assert (without.status_code, with_another.status_code) == (403, 403)
    # Neither code was even shown to the provider.
    assert (len(provider.issued), provider.refusals) == (2, [])


def test_a_made_up_answer_is_refused(desk: Desk) -> None:
    queries = ("", "?code=x", "?state=x", "?code=x&state=x", "?error=no&state=%00", "?code=%FF")

    statuses = set()
    for query in queries:
        visitor = desk.visitor()
        go(visitor)
        statuses.add(visitor.client.get(f"/login/oidc/callback{query}").status_code)

    assert statuses <= {400, 403}


def test_an_answer_of_another_issuer_is_refused(desk: Desk, provider: Oidc) -> None:
    visitor = desk.visitor()
    address = go(visitor)
    _, _, iss = address.rpartition("iss=")

    assert visitor.client.get(address.replace(iss, "https%3A%2F%2Fevil")).status_code == 403


def test_while_the_provider_is_away_a_password_does(desk: Desk, provider: Oidc) -> None:
    provider.is_down = True
    visitor = desk.visitor()

    answer = visitor.client.get("/login/oidc")

    assert answer.status_code == 502
    assert "Signing in with a password works" in answer.text
    assert 'name="password"' in answer.text


def test_a_provider_that_describes_itself_badly_is_not_used(
    desk: Desk, provider: Oidc, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.dashboard.oidc.REST_S", 0.0)
    monkeypatch.setattr("workers.dashboard.oidc.KEPT_S", 0.0)
    bad: list[dict[str, Any]] = [
        {"issuer": "https://evil.example"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": None},
    ]

    statuses = []
    for metadata in bad:
        provider.metadata = metadata
        statuses.append(desk.visitor().client.get("/login/oidc").status_code)

    assert statuses == [502, 502, 502]


def test_people_come_back_to_the_configured_address_whatever_host_they_name(
    desk: Desk, provider: Oidc
) -> None:
    sent = desk.visitor().client.get("/login/oidc", headers={"Host": "evil.example"})

    assert "evil" not in sent.headers["location"]
    assert not provider.refusals


def test_a_sign_in_leads_to_no_other_site(desk: Desk) -> None:
    led = set()
    for target in ("https://evil.example", "//evil.example", "/" + "x" * 5_000):
        visitor = desk.visitor()
        led.add(visitor.client.get(go(visitor, next=target)).headers["location"])

    assert led == {"/"}


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"DASHBOARD_TRUSTED_HEADER": "X-User"}, "needs DASHBOARD_TRUSTED_PROXIES"),
        ({"DASHBOARD_TRUSTED_HEADER": "X User"}, "is no header"),
        ({"DASHBOARD_TRUSTED_PROXIES": "10.0.0.0/8,nowhere"}, "'nowhere' is no network"),
        ({"DASHBOARD_TRUSTED_PROXIES": "0.0.0.0/0"}, "is everybody"),
        ({"DASHBOARD_DEFAULT_ROLE": "admin"}, "viewer or operator"),
        ({"DASHBOARD_CLOSED": "metrics,everything"}, "'everything'"),
        ({"OIDC_ISSUER": "https://x"}, "needs OIDC_CLIENT_ID"),
        ({"OIDC_CLIENT_SECRET": "x"}, "needs OIDC_ISSUER"),
        (
            {
                "OIDC_ISSUER": "http://login.example.com",
                "OIDC_CLIENT_ID": "x",
                "OIDC_CLIENT_SECRET": "x",
                "PUBLIC_URL": "https://x.example.com",
            },
            "must begin with https://",
        ),
        (
            {"OIDC_ISSUER": "https://x", "OIDC_CLIENT_ID": "x", "OIDC_CLIENT_SECRET": "x"},
            "needs PUBLIC_URL",
        ),
    ],
)
def test_a_setting_that_opens_too_much_stops_the_start(env: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        read(env)
