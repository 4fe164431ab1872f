"""PAGE XML (PRImA, all versions; as Transkribus and eScriptorium write it): pages with the outline of every line."""

from pathlib import Path

from lxml import etree

from visionkit.datasets.line_cuts import Point
from visionkit.datasets.page_lines import Page, PageLine, PageLines, page_of, points, region_of
from visionkit.datasets.safe_xml import attribute, elements, parse_xml
from visionkit.errors import DataError


class PageXml(PageLines):
    """Lines of PAGE files; arguments and errors as of ``PageLines``."""

    @staticmethod
    def parse(path: Path) -> Page:
        """As of ``parse_page``."""
        return parse_page(path)


def parse_page(path: Path) -> Page:
    """A page; of several readings of a line the one with the lowest index counts, and no words below the line.

    Raises DataError D126: not well-formed or other contents.
    """
    root = parse_xml(path)
    page = next(elements(root, "Page"), None)
    if page is None:
        raise DataError("D126", path, "is XML, but no PAGE", "remove it, or choose another dataset")
    picture, height, width = (attribute(page, name) for name in ("imageFilename", "imageHeight", "imageWidth"))
    return page_of(path, picture, map(_line, elements(page, "TextLine")), height, width)


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
