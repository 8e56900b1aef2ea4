"""Statements about the audit log; see audit.sql. No function commits."""

from collections.abc import Mapping
from typing import Any

from psycopg.types.json import Jsonb

from db.pool import Connection
from db.statements import load

SQL = load("audit")


def append(
    conn: Connection,
    *,
    operator: str,
    role: str,
    action: str,
    target: str,
    why: str,
    details: Mapping[str, Any],
) -> int:
    """Note an action in the transaction that does it; the entry's id."""
    row = conn.execute(
        SQL.append,
        {
            "operator": operator,
            "role": role,
            "action": action,
            "target": target,
            "why": why,
            "details": Jsonb(dict(details)),
        },
    ).fetchone()
    assert row is not None
    return int(row[0])
