"""Supabase Storage on 127.0.0.1, as its objects' endpoint answers: 400s that mean 404 included."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote

from tests.fakes_http import Answer, Call, serve

SERVICE_KEY = "service-role-key-0123456789"
OBJECTS = "/storage/v1/object/"


@dataclass
class FakeStorage:
    """`objects` by "bucket/path"; buckets in `public` are anybody's, others the key's alone."""

    url: str
    objects: dict[str, bytes] = field(default_factory=dict)
    public: set[str] = field(default_factory=set)
    calls: list[Call] = field(default_factory=list)
    status: int | None = None
    echo: bool = False

    def put(self, name: str, body: bytes | str) -> None:
        self.objects[name] = body.encode() if isinstance(body, str) else body

    def answer(self, call: Call) -> Answer:
        self.calls.append(call)
        if self.status is not None:
            said = json.dumps(dict(call.headers)) if self.echo else "{}"
            return Answer(self.status, said.encode(), {"Retry-After": "7"})
        if call.method != "GET" or not call.path.startswith(OBJECTS):
            return refused("404", "not_found", "Route not found", status=404)
        access, _, rest = call.path.removeprefix(OBJECTS).partition("/")
        name = unquote(rest)
        if access == "public" and name.partition("/")[0] not in self.public:
            return refused("404", "Bucket not found", "Bucket not found")
        if access == "authenticated" and not self._is_signed_in(call):
            return refused("403", "Unauthorized", "new row violates row-level security policy")
        if access not in ("public", "authenticated"):
            return refused("400", "InvalidRequest", "querystring must have required property")
        if (body := self.objects.get(name)) is None:
            return refused("404", "not_found", "Object not found")
        etag = f'"{hash(body) & 0xFFFFFFFF:08x}"'
        if call.headers.get("if-none-match") == etag:
            return Answer(304, b"", {"ETag": etag})
        return Answer(200, body, {"ETag": etag, "Content-Type": "application/octet-stream"})

    def _is_signed_in(self, call: Call) -> bool:
        return call.headers.get("authorization") == f"Bearer {SERVICE_KEY}"


def refused(code: str, error: str, message: str, *, status: int = 400) -> Answer:
    said = {"statusCode": code, "error": error, "message": message}
    return Answer(status, json.dumps(said).encode(), {"Content-Type": "application/json"})


@contextmanager
def storage() -> Iterator[FakeStorage]:
    with serve(lambda call: fake.answer(call)) as url:
        fake = FakeStorage(url)
        yield fake
