"""The user's own pictures with edge maps: a folder of each."""

from collections.abc import Sequence
from pathlib import Path

from visionkit.datasets.edge_maps import EdgeReader
from visionkit.datasets.images import SUFFIXES
from visionkit.datasets.listing import list_pairs
from visionkit.datasets.pairs import SPLITS, Pairs
from visionkit.errors import ConfigError, nearest
from visionkit.labels import Edges


class EdgesFolder(Pairs):
    """``root/images`` and ``root/edges`` hold files of equal names, folders inside too.

    Edge maps are grey pictures (an edge where 128 or more) or .mat files with several annotators as in BSDS500.
    Where ``images`` has folders train, val or test, these are the splits, and ``edges`` has the same. Else the name of
    a picture decides (``share``), so that adding pictures moves none from split to split.

    Args:
        root: the data's folder.
        split: train, val or test.
        channels: 3 for colour, 1 for grey.
        images, edges: names of the two folders.
        edge_suffix: what an edge map's name has more than its picture's (``_edges`` in ``a_edges.png``).
        dark: edges are dark on bright ground.
        tolerance: see ``labels.Edges``.
        fractions: shares of train, val and test where there are no split folders.

    Raises:
        ConfigError: C52 unknown split, C53 fractions that are none.
        DataError: D20 another tree, D22 no pictures. Faults of single pictures (D11, D23, D24, those of EdgeReader,
            D25 map of another size) are raised when the sample is read.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        channels: int = 3,
        images: str = "images",
        edges: str = "edges",
        edge_suffix: str = "",
        dark: bool = False,
        tolerance: float = 0.0075,
        fractions: Sequence[float] = (0.8, 0.1, 0.1),
    ) -> None:
        if split not in SPLITS:
            raise ConfigError("C52", "split", f"there is no split {split!r}", nearest(split, SPLITS))
        found = list_pairs(Path(root), images, edges, split, SUFFIXES | {".mat"}, edge_suffix, fractions)
        super().__init__(found.pairs, Edges(tolerance), EdgeReader(dark), channels, found.doubts, target="edges")
