"""The filter language: what is read, what is refused and where, and that text and filter agree."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from db.patterns import containing
from workers.dashboard.filter_values import STATES
from workers.dashboard.filtering import (
    FIELDS,
    FILTER_CHARS_MAX,
    OPTIONAL,
    Filter,
    Known,
    Term,
    Unreadable,
    parse,
)
from workers.dashboard.job_conditions import conditions_of, json_texts

KINDS = ["index_source", "probe", "send_email"]
QUEUES = ["default", "knowledge"]
KNOWN = Known(KINDS, QUEUES)
TENANT = "123e4567-e89b-12d3-a456-426614174000"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)

texts = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=30
)
spans = st.builds("{}{}".format, st.integers(1, 999), st.sampled_from(["ms", "s", "m", "h", "d"]))
moments = st.datetimes(datetime(2001, 1, 1), datetime(2199, 1, 1)).map(  # noqa: DTZ001
    lambda at: at.isoformat(timespec="minutes")
)
days = st.dates(NOW.date() - timedelta(9000), NOW.date()).map(str)
operators = st.sampled_from([">", ">=", "<", "<="])
several = {"min_size": 1, "max_size": 4, "unique": True}


def values_of(field: str) -> st.SearchStrategy[str]:
    match field:
        case "kind":
            return st.sampled_from(KINDS)
        case "queue":
            return st.sampled_from(QUEUES)
        case "state":
            return st.sampled_from(STATES)
        case "tenant" | "worker":
            return st.uuids().map(str)
        case "group":
            return st.text("0123456789abcdef", min_size=12, max_size=12)
        case "id" | "attempt":
            return st.integers(0, 10**6).map(str)
        case "priority":
            return st.integers(-1000, 1000).map(str)
    return texts


def draw_term(field: str) -> st.SearchStrategy[Term]:
    shape, flags = FIELDS[field], st.booleans()
    path = st.lists(texts, min_size=1, max_size=3).map(tuple) if shape == "args" else st.just(())
    if shape == "span":
        return st.builds(Term, st.just(field), operators, st.tuples(spans), path, flags)
    if shape == "time":
        bound = st.builds(Term, st.just(field), operators, st.tuples(spans | moments), path, flags)
        of_days = st.lists(days, **several).map(tuple)  # type: ignore[arg-type]
        return bound | st.builds(Term, st.just(field), st.just(":"), of_days, path, flags)
    equal = st.lists(values_of(field), **several).map(tuple)  # type: ignore[arg-type]
    found = st.builds(Term, st.just(field), st.just(":"), equal, path, flags)
    if shape == "number":
        one = st.tuples(values_of(field))
        found |= st.builds(Term, st.just(field), operators, one, path, flags)
    if field in OPTIONAL:
        found |= st.builds(Term, st.just(field), st.just("*"), st.just(()), path, flags)
    return found


terms = st.sampled_from(sorted(FIELDS)).flatmap(draw_term)
filters = st.lists(terms, max_size=5, unique=True).map(lambda found: Filter(tuple(found)))


@given(filters)
def test_a_filter_is_what_its_text_is_read_as(wanted: Filter) -> None:
    if len(str(wanted)) <= FILTER_CHARS_MAX:
        assert parse(str(wanted), KNOWN) == wanted


@given(st.text(max_size=200) | st.text("kindstaerog:<>=\",\\- *.0123%_'", max_size=60))
@example('error:"' + '\\"' * 50)
@example("'; DROP TABLE worker.jobs; --")
@example('args."a\\"b".c:\'%_\\')
@example("\u202eerror:x\ufeff")
def test_any_text_is_read_or_refused_with_its_place(text: str) -> None:
    found = read(text)

    if isinstance(found, Unreadable):
        assert 0 <= found.position <= len(text)
    else:
        assert parse(str(found), KNOWN) == found
        assert len(conditions_of(found, NOW)) == len(found.terms)


def read(text: str) -> Filter | Unreadable:
    try:
        return parse(text, KNOWN)
    except Unreadable as trouble:
        return trouble


@pytest.mark.parametrize("text", ["x" * 10_000, '"' * 10_000, "error:" + "a" * 9_000, "a " * 500])
def test_what_is_too_long_is_refused(text: str) -> None:
    with pytest.raises(Unreadable, match="at most|more than|never closed"):
        parse(text, KNOWN)


@pytest.mark.parametrize(
    ("text", "position", "said"),
    [
        ("kin:probe", 0, "unknown field 'kin', did you mean kind?"),
        ("state:discarded kind:indx_source", 21, "did you mean index_source?"),
        ("state:done", 6, "known are scheduled, available"),
        ("queue:default age:10m", 14, "age takes < <= > >= and not :"),
        ("age>10", 4, "a span like 10s, 5m, 2h or 3d"),
        ("age>99999999d", 4, "is more than 3650d"),
        ("tenant:acme", 7, "an id like"),
        ("kind:*", 0, "every job has kind"),
        ("args:1", 0, "args.<name>:value"),
        ("state.x:1", 0, "without a dot"),
        ('error:"no end', 6, "never closed"),
        ("id:12345678901234567890", 3, "a whole number"),
        ("created>2026-02-30T10:00", 8, "a time like"),
        ("created>0001-01-01T00:00:00+14:00", 8, "a time like"),
        ("attempt>=1,2", 11, "takes one value"),
        ("kind:probe,", 11, "needs a value"),
        ("a\0b", 1, "no job can hold"),
        ("a\ud800", 1, "no job can hold"),
    ],
)
def test_a_refusal_says_where_and_what_is_known(text: str, position: int, said: str) -> None:
    with pytest.raises(Unreadable, match=re.escape(said)) as caught:
        parse(text, KNOWN)

    assert caught.value.position == position


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("42", "id:42"),
        ("-42", "-id:42"),
        (TENANT.upper(), f"about:{TENANT}"),
        ("timeout", "error:timeout"),
        ('"rate limit"', 'error:"rate limit"'),
        ("  KIND:probe\t", "kind:probe"),
        ("created>2026-11-23T10:00:00+02:00", "created>2026-11-23T08:00"),
        ("kind:probe kind:probe", "kind:probe"),
        ('args."a.b".n:4', 'args."a.b".n:4'),
        ('error:"*"', 'error:"*"'),
    ],
)
def test_there_is_one_spelling_for_each_meaning(text: str, same: str) -> None:
    assert str(parse(text, KNOWN)) == same


def test_states_are_what_all_terms_leave() -> None:
    wanted = parse("state:retryable,discarded,running -state:running", KNOWN)

    assert wanted.states() == {"retryable", "discarded"}
    assert parse("state:running state:discarded", KNOWN).states() == frozenset()


def test_a_minus_negates_its_condition() -> None:
    (plain,) = conditions_of(parse("kind:probe", KNOWN), NOW)
    (negated,) = conditions_of(parse("-kind:probe", KNOWN), NOW)

    assert (plain.negated, negated.negated) == (False, True)


def test_a_span_counts_back_from_now_and_ahead_for_what_is_due() -> None:
    (finished,) = conditions_of(parse("finished<1h", KNOWN), NOW)
    (due,) = conditions_of(parse("run_at<=1h", KNOWN), NOW)

    assert (finished.name, finished.values["at"] > NOW - timedelta(hours=1)) == (
        "finished_from",
        True,
    )
    assert (due.name, due.values["at"]) == ("run_at_to", NOW + timedelta(hours=1))


def test_what_means_something_in_a_pattern_is_escaped() -> None:
    assert containing("100%_\\") == "%100\\%\\_\\\\%"


def test_an_argument_may_be_a_number_or_its_text() -> None:
    assert json_texts("4") == ['"4"', "4"]
    assert json_texts("true") == ['"true"', "true"]
    assert json_texts("04") == ['"04"']
    assert json_texts("1e999999") == ['"1e999999"']
