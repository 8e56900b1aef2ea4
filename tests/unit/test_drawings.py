"""What is drawn says the numbers it was given, and cannot break the page."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from xml.etree import ElementTree

from workers.dashboard.drawings import Bar, Hour, above_below, money_bars, strip

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def paths(markup: str, css: str) -> list[str]:
    """Each bar of the path of that class."""
    (found,) = re.findall(f'class="{css}" d="([^"]*)"', markup)
    return re.findall("M[^M]+", found)


def test_passed_stand_above_the_line_and_failed_hang_below() -> None:
    drawn = strip(["delivered", "failed", "pending", "retrying", "delivered"], [5] * 5, label="x")

    assert (len(paths(drawn, "u")), len(paths(drawn, "fb"))) == (2, 2)
    assert all("v-" in bar for bar in paths(drawn, "u"))
    assert not any("v-" in bar for bar in paths(drawn, "fb"))


def test_hours_are_drawn_to_one_scale() -> None:
    hours = [Hour(NOON + timedelta(hours=n), passed=n * 10, failed=n) for n in range(3)]

    drawn = above_below(hours, label="deliveries")

    assert [re.findall("v-?([0-9.]+)", bar) for bar in paths(drawn, "p3")] == [["31"], ["62"]]
    assert [re.findall("v([0-9.]+)", bar) for bar in paths(drawn, "fb")] == [["3.1"], ["6.2"]]
    assert drawn.count(">20</text>") == 2


def test_an_hour_without_deliveries_says_so() -> None:
    drawn = above_below([Hour(NOON, passed=0, failed=0)], label="deliveries")

    assert "nothing was sent in this time" in drawn
    assert drawn.count(">10</text>") == 2


def test_names_cannot_break_out_of_a_drawing() -> None:
    bars = [Bar('"><script>alert(1)</script>', Decimal("3.5"), note="<b>", is_over=True)]

    drawn = money_bars(bars, label='" onload="x')

    root = ElementTree.fromstring(str(drawn))
    assert {each.tag for each in root.iter()} == {"div", "svg", "text", "rect", "line"}
    assert set(root[1].attrib) == {"class", "height", "role", "aria-label"}
    assert "$3.50" in drawn
