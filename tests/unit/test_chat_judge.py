"""A chat model judges many messages at once; whatever it answers, the scores stay right."""

import json
from random import Random
from typing import Any

import pytest

from pipelines.errors import JobError, Misconfigured, Permanent, Transient
from pipelines.gateways.chat import Completion, Ending, Question
from pipelines.gateways.chat_failures import ContentRefused
from pipelines.sentiment.chat_controls import gather
from pipelines.sentiment.chat_judge import (
    BATCH_CHARS_MAX,
    BATCH_TEXTS_MAX,
    ChatJudge,
    pack,
)
from pipelines.sentiment.chat_prompt import SCHEMA
from pipelines.sentiment.judgement import TEXT_CHARS_MAX
from pipelines.sentiment.local_judge import LocalJudge
from pipelines.sentiment.verdict import LOCAL, Call, Verdict
from tests.fakes_chat import FakeChat, Fault, write_answer
from tests.fakes_chat_injections import INJECTIONS, PLAIN
from tests.fakes_chat_mind import STYLES, Item
from tests.fakes_chat_rules import find_schema_problem

# Nothing in it tells that the model obeys it.
SLEEPER = "My cat walks over the piano at night"
TEXTS = list(PLAIN)


class Model:
    """The fake's mind without its server; `failures` are raised first, one a call."""

    model = "fake/model"

    def __init__(self, *failures: JobError | None, fake: FakeChat | None = None) -> None:
        self.fake = fake or FakeChat()
        self.failures = list(failures)

    def complete(self, question: Question) -> Completion:
        if self.failures and (failure := self.failures.pop(0)) is not None:
            raise failure
        items = [
            Item(each["id"], each["text"]) for each in json.loads(question.content)["messages"]
        ]
        self.fake.asked.append(items)
        fault = self.fake.faults.popleft() if self.fake.faults else self.fake.always
        refuses = any(item.text in self.fake.refuses for item in items)
        endings: dict[Any, Ending] = {"refusal": "refused", "null": "empty"}
        ending = "refused" if refuses else endings.get(fault, "whole")
        assert fault is None or isinstance(fault, str)
        text = "" if ending != "whole" else write_answer(self.fake.think(items), fault)
        return Completion(text, ending, 100, 10)


def judge(model: Model, texts: list[str], *, seed: int = 7) -> Verdict:
    return ChatJudge(model, LocalJudge(), random=Random(seed)).judge(texts)


def labels(verdict: Verdict) -> list[str]:
    return [each.judgement.label for each in verdict.judged]


def judges(verdict: Verdict) -> set[str]:
    return {each.judge for each in verdict.judged}


def expected(texts: list[str]) -> list[str]:
    return [PLAIN[text] for text in texts]


def test_many_messages_take_one_call() -> None:
    model = Model()

    verdict = judge(model, TEXTS)

    assert labels(verdict) == expected(TEXTS)
    assert judges(verdict) == {"fake/model"}
    assert verdict.calls == [Call("fake/model", 100, 10)]


def test_the_schema_keeps_to_the_rules_of_strict_mode() -> None:
    assert find_schema_problem(SCHEMA) is None


def test_a_message_alone_is_asked_about_without_controls() -> None:
    model = Model()

    judge(model, TEXTS[:1])

    assert [[item.text for item in items] for items in model.fake.asked] == [TEXTS[:1]]


def test_the_same_message_is_asked_about_once_and_a_blank_one_never() -> None:
    model = Model()

    verdict = judge(model, [TEXTS[0], " ", TEXTS[0]])

    assert [[item.text for item in items] for items in model.fake.asked] == [TEXTS[:1]]
    assert [each.judge for each in verdict.judged] == ["fake/model", LOCAL, "fake/model"]


def test_a_long_message_is_cut() -> None:
    model = Model()

    judge(model, ["word " * TEXT_CHARS_MAX])

    assert len(model.fake.asked[0][0].text) == TEXT_CHARS_MAX


def test_batches_keep_to_both_limits() -> None:
    texts = [f"{number} short" for number in range(50)] + ["x" * 4_000 for _ in range(9)]

    batches = list(pack(texts))

    assert [text for batch in batches for text in batch] == texts
    assert max(map(len, batches)) == BATCH_TEXTS_MAX
    assert max(sum(map(len, batch)) for batch in batches) <= BATCH_CHARS_MAX


# Injections.


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_message_that_the_model_obeys_changes_no_other(style: str, seed: int) -> None:
    texts = Random(seed).sample(TEXTS, 12)
    model = Model(fake=FakeChat(obeys=STYLES[style], injections={SLEEPER}))

    verdict = judge(model, [*texts[:6], SLEEPER, *texts[6:]], seed=seed)

    assert labels(verdict)[:6] + labels(verdict)[7:] == expected(texts)
    assert len(verdict.calls) <= len(texts) + 3


@pytest.mark.parametrize("style", STYLES)
def test_even_two_messages_in_one_call_are_safe_from_each_other(style: str) -> None:
    fake = FakeChat(obeys=STYLES[style], injections={SLEEPER})

    results = [
        labels(judge(Model(fake=fake), [text, SLEEPER], seed=seed))[0]
        for seed, text in enumerate(TEXTS)
    ]

    assert results == expected(TEXTS)


def test_a_message_that_speaks_to_a_model_shares_no_call() -> None:
    model = Model(fake=FakeChat(obeys=STYLES["all 1.0"], injections=set(INJECTIONS)))

    verdict = judge(model, [*TEXTS, *INJECTIONS])

    assert not {item.text for items in model.fake.asked for item in items} & set(INJECTIONS)
    assert labels(verdict)[: len(TEXTS)] == expected(TEXTS)
    assert {each.judge for each in verdict.judged[len(TEXTS) :]} == {LOCAL}


def test_no_message_writes_the_words_of_another() -> None:
    model = Model(fake=FakeChat(obeys=STYLES["words smuggled"], injections={SLEEPER}))

    verdict = judge(model, [*TEXTS, SLEEPER])

    words = {
        word for each in verdict.judged for word in each.judgement.topics + each.judgement.keywords
    }
    assert not any("pwned" in word or "evil" in word or "<" in word for word in words)


def test_a_model_that_answers_all_alike_is_not_believed_at_once() -> None:
    model = Model(fake=FakeChat(honest=lambda text: 0.0))

    verdict = judge(model, TEXTS)

    assert len(verdict.calls) == len(TEXTS) + 1


def test_who_stands_where_and_under_which_id_is_new_each_time() -> None:
    companies = [gather(TEXTS, Random(seed)) for seed in range(20)]

    assert len({each for company in companies for each in company.texts}) > 20 * len(TEXTS)
    orders = {tuple(text for text in each.texts.values() if text in PLAIN) for each in companies}
    assert len(orders) == 20
    for company in companies:
        first, *_, last = company.texts
        assert {first, last} < set(company.controls)
        assert sorted(company.controls.values()) == ["negative"] * 2 + ["positive"] * 2


def test_an_answer_that_leaves_out_a_pole_of_the_controls_shows_nothing() -> None:
    company = gather(TEXTS, Random(1))
    known = LocalJudge().judge(["I love it"])[0]
    answers = {each: known for each in company.texts if company.controls.get(each) != "negative"}

    assert not company.is_shown(answers)
    assert company.is_shown(dict.fromkeys(company.texts, known))


# Answers that cannot be used.

ITEM_FAULTS: list[Fault] = [
    "one_missing",
    "last_missing",
    "doubled",
    "out_of_range",
    "nan",
    "text_score",
    "true_score",
    "wrong_label",
    "missing_emotion",
    "no_lists",
]
WHOLE_FAULTS: list[Fault] = ["malformed", "prose", "all_missing", "null"]


@pytest.mark.parametrize("fault", [*ITEM_FAULTS, *WHOLE_FAULTS])
def test_what_lacks_an_answer_is_asked_once_more(fault: Fault) -> None:
    model = Model()
    model.fake.inject(fault)

    verdict = judge(model, TEXTS)

    assert labels(verdict) == expected(TEXTS)
    assert judges(verdict) == {"fake/model"}
    assert len(verdict.calls) <= 2


@pytest.mark.parametrize("fault", WHOLE_FAULTS)
def test_what_lacks_it_again_is_judged_locally_and_marked_so(fault: Fault) -> None:
    model = Model()
    model.fake.always = fault

    verdict = judge(model, TEXTS)

    assert labels(verdict) == expected(TEXTS)
    assert (judges(verdict), len(verdict.calls)) == ({LOCAL}, 2)


@pytest.mark.parametrize("fault", ITEM_FAULTS)
def test_a_model_that_errs_each_time_costs_few_calls_and_no_label(fault: Fault) -> None:
    model = Model()
    model.fake.always = fault

    verdict = judge(model, TEXTS)

    assert labels(verdict) == expected(TEXTS)
    assert "fake/model" in judges(verdict)
    assert len(verdict.calls) <= 2


def test_a_message_that_is_never_answered_is_judged_locally() -> None:
    model = Model()
    model.fake.always = "out_of_range"

    verdict = judge(model, TEXTS[:1])

    assert (judges(verdict), len(verdict.calls)) == ({LOCAL}, 2)


@pytest.mark.parametrize("fault", ["fenced", "bare_list", "one_too_many"])
def test_what_can_be_read_all_the_same_takes_no_second_call(fault: Fault) -> None:
    model = Model()
    model.fake.inject(fault)

    verdict = judge(model, TEXTS)

    assert (labels(verdict), len(verdict.calls)) == (expected(TEXTS), 1)


def test_a_refusal_is_asked_again_one_by_one() -> None:
    model = Model(fake=FakeChat(refuses={TEXTS[3]}))

    verdict = judge(model, TEXTS)

    assert labels(verdict) == expected(TEXTS)
    assert [each.judge for each in verdict.judged].count(LOCAL) == 1
    assert verdict.judged[3].judge == LOCAL
    assert len(verdict.calls) == len(TEXTS) + 1


def test_content_refused_before_it_was_billed_is_asked_again_one_by_one() -> None:
    model = Model(ContentRefused("flagged"))

    verdict = judge(model, TEXTS)

    assert labels(verdict) == expected(TEXTS)
    assert judges(verdict) == {"fake/model"}


# A provider in trouble.


def test_a_busy_provider_is_asked_later() -> None:
    busy = Transient("busy", retry_after_s=5.0)

    with pytest.raises(Transient) as caught:
        judge(Model(busy), TEXTS)

    assert caught.value is busy


def test_what_was_paid_for_before_a_failure_is_kept() -> None:
    busy = Transient("busy", retry_after_s=5.0)
    texts = [f"{text} {number}" for number in range(2) for text in TEXTS]

    verdict = judge(Model(None, busy), texts)

    assert verdict.failure is busy
    assert labels(verdict) == expected([*TEXTS, *TEXTS])[:BATCH_TEXTS_MAX]
    assert len(verdict.calls) == 1


def test_a_failure_of_a_second_call_leaves_its_messages_to_the_local_judge() -> None:
    model = Model(None, Transient("busy"))
    model.fake.inject("malformed")

    verdict = judge(model, TEXTS)

    assert verdict.failure is None
    assert labels(verdict) == expected(TEXTS)
    assert judges(verdict) == {LOCAL}


@pytest.mark.parametrize("failure", [Misconfigured("no such key"), Permanent("no")])
def test_a_provider_that_cannot_be_used_is_said_to_be(failure: JobError) -> None:
    with pytest.raises(Permanent) as caught:
        judge(Model(failure), TEXTS)

    assert caught.value is failure


def test_what_needs_no_model_is_judged_before_a_failure() -> None:
    busy = Transient("busy")

    verdict = judge(Model(busy), [INJECTIONS[0], *TEXTS, INJECTIONS[1]])

    assert (verdict.failure, [each.judge for each in verdict.judged]) == (busy, [LOCAL])
