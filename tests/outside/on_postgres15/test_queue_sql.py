"""On PostgreSQL 15: see the module of the same name."""

from tests.integration.test_queue_sql import *  # noqa: F403
