"""The catalogue as Python: a frozen dataclass for each row, typed dictionaries for writing."""

from collections.abc import Iterator, Mapping, Sequence

from db.catalogue import Catalogue, Column, Function

LINE_MAX = 100
# As psycopg returns them; without pgvector's adapter a vector is its text.
KNOWN = {
    "bool": "bool", "int2": "int", "int4": "int", "int8": "int",
    "float4": "float", "float8": "float", "numeric": "Decimal",
    "text": "str", "varchar": "str", "bpchar": "str", "citext": "str", "vector": "str",
    "bytea": "bytes", "uuid": "UUID", "date": "date", "timestamptz": "datetime",
    "timestamp": "datetime", "interval": "timedelta", "inet": "Address",
    "json": "Json", "jsonb": "Json", "void": "None",
}  # fmt: skip
# What may be given where more than the type that comes back makes sense.
GIVEN = {"numeric": "Decimal | float", "inet": "Address | str", "vector": "str | list[float]"}
# Not shown when a row is printed or logged.
SECRETS = {"secret", "key_hash", "key"}

HEAD = '''\
"""Written by `make types` from the migrated database. Do not edit."""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Any, Literal, NotRequired, TypedDict
from uuid import UUID

Json = Any
Address = IPv4Address | IPv6Address | IPv4Interface | IPv6Interface
'''


# Python's name of a type, by Postgres' own.
Names = Mapping[str, str]


def write(catalogue: Catalogue) -> str:
    """The whole file, as `ruff format` leaves it."""
    names = KNOWN | {enum.name: pascal(enum.name) for enum in catalogue.enums}
    lines = [HEAD.rstrip("\n"), *enum_aliases(catalogue), *word_aliases(catalogue)]
    for name, columns in catalogue.tables.items():
        lines += row_class(names, f"{pascal(name)}Row", columns)
        lines += written_class(names, f"{pascal(name)}Insert", columns, all_optional=False)
        lines += written_class(names, f"{pascal(name)}Update", columns, all_optional=True)
    for name, columns in catalogue.views.items():
        lines += row_class(names, f"{pascal(name)}Row", columns)
    for name, fields in catalogue.composites.items():
        nullable = [(one.field, f"{python_type(names, one.type)} | None") for one in fields]
        lines += result_class(pascal(name), nullable)
    for function in catalogue.functions:
        lines += function_classes(names, function)
    return "\n".join(lines) + "\n"


def enum_aliases(catalogue: Catalogue) -> Iterator[str]:
    for enum in catalogue.enums:
        yield from alias(pascal(enum.name), enum.labels)


def word_aliases(catalogue: Catalogue) -> Iterator[str]:
    """The words that a check allows a column, each list by its table and column."""
    for columns in catalogue.tables.values():
        for column in (column for column in columns if column.words):
            yield from alias(alias_name(column), column.words)


def alias(name: str, words: Sequence[str]) -> Iterator[str]:
    """A literal type, broken into lines as `ruff format` breaks it."""
    listed = ", ".join(map(quoted, words))
    if len(line := f"{name} = Literal[{listed}]") <= LINE_MAX:
        yield line
        return
    yield f"{name} = Literal["
    if len(line := f"    {listed}") <= LINE_MAX:
        yield line
    else:
        yield from (f"    {quoted(word)}," for word in words)
    yield "]"


def row_class(names: Names, name: str, columns: Sequence[Column]) -> Iterator[str]:
    yield from dataclass_head(name)
    for column in columns:
        yield declared(column.name, row_type(names, column), is_secret=column.name in SECRETS)


def row_type(names: Names, column: Column) -> str:
    written = alias_name(column) if column.words else python_type(names, column.type)
    return written if column.is_required or written == "Json" else f"{written} | None"


def written_class(
    names: Names, name: str, columns: Sequence[Column], *, all_optional: bool
) -> Iterator[str]:
    yield from ["", "", f"class {name}(TypedDict{', total=False' if all_optional else ''}):"]
    for column in columns:
        if not column.is_computed:
            written = given_type(names, column)
            must = all_optional or (column.is_required and not column.has_default)
            yield declared(column.name, written if must else f"NotRequired[{written}]")


def given_type(names: Names, column: Column) -> str:
    written = alias_name(column) if column.words else GIVEN.get(column.type)
    written = written or python_type(names, column.type)
    return written if column.is_required or written == "Json" else f"{written} | None"


def function_classes(names: Names, function: Function) -> Iterator[str]:
    """What is given, and the row of a returned table: any of its columns may be null."""
    if given := function.given():
        yield from ["", "", f"class {pascal(function.name)}Args(TypedDict):"]
        for name, type, has_default in given:
            written = GIVEN.get(type) or python_type(names, type)
            yield declared(name, f"NotRequired[{written}]" if has_default else written)
    if returned := function.returned():
        nullable = [(name, f"{python_type(names, type)} | None") for name, type in returned]
        yield from result_class(f"{pascal(function.name)}Row", nullable)


def result_class(name: str, fields: Sequence[tuple[str, str]]) -> Iterator[str]:
    yield from dataclass_head(name)
    for field, written in fields:
        written = "Json" if written == "Json | None" else written
        yield declared(field, written, is_secret=field in SECRETS)


def dataclass_head(name: str) -> list[str]:
    return ["", "", "@dataclass(frozen=True, slots=True)", f"class {name}:"]


def declared(name: str, type: str, *, is_secret: bool = False) -> str:
    return f"    {name}: {type}" + (" = field(repr=False)" if is_secret else "")


def python_type(names: Names, type: str) -> str:
    if type.startswith("_"):
        return f"list[{python_type(names, type[1:])}]"
    return names.get(type, "Any")


def alias_name(column: Column) -> str:
    return pascal(column.relation) + pascal(column.name)


def quoted(word: str) -> str:
    """As `ruff format` quotes it: double, unless that needs more escapes."""
    return repr(word) if '"' in word else '"' + repr("'" + word)[2:-1] + '"'


def pascal(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
