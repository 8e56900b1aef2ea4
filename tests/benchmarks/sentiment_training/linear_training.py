"""Train the linear models over hashed grams: the label, and the language."""

from collections import Counter
from collections.abc import Sequence
from importlib import import_module
from random import Random

import numpy as np
from scipy.sparse import csr_matrix, diags
from sklearn.linear_model import LogisticRegression

from pipelines.sentiment.grams import GRAMS, hash_grams, words
from pipelines.sentiment.language import LANGUAGE_GRAMS, LATIN_LANGUAGES
from pipelines.sentiment.network import Floats
from pipelines.sentiment.wording import normalise
from tests.benchmarks.sentiment_training.corpora import Example

LABEL_STRENGTH = 0.03
LANGUAGE_STRENGTH = 10.0
STOPWORD_TEXTS = 300
ENGLISH_WORD_SEEN_MIN = 10
ENGLISH_SHARE_MAX = 0.3
# There is far more English than anything else.
ENGLISH_EVERY = 3


def make_rows(grams: Sequence[list[int]], size: int) -> csr_matrix:
    """One row a text, of unit length whatever the number of its grams."""
    lengths = [len(each) for each in grams]
    values = np.repeat(1 / np.sqrt(np.maximum(lengths, 1)), lengths)
    columns = np.concatenate([np.array(each, np.int64) for each in grams]) & (size - 1)
    return csr_matrix((values, columns, np.cumsum([0, *lengths])), shape=(len(grams), size))


def train_labels(examples: Sequence[Example]) -> tuple[Floats, Floats]:
    """Weights (GRAMS, 3) and bias (3)."""
    texts, labels, weights = [], [], []
    for one in examples:
        grams = hash_grams(normalise(one.text))
        for label in range(3):
            if one.shares[label] > 0:
                texts.append(grams)
                labels.append(label)
                weights.append(one.weight * one.shares[label])
    rows = make_rows(texts, GRAMS)
    rarity = weigh_rarity(rows)
    model = LogisticRegression(C=LABEL_STRENGTH, max_iter=80, tol=1e-3)
    model.fit(rows @ diags(rarity), labels, sample_weight=weights)
    return (model.coef_ * rarity).T.astype(np.float32), model.intercept_.astype(np.float32)


def weigh_rarity(rows: csr_matrix) -> Floats:
    """Rare grams may weigh more: they are scaled for training, and the weights scaled back."""
    seen = np.bincount(rows.indices, minlength=rows.shape[1])
    rarity: Floats = (np.log((rows.shape[0] + 1) / (seen + 1)) + 1).astype(np.float32)
    return rarity


def train_languages(examples: Sequence[Example]) -> tuple[Floats, Floats]:
    """Weights (LANGUAGE_GRAMS, languages) and bias, in the order of LATIN_LANGUAGES."""
    clear = leave_out_mixed(examples)
    english = [one for one in clear if one.language == "en"][::ENGLISH_EVERY]
    others = [one for one in clear if one.language in set(LATIN_LANGUAGES) - {"en"}]
    known = english + others
    texts = [(normalise(one.text), str(one.language)) for one in known] + list(draw_common())
    texts = [(text, language) for text, language in texts if text]
    rows = make_rows([hash_grams(text) for text, _ in texts], LANGUAGE_GRAMS)
    names = [language for _, language in texts]
    share = {name: (len(texts) / names.count(name)) ** 0.6 for name in set(names)}
    model = LogisticRegression(C=LANGUAGE_STRENGTH, max_iter=60, tol=1e-3)
    model.fit(rows, names, sample_weight=[share[name] for name in names])
    order = [list(model.classes_).index(name) for name in LATIN_LANGUAGES]
    return model.coef_[order].T.astype(np.float32), model.intercept_[order].astype(np.float32)


def leave_out_mixed(examples: Sequence[Example]) -> list[Example]:
    """Many of the Hindi tweets are half in English, which teaches nothing of either."""
    english = Counter(
        word for one in examples if one.language == "en" for word in words(normalise(one.text))
    )
    common = {word for word, count in english.items() if count >= ENGLISH_WORD_SEEN_MIN}

    def is_clear(one: Example) -> bool:
        seen = words(normalise(one.text))
        return sum(word in common for word in seen) <= ENGLISH_SHARE_MAX * len(seen)

    return [one for one in examples if one.language != "hi" or is_clear(one)]


def draw_common() -> list[tuple[str, str]]:
    """The commonest words of each language, in any order."""
    common = import_module("pipelines.knowledge.language")._STOPWORDS
    random = Random(1)
    return [
        (" ".join(random.choices(sorted(common[language]), k=random.randint(1, 5))), language)
        for language in LATIN_LANGUAGES
        if language in common
        for _ in range(STOPWORD_TEXTS)
    ]
