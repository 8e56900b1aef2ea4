"""Charts hold what any numbers bring: well-formed XML whose geometry stays within its bounds."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from workers.dashboard.charts import Part, Series, columns, lines, share, spark
from workers.dashboard.scales import keep_top, linear, logarithmic, round_top

START = datetime(2026, 11, 23, 13, 42, tzinfo=UTC)
NUMBERS = st.one_of(
    st.none(),
    st.integers(0, 10**6),
    st.floats(0, allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, 5e-324, 1e-9, 0.5, 1.7976931348623157e308]),
)
TEXTS = st.text(max_size=20)


def minutes(count: int) -> list[datetime]:
    return [START + timedelta(minutes=n) for n in range(count)]


def parse(markup: Markup) -> ElementTree.Element:
    assert "style" not in markup
    assert "nan" not in markup
    assert "inf" not in markup
    return ElementTree.fromstring(f"<r>{markup}</r>")


def heights(path: str) -> list[float]:
    """Where columns end, of M x bottom V top H right V bottom."""
    return [float(y) for y in re.findall(r"V(-?[\d.]+)", path)]


@given(st.lists(NUMBERS, max_size=60), TEXTS)
def test_a_spark_of_any_numbers_stays_in_its_box(values: list[float | None], name: str) -> None:
    root = parse(spark(values, label=name, since="\u22121 h"))

    paths = [path.get("d", "") for path in root.iter("path")]
    tall = [float(v) for path in paths for v in re.findall(r"v-([\d.]+)", path)]
    assert all(0 < each <= 25 for each in tall)
    assert len(tall) == sum(1 for value in values if value)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=60))
def test_columns_of_any_numbers_stay_between_floor_and_top(
    pairs: list[tuple[float | None, float | None]],
) -> None:
    below = Series("completed", [low for low, _ in pairs])
    above = Series("failed", [high for _, high in pairs], css="fb")

    root = parse(columns([below, above], at=minutes(len(pairs)), unit="jobs", label="Finished"))

    ends = [y for path in root.iter("path") for y in heights(path.get("d", ""))]
    assert all(12 <= y <= 130 for y in ends)


@given(st.lists(NUMBERS, max_size=60), st.sampled_from(["linear", "log"]))
def test_lines_of_any_numbers_stay_between_floor_and_top(
    values: list[float | None], shape: str
) -> None:
    root = parse(
        lines(
            [Series("bulk", values, css="b", note="41 min"), Series("mail", values, css="")],
            at=minutes(len(values)),
            unit="s",
            label="Oldest",
            shape="log" if shape == "log" else "linear",
        )
    )

    for path in root.iter("path"):
        points = re.findall(r"[ML]([\d.]+) ([\d.]+)", path.get("d", ""))
        assert all(0 <= float(x) <= 100 and 12 <= float(y) <= 186 for x, y in points)
    assert all(0 <= float(text.get("y", "0")) <= 206 for text in root.iter("text"))


@given(st.lists(NUMBERS.filter(lambda n: n is not None), max_size=12))
def test_parts_fill_the_bar_and_none_that_is_there_vanishes(values: list[float]) -> None:
    root = parse(share([Part("p", value, css="p2") for value in values], label="Depth"))

    bars = [bar for bar in root.iter("rect") if bar.get("class") == "p2"]
    widths = [float(bar.get("width", "").rstrip("%")) for bar in bars]
    ends = [
        float(bar.get("x", "").rstrip("%")) + wide for bar, wide in zip(bars, widths, strict=True)
    ]
    assert len(bars) == sum(1 for value in values if value)
    assert all(wide > 0 for wide in widths)
    assert max(ends, default=0) <= 100.1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), -1.0])
def test_what_no_axis_can_hold_is_refused(value: float) -> None:
    series = Series("bulk", [1.0, value])

    draws: tuple[Callable[[], Markup], ...] = (
        lambda: spark([value], label="x"),
        lambda: spark([1.0], label="x", top=value),
        lambda: columns([series], at=minutes(2), unit="jobs", label="x"),
        lambda: lines([series], at=minutes(2), unit="s", label="x"),
        lambda: share([Part("p", value)], label="x"),
    )
    for draw in draws:
        with pytest.raises(ValueError, match="cannot show"):
            draw()


@given(st.floats(0, allow_nan=False, allow_infinity=False))
def test_a_rounded_top_is_never_below_what_it_holds_nor_far_above(value: float) -> None:
    top = round_top(value)

    assert top >= value * (1 - 1e-9)
    assert top <= max(value * 2.0000001, 1e-9)


def test_a_top_is_kept_until_it_is_too_low_or_far_too_high() -> None:
    assert keep_top(40, None) == 40
    assert keep_top(40, 100) == 100
    assert keep_top(120, 100) == 200
    assert keep_top(4, 100) == 4


def test_counts_are_linear_from_zero_and_waits_by_their_logarithm() -> None:
    counts, waits = linear(3_000, unit="jobs"), logarithmic(3_600)

    assert counts.share(1_500) == pytest.approx(0.5)
    assert [tick.text for tick in counts.ticks] == ["0", "1,000", "2,000", "3,000"]
    assert waits.share(60) == pytest.approx(0.5)
    assert waits.share(0.2) == 0
    assert [tick.text for tick in waits.ticks] == ["\u2264 1 s", "10 s", "1 min", "10 min", "1 h"]


def test_a_column_is_as_high_as_its_value_says() -> None:
    root = parse(
        columns(
            [Series("completed", [10, 5]), Series("failed", [0, 5], css="fb")],
            at=minutes(2),
            unit="jobs",
            label="Finished",
        )
    )

    done, failed = (path.get("d", "") for path in root.iter("path"))
    assert heights(done) == [12.0, 130.0, 71.0, 130.0]
    assert heights(failed) == [12.0, 71.0]


def test_every_chart_says_its_unit_its_top_and_both_ends_of_time() -> None:
    root = parse(
        columns([Series("done", [3, 20])], at=minutes(2), unit="jobs", label="Finished", end="now")
    )

    texts = [text.text for text in root.iter("text")]
    charts = [svg for svg in root.iter("svg") if svg.get("role") == "img"]
    assert {"0", "20", "13:42", "now"} <= set(texts)
    assert [svg.get("aria-label") for svg in charts] == ["Finished, in jobs, up to 20"]


def test_a_line_is_interrupted_where_nothing_is_known() -> None:
    root = parse(
        lines([Series("a", [1, 2, None, 3], css="")], at=minutes(4), unit="s", label="Age")
    )

    path = next(p.get("d", "") for p in root.iter("path") if p.get("class") == "ln")
    assert path.count("L") == 1
    assert path.count("M") == 3


def test_text_is_never_inside_what_is_stretched() -> None:
    root = parse(
        lines([Series("a", [1, 2], css="b")], at=minutes(2), unit="s", label="Age", shape="log")
    )

    for svg in root.iter("svg"):
        if svg.get("preserveAspectRatio") == "none":
            assert not list(svg.iter("text"))


def test_a_name_cannot_break_out_of_a_label() -> None:
    markup = spark([1], label='"><script>alert(1)</script>\x00')

    assert "<script" not in markup
    assert "\x00" not in markup


def test_a_class_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="no classes"):
        spark([1], label="x", css='p3" onload="x')
