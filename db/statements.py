"""Named SQL statements, read once from the `.sql` file beside each area."""

import re
from functools import cache
from pathlib import Path

NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


class Statements:
    """The statements of one area: `SQL.claim_jobs` is the text under `-- name: claim_jobs`."""

    def __init__(self, area: str, texts: dict[str, bytes]) -> None:
        self._area = area
        self._texts = texts

    def __getattr__(self, name: str) -> bytes:
        try:
            return self._texts[name]
        except KeyError:
            raise AttributeError(f"db/{self._area}.sql has no statement {name!r}") from None

    def names(self) -> list[str]:
        return list(self._texts)


@cache
def load(area: str) -> Statements:
    """Read `db/<area>.sql`. Bytes, because psycopg takes them as a query no caller has built."""
    source = Path(__file__).with_name(f"{area}.sql").read_text()
    parts = NAME.split(source)
    return Statements(
        area,
        {name: body.strip().encode() for name, body in zip(parts[1::2], parts[2::2], strict=True)},
    )
