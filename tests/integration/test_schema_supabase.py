"""The migrations under Supabase's permission model.

There `postgres` is no superuser, owns nothing in `auth`, and (in older projects) every new table
and function of `public` is open to the web roles until somebody closes it.
"""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from db.embedded import Services
from db.migrate import MIGRATIONS, SHIM, migrate, read_folder, split
from db.pool import Connection, connect
from tests.conftest import fresh_database
from tests.integration.schema_world import build
from tests.integration.test_schema_isolation import expected, reach_everything
from tests.integration.test_schema_linter import RULES

# As one superuser would find it on the platform; `platform` then stands for its `postgres`.
PLATFORM = """
CREATE EXTENSION vector WITH SCHEMA extensions;
ALTER SCHEMA public OWNER TO platform;
ALTER SCHEMA extensions OWNER TO platform;
ALTER PUBLICATION supabase_realtime OWNER TO platform;
GRANT anon, authenticated, service_role TO platform WITH ADMIN OPTION;
GRANT USAGE ON SCHEMA auth TO platform;
GRANT SELECT, INSERT, UPDATE, DELETE, REFERENCES, TRIGGER ON auth.users TO platform;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA auth TO platform;
CREATE POLICY platform_reads ON auth.users TO platform USING (true) WITH CHECK (true);
ALTER DEFAULT PRIVILEGES FOR ROLE platform IN SCHEMA public
    GRANT ALL ON TABLES TO anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES FOR ROLE platform IN SCHEMA public
    GRANT ALL ON FUNCTIONS TO anon, authenticated, service_role;
"""


@pytest.fixture(scope="module")
def platform_url(services: Services) -> Iterator[str]:
    """A database with what Supabase gives, and none of our migrations."""
    with fresh_database(services, template="template1") as url:
        with connect(url, autocommit=True) as admin:
            admin.execute("CREATE ROLE platform LOGIN PASSWORD 'platform' CREATEROLE BYPASSRLS")
            database = urlsplit(url).path.strip("/")
            admin.execute(f'ALTER DATABASE "{database}" OWNER TO platform'.encode())
            for part in [*split(SHIM.read_text()), *split(PLATFORM)]:
                admin.execute(part.text.encode())
        parts = urlsplit(url)
        login = f"platform:platform@{parts.netloc.rpartition('@')[2]}"
        yield parts._replace(netloc=login).geturl()


@pytest.fixture(scope="module")
def shared(platform_url: str) -> Iterator[Connection]:
    migrate(platform_url)
    with connect(platform_url, autocommit=True) as connection:
        build(connection)
        yield connection


def test_every_migration_applies_without_superuser_rights(shared: Connection) -> None:
    applied = shared.execute(
        "SELECT count(*), current_setting('is_superuser')"
        " FROM supabase_migrations.schema_migrations"
    ).fetchone()

    assert applied == (len(read_folder(MIGRATIONS)), "off")


@pytest.mark.parametrize("rule", RULES)
def test_the_linter_finds_nothing_there_either(shared: Connection, rule: str) -> None:
    found = [row[0] for row in shared.execute(RULES[rule].encode())]

    assert found == []


def test_isolation_is_the_same_there(shared: Connection) -> None:
    with shared.transaction(force_rollback=True):
        found = reach_everything(shared)

    assert found == expected()
