"""The HTTP of the dashboard's port: uvicorn's, but with less patience and all headers."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from workers.dashboard.site import SAFE

# A whole request, its body too, must be here by then: who dawdles would hold a connection for ever.
ARRIVES_S_MAX = 30.0


class Wire(H11Protocol):
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """For what is no HTTP: no application sees it, so none adds the headers."""
        headers = [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Connection", "close"),
            *SAFE.items(),
        ]
        parts = h11.Response(status_code=400, headers=headers), h11.Data(data=msg.encode())
        for part in (*parts, h11.EndOfMessage()):
            self.transport.write(self.conn.send(part) or b"")
        self.transport.close()

    def _watch(self) -> None:
        """Begins with a request's first byte, or the connection; ends with its last."""
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._forget()
        elif self._late is None:
            self._late = self.loop.call_later(ARRIVES_S_MAX, self._give_up)

    def _forget(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _give_up(self) -> None:
        # What was answered before its body had come is no longer waited for, either.
        self.transport.close()
