"""XML from the disk: no network, no entities of the file's own, bounded size, and an error that says where."""

from collections.abc import Iterator
from pathlib import Path

from lxml import etree

from visionkit.datasets.images import file_size
from visionkit.errors import DataError

MAX_BYTES = 2**26
"""Larger files are refused: a page of text is a thousandth of it."""


def parse_xml(path: Path) -> etree._Element:
    """The root of an XML file.

    Raises DataError: D10 missing, D11 unreadable, D12 empty, D126 not well-formed, D134 too large.
    """
    size_bytes = file_size(path)
    if size_bytes > MAX_BYTES:
        what = f"has {size_bytes} bytes; at most {MAX_BYTES} are read"
        raise DataError("D134", path, what, "see that it is the right file, or cut it into pieces")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        return etree.fromstring(path.read_bytes(), parser)
    except etree.XMLSyntaxError as error:
        reason = " ".join(str(error.msg).split())[:160]
        raise DataError("D126", path, f"is not well-formed XML ({reason})", "restore or remove it") from error
    except OSError as error:
        what = f"cannot be read ({error.strerror or error})"
        raise DataError("D11", path, what, "check the path and its permissions") from error


def elements(parent: etree._Element, name: str) -> Iterator[etree._Element]:
    """Elements of this name at any depth, in any namespace, in the order of the file."""
    return parent.iter(f"{{*}}{name}")


def attribute(element: etree._Element, name: str) -> str:
    """Value of an attribute, empty where there is none."""
    return element.get(name, "")
