"""ALTO (Library of Congress, versions 2 to 4): pages of text with the place of every line."""

from pathlib import Path

from lxml import etree

from visionkit.datasets.line_cuts import Point
from visionkit.datasets.page_lines import Page, PageLine, PageLines, page_of, points, region_of
from visionkit.datasets.safe_xml import attribute, elements, parse_xml
from visionkit.errors import DataError


class Alto(PageLines):
    """Lines of ALTO files; arguments and errors as of ``PageLines``."""

    @staticmethod
    def parse(path: Path) -> Page:
        """As of ``parse_alto``."""
        return parse_alto(path)


def parse_alto(path: Path) -> Page:
    """A page; the text of a line are its ``String`` elements with spaces between, and its ``HYP``.

    Raises DataError: D126 not well-formed or other contents, D127 measured in something other than pixels.
    """
    root = parse_xml(path)
    if not isinstance(root.tag, str) or etree.QName(root).localname.lower() != "alto":
        raise DataError("D126", path, "is XML, but no ALTO", "remove it, or choose another dataset")
    unit = next((element.text or "" for element in elements(root, "MeasurementUnit")), "pixel").strip()
    if unit.lower() != "pixel":
        raise DataError("D127", path, f"measures in {unit[:20]!r}", "convert it to pixels")
    picture = next((element.text or "" for element in elements(root, "fileName")), "").strip()
    page = next(elements(root, "Page"), root)
    height, width = attribute(page, "HEIGHT"), attribute(page, "WIDTH")
    return page_of(path, picture, map(_line, elements(root, "TextLine")), height, width)


def _line(line: etree._Element) -> PageLine:
    strings = list(elements(line, "String"))
    text = " ".join(attribute(string, "CONTENT") for string in strings) if strings else None
    if text is not None:
        text += "".join(attribute(mark, "CONTENT") for mark in elements(line, "HYP"))
    shapes = (polygon for shape in line.findall("{*}Shape") for polygon in elements(shape, "Polygon"))
    outline = next((points(attribute(polygon, "POINTS")) for polygon in shapes), None) or _corners(line)
    return PageLine(attribute(line, "ID"), text, region_of(outline, _baseline(line)))


def _corners(line: etree._Element) -> tuple[Point, ...]:
    edges = [line.get(name) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT")]
    if None in edges:
        return ()
    left, top, width, height = (float(edge) for edge in edges if edge is not None)
    return (left, top), (left + width, top), (left + width, top + height), (left, top + height)


def _baseline(line: etree._Element) -> tuple[Point, ...]:
    """Points since version 4.1; before it is one height, from which no slope can be told."""
    written = attribute(line, "BASELINE")
    return points(written) if len(written.replace(",", " ").split()) > 1 else ()
