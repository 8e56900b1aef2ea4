"""Mails as files, one each: for development, tests, and whoever sends them otherwise."""

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pipelines.email.compose import Letter, compose
from pipelines.email.dkim_signature import Signer
from pipelines.gateways.mail import FileRoute, Parcel, Rate
from pipelines.gateways.mail_failures import file_failure

NAME_CHARS_MAX = 200


class FileTransport:
    """Writes `<Message-ID>.eml` into a folder: written twice it is still one mail."""

    provider = "file"
    replay_s = float("inf")

    def __init__(self, route: FileRoute, signer: Signer | None = None) -> None:
        self._folder = route.folder
        self._signer = signer
        self.rate = None if route.per_s is None else Rate("mail:file", route.per_s)

    def pack(self, letter: Letter) -> bytes:
        raw = compose(letter, now=datetime.now(UTC))
        return raw if self._signer is None else self._signer.sign(raw, letter)

    def send(self, parcel: Parcel, hand_over: Callable[[], None]) -> str | None:
        """No mark is needed: whoever finds half of it writes the whole once more."""
        path = self._folder / file_name(parcel.message_id)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(path, parcel.body)
        except OSError as error:
            raise file_failure(error, str(self._folder)) from error
        return parcel.message_id


def file_name(message_id: str) -> str:
    return re.sub(r"[^A-Za-z0-9@._-]", "_", message_id.strip("<>"))[:NAME_CHARS_MAX] + ".eml"


def write_whole(path: Path, content: bytes) -> None:
    """Whoever looks into the folder sees the whole file or none, after a power cut too."""
    # Another process may be writing the same mail: each has a draft of its own.
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
