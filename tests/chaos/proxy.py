"""A cable between a process and a server that can be cut without either end being told.

While it is held, connections stay open, new ones are accepted, and no byte passes: neither a
FIN nor a RST, as when a switch or a machine in between is gone. Let go, it delivers what it held.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

BYTES_MAX = 65_536
Address = tuple[str, int] | Path


class Proxy:
    """Listens on a port of its own in front of a TCP address or a Unix socket."""

    def __init__(self, target: Address) -> None:
        self._target = target
        self._flows = threading.Event()
        self._flows.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def hold(self) -> None:
        self._flows.clear()

    def let_go(self) -> None:
        self._flows.set()

    def close(self) -> None:
        self._flows.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._flows.wait()
        try:
            server = reach(self._target)
        except OSError:
            client.close()
            return
        self._sockets += [client, server]
        threading.Thread(target=self._pass_on, args=(server, client), daemon=True).start()
        self._pass_on(client, server)

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while chunk := source.recv(BYTES_MAX):
                self._flows.wait()
                sink.sendall(chunk)
        self._flows.wait()
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


def reach(target: Address) -> socket.socket:
    if isinstance(target, Path):
        server = socket.socket(socket.AF_UNIX)
        server.connect(str(target))
        return server
    return socket.create_connection(target)


@contextmanager
def proxy(target: Address) -> Iterator[Proxy]:
    with closing(Proxy(target)) as made:
        yield made
