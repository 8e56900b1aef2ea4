"""JSON paths (RFC 9535) that a customer wrote, within what they may cost."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import jsonpath

from pipelines.errors import Permanent

PATH_CHARS_MAX = 300
# match() and search() take regular expressions, and some of those never end.
FUNCTIONS = ("length", "count", "value")

_ENVIRONMENT = jsonpath.JSONPathEnvironment(strict=True)
_ENVIRONMENT.function_extensions = {
    name: _ENVIRONMENT.function_extensions[name] for name in FUNCTIONS
}


@dataclass(frozen=True, slots=True)
class JsonPath:
    """`find` yields what lies there in `value`, in its order."""

    text: str
    _compiled: Any

    def find(self, value: Any, *, found_max: int) -> list[Any]:
        return list(islice(self._each(value), found_max))

    def first(self, value: Any) -> Any:
        """None where nothing lies there."""
        return next(self._each(value), None)

    def leads_to_empty(self, value: Any) -> bool:
        """Whether the list that the path takes all of is there, and has nothing in it."""
        if not self.text.endswith("[*]") or self.text.endswith("..[*]"):
            return False
        found = parse_path(self.text.removesuffix("[*]"), "").first(value)
        return isinstance(found, list) and not found

    def _each(self, value: Any) -> Iterator[Any]:
        try:
            for match in self._compiled.finditer(value):
                yield match.value
        except (jsonpath.JSONPathError, RecursionError) as error:
            raise Permanent(f"the path {self.text!r} cannot be followed in this answer") from error


def parse_path(text: Any, where: str) -> JsonPath:
    """Read a path; "data.items" is taken as "$.data.items". Raises Permanent that says `where`."""
    if not isinstance(text, str) or not text.strip():
        raise Permanent(f"{where} must be a JSON path, for example $.data[*]")
    path = text.strip()
    if not path.startswith("$"):
        path = f"${path}" if path.startswith("[") else f"$.{path}"
    if len(path) > PATH_CHARS_MAX:
        raise Permanent(f"{where} is {len(path)} characters long, the limit is {PATH_CHARS_MAX}")
    # Each ".." visits all that lies below; two of them, or one in a filter, multiply that.
    if path.count("..") > 1 or (".." in path and "?" in path):
        raise Permanent(f'{where} may hold ".." once, and not together with a filter')
    try:
        return JsonPath(path, _ENVIRONMENT.compile(path))
    except (jsonpath.JSONPathError, RecursionError) as error:
        raise Permanent(f"{where} is no JSON path: {path!r}") from error
