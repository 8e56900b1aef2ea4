"""What commands say where they cannot work."""

import pytest

from db.embedded import Services
from tests.conftest import fresh_database
from workers.cli import main


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
