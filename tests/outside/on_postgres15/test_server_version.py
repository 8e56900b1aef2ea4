"""That the tests of this folder do run on PostgreSQL 15."""

from db.pool import Connection


def test_the_server_is_postgresql_15(conn: Connection) -> None:
    assert conn.info.server_version // 10_000 == 15
