"""A chart of Office -> its title and the figures it was drawn from, as rows."""

from lxml import etree

from pipelines.knowledge.office_xml import find_child
from pipelines.knowledge.xlsx_formats import make_formatter, write_general

SERIES_MAX = 50
POINTS_MAX = 2_000


def read_chart(root: etree._Element) -> tuple[str, list[list[str]]]:
    """The title, and a row of names above one row for each category."""
    chart = find_child(root, "chart")
    if chart is None:
        return "", []
    heading = find_child(chart, "title")
    texts = heading.iter("{*}t") if heading is not None else ()
    title = " ".join(" ".join(text.text or "" for text in texts).split())
    names, columns, categories = [""], list[dict[int, str]](), dict[int, str]()
    for series in list(chart.iter("{*}ser"))[:SERIES_MAX]:
        names.append(" ".join(_read_points(find_child(series, "tx")).values()))
        categories = categories or _read_points(
            find_child(series, "cat")
            if find_child(series, "cat") is not None
            else find_child(series, "xVal")
        )
        values = find_child(series, "val")
        columns.append(_read_points(values if values is not None else find_child(series, "yVal")))
    places = sorted({place for column in (categories, *columns) for place in column})
    rows = [
        [categories.get(place, ""), *(column.get(place, "") for column in columns)]
        for place in places[:POINTS_MAX]
    ]
    return title, [names, *rows] if rows else []


def _read_points(element: etree._Element | None) -> dict[int, str]:
    """Texts or figures by their places; what is empty is missing."""
    if element is None:
        return {}
    code = next((found.text or "" for found in element.iter("{*}formatCode")), "")
    points: dict[int, str] = {}
    for point in element.iter("{*}pt"):
        place, value = point.get("idx") or "0", find_child(point, "v")
        if value is not None and value.text and place.isascii() and place.isdecimal():
            points[int(place[:9])] = _write_value(value, code)
    return points


def _write_value(value: etree._Element, code: str) -> str:
    text = value.text or ""
    try:
        number = float(text)
    except ValueError:
        return " ".join(text.split())
    return make_formatter(code)(number) if code else write_general(number)
