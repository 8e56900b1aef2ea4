"""What the repository gives to Prometheus and Grafana speaks of figures that are served."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.core import Metric

from db import health
from workers import dashboard
from workers.exposition import Families, Figures
from workers.jobs import KINDS

FOLDER = Path(dashboard.__file__).parent / "monitoring"
RUNBOOKS = FOLDER.parent / "runbooks"
RULES = yaml.safe_load((FOLDER / "prometheus_rules.yml").read_text())["groups"][0]["rules"]
PANELS = json.loads((FOLDER / "grafana.json").read_text())["panels"]
METRIC = re.compile(r"\b(avivro_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
GROUPED = re.compile(r"\bby \(([^)]*)\)")
SHOWN = re.compile(r"{{\s*(?:\$labels\.)?(\w+)\s*}}")


def expressions() -> Iterator[tuple[str, str, str]]:
    """Of each: where it stands, the expression, and the text that names its labels."""
    for rule in RULES:
        yield rule["alert"], rule["expr"], json.dumps(rule["annotations"])
    for panel in PANELS:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"], target["legendFormat"]


EXPRESSIONS = list(expressions())


def served() -> dict[str, set[str]]:
    """Every sample's name with its labels, as a scrape of an empty database shows them."""
    families = list(Families(Figures(depths=[], processes={}, pauses={}, totals=[])).collect())
    return {name: labels(family) for family in families for name in names(family)}


def names(family: Metric) -> Iterator[str]:
    ends = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
    for end in ends.get(family.type, [""]):
        yield family.name + end


def labels(family: Metric) -> set[str]:
    known = {"le"} if family.type == "histogram" else set()
    return known | set(getattr(family, "_labelnames", ()))


def test_there_are_alerts_and_panels() -> None:
    assert len(RULES) >= 10
    assert len(EXPRESSIONS) >= 25


@pytest.mark.parametrize(("where", "expression", "text"), EXPRESSIONS)
def test_only_figures_that_are_served_are_named(where: str, expression: str, text: str) -> None:
    known = served()

    found = METRIC.findall(expression)

    assert found, where
    for name, matchers in found:
        assert name in known, f"{where}: {name} is not served"
        assert set(MATCHER.findall(matchers)) <= known[name], f"{where}: {name}{{{matchers}}}"


@pytest.mark.parametrize(("where", "expression", "text"), EXPRESSIONS)
def test_labels_that_are_grouped_by_and_shown_exist(where: str, expression: str, text: str) -> None:
    known: set[str] = set().union(*(served()[name] for name, _ in METRIC.findall(expression)))
    grouped = {each.strip() for group in GROUPED.findall(expression) for each in group.split(",")}

    assert grouped <= known, where
    assert set(SHOWN.findall(text)) <= (grouped or known), where


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_an_alert_names_a_page_that_there_is(rule: dict[str, Any]) -> None:
    address = rule["annotations"]["runbook"]
    roles = ("worker", "dispatcher", "scheduler") if "$labels.role" in address else ("",)

    pages = [address.replace("{{ $labels.role }}", role) for role in roles]

    known = {f"/runbooks/{page.stem}" for page in RUNBOOKS.glob("*.md")}
    assert set(pages) <= known


def test_the_first_discards_of_a_kind_are_a_rise() -> None:
    families = Families(Figures(depths=[], processes={}, pauses={}, totals=[])).collect()

    (discards,) = (family for family in families if family.name == "avivro_discards")

    assert {sample.labels["kind"]: sample.value for sample in discards.samples} == dict.fromkeys(
        KINDS, 0.0
    )


def test_a_provider_fails_by_the_same_answers_as_for_the_watchdog() -> None:
    (rule,) = (rule for rule in RULES if rule["alert"] == "AvivroProviderFails")

    fine = {tuple(found.split("|")) for found in re.findall(r'result!~"([^"]*)"', rule["expr"])}

    assert fine == {health.FINE}
