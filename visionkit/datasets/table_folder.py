"""The user's own pictures of tables with HTML files."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from visionkit.datasets.annotated_tables import check_table, read_labels
from visionkit.datasets.images import SUFFIXES, file_size
from visionkit.datasets.listing import Listed, list_pairs
from visionkit.datasets.pairs import SPLITS, Pair
from visionkit.datasets.table_files import TableEntry, TableFiles
from visionkit.errors import ConfigError, DataError, nearest
from visionkit.labels import Table
from visionkit.text.table_html import as_shown, parse_table

_ENDINGS = (".html", ".htm")
_MAX_BYTES = 2**26


class TableFolder(TableFiles):
    """``root/images`` and ``root/tables`` hold pictures and HTML files of equal names, folders inside too.

    The first table of a file counts. Where ``images`` has folders train, val or test, these are the splits, and
    ``tables`` has the same. Else the name of a picture decides (``listing.Share``).

    Args:
        root: the data's folder.
        split: train, val or test.
        channels: 3 for colour, 1 for grey.
        images, tables: names of the two folders.
        fractions: shares of train, val and test where there are no split folders.
        tokens: JSON file of the tokens (``labels.TableTokens``); None collects those of the training split.
        fill: training tables that are no rectangles become some, as OTSL needs.

    Raises:
        ConfigError: C52 unknown split, C53 fractions that are none, C206 no file of tokens.
        DataError: D20 another tree, D22 no pictures. Faults of single tables (those of ``read_image`` and
            ``read_html``, D23, D143 no HTML file) are raised when the sample is read.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        channels: int = 3,
        images: str = "images",
        tables: str = "tables",
        fractions: Sequence[float] = (0.8, 0.1, 0.1),
        tokens: str | None = None,
        fill: bool = False,
    ) -> None:
        if split not in SPLITS:
            raise ConfigError("C52", "split", f"there is no split {split!r}", nearest(split, SPLITS))

        def listed(name: str) -> Listed:
            return list_pairs(Path(root), images, tables, name, SUFFIXES | set(_ENDINGS), fractions=fractions)

        given, found = read_labels(tokens) if tokens else None, listed(split)
        training = found.pairs if split == "train" or given else listed("train").pairs
        entries, learnt = ([_entry(pair) for pair in pairs] for pairs in (found.pairs, training))
        super().__init__(entries, learnt, channels, given, found.doubts, split, fill)


def read_html(path: Path) -> Table:
    """The first table of a file in UTF-8, white space as a browser shows it.

    Raises:
        DataError: D10 missing, D11 unreadable, D12 empty, D137 cells in a wrong order, D144 no text, or no table in it.
    """
    if file_size(path) > _MAX_BYTES:
        what = f"is larger than {_MAX_BYTES // 2**20} MB"
        raise DataError("D144", path, what, "keep one table a file")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError("D144", path, f"is no text in UTF-8 ({error.reason})", "save it as UTF-8") from error
    except OSError as error:
        raise DataError("D11", path, f"cannot be read ({error.strerror})", "check its permissions") from error
    if "<table" not in text.lower():
        raise DataError("D144", path, "holds no table", "put the table of the picture there, from <table> to </table>")
    table = parse_table(text)
    check_table(table, str(path))
    # Files made by hand are indented; PubTabNet's own are not, and there every space is the annotators'.
    return Table(table.structure, tuple(replace(cell, tokens=as_shown(cell.tokens)) for cell in table.cells))


def _entry(pair: Pair) -> TableEntry:
    fault = pair.fault
    if fault is None and (pair.mask is None or pair.mask.suffix.lower() not in _ENDINGS):
        fault = DataError("D143", pair.image, "has no HTML file", "add it under the same name, or take the picture out")
    if fault is not None or pair.mask is None:
        return TableEntry(pair.key, pair.image, fault=fault)
    return TableEntry(pair.key, pair.image, partial(read_html, pair.mask))
