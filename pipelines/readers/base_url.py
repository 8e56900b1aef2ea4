"""The address of a provider's API where a customer does not mean the provider's own."""

from db.sources import Source
from pipelines.errors import Permanent


def base_url_of(source: Source) -> str | None:
    """None for the provider's own."""
    given = source.settings.get("base_url")
    if given is None or given == "":
        return None
    if not isinstance(given, str) or not given.strip().startswith(("https://", "http://")):
        raise Permanent("settings.base_url is no http or https address")
    return given.strip()
