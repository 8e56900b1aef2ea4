"""Forms that pages post: parsed, bounded, and refused in words the operator reads."""

from collections.abc import Mapping
from typing import NoReturn
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

BODY_BYTES_MAX = 1_000_000
FIELDS_MAX = 10_000
WHY_CHARS_MAX = 500


class Refused(Exception):
    """The request cannot be answered as it is; the message is shown to the operator."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Form:
    """The fields of a posted form; a name may come several times."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self._fields = fields

    def one(self, name: str, default: str | None = None) -> str:
        """The last value of that name. Raises Refused without one and without a default."""
        values = self.all(name)
        if values:
            return values[-1]
        if default is None:
            raise Refused(f"The field {name} is missing.")
        return default

    def all(self, name: str) -> list[str]:
        return [value for key, value in self._fields if key == name]

    def number(self, name: str, *, least: int, most: int) -> int:
        text = self.one(name).strip()
        if not text.isascii() or not text.removeprefix("-").isdigit() or len(text) > 18:
            raise Refused(f"{name} must be a whole number, not {text[:40]!r}.")
        if not least <= int(text) <= most:
            raise Refused(f"{name} must be from {least} to {most}, not {text}.")
        return int(text)

    @property
    def why(self) -> str:
        """The reason that goes into the audit log. Raises Refused where it is empty."""
        why = self.one("why", "").strip()
        if not why:
            raise Refused("Say why: the reason is kept in the audit log.")
        if len(why) > WHY_CHARS_MAX:
            raise Refused(f"The reason has {len(why)} characters, at most {WHY_CHARS_MAX} fit.")
        if "\0" in why:
            raise Refused("The reason holds a NUL character.")
        return why


async def read_form(request: Request) -> Form:
    """Raises Refused for what is too large, or no form."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Refused("Only forms are understood here.", status=415)
    body = await read_body(request)
    try:
        fields = parse_qsl(
            body.decode(), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX
        )
    except UnicodeDecodeError as error:
        raise Refused("The form is not UTF-8.") from error
    except ValueError:
        refuse_large()
    return Form(fields)


async def read_body(request: Request) -> bytes:
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > BODY_BYTES_MAX:
                refuse_large()
    except ClientDisconnect as error:
        # Nobody hears it: it is no defect of ours either.
        raise Refused("The form did not arrive as a whole.") from error
    return bytes(body)


def refuse_large() -> NoReturn:
    raise Refused(
        f"The form is larger than {BODY_BYTES_MAX} bytes or {FIELDS_MAX} fields.", status=413
    )


def local_path(path: str) -> str:
    """Where to go on after an action: a path of this site, whatever was asked for."""
    plain = path.startswith("/") and not path.startswith(("//", "/\\"))
    if plain and not any(character < " " or character == "\x7f" for character in path):
        return path
    return "/"


def query_of(request: Request) -> Mapping[str, str]:
    """The query's fields, the last of each name. Raises Refused for NUL characters."""
    fields = dict(request.query_params)
    if any("\0" in value for pair in fields.items() for value in pair):
        raise Refused("The address holds a NUL character.")
    return fields
