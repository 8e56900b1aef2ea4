"""The same tests as one folder up, on the oldest PostgreSQL that we support."""

from collections.abc import Iterator

import pytest

from db.embedded import Services
from db.migrate import migrate
from db.pool import connect
from tests.conftest import TEMPLATE, with_database
from tests.outside.postgres15 import serve_postgres_15


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    with serve_postgres_15() as url:
        yield Services(database_url=url, redis_url=None)


@pytest.fixture(scope="session")
def template(services: Services) -> str:
    assert services.database_url is not None
    with connect(services.database_url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {TEMPLATE}".encode())
    migrate(with_database(services.database_url, TEMPLATE))
    return TEMPLATE
