"""PAGE XML (PRImA, all versions; as Transkribus and eScriptorium write it): pages with the outline of every line."""

from collections.abc import Sequence
from pathlib import Path

from lxml import etree

from visionkit.datasets.page_lines import Cut, Page, PageLine, PageLines, Point, points, region_of
from visionkit.datasets.safe_xml import attribute, elements, parse_xml
from visionkit.datasets.text_rules import TextRules
from visionkit.errors import DataError


class PageXml(PageLines):
    """Lines of PAGE files; arguments and errors as of ``PageLines``."""

    def __init__(
        self,
        root: str | Path,
        split: str,
        channels: int = 1,
        text: TextRules | None = None,
        pictures: str = "",
        cut: Cut = "polygon",
        straighten: bool = False,
        fractions: Sequence[float] = (0.8, 0.1, 0.1),
    ) -> None:
        super().__init__(parse_page, root, split, channels, text, pictures, cut, straighten, fractions)


def parse_page(path: Path) -> Page:
    """A page; of several readings of a line the one with the lowest index counts, and no words below the line.

    Raises DataError D126: not well-formed or other contents.
    """
    root = parse_xml(path)
    page = next(elements(root, "Page"), None)
    if page is None:
        raise DataError("D126", path, "is XML, but no PAGE", "remove it, or choose another dataset")
    try:
        return Page(attribute(page, "imageFilename"), tuple(map(_line, elements(page, "TextLine"))))
    except ValueError as error:
        raise DataError(
            "D126", path, f"has a line without usable coordinates ({error})", "mend or remove it"
        ) from error


def _line(line: etree._Element) -> PageLine:
    return PageLine(attribute(line, "id"), _text(line), region_of(_points(line, "Coords"), _points(line, "Baseline")))


def _text(line: etree._Element) -> str | None:
    readings = sorted(line.findall("{*}TextEquiv"), key=lambda reading: int(attribute(reading, "index") or 0))
    written = [element for reading in readings for element in reading.findall("{*}Unicode")]
    return (written[0].text or "") if written else None


def _points(line: etree._Element, name: str) -> tuple[Point, ...]:
    """Points of an attribute, or of elements as before 2013."""
    element = line.find(f"{{*}}{name}")
    if element is None:
        return ()
    if element.get("points") is not None:
        return points(attribute(element, "points"))
    return tuple((float(attribute(point, "x")), float(attribute(point, "y"))) for point in elements(element, "Point"))
