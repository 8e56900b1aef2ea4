"""What a dashboard process answers: pages and metrics, read as a scraper reads them."""

import re
from http.client import HTTPConnection

from prometheus_client.parser import text_string_to_metric_families

from tests.processes import Avivro, wait_until

Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


def get(commands: Avivro, path: str) -> tuple[int, str]:
    """Status and body; waits for the process to listen."""
    ready = wait_until(
        lambda: re.search(r"dashboard ready: http://([\w.]+):(\d+)", commands.log("dashboard")),
        "the dashboard listens",
    )
    connection = HTTPConnection(ready[1], int(ready[2]), timeout=20)
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def scrape(commands: Avivro) -> Values:
    status, text = get(commands, "/metrics")
    assert status == 200, text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(values: Values, name: str, **labels: str) -> float:
    """The sum of the samples of this name that have these labels."""
    return sum(
        found for (sample, of), found in values.items() if sample == name and labels.items() <= of
    )
