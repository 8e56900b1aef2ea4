"""Real Postgres and real Redis from wheels, for machines that have neither."""

from db.embedded.doctor import Description, describe
from db.embedded.errors import EmbeddedError
from db.embedded.users import Services, serve

__all__ = ["Description", "EmbeddedError", "Services", "describe", "serve"]
