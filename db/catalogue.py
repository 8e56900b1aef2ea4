"""The shape of schema `public` as values, read from a migrated database; see catalogue.sql."""

import itertools
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from psycopg.rows import class_row

from db.pool import Connection
from db.statements import load

SQL = load("catalogue")

WORD_LIST = re.compile(r"CHECK \(\(\w+ = ANY \(ARRAY\[(.*)\]\)\)\)")
WORD = re.compile(r"'((?:[^']|'')*)'::text")
TARGET = re.compile(r":resno (\d+) .*?:resorigtbl (\d+) :resorigcol (\d+)", re.DOTALL)
NULLED = re.compile(r":varnullingrels \(b \d")
INPUT_MODES = {"i", "b", "v"}

Row = TypeVar("Row")
# (id of a relation, number of its column)
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `type` is Postgres' own name, an array's begins with `_`."""

    relation_id: int
    relation: str
    of_view: bool
    number: int
    name: str
    type: str
    is_required: bool
    has_default: bool
    is_computed: bool
    is_writable: bool
    comment: str | None
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    relation: str
    name: str
    condition: str


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key, or what one looks like through views."""

    name: str
    relation_id: int
    relation: str
    target_id: int
    target: str
    numbers: list[int]
    target_numbers: list[int]
    columns: list[str]
    target_columns: list[str]
    is_unique: bool


@dataclass(frozen=True, slots=True)
class View:
    relation_id: int
    name: str
    tree: str
    takes_inserts: bool
    takes_updates: bool


@dataclass(frozen=True, slots=True)
class Function:
    """A function; names, modes and types run over all arguments, outputs included."""

    name: str
    type: str
    returns_set: bool
    arg_names: list[str]
    arg_modes: list[str]
    arg_types: list[str]
    inputs: int
    defaults: int

    def given(self) -> list[tuple[str, str, bool]]:
        """(name, type, has a default) of what a caller gives."""
        modes = self.arg_modes or ["i"] * len(self.arg_types)
        taken = [
            (name, type)
            for name, type, mode in zip(self.arg_names, self.arg_types, modes, strict=True)
            if mode in INPUT_MODES
        ]
        first_default = self.inputs - self.defaults
        return [(name, type, place >= first_default) for place, (name, type) in enumerate(taken)]

    def returned(self) -> list[tuple[str, str]]:
        """(name, type) of the columns of a returned table; [] for any other result."""
        arguments = zip(self.arg_names, self.arg_types, self.arg_modes, strict=False)
        return [(name, type) for name, type, mode in arguments if mode in "tob"]


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a composite type."""

    name: str
    field: str
    type: str


@dataclass(frozen=True, slots=True)
class Enum:
    name: str
    labels: list[str]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything in `public` that has a type, by name."""

    tables: dict[str, list[Column]]
    views: dict[str, list[Column]]
    writable_views: dict[str, View]
    references: dict[str, list[Reference]]
    functions: list[Function]
    composites: dict[str, list[Field]]
    enums: list[Enum]


def read(conn: Connection) -> Catalogue:
    """Read `public`; columns are in their order in the table."""
    views = list_views(conn)
    origins = {view.relation_id: origins_of(view.tree) for view in views}
    columns = with_words(list_columns(conn), list_checks(conn))
    columns = with_required_views(columns, origins)
    return Catalogue(
        tables=by_relation(column for column in columns if not column.of_view),
        views=by_relation(column for column in columns if column.of_view),
        writable_views={view.name: view for view in views},
        references=by_relation(through_views(list_references(conn), columns, origins)),
        functions=list_functions(conn),
        composites=by_name(list_composites(conn)),
        enums=list_enums(conn),
    )


def with_words(columns: Sequence[Column], checks: Sequence[Check]) -> list[Column]:
    """The columns, each with the words that a check allows it."""
    words = {(check.relation, check.name): words_of(check.condition) for check in checks}
    return [
        replace(column, words=words.get((column.relation, column.name), ())) for column in columns
    ]


def words_of(condition: str) -> tuple[str, ...]:
    """The words of `CHECK (column IN ('a', 'b'))` as Postgres prints it; () for other checks."""
    found = WORD_LIST.fullmatch(condition)
    if found is None:
        return ()
    return tuple(word.replace("''", "'") for word in WORD.findall(found[1]))


def origins_of(tree: str) -> dict[int, Place]:
    """Which column of which relation each column of a view shows, by its number.

    Left out: what is computed, and what an outer join may turn into null. A union shows none.
    """
    entries = [entry for entry in top_level(tree, ":targetList") if not NULLED.search(entry)]
    found = [TARGET.search(last_fields(entry)) for entry in entries]
    places = {int(one[1]): (int(one[2]), int(one[3])) for one in found if one is not None}
    return {number: place for number, place in places.items() if place[0]}


def top_level(tree: str, name: str) -> list[str]:
    """The nodes of the outermost query's list `name`; nested queries have lists of that name."""
    nodes: list[str] = []
    depth, start, inside = 0, 0, False
    for token in re.finditer(r"\\.|[{}]|:\w+", tree):
        if token[0] == "{":
            depth += 1
            start = token.start() if depth == 2 else start
        elif token[0] == "}":
            depth -= 1
            if depth == 1 and inside:
                nodes.append(tree[start : token.end()])
        elif depth == 1 and token[0].startswith(":"):
            inside = token[0] == name
    return nodes


def last_fields(entry: str) -> str:
    """A target entry without its expression, which may hold entries of its own."""
    return entry[entry.rindex("} :resno") :] if "} :resno" in entry else entry


def with_required_views(
    columns: Sequence[Column], origins: Mapping[int, Mapping[int, Place]]
) -> list[Column]:
    """The columns; a view's one that shows a NOT NULL column is required too."""
    required = {(c.relation_id, c.number) for c in columns if c.is_required}
    return [
        replace(c, is_required=origins[c.relation_id].get(c.number) in required) if c.of_view else c
        for c in columns
    ]


def through_views(
    references: Sequence[Reference],
    columns: Sequence[Column],
    origins: Mapping[int, Mapping[int, Place]],
) -> list[Reference]:
    """The references, and those that hold between views which show all their columns."""
    shown: dict[int, list[dict[int, Column]]] = defaultdict(list)
    for view_id, places in origins.items():
        by_base: dict[int, dict[int, Column]] = defaultdict(dict)
        for column in (c for c in columns if c.relation_id == view_id and c.number in places):
            base_id, number = places[column.number]
            by_base[base_id][number] = column
        for base_id, seen in by_base.items():
            shown[base_id].append(seen)
    return [
        variant
        for reference in references
        for variant in itertools.chain([reference], variants(reference, shown))
    ]


def variants(
    reference: Reference, shown: Mapping[int, Sequence[Mapping[int, Column]]]
) -> Iterator[Reference]:
    sources = [
        replace(reference, relation=seen[0].relation, columns=[c.name for c in seen])
        for seen in covering(reference.numbers, shown.get(reference.relation_id, ()))
    ]
    for source in sources:
        yield source
    for seen in covering(reference.target_numbers, shown.get(reference.target_id, ())):
        for source in (reference, *sources):
            yield replace(source, target=seen[0].relation, target_columns=[c.name for c in seen])


def covering(
    numbers: Sequence[int], candidates: Sequence[Mapping[int, Column]]
) -> Iterator[list[Column]]:
    """The columns of each view that shows all of these numbers, in their order."""
    for seen in candidates:
        if all(number in seen for number in numbers):
            yield [seen[number] for number in numbers]


def by_relation(rows: "Iterator[Named] | Sequence[Named]") -> "dict[str, list[Named]]":
    grouped: dict[str, list[Named]] = defaultdict(list)
    for row in rows:
        grouped[row.relation].append(row)
    return dict(sorted(grouped.items()))


Named = TypeVar("Named", Column, Reference)


def by_name(fields: Sequence[Field]) -> dict[str, list[Field]]:
    grouped: dict[str, list[Field]] = defaultdict(list)
    for field in fields:
        grouped[field.name].append(field)
    return dict(grouped)


def list_columns(conn: Connection) -> list[Column]:
    return fetch(conn, Column, SQL.list_columns)


def list_checks(conn: Connection) -> list[Check]:
    return fetch(conn, Check, SQL.list_checks)


def list_references(conn: Connection) -> list[Reference]:
    return fetch(conn, Reference, SQL.list_references)


def list_views(conn: Connection) -> list[View]:
    return fetch(conn, View, SQL.list_views)


def list_functions(conn: Connection) -> list[Function]:
    return fetch(conn, Function, SQL.list_functions)


def list_composites(conn: Connection) -> list[Field]:
    return fetch(conn, Field, SQL.list_composites)


def list_enums(conn: Connection) -> list[Enum]:
    return fetch(conn, Enum, SQL.list_enums)


def fetch(conn: Connection, row: type[Row], statement: bytes) -> list[Row]:
    return conn.cursor(row_factory=class_row(row)).execute(statement).fetchall()
