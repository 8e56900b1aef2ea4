"""Forward-only migrations, applied and recorded exactly as `supabase db push` does it.

Each file is one transaction, so it holds no BEGIN, no CONCURRENTLY and no psql command. A file
that was edited after it was applied is not noticed; an applied one that is gone shows in `status`.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from db import pool, statements
from db.pool import Connection

SQL = statements.load("migrate")
MIGRATIONS = Path(__file__).with_name("migrations")
SHIM = Path(__file__).with_name("shim.sql")
FILE_NAME = re.compile(r"(\d{14})_(\w+)\.sql")
TOKEN = re.compile(
    r"""--[^\n]*
      | /\*
      | (?<!\w)[eE]'(?:[^'\\]|\\.|'')*'
      | '(?:[^']|'')*'
      | "[^"]*"
      | (?<![\w$])(?P<tag>\$(?:[^\W\d]\w*)?\$).*?(?P=tag)
      | ;
    """,
    re.DOTALL | re.VERBOSE,
)
COMMENT_EDGE = re.compile(r"/\*|\*/")
DOLLAR_BODY = re.compile(r"(?<![\w$])\$(?:[^\W\d]\w*)?\$")
LEADING_COMMENTS = re.compile(r"(?:\s|--[^\n]*(?:\n|$))*")
BODY_LINE = re.compile(r"inline_code_block line (\d+)")


class MigrationError(Exception):
    """A migration could not be applied; nothing of its file is in the database."""


@dataclass(frozen=True)
class Migration:
    version: str
    name: str
    path: Path


@dataclass(frozen=True)
class Statement:
    text: str
    line: int


def migrate(database_url: str, *, folder: Path = MIGRATIONS) -> list[Migration]:
    """Apply what is missing, oldest first, and return it: [] when there is nothing to do.

    Needs a direct connection: the lock that lets a second caller wait belongs to a session.
    Raises MigrationError, also when a missing file is older than one already applied.
    """
    known = read_folder(folder)
    with pool.connect(database_url, autocommit=True, name="avivro migrate") as conn, locked(conn):
        add_what_supabase_has(conn)
        conn.execute(SQL.create_history)
        applied = {version for version, _ in load_applied(conn)}
        missing = [migration for migration in known if migration.version not in applied]
        refuse_older(missing, newest=max(applied, default=""))
        for migration in missing:
            apply(conn, migration)
    return missing


def status(database_url: str, *, folder: Path = MIGRATIONS) -> list[tuple[Migration, bool]]:
    """Every migration by version, and whether it is applied; `path` of an unknown one is no file.

    Changes nothing, not even in an empty database.
    """
    known = {migration.version: migration for migration in read_folder(folder)}
    with pool.connect(database_url, autocommit=True, name="avivro migrate") as conn:
        applied = dict(load_applied(conn))
    unknown = {
        version: Migration(version, name, folder / f"{version}_{name}.sql")
        for version, name in applied.items()
        if version not in known
    }
    return [(each, each.version in applied) for _, each in sorted({**known, **unknown}.items())]


def read_folder(folder: Path) -> list[Migration]:
    """The folder's migrations, oldest first. Raises MigrationError for a name it cannot read."""
    found: dict[str, Migration] = {}
    for path in sorted(folder.glob("*.sql")):
        named = FILE_NAME.fullmatch(path.name)
        if named is None:
            raise MigrationError(f"{path.name}: not named <14-digit time>_<name>.sql")
        migration = Migration(named[1], named[2], path)
        twin = found.setdefault(migration.version, migration)
        if twin is not migration:
            raise MigrationError(f"{path.name}: same version as {twin.path.name}")
    return list(found.values())


@contextmanager
def locked(conn: Connection) -> Iterator[None]:
    conn.execute(SQL.lock_migrations)
    try:
        yield
    finally:
        if not conn.closed:
            conn.execute(SQL.unlock_migrations)


def add_what_supabase_has(conn: Connection) -> None:
    """Create roles, `auth` and the rest of `db/shim.sql` where there is no `auth.users`."""
    if conn.execute(SQL.has_auth_users).fetchone() == (True,):
        return
    with conn.transaction():
        run(conn, SHIM)


def load_applied(conn: Connection) -> list[tuple[str, str]]:
    """(version, name) of every recorded migration; [] where none was ever recorded."""
    if conn.execute(SQL.has_history).fetchone() != (True,):
        return []
    return conn.execute(SQL.load_applied).fetchall()


def refuse_older(missing: list[Migration], *, newest: str) -> None:
    """`supabase db push` refuses them too: the result would depend on the order of arrival."""
    late = [migration.path.name for migration in missing if migration.version < newest]
    if late:
        raise MigrationError(
            f"{', '.join(late)}: older than {newest}, which is already applied; "
            "give the file a newer timestamp"
        )


def apply(conn: Connection, migration: Migration) -> None:
    # A file must not inherit what the one before it has set in the session.
    conn.execute(SQL.reset_session)
    with conn.transaction():
        conn.execute(SQL.limit_waits)
        texts = run(conn, migration.path)
        conn.execute(
            SQL.record_migration,
            {"version": migration.version, "name": migration.name, "statements": texts},
        )


def run(conn: Connection, path: Path) -> list[str]:
    """Execute a file, statement by statement. Raises MigrationError with file, line and cause."""
    parts = list(split(path.read_text(encoding="utf-8")))
    for part in parts:
        try:
            conn.execute(part.text.encode())
        except psycopg.Error as error:
            raise explain(path, part, error) from error
    return [part.text for part in parts]


def split(text: str) -> Iterator[Statement]:
    """Cut a file at its top-level semicolons, as the Supabase CLI does, without them."""
    start = position = 0
    while (token := TOKEN.search(text, position)) is not None:
        position = token.end()
        if token[0] == "/*":
            position = end_of_comment(text, position)
        elif token[0] == ";":
            yield from statement(text, start, position)
            start = position
    yield from statement(text, start, len(text))


def end_of_comment(text: str, position: int) -> int:
    """The position behind the `*/` that belongs to the `/*` before `position`: they nest."""
    depth = 1
    while depth and (edge := COMMENT_EDGE.search(text, position)) is not None:
        depth += 1 if edge[0] == "/*" else -1
        position = edge.end()
    return position if depth == 0 else len(text)


def statement(text: str, start: int, end: int) -> Iterator[Statement]:
    """The statement of a slice, or none where the slice is blank."""
    bare = text[start:end].rstrip(";")
    if stripped := bare.strip():
        start += len(bare) - len(bare.lstrip())
        yield Statement(stripped, line=1 + text.count("\n", 0, start))


def explain(path: Path, part: Statement, error: psycopg.Error) -> MigrationError:
    diag = error.diag
    notes = [note for note in (diag.message_detail, diag.message_hint) if note]
    cause = "; ".join([diag.message_primary or str(error).strip(), *notes])
    return MigrationError(f"{path.name}, line {part.line + lines_into(part.text, diag)}: {cause}")


def lines_into(text: str, diag: psycopg.errors.Diagnostic) -> int:
    """How many lines below its first line a statement went wrong, as exactly as Postgres says."""
    if diag.statement_position:
        return text.count("\n", 0, int(diag.statement_position) - 1)
    body, inside = DOLLAR_BODY.search(text), BODY_LINE.search(diag.context or "")
    if body and inside:
        return text.count("\n", 0, body.start()) + int(inside[1]) - 1
    comments = LEADING_COMMENTS.match(text)
    return text.count("\n", 0, comments.end() if comments else 0)
