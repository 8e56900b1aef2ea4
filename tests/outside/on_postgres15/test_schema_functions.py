"""On PostgreSQL 15: see the module of the same name. Its pgvector is a stand-in, so no search."""

from tests.integration.test_schema_functions import *  # noqa: F403

del test_a_match_is_this_agents_of_its_model_above_the_threshold_best_first  # noqa: F821
