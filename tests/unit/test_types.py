"""What the catalogue's readers make of Postgres' own texts."""

import pytest

from db.catalogue import Function, origins_of, top_level, words_of


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("CHECK ((tone = ANY (ARRAY['formal'::text, 'casual'::text])))", ("formal", "casual")),
        ("CHECK ((x = ANY (ARRAY['it''s, [so]'::text])))", ("it's, [so]",)),
        ("CHECK ((score >= 0))", ()),
        ("CHECK (((tone = ANY (ARRAY['a'::text])) OR (tone IS NULL)))", ()),
    ],
)
def test_a_list_of_words_is_read_from_its_check(condition: str, words: tuple[str, ...]) -> None:
    assert words_of(condition) == words


def test_only_the_outermost_target_list_counts() -> None:
    inner = "{QUERY :targetList ({TARGETENTRY :resno 1 :resorigtbl 9 :resorigcol 9})}"
    tree = (
        f"({{QUERY :rtable ({{RTE :subquery {inner}}}) "
        f":targetList ({{TARGETENTRY :expr {{SUBLINK :subselect {inner}}} "
        ":resno 1 :resname a :resorigtbl 0 :resorigcol 0} "
        "{TARGETENTRY :expr {VAR :varno 1} :resno 2 :resname b\\{ :resorigtbl 7 :resorigcol 3})"
        " :override 0})"
    )

    assert len(top_level(tree, ":targetList")) == 2
    assert origins_of(tree) == {2: (7, 3)}


def test_an_argument_with_a_default_may_be_left_out() -> None:
    function = Function(
        name="f", type="record", returns_set=True, arg_names=["a", "b", "x"],
        arg_modes=["i", "i", "t"], arg_types=["uuid", "int4", "text"], inputs=2, defaults=1,
    )  # fmt: skip

    assert function.given() == [("a", "uuid", False), ("b", "int4", True)]
    assert function.returned() == [("x", "text")]
