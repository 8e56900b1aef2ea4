"""How the dashboard's process takes connections."""

import socket

from workers.dashboard import server


def test_what_is_written_to_a_browser_leaves_at_once() -> None:
    with (
        server.listen("127.0.0.1", 0) as listening,
        socket.create_connection(listening.getsockname()),
    ):
        accepted, _ = listening.accept()

        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
