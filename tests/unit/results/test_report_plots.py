"""Plots of the report: whole SVG whatever the numbers are."""

import xml.etree.ElementTree as ET

import pytest

from scriptfleet.results.report import plots


@pytest.mark.parametrize(
    "points",
    [[], [(0.0, 0.0)], [(0.0, 5.0), (1e9, 1e12)], [(0.1, 1e-9), (0.2, 2e-9)], [(float(at), 1.0) for at in range(9999)]],
)
def test_a_line_is_drawn_inside_its_frame(points: list[tuple[float, float]]) -> None:
    drawn = ET.fromstring(str(plots.line(points, 'a "label" <b>', "MiB")))

    shape = drawn.find("polyline")
    assert shape is not None
    pairs = [tuple(map(float, pair.split(","))) for pair in shape.attrib["points"].split()]
    assert all(0 <= x <= 720 and 0 <= y <= 200 for x, y in pairs)
    assert len(pairs) <= 2000


def test_a_bar_stands_for_each_value_that_is_known() -> None:
    drawn = ET.fromstring(str(plots.bars([(1.0, True), (None, True), (3.0, False)], "runs", "s", ("first", "<last>"))))

    assert [bar.attrib["class"] for bar in drawn.findall("rect")] == ["good", "bad"]
    assert drawn.findall("text")[-1].text == "<last>"
