"""Every statement in db/*.sql is one that Postgres accepts."""

import re
from pathlib import Path

import pytest

from db import statements
from db.pool import Connection

FOLDER = Path(statements.__file__).parent
# Conditions of a job are no statements of their own; see db/job_list.py.
CONDITIONS = "job_conditions"
AREAS = sorted(path.stem for path in FOLDER.glob("*.sql") if path.stem not in ("shim", CONDITIONS))
# Statements that only the whole file makes sense of, or that cannot be prepared at all.
UNPREPARED = re.compile(
    rb"^(--[^\n]*\n)*\s*(COPY|CREATE|DO|RESET|SET|LISTEN|LOCK|ORDER)\b", re.IGNORECASE
)

TEMPORARY = re.compile(rb"CREATE TEMPORARY TABLE")


@pytest.mark.parametrize("area", AREAS)
def test_postgres_prepares_every_statement(conn: Connection, area: str) -> None:
    sql = statements.load(area)
    with conn.transaction():
        for name in sql.names():
            text = getattr(sql, name)
            if TEMPORARY.match(text):
                conn.execute(text)
            elif not UNPREPARED.match(text):
                conn.execute(b"PREPARE checked AS " + numbered(text))
                conn.execute(b"DEALLOCATE checked")


@pytest.mark.parametrize("name", statements.load(CONDITIONS).names())
def test_postgres_understands_every_condition(conn: Connection, name: str) -> None:
    text = b"SELECT FROM worker.jobs AS j WHERE (" + getattr(statements.load(CONDITIONS), name)
    with conn.transaction():
        conn.execute(b"PREPARE checked AS " + numbered(text + b"\n)"))


def numbered(text: bytes) -> bytes:
    """Named placeholders as $1, $2 ..., as the server sees them."""
    names = list(dict.fromkeys(re.findall(rb"%\((\w+)\)[sb]", text)))
    for number, name in enumerate(names, 1):
        text = re.sub(rb"%%\(%s\)[sb]" % name, b"$%d" % number, text)
    return text
