"""Whether an answer about many messages can be believed, message by message. Pure."""

from collections.abc import Mapping

from pipelines.sentiment.judgement import Judgement

# Measured on labelled messages: one in twenty honest answers is this far from the local judge,
# and four in five that were turned to the other pole.
LOCAL_CONFIDENCE_MIN = 0.5
GAP_MIN = 0.7
# An honest call of 25 messages has one to three of these. Where the local judge knows a trade
# badly it doubts more: when the model stands by the plainest, the others are believed.
SUSPECTS_MAX = 6
CHANGE_MIN = 0.5


def find_suspects(answers: Mapping[str, Judgement], here: Mapping[str, Judgement]) -> list[str]:
    """The texts of which the local judge is sure that something else is true, the plainest first.

    `here` are its judgements.
    """
    gaps = {
        text: abs(answer.score - here[text].score)
        for text, answer in answers.items()
        if here[text].confidence >= LOCAL_CONFIDENCE_MIN and answer.label != here[text].label
    }
    return sorted((text for text in gaps if gaps[text] >= GAP_MIN), key=lambda text: -gaps[text])


def contradicts(alone: Judgement, among_others: Judgement) -> bool:
    """Whether one text's company changed its judgement: by more than a model's whims."""
    return alone.label != among_others.label and abs(alone.score - among_others.score) >= CHANGE_MIN
