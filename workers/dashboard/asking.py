"""Reads the fields of a request's JSON: each is what it should be, or the caller is told."""

from collections.abc import Mapping, Set
from typing import Any
from uuid import UUID


class Refused(Exception):
    """A request that cannot be served; `param` is the field at fault."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        param: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param
        self.retry_after_s = retry_after_s


class Fields:
    """The fields of one request; a bad one raises Refused with `status`, 422 or OpenAI's 400."""

    def __init__(self, values: Mapping[str, Any], *, status: int) -> None:
        self._values = values
        self._status = status

    def get(self, name: str) -> Any:
        return self._values.get(name)

    def refuse(self, name: str, what: str) -> Refused:
        return Refused(self._status, f"{name} {what}", code="invalid_value", param=name)

    def allow_only(self, known: Set[str]) -> None:
        if unknown := sorted(set(self._values) - known):
            raise self.refuse(unknown[0], f"is no field here; known: {', '.join(sorted(known))}")

    def text(self, name: str, *, chars_max: int) -> str:
        """A text with something in it; lone surrogates, which nothing can store, are replaced."""
        value = self.get(name)
        if not isinstance(value, str) or not value.strip():
            raise self.refuse(name, "must be a text that is not empty")
        if len(value) > chars_max:
            raise self.refuse(name, f"has {len(value):,} characters, limit {chars_max:,}")
        return value.encode("utf-8", "replace").decode()

    def choice(self, name: str, known: tuple[str, ...]) -> str:
        """The first of the known ones by default."""
        value = self.get(name)
        if value is None:
            return known[0]
        if value not in known:
            raise self.refuse(name, f"must be one of: {', '.join(known)}")
        return str(value)

    def whole(self, name: str, *, default: int, low: int, high: int) -> int:
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.refuse(name, f"must be a whole number from {low} to {high}")
        return value

    def number(self, name: str, *, default: float, low: float, high: float) -> float:
        value = self.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.refuse(name, f"must be a number from {low} to {high}")
        if not low <= value <= high:
            raise self.refuse(name, f"must be a number from {low} to {high}")
        return float(value)

    def id(self, name: str) -> UUID:
        return self._id(name, self.get(name))

    def ids(self, name: str, *, count_max: int) -> tuple[UUID, ...] | None:
        value = self.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or len(value) > count_max:
            raise self.refuse(name, f"must be a list of at most {count_max} ids")
        return tuple(self._id(name, each) for each in value)

    def mapping(self, name: str) -> dict[str, Any] | None:
        value = self.get(name)
        if value is not None and not isinstance(value, dict):
            raise self.refuse(name, "must be a JSON object")
        return value

    def _id(self, name: str, value: object) -> UUID:
        try:
            return UUID(str(value))
        except ValueError:
            raise self.refuse(name, f"must be an id, not {str(value)[:60]!r}") from None
