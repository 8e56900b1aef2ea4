"""The outside world, played on 127.0.0.1: one import for every fake."""

from tests.fakes_openai import FakeOpenAI, fake_openai
from tests.fakes_site import Hit, Site, Wire, site

__all__ = ["FakeOpenAI", "Hit", "Site", "Wire", "fake_openai", "site"]
