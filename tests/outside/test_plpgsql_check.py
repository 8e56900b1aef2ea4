"""plpgsql_check, with every warning on, finds nothing in our functions, on PostgreSQL 15."""

from collections.abc import Iterator

import pytest

from db.migrate import migrate
from db.pool import Connection, connect
from tests.outside.postgres15 import serve_postgres_15

# A trigger function is checked for each of its tables. One that serves INSERT and DELETE reads
# only the transition table it has, so it is told the names of both.
CHECK = """
WITH ours AS (
    SELECT p.oid, p.oid::regprocedure::text AS name,
           p.prorettype = 'trigger'::regtype AS is_trigger
    FROM pg_proc AS p
    JOIN pg_language AS l ON l.oid = p.prolang AND l.lanname = 'plpgsql'
    WHERE p.pronamespace = ANY ('{public,private,worker}'::regnamespace[])
), used AS (
    SELECT tgfoid, array_agg(DISTINCT tgrelid) AS tables,
           max(tgoldtable) AS old_rows, max(tgnewtable) AS new_rows
    FROM pg_trigger WHERE NOT tgisinternal GROUP BY tgfoid
), checked AS (
    SELECT o.oid, o.name, t.table_id, u.old_rows, u.new_rows
    FROM ours AS o
    LEFT JOIN used AS u ON u.tgfoid = o.oid
    CROSS JOIN unnest(coalesce(u.tables, '{0}')) AS t (table_id)
    WHERE NOT o.is_trigger OR u.tables IS NOT NULL
)
"""
FINDINGS = CHECK + (
    "SELECT DISTINCT c.name, f.level, f.lineno, f.message FROM checked AS c"
    " CROSS JOIN plpgsql_check_function_tb(c.oid, c.table_id, oldtable => c.old_rows,"
    " newtable => c.new_rows, all_warnings => true) AS f"
)
UNCHECKED = CHECK + "SELECT name FROM ours WHERE oid NOT IN (SELECT oid FROM checked)"

SEARCH = (
    "search_conversations(uuid,text,text,timestamp with time zone,"
    "timestamp with time zone,integer,integer)"
)
# The seed gives two parameters their names; a lock inside a LATERAL is not seen by the checker.
EXCEPTIONS = {
    (
        "worker.lock_delivery_jobs(uuid[])",
        "performance",
        None,
        "routine is marked as VOLATILE, should be STABLE",
    ),
    (SEARCH, "warning", None, 'name of parameter "limit" is reserved keyword'),
    (SEARCH, "warning", None, 'name of parameter "offset" is reserved keyword'),
}


@pytest.fixture(scope="module")
def checked() -> Iterator[Connection]:
    """A migrated database on PostgreSQL 15, with plpgsql_check."""
    with serve_postgres_15() as url:
        migrate(url)
        with connect(url, autocommit=True) as conn:
            conn.execute("CREATE EXTENSION plpgsql_check")
            yield conn


def test_every_function_is_clean(checked: Connection) -> None:
    findings = set(checked.execute(FINDINGS).fetchall())

    assert findings == EXCEPTIONS


def test_no_function_escapes_the_check(checked: Connection) -> None:
    """A trigger function without a trigger could not be checked."""
    unchecked = checked.execute(UNCHECKED).fetchall()

    assert unchecked == []


@pytest.mark.parametrize(
    ("body", "finding"),
    [
        ("BEGIN PERFORM missing FROM public.agents; END", 'column "missing" does not exist'),
        ("DECLARE idle int; BEGIN END", 'unused variable "idle"'),
        (
            "DECLARE n int; BEGIN n := length(name)::numeric; END",
            "target type is different type than source type",
        ),
        ("BEGIN EXECUTE 'SELECT ' || name; END", "text type variable is not sanitized"),
    ],
)
def test_what_is_wrong_would_be_found(checked: Connection, body: str, finding: str) -> None:
    with checked.transaction(force_rollback=True):
        checked.execute(
            "CREATE FUNCTION public.wrong(name text) RETURNS void LANGUAGE plpgsql"
            f" AS $${body}$$".encode()
        )
        findings = checked.execute(FINDINGS).fetchall()

    assert finding in [message for name, _, _, message in findings if name == "wrong(text)"]
