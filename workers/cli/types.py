"""`avivro types`: the database's schema as TypeScript or Python."""

import sys
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

import db.types
from db import catalogue, types_python, types_typescript
from db.catalogue import Catalogue
from db.embedded import serve
from db.migrate import migrate
from db.pool import connect
from workers.cli import console
from workers.cli.services import database


class Language(StrEnum):
    TYPESCRIPT = "typescript"
    PYTHON = "python"


WRITERS = {Language.TYPESCRIPT: types_typescript.write, Language.PYTHON: types_python.write}
FOLDER = Path(db.types.__file__).parent
KEPT = {
    Language.TYPESCRIPT: FOLDER / "database.types.ts",
    Language.PYTHON: FOLDER / "database_types.py",
}


def register(app: typer.Typer) -> None:
    app.command("types")(types)


def types(
    lang: Annotated[Language, typer.Option(help="What to write.")] = Language.TYPESCRIPT,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Rewrite the files of this checkout from its migrations."),
    ] = False,
) -> None:
    """Print the types of the database's rows, functions and enums."""
    if keep:
        keep_both()
        return
    with database() as conn:
        found = catalogue.read(conn)
    if not found.tables:
        console.fail("schema public is empty: run `avivro migrate` first", code=1)
    sys.stdout.write(WRITERS[lang](found))


def keep_both() -> None:
    """From a new database: what somebody tried out in their own must not get in."""
    found = read_migrations()
    for lang, path in KEPT.items():
        path.write_text(WRITERS[lang](found), encoding="utf-8")
        console.err.print(f"wrote {path}", highlight=False)


def read_migrations() -> Catalogue:
    with (
        TemporaryDirectory(prefix="avivro-types-") as home,
        serve(Path(home), redis=False) as served,
    ):
        assert served.database_url is not None
        migrate(served.database_url)
        with connect(served.database_url) as conn:
            return catalogue.read(conn)
