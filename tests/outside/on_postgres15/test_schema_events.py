"""On PostgreSQL 15: see the module of the same name."""

from tests.integration.test_schema_events import *  # noqa: F403
