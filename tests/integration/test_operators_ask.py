"""Functions for owners answer operators who come to the database without a token, and no others."""

import json
from uuid import UUID

import psycopg
import pytest

from db.pool import Connection, connect
from tests.integration.schema_world import OTHER, OWNER
from tests.integration.visitor_world import AGENT, build_owners

ASK = "SELECT request_visitor_erasure(%s, 'visitor-1')"
SEEN = "SELECT count(*) FROM get_visitor_erasures(%s)"


def ask(url: str, *, role: str | None, claims: UUID | None) -> int:
    """How many requests the caller sees after asking for one."""
    with connect(url) as conn:
        if claims is not None:
            told = json.dumps({"sub": str(claims), "role": "authenticated"})
            conn.execute("SELECT set_config('request.jwt.claims', %s, true)", (told,))
        if role is not None:
            conn.execute("SELECT set_config('role', %s, true)", (role,))
        conn.execute(ASK, (AGENT,))
        row = conn.execute(SEEN, (AGENT,)).fetchone()
        assert row is not None
        return int(row[0])


@pytest.mark.parametrize(
    ("role", "claims"), [(None, None), ("service_role", None), ("authenticated", OWNER)]
)
def test_operators_and_the_owner_are_answered(
    conn: Connection, database_url: str, role: str | None, claims: UUID | None
) -> None:
    build_owners(conn)

    assert ask(database_url, role=role, claims=claims) == 1


@pytest.mark.parametrize(
    ("role", "claims"),
    [("authenticated", OTHER), ("authenticated", None), ("anon", None), (None, OTHER)],
)
def test_others_are_refused(
    conn: Connection, database_url: str, role: str | None, claims: UUID | None
) -> None:
    build_owners(conn)

    with pytest.raises((psycopg.errors.NoDataFound, psycopg.errors.InsufficientPrivilege)):
        ask(database_url, role=role, claims=claims)
