"""Leads of the caller's agents; see leads.sql. No function commits."""

from collections.abc import Sequence
from typing import Unpack
from uuid import UUID, uuid4

from db import rows
from db.pool import Connection
from db.statements import load
from db.types.database_types import LeadsInsert, LeadsRow, LeadsStatus, LeadsUpdate

SQL = load("leads")

Lead = LeadsRow


def create(conn: Connection, **row: Unpack[LeadsInsert]) -> Lead:
    """Insert a lead of one of the caller's agents. Raises UnknownColumnError."""
    cursor = conn.cursor(row_factory=rows.of(Lead))
    created = cursor.execute(SQL.create, {"row": rows.checked(SQL.create, row)}).fetchone()
    assert created is not None
    return created


def submit(conn: Connection, **row: Unpack[LeadsInsert]) -> UUID:
    """Leave an address with a published agent, as a visitor's form does; the lead's id.

    For anonymous visitors too, who may not read it back.
    """
    lead_id = row.setdefault("id", uuid4())
    conn.execute(SQL.submit, {"row": rows.checked(SQL.submit, row)})
    return lead_id


def get(conn: Connection, lead_id: UUID) -> Lead | None:
    cursor = conn.cursor(row_factory=rows.of(Lead))
    return cursor.execute(SQL.get, {"lead_id": lead_id}).fetchone()


def list(
    conn: Connection,
    agent_id: UUID,
    *,
    status: LeadsStatus | None = None,
    limit: int = 50,
    offset: int = 0,
) -> Sequence[Lead]:
    """Leads of an agent, newest first."""
    filters = {"agent_id": agent_id, "status": status, **rows.page(limit=limit, offset=offset)}
    return conn.cursor(row_factory=rows.of(Lead)).execute(SQL.list, filters).fetchall()


def update(conn: Connection, lead_id: UUID, **changes: Unpack[LeadsUpdate]) -> Lead | None:
    """Change the named columns; None where the caller has no such lead."""
    cursor = conn.cursor(row_factory=rows.of(Lead))
    row = rows.checked(SQL.update, changes)
    return cursor.execute(SQL.update, {"lead_id": lead_id, "row": row}).fetchone()
