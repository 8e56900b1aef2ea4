"""Who a connection is within `acting_as`, and who it is again afterwards."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
import psycopg
import pytest

import db
from db.pool import Connection, connect
from tests.integration.people import sign_up

SECRET = "a-secret-of-more-than-sixty-four-characters-which-is-what-hs512-wants"
WHO = "SELECT current_user, (SELECT auth.uid())"


@pytest.fixture
def ada(conn: Connection) -> UUID:
    return sign_up(conn, "ada")


@pytest.fixture
def bob(conn: Connection) -> UUID:
    return sign_up(conn, "bob")


@pytest.fixture
def running(database_url: str) -> Iterator[Connection]:
    """A connection in transactions of its own, as a story has it."""
    with connect(database_url) as connection:
        yield connection
        connection.rollback()


def test_within_the_block_the_connection_is_the_user(conn: Connection, ada: UUID) -> None:
    with db.acting_as(conn, ada):
        inside = conn.execute(WHO).fetchone()
        seen = conn.execute("SELECT id FROM public.user_profiles").fetchall()

    assert inside == ("authenticated", ada)
    assert seen == [(ada,)]


def test_afterwards_the_connection_is_itself_again(conn: Connection, ada: UUID) -> None:
    before = conn.execute(WHO).fetchone()

    with db.acting_as(conn, ada):
        pass

    assert conn.execute(WHO).fetchone() == before


def test_in_a_running_transaction_too(running: Connection, ada: UUID) -> None:
    before = running.execute(WHO).fetchone()

    with db.acting_as(running, ada):
        pass

    assert running.execute(WHO).fetchone() == before


def test_it_commits_nothing_of_a_running_transaction(
    running: Connection, conn: Connection, ada: UUID
) -> None:
    with db.acting_as(running, ada):
        db.agents.create(running, user_id=ada, name="a")
    running.rollback()

    assert db.agents.list(conn) == []


def test_after_an_error_the_connection_is_itself_and_usable(running: Connection, ada: UUID) -> None:
    before = running.execute(WHO).fetchone()

    with pytest.raises(psycopg.errors.DivisionByZero), db.acting_as(running, ada):
        running.execute("SELECT 1 / 0")

    assert running.execute(WHO).fetchone() == before


def test_an_error_undoes_the_block_and_keeps_what_was_before(
    running: Connection, ada: UUID
) -> None:
    kept = db.agents.create(running, user_id=ada, name="kept")

    with pytest.raises(psycopg.errors.CheckViolation), db.acting_as(running, ada):
        create_two(running, ada, "undone", "")

    assert db.agents.list(running) == [kept]


def test_one_user_may_act_within_another(running: Connection, ada: UUID, bob: UUID) -> None:
    with db.acting_as(running, ada):
        with db.acting_as(running, bob):
            inner = running.execute(WHO).fetchone()
        outer = running.execute(WHO).fetchone()

    assert (inner, outer) == (("authenticated", bob), ("authenticated", ada))


def test_claims_left_in_the_older_form_do_not_win(conn: Connection, ada: UUID, bob: UUID) -> None:
    conn.execute("SELECT set_config('request.jwt.claim.sub', %s, false)", (str(bob),))

    with db.acting_as(conn, ada):
        inside = conn.execute(WHO).fetchone()

    assert inside == ("authenticated", ada)


def test_nothing_stays_on_the_session(conn: Connection, ada: UUID) -> None:
    with db.acting_as(conn, ada):
        pass

    left = conn.execute("SELECT current_setting('request.jwt.claims', true)").fetchone()

    assert left in ((None,), ("",))


def test_a_visitor_is_nobody(conn: Connection) -> None:
    with db.acting_as_anon(conn):
        inside = conn.execute(WHO).fetchone()

    assert inside == ("anon", None)


def test_a_user_is_named_by_an_id(conn: Connection) -> None:
    with pytest.raises(ValueError, match="UUID"), db.acting_as(conn, "ada'; DROP TABLE x; --"):
        pass


def test_a_verified_token_decides_who_acts(conn: Connection, ada: UUID) -> None:
    with db.acting_as_claims(conn, signed(sub=str(ada), email="a@b.c"), secret=SECRET):
        inside = conn.execute(f"{WHO}, auth.email()").fetchone()

    assert inside == ("authenticated", ada, "a@b.c")


@pytest.mark.parametrize("role", ["anon", "service_role"])
def test_the_projects_own_keys_act_as_their_role(conn: Connection, role: str) -> None:
    with db.acting_as_claims(conn, signed(role=role), secret=SECRET):
        inside = conn.execute(WHO).fetchone()

    assert inside == (role, None)


@pytest.mark.parametrize(
    ("claims", "secret", "algorithm"),
    [
        ({"exp": datetime.now(UTC) - timedelta(minutes=1)}, SECRET, "HS256"),
        ({}, "another-secret-of-thirty-two-characters", "HS256"),
        ({}, SECRET, "HS512"),
        ({}, "", "none"),
        ({"role": "postgres"}, SECRET, "HS256"),
        ({"role": None}, SECRET, "HS256"),
        ({"sub": "not an id"}, SECRET, "HS256"),
        ({"exp": None}, SECRET, "HS256"),
    ],
)
def test_a_token_that_proves_nothing_is_refused(
    conn: Connection, ada: UUID, claims: dict[str, Any], secret: str, algorithm: str
) -> None:
    token = signed(**{"sub": str(ada), **claims}, secret=secret, algorithm=algorithm)

    with (
        pytest.raises(db.BadTokenError),
        db.acting_as_claims(conn, token, secret=SECRET),
    ):
        pytest.fail("acted")


def test_a_short_secret_is_refused(conn: Connection) -> None:
    with (
        pytest.raises(ValueError, match="JWT_SECRET has 5 characters, minimum 32"),
        db.acting_as_claims(conn, "a.b.c", secret="short"),
    ):
        pytest.fail("acted")


def create_two(conn: Connection, owner: UUID, *names: str) -> None:
    for name in names:
        db.agents.create(conn, user_id=owner, name=name)


def signed(*, secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    """A token as Supabase makes it; a claim of None is left out."""
    hour = datetime.now(UTC) + timedelta(hours=1)
    whole = {"role": "authenticated", "aud": "authenticated", "exp": hour, **claims}
    return jwt.encode(
        {name: value for name, value in whole.items() if value is not None},
        secret,
        algorithm=algorithm,
    )
