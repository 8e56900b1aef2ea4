"""What tests of hostile files look at: who calls a listener, and what reading children hold."""

import socket
import threading
from contextlib import suppress

import psutil


class Canary:
    """A listener that nobody may call; it counts who did."""

    def __init__(self) -> None:
        self.hits = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                self._socket.accept()[0].close()
                self.hits += 1

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


class Watch:
    """Looks at the memory of the reading children while a file is read."""

    def __enter__(self) -> "Watch":
        self.peak_bytes = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def _look(self) -> None:
        while not self._over.wait(0.01):
            for child in psutil.Process().children():
                with suppress(psutil.Error):
                    self.peak_bytes = max(self.peak_bytes, child.memory_info().rss)

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
