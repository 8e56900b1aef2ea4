"""Rows in and out of the data layer: typed on the way out, known columns only on the way in."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import cache
from typing import Any, TypeVar

from psycopg import Cursor
from psycopg.types.json import Jsonb

T = TypeVar("T")

INSERTED = re.compile(rb"INSERT INTO public\.(\w+)[^(]*\(([^)]*)\)")
UPDATED = re.compile(rb"UPDATE public\.(\w+) AS \w+\s+SET \(([^)]*)\)")


ROWS_MAX = 1_000


class UnknownColumnError(TypeError):
    """A column was named that this function does not write."""


def of(row: type[T]) -> Callable[[Cursor[Any]], Callable[[Sequence[Any]], T]]:
    """A row factory for a dataclass. Columns it does not have are left out.

    During a deploy the schema is newer than the code, so `SELECT *` may bring some.
    """
    names = [field.name for field in fields(row)]  # type: ignore[arg-type]

    def factory(cursor: Cursor[Any]) -> Callable[[Sequence[Any]], T]:
        found = [column.name for column in cursor.description or ()]
        places = [found.index(name) for name in names]

        def make(values: Sequence[Any]) -> T:
            return row(*(values[place] for place in places))

        return make

    return factory


def checked(statement: bytes, given: Mapping[str, Any]) -> Jsonb:
    """The named columns as the `row` of an INSERT or UPDATE statement.

    Raises UnknownColumnError for one that the statement does not write.
    """
    table, known = columns_of(statement)
    if unknown := sorted(set(given) - set(known)):
        raise UnknownColumnError(
            f"{table} has no column {', '.join(unknown)} to write here; it has {', '.join(known)}"
        )
    return Jsonb(dict(given), dumps=to_json)


@cache
def columns_of(statement: bytes) -> tuple[str, tuple[str, ...]]:
    """(table, columns) that an INSERT or UPDATE statement writes."""
    found = INSERTED.search(statement) or UPDATED.search(statement)
    assert found is not None, statement
    names = found[2].decode().split(",")
    return found[1].decode(), tuple(name.strip() for name in names)


def page(*, limit: int, offset: int) -> dict[str, int]:
    """The arguments of LIMIT and OFFSET. Raises ValueError beyond ROWS_MAX."""
    if not 0 <= limit <= ROWS_MAX or offset < 0:
        raise ValueError(f"limit {limit}, offset {offset}: limit is 0 to {ROWS_MAX}, offset 0 up")
    return {"limit": limit, "offset": offset}


def to_json(value: Any) -> str:
    return json.dumps(value, default=str)
