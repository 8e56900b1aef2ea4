"""The catalogue as TypeScript, in the shape that `supabase gen types typescript` writes."""

from collections.abc import Iterable, Iterator, Sequence

from db.catalogue import Catalogue, Column, Function, Reference, View

SCALARS = {
    "boolean": ("bool",),
    "number": ("int2", "int4", "int8", "float4", "float8", "numeric"),
    "string": ("bytea", "bpchar", "varchar", "text", "citext", "date", "time", "timetz",
               "timestamp", "timestamptz", "uuid", "vector", "interval"),
    "Json": ("json", "jsonb"),
    "undefined": ("void",),
    "Record<string, unknown>": ("record",),
}  # fmt: skip
KNOWN = {type: written for written, types in SCALARS.items() for type in types}

HEAD = """\
// Written by `make types` from the migrated database. Do not edit.

export type Json = string | number | boolean | null | { [key: string]: Json | undefined } | Json[]

export type Database = {
  public: {
"""
TAIL = """\
  }
}

type PublicSchema = Database["public"]
type Relations = PublicSchema["Tables"] & PublicSchema["Views"]

export type Tables<Name extends keyof Relations> = Relations[Name]["Row"]

export type TablesInsert<Name extends keyof PublicSchema["Tables"]> =
  PublicSchema["Tables"][Name]["Insert"]

export type TablesUpdate<Name extends keyof PublicSchema["Tables"]> =
  PublicSchema["Tables"][Name]["Update"]

export type Enums<Name extends keyof PublicSchema["Enums"]> = PublicSchema["Enums"][Name]

export type CompositeTypes<Name extends keyof PublicSchema["CompositeTypes"]> =
  PublicSchema["CompositeTypes"][Name]

"""


def write(catalogue: Catalogue) -> str:
    """The whole file."""
    types = Types(catalogue)
    sections = (
        ("Tables", types.tables()),
        ("Views", types.views()),
        ("Functions", types.functions()),
        ("Enums", types.enums()),
        ("CompositeTypes", types.composites()),
    )
    body = "".join(block(name, lines) for name, lines in sections)
    return HEAD + body + TAIL + types.constants()


def block(name: str, lines: Iterable[str]) -> str:
    written = list(lines) or ["[_ in never]: never"]
    return f"    {name}: {{\n" + "".join(f"      {line}\n" for line in written) + "    }\n"


class Types:
    """Lines of one catalogue; a type's name may be that of an enum, a composite or a relation."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.enum_names = {enum.name for enum in catalogue.enums}

    def tables(self) -> Iterator[str]:
        for name, columns in self.catalogue.tables.items():
            ordered = by_name(columns)
            yield f"{name}: {{"
            yield from self.row(ordered)
            yield from braces("Insert", [self.insertable(column) for column in ordered])
            yield from braces("Update", [self.updatable(column) for column in ordered])
            yield from relationships(self.catalogue.references.get(name, []))
            yield "}"

    def views(self) -> Iterator[str]:
        for name, columns in self.catalogue.views.items():
            ordered, view = by_name(columns), self.catalogue.writable_views[name]
            yield f"{name}: {{"
            yield from self.row(ordered)
            for what in kinds_of_writing(view):
                yield from braces(what, [self.view_writable(column) for column in ordered])
            yield from relationships(self.catalogue.references.get(name, []))
            yield "}"

    def row(self, columns: Sequence[Column]) -> Iterator[str]:
        fields = [f"{c.name}: {self.nullable(c.type, not c.is_required)}" for c in columns]
        yield from braces("Row", fields)
        yield "  ComputedFields: never"

    def insertable(self, column: Column) -> str:
        if column.is_computed:
            return f"{column.name}?: never"
        mark = "" if column.is_required and not column.has_default else "?"
        return f"{column.name}{mark}: {self.nullable(column.type, not column.is_required)}"

    def updatable(self, column: Column) -> str:
        if column.is_computed:
            return f"{column.name}?: never"
        return f"{column.name}?: {self.nullable(column.type, not column.is_required)}"

    def view_writable(self, column: Column) -> str:
        if not column.is_writable:
            return f"{column.name}?: never"
        return f"{column.name}?: {self.nullable(column.type, True)}"

    def functions(self) -> Iterator[str]:
        for function in self.catalogue.functions:
            yield f"{function.name}: {{"
            yield f"  Args: {self.arguments(function)}"
            yield from self.result(function)
            yield "}"

    def arguments(self, function: Function) -> str:
        given = sorted(function.given())
        if not given:
            return "Record<PropertyKey, never>"
        fields = (
            f"{name}{'?' if has_default else ''}: {self.written(type)}"
            for name, type, has_default in given
        )
        return "{ " + "; ".join(fields) + " }"

    def result(self, function: Function) -> Iterator[str]:
        many = "[]" if function.returns_set else ""
        if columns := function.returned():
            yield "  Returns: {"
            yield from (f"    {name}: {self.written(type)}" for name, type in sorted(columns))
            yield f"  }}{many}"
            return
        yield f"  Returns: {self.written(function.type)}{many}"
        if function.type in self.catalogue.composites and function.returns_set:
            yield from braces(
                "SetofOptions",
                ['from: "*"', f'to: "{function.type}"', "isOneToOne: false",
                 "isSetofReturn: true"],
            )  # fmt: skip

    def enums(self) -> Iterator[str]:
        for enum in self.catalogue.enums:
            yield f"{enum.name}: {' | '.join(quoted(label) for label in enum.labels)}"

    def composites(self) -> Iterator[str]:
        for name, fields in self.catalogue.composites.items():
            yield f"{name}: {{"
            yield from (f"  {one.field}: {self.nullable(one.type, True)}" for one in fields)
            yield "}"

    def constants(self) -> str:
        enums = [
            f"      {enum.name}: [{', '.join(quoted(label) for label in enum.labels)}],\n"
            for enum in self.catalogue.enums
        ]
        inside = "{\n" + "".join(enums) + "    }" if enums else "{}"
        return (
            f"export const Constants = {{\n  public: {{\n    Enums: {inside},\n  }},\n}} as const\n"
        )

    def nullable(self, type: str, or_null: bool) -> str:
        written = self.written(type)
        if written == "Json" and not or_null:
            return "NonNullable<Json>"
        return f"{written} | null" if or_null and written != "unknown" else written

    def written(self, type: str) -> str:
        if type in KNOWN:
            return KNOWN[type]
        if type.startswith("_"):
            return f"({self.written(type[1:])})[]"
        if type in self.enum_names:
            return f'Database["public"]["Enums"]["{type}"]'
        if type in self.catalogue.composites:
            return f'Database["public"]["CompositeTypes"]["{type}"]'
        for section, relations in (("Tables", self.catalogue.tables),
                                   ("Views", self.catalogue.views)):  # fmt: skip
            if type in relations:
                return f'Database["public"]["{section}"]["{type}"]["Row"]'
        return "unknown"


def by_name(columns: Sequence[Column]) -> list[Column]:
    return sorted(columns, key=lambda column: column.name)


def kinds_of_writing(view: View) -> Iterator[str]:
    if view.takes_inserts:
        yield "Insert"
    if view.takes_updates:
        yield "Update"


def braces(name: str, fields: Iterable[str]) -> Iterator[str]:
    yield f"  {name}: {{"
    yield from (f"    {field}" for field in fields)
    yield "  }"


def relationships(references: Sequence[Reference]) -> Iterator[str]:
    if not references:
        yield "  Relationships: []"
        return
    yield "  Relationships: ["
    for one in sorted(references, key=lambda one: (one.name, one.target, one.target_columns)):
        yield "    {"
        yield f"      foreignKeyName: {quoted(one.name)}"
        yield f"      columns: {listed(one.columns)}"
        yield f"      isOneToOne: {str(one.is_unique).lower()}"
        yield f"      referencedRelation: {quoted(one.target)}"
        yield f"      referencedColumns: {listed(one.target_columns)}"
        yield "    },"
    yield "  ]"


def listed(names: Sequence[str]) -> str:
    return "[" + ", ".join(quoted(name) for name in names) + "]"


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
