"""A job's arguments: a frozen dataclass here, JSON values in `worker.jobs.args`.

Fields are `str`, `UUID`, `int` or `bool`, or one of these `| None = None`.
"""

import re
from dataclasses import MISSING, Field, fields
from typing import Any, TypeVar, get_args
from uuid import UUID

Payload = TypeVar("Payload")
# (name, type, whether it may be None) of each argument.
Shape = tuple[tuple[str, type, bool], ...]

SQL_NAMES = {str: "text", UUID: "uuid", int: "int", bool: "bool"}
SHAPES: dict[type, Shape] = {}


def kind_name(payload: type) -> str:
    """index_source for IndexSource."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", payload.__name__).lower()


def check(payload: Payload) -> Payload:
    """The payload itself. Raises TypeError where a value is of another type than declared."""
    for name, wanted, optional in shape(type(payload)):
        value = getattr(payload, name)
        if type(value) is not wanted and not (optional and value is None):
            raise TypeError(
                f'job kind "{kind_name(type(payload))}": argument "{name}" must be of type '
                f"{wanted.__name__}, not {type(value).__name__}"
            )
    return payload


def encode(payload: object) -> dict[str, Any]:
    """The payload as JSON values; arguments that are None are left out."""
    values = ((name, getattr(payload, name)) for name, _, _ in shape(type(payload)))
    return {
        name: str(value) if isinstance(value, UUID) else value
        for name, value in values
        if value is not None
    }


def decode(payload: type[Payload], args: dict[str, Any]) -> Payload:
    """The inverse of encode. Raises TypeError or ValueError for arguments of another shape."""
    ids = [name for name, wanted, _ in shape(payload) if wanted is UUID and name in args]
    return payload(**args | {name: UUID(args[name]) for name in ids} if ids else args)


def has_ids(payload: type) -> bool:
    """Whether the database may derive the tenant from an id among the arguments."""
    return any(wanted is UUID for _, wanted, _ in shape(payload))


def args_schema(payload: type) -> dict[str, str]:
    """The arguments as `worker.kinds.args` writes them: {"sleep_ms": "int?"}."""
    return {
        name: SQL_NAMES[wanted] + ("?" if optional else "")
        for name, wanted, optional in shape(payload)
    }


def shape(payload: type[Any]) -> Shape:
    """Read once: jobs are enqueued by the thousand."""
    if payload not in SHAPES:
        SHAPES[payload] = tuple(
            (field.name, value_type(field), field.default is not MISSING)
            for field in fields(payload)
        )
    return SHAPES[payload]


def value_type(field: Field[Any]) -> Any:
    """The type of an argument without its `| None`."""
    return next((t for t in get_args(field.type) if t is not type(None)), field.type)
