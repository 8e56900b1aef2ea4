"""What commands say where they cannot work."""

import pytest
from typer.testing import CliRunner

from db.embedded import Services
from tests.conftest import fresh_database
from workers.cli import app, main


def test_a_database_without_our_schema_is_no_trace(
    services: Services, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with fresh_database(services, template="template0") as url:
        monkeypatch.setenv("DATABASE_URL", url)
        monkeypatch.setattr("sys.argv", ["avivro", "operators", "list"])
        with pytest.raises(SystemExit) as ended:
            main()

    assert ended.value.code == 3
    assert "run avivro migrate" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["show", "retry", "cancel"])
@pytest.mark.parametrize("job_id", ["0", "9223372036854775808", "seven"])
def test_what_is_no_id_of_a_job_is_a_wrong_command(command: str, job_id: str) -> None:
    assert CliRunner().invoke(app, ["jobs", command, job_id]).exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("operators", "disable", "\udcff"),
        ("jobs", "enqueue", "probe", '{"effect": "\\u0000"}'),
        ("jobs", "enqueue", "probe", '{"sleep_ms": 1e400}'),
        ("jobs", "enqueue", "probe", "--priority", "99999999999"),
    ],
)
def test_a_value_that_cannot_be_kept_is_a_wrong_command(
    database_url: str, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setattr("sys.argv", ["avivro", *arguments])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
