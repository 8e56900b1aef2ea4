"""A Filter as conditions of the database; moments and spans are counted from one `now`. Pure."""

import json
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from db.job_list import Condition
from db.patterns import containing
from workers.dashboard.filter_values import DAY, SPAN, day, moment, span
from workers.dashboard.filtering import FIELDS, Filter, Term

# Times of Postgres have microseconds: one more or less turns > into >=.
TICK = timedelta(microseconds=1)
JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,29})(?:\.[0-9]{1,30})?", re.ASCII)
JSON_WORDS = frozenset({"true", "false", "null"})


def conditions_of(wanted: Filter, now: datetime) -> list[Condition]:
    """What must hold of a job, all of it. The cheapest come first."""
    found = [condition for term in wanted.terms for condition in translate(term, now)]
    return sorted(found, key=lambda condition: condition.name in COSTLY)


# They read JSON that may lie outside the row.
COSTLY = frozenset({"error", "has_error", "about", "args", "has_args"})


def is_costly(conditions: Sequence[Condition]) -> bool:
    return any(condition.name in COSTLY for condition in conditions)


def translate(term: Term, now: datetime) -> list[Condition]:
    if term.operator == "*":
        path = {"path": list(term.path)} if term.path else {}
        return [Condition(f"has_{term.field}", path, term.negated)]
    match FIELDS[term.field]:
        case "number" if term.operator != ":":
            return [bound_number(term)]
        case "span":
            return [bound_age(term, now) if term.field == "age" else bound_span(term, now)]
        case "time":
            return bound_time(term, now)
        case _:
            return [Condition(term.field, equal_values(term), term.negated)]


def equal_values(term: Term) -> dict[str, Any]:
    match term.field:
        case "error":
            return {"patterns": [containing(value) for value in term.values]}
        case "args":
            texts = [text for value in term.values for text in json_texts(value)]
            return {"path": list(term.path), "values": texts}
        case "id" | "attempt" | "priority":
            return {"values": [int(value) for value in term.values]}
        case _:
            return {"values": list(term.values)}


def json_texts(value: str) -> list[str]:
    """What `args.n:4` may mean: the text, and the number or the word of JSON that it spells."""
    texts = [json.dumps(value)]
    if value in JSON_WORDS or JSON_NUMBER.fullmatch(value):
        texts.append(value)
    return texts


def bound_number(term: Term) -> Condition:
    value = int(term.values[0])
    if term.operator.startswith(">"):
        return Condition(
            f"{term.field}_from", {"value": value + (term.operator == ">")}, term.negated
        )
    return Condition(f"{term.field}_to", {"value": value - (term.operator == "<")}, term.negated)


def bound_span(term: Term, now: datetime) -> Condition:
    length = span(term.values[0])
    if term.operator.startswith(">"):
        least = length + TICK if term.operator == ">" else length
        return Condition(f"{term.field}_from", {"span": least, "now": now}, term.negated)
    most = length - TICK if term.operator == "<" else length
    return Condition(f"{term.field}_to", {"span": most, "now": now}, term.negated)


def bound_age(term: Term, now: datetime) -> Condition:
    """Older than means created before."""
    at = now - span(term.values[0])
    if term.operator.startswith(">"):
        at -= TICK if term.operator == ">" else TICK * 0
        return Condition("created_to", {"at": at}, term.negated)
    at += TICK if term.operator == "<" else TICK * 0
    return Condition("created_from", {"at": at}, term.negated)


def bound_time(term: Term, now: datetime) -> list[Condition]:
    """A span counts back from now (finished<1h: within the last hour), of run_at ahead."""
    value, operator = term.values[0], term.operator
    if operator == ":":
        return days(term)
    if SPAN.fullmatch(value):
        ahead = term.field == "run_at"
        at = now + span(value) if ahead else now - span(value)
        later = operator.startswith(">") == ahead
    else:
        at = moment(value)
        later = operator.startswith(">")
    strict = TICK if len(operator) == 1 else TICK * 0
    name = f"{term.field}_from" if later else f"{term.field}_to"
    return [Condition(name, {"at": at + strict if later else at - strict}, term.negated)]


def days(term: Term) -> list[Condition]:
    """On one of these days, in UTC."""
    assert all(DAY.fullmatch(value) for value in term.values)
    begins = [day(value) for value in term.values]
    return [Condition(f"{term.field}_on", {"days": begins}, term.negated)]
