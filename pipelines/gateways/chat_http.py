"""An HTTP client whose every answer, an error's too, ends in time and within a size."""

import time
from collections.abc import Iterator
from typing import Any

import httpx2

from pipelines.errors import Transient
from pipelines.gateways.chat_failures import PROVIDER

# Thousands of times what twenty judgements take.
ANSWER_BYTES_MAX = 4_000_000


class BoundedClient(httpx2.Client):
    """Its own timeouts are of each wait for more: here the whole answer has one.

    Raises Transient for an answer that is later or larger. Redirects are not followed: the key
    goes where the operator said.
    """

    def __init__(self, *, timeout_s: float) -> None:
        super().__init__(timeout=timeout_s, follow_redirects=False)
        self._timeout_s = timeout_s

    def send(
        self, request: httpx2.Request, *, stream: bool = False, **rest: Any
    ) -> httpx2.Response:
        deadline = time.monotonic() + self._timeout_s
        response = super().send(request, stream=True, **rest)
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = _Bounded(response.stream, deadline, self._timeout_s)
        if not stream:
            try:
                response.read()
            except BaseException:
                response.close()
                raise
        return response


class _Bounded(httpx2.SyncByteStream):
    def __init__(self, inner: httpx2.SyncByteStream, deadline: float, timeout_s: float) -> None:
        self._inner = inner
        self._deadline = deadline
        self._timeout_s = timeout_s

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for chunk in self._inner:
            size += len(chunk)
            if time.monotonic() > self._deadline:
                raise late(self._timeout_s)
            if size > ANSWER_BYTES_MAX:
                raise Transient(
                    f"{PROVIDER}'s answer is too large: the limit is {ANSWER_BYTES_MAX:,} bytes"
                )
            yield chunk

    def close(self) -> None:
        self._inner.close()


def late(timeout_s: float) -> Transient:
    return Transient(f"{PROVIDER} did not answer within {timeout_s:g} seconds, the limit")
