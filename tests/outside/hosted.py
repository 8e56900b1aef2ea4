"""A database with the permission model of a hosted Supabase project, on the tests' own cluster.

There, `postgres` is no superuser: it owns the database and `public`, may add a trigger to
`auth.users`, and owns nothing in `auth`. Here that role is `project_owner`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from uuid import uuid4

from psycopg import sql

from db.embedded import Services
from db.migrate import add_what_supabase_has
from db.pool import Connection, connect
from tests.conftest import administer, with_database

OWNER = "project_owner"
# PostgREST's login, which the shim makes without one.
AUTHENTICATOR = "authenticator"
PASSWORD = "only-for-tests"

CREATE_OWNER = f"""
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{OWNER}') THEN
        CREATE ROLE {OWNER} LOGIN CREATEDB CREATEROLE REPLICATION BYPASSRLS PASSWORD '{PASSWORD}';
    END IF;
END $$;
"""
# What Supabase's own set-up does beyond the shim. `vector` is created by a superuser there too:
# its server does that on behalf of an owner who asks for the extension.
HAND_OVER = f"""
ALTER SCHEMA extensions OWNER TO {OWNER};
ALTER SCHEMA auth OWNER TO supabase_auth_admin;
ALTER TABLE auth.users OWNER TO supabase_auth_admin;
GRANT USAGE ON SCHEMA auth TO {OWNER};
GRANT SELECT, INSERT, UPDATE, DELETE, REFERENCES, TRIGGER ON auth.users TO {OWNER};
GRANT anon, authenticated, service_role TO {OWNER} WITH ADMIN OPTION;
ALTER PUBLICATION supabase_realtime OWNER TO {OWNER};
CREATE EXTENSION vector SCHEMA extensions;
ALTER ROLE {AUTHENTICATOR} LOGIN PASSWORD '{PASSWORD}';
"""
# Projects made before 2025 hand every new object of `public` to the web roles.
GRANT_BY_DEFAULT = "".join(
    f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} IN SCHEMA public"
    f" GRANT ALL ON {kind} TO anon, authenticated, service_role;"
    for kind in ("TABLES", "FUNCTIONS", "SEQUENCES")
)


@contextmanager
def hosted_project(services: Services, *, grants_by_default: bool = False) -> Iterator[str]:
    """A new project without our schema; the address is its owner's."""
    name = f"hosted_{uuid4().hex[:12]}"
    with administer(services) as admin:
        admin.execute(CREATE_OWNER.encode())
        admin.execute(sql.SQL(f"CREATE DATABASE {name} OWNER {OWNER}"))
    with superuser(services, name) as conn:
        add_what_supabase_has(conn)
        conn.execute(HAND_OVER.encode())
        if grants_by_default:
            conn.execute(GRANT_BY_DEFAULT.encode())
    yield with_login(services, name, OWNER)
    with administer(services) as admin:
        admin.execute(sql.SQL(f"DROP DATABASE {name} WITH (FORCE)"))


def superuser(services: Services, name: str) -> Connection:
    assert services.database_url is not None
    return connect(with_database(services.database_url, name), autocommit=True)


def with_login(services: Services, name: str, role: str) -> str:
    assert services.database_url is not None
    url = urlsplit(with_database(services.database_url, name))
    return url._replace(netloc=f"{role}:{PASSWORD}@{url.hostname}:{url.port}").geturl()


def as_authenticator(url: str) -> str:
    """The same database, as PostgREST's role."""
    return url.replace(f"//{OWNER}:", f"//{AUTHENTICATOR}:")
