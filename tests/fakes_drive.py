"""Google Drive's API and Google's sign-in on 127.0.0.1, as strict as the real ones where we ask."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.fakes_http import Answer, Call, as_json, serve

REFRESH_TOKEN = "1//refresh-token-never-to-be-seen"
CLIENT_SECRET = "GOCSPX-never-to-be-seen"
GOOGLE = "application/vnd.google-apps."
FOLDER = f"{GOOGLE}folder"
EXPORT_BYTES_MAX = 10_000_000
PAGE_SIZE_MAX = 1_000
PREFIX = "/drive/v3"
AUDIENCE = "https://oauth2.googleapis.com/token"


def make_account_key() -> tuple[str, str]:
    """The private key of a service account in PEM, and its public one."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()


@dataclass
class FakeDrive:
    """`files` by id. Each change adds to `log`, whose places are the page tokens of changes."""

    url: str
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    bodies: dict[str, bytes] = field(default_factory=dict)
    exports: dict[tuple[str, str], bytes] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    public_key: str = ""
    account: str = "account-1"
    calls: list[Call] = field(default_factory=list)
    mishaps: dict[int, Callable[[Call], Answer]] = field(default_factory=dict)
    oldest_token: int = 1
    page_size: int = PAGE_SIZE_MAX

    def add(
        self,
        name: str,
        body: bytes | str = b"",
        *,
        parent: str = "root",
        mime: str = "text/plain",
        **more: Any,
    ) -> str:
        """A file; Google's own kinds have exports instead of a body. Its id."""
        id = f"id-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
        content = body.encode() if isinstance(body, str) else body
        self.files[id] = {
            "id": id,
            "name": name,
            "mimeType": mime,
            "createdTime": f"2024-01-01T00:{len(self.files) // 60:02}:{len(self.files) % 60:02}Z",
            "modifiedTime": "2025-01-01T00:00:00.000Z",
            "webViewLink": f"https://drive.google.com/file/d/{id}/view",
            "trashed": False,
            "parents": [parent],
            "capabilities": {"canDownload": True},
            **more,
        }
        if not mime.startswith(GOOGLE):
            self._fill(id, content)
        self.log.append(id)
        return id

    def add_folder(self, name: str, *, parent: str = "root", **more: Any) -> str:
        return self.add(name, parent=parent, mime=FOLDER, **more)

    def add_google(self, name: str, kind: str, exports: dict[str, bytes], **more: Any) -> str:
        id = self.add(name, mime=f"{GOOGLE}{kind}", **more)
        self.exports |= {(id, mime): body for mime, body in exports.items()}
        return id

    def rewrite(self, id: str, body: str) -> None:
        self._fill(id, body.encode())
        self.change(id, modifiedTime="2025-02-02T00:00:00.000Z")

    def change(self, id: str, **fields: Any) -> None:
        """Move, rename, trash, restore: none of them touches modifiedTime."""
        self.files[id] |= fields
        self.log.append(id)

    def remove(self, id: str) -> None:
        del self.files[id]
        self.log.append(id)

    def _fill(self, id: str, body: bytes) -> None:
        self.bodies[id] = body
        digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
        self.files[id] |= {"md5Checksum": digest, "size": str(len(body))}

    def asked(self, part: str) -> int:
        return sum(part in f"{call.path}?{call.query}" for call in self.calls)

    def answer(self, call: Call) -> Answer:
        self.calls.append(call)
        if mishap := self.mishaps.get(len(self.calls)):
            return mishap(call)
        if call.path == "/token":
            return self._sign_in(call)
        token = call.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self.tokens:
            return failed(401, "authError", f"Invalid Credentials: {token}")
        if call.method != "GET" or not call.path.startswith(PREFIX):
            return Answer(404, b"Not Found", {"Content-Type": "text/html"})
        return self._route(call, call.path.removeprefix(PREFIX))

    def _sign_in(self, call: Call) -> Answer:
        asked = dict(parse_qsl(call.body.decode()))
        match asked.get("grant_type"):
            case "refresh_token":
                good = (asked["refresh_token"], asked["client_secret"]) == (
                    REFRESH_TOKEN,
                    CLIENT_SECRET,
                )
            case "urn:ietf:params:oauth:grant-type:jwt-bearer":
                good = self._is_signed(asked["assertion"])
            case _:
                return as_json({"error": "unsupported_grant_type"}, status=400)
        if not good:
            said = {"error": "invalid_grant", "error_description": f"Bad Request {asked}"}
            return as_json(said, status=400)
        token = f"ya29.never-to-be-seen-{len(self.tokens)}"
        self.tokens.add(token)
        return as_json({"access_token": token, "expires_in": 3599, "token_type": "Bearer"})

    def _is_signed(self, assertion: str) -> bool:
        try:
            claims = jwt.decode(assertion, self.public_key, algorithms=["RS256"], audience=AUDIENCE)
        except jwt.InvalidTokenError:
            return False
        return "drive.readonly" in str(claims["scope"])

    def _route(self, call: Call, path: str) -> Answer:
        if path == "/about":
            if "fields" not in call.query:
                return failed(400, "required", "The 'fields' parameter is required")
            return as_json({"user": {"permissionId": self.account}})
        if path == "/files":
            return self._list(call)
        if path == "/changes/startPageToken":
            return as_json({"startPageToken": str(len(self.log) + 1)})
        if path == "/changes":
            return self._changes(call)
        if found := re.fullmatch(r"/files/([^/]+)(/export)?", path):
            return self._file(call, found[1], is_export=bool(found[2]))
        return failed(404, "notFound", f"no route {path}")

    def _file(self, call: Call, id: str, *, is_export: bool) -> Answer:
        file = self.files.get(id)
        # Exports know no such parameter: they always look into all drives.
        all_drives = is_export or call.query.get("supportsAllDrives") == "true"
        if file is None or ("driveId" in file and not all_drives):
            return failed(404, "notFound", f"File not found: {id}.")
        is_google = file["mimeType"].startswith(GOOGLE)
        if is_export:
            return self._export(call, id, is_google=is_google)
        if call.query.get("alt") == "media":
            if is_google:
                return failed(403, "fileNotDownloadable", "Use Export with Docs Editors files.")
            if not file["capabilities"]["canDownload"]:
                return failed(403, "cannotDownloadFile", "This file cannot be downloaded.")
            return Answer(200, self.bodies[id], {"Content-Type": file["mimeType"]})
        return as_json(file)

    def _export(self, call: Call, id: str, *, is_google: bool) -> Answer:
        if not is_google:
            return failed(403, "fileNotExportable", "Export only supports Docs Editors files.")
        body = self.exports.get((id, call.query.get("mimeType", "")))
        if body is None:
            return failed(400, "badRequest", "The requested conversion is not supported.")
        if len(body) > EXPORT_BYTES_MAX:
            return failed(403, "exportSizeLimitExceeded", "This file is too large to be exported.")
        return Answer(200, body, {"Content-Type": call.query["mimeType"]})

    def _list(self, call: Call) -> Answer:
        parents = set(re.findall(r"'([\w-]+)' in parents", call.query.get("q", "")))
        size = int(call.query.get("pageSize", "100"))
        if not 1 <= size <= PAGE_SIZE_MAX or "trashed = false" not in call.query.get("q", ""):
            return failed(400, "invalid", "Invalid Value")
        all_drives = call.query.get("includeItemsFromAllDrives") == "true"
        found = [
            file
            for file in self.files.values()
            if not file["trashed"]
            and (not parents or parents & set(file["parents"]))
            and (all_drives or "driveId" not in file)
        ]
        start = int(call.query.get("pageToken", "0"))
        after = start + min(size, self.page_size)
        following = {"nextPageToken": str(after)} if after < len(found) else {}
        return as_json({"files": found[start:after], **following})

    def _changes(self, call: Call) -> Answer:
        token = call.query.get("pageToken", "")
        if not token.isdigit() or not self.oldest_token <= int(token) <= len(self.log) + 1:
            return failed(400, "invalid", "Invalid Value")
        start = int(token) - 1
        after = start + min(int(call.query.get("pageSize", "100")), self.page_size)
        told = [
            {"fileId": id, "removed": id not in self.files, "file": self.files.get(id)}
            for id in self.log[start:after]
        ]
        if after < len(self.log):
            return as_json({"changes": told, "nextPageToken": str(after + 1)})
        return as_json({"changes": told, "newStartPageToken": str(len(self.log) + 1)})


def failed(status: int, reason: str, message: str, headers: dict[str, str] | None = None) -> Answer:
    error = {"domain": "global", "reason": reason, "message": message}
    said = {"error": {"code": status, "message": message, "errors": [error]}}
    named = {"Content-Type": "application/json; charset=UTF-8", **(headers or {})}
    return Answer(status, json.dumps(said).encode(), named)


@contextmanager
def drive() -> Iterator[FakeDrive]:
    with serve(lambda call: fake.answer(call)) as url:
        fake = FakeDrive(url)
        yield fake
