"""Medical Segmentation Decathlon: ten tasks on CT and MR volumes, each described by its dataset.json."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from visionkit.datasets.listing import Share
from visionkit.datasets.nifti_files import file_name
from visionkit.datasets.pairs import SPLITS, Pair
from visionkit.datasets.volume_pairs import Grid, VolumePairs
from visionkit.drawing import palette
from visionkit.errors import ConfigError, DataError, nearest
from visionkit.labels import Classes

_LIST = "dataset.json"
_FIX = "set dataset.root to the folder that holds it (data/README.md says where to get it)"
_RESTORE = "restore it (data/README.md)"


class Decathlon(VolumePairs):
    """One task of the Medical Segmentation Decathlon (Antonelli et al. 2022), or any data in its layout.

    Splits by the keys of dataset.json: ``training`` is train and ``validation`` is val; a file without
    ``validation`` gives a share of ``training`` to val, by the volumes' names. ``test`` is test where it names
    labels. The official test labels are not public: then test is val once more.

    Args:
        root: the folder that holds the task's folder, or this folder itself.
        split: train, val or test.
        task: name of the task's folder.
        channels: of the volumes, as many as dataset.json lists modalities.
        spacing_mm: along d, h, w, to which volumes are resampled; None leaves them as they are.
        interpolation: of images, linear or cubic.
        val_fraction: share of val where dataset.json has no ``validation``.

    Raises:
        ConfigError: C51 unknown interpolation, C52 unknown split, C53 a share that is none, C59 no spacing.
        DataError: D20 another tree, D22 no volumes, D64 dataset.json cannot be used. Faults of single volumes
            (D23 named twice, D64 an entry that is none, those of VolumePairs) are raised when the sample is read.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        task: str,
        channels: int = 1,
        spacing_mm: Sequence[float] | None = None,
        interpolation: Literal["linear", "cubic"] = "linear",
        val_fraction: float = 0.2,
    ) -> None:
        if split not in SPLITS:
            raise ConfigError("C52", "split", f"the Decathlon has no split {split!r}", nearest(split, SPLITS))
        listing = _home(Path(root), task) / _LIST
        about = _read(listing)
        share = Share((1 - val_fraction, val_fraction, 0))
        pairs = list(_pairs(listing, _entries(about, split, share, listing)))
        if not pairs:
            raise DataError("D22", listing, f"names no volumes for the split {split}", _RESTORE)
        super().__init__(pairs, _classes(about, listing), channels, Grid(spacing_mm, interpolation))


def _home(root: Path, task: str) -> Path:
    for home in (root / task, root):
        if os.path.isfile(home / _LIST):
            return home
    if not os.path.isdir(root):
        raise DataError("D20", root, f"there is no such folder; expected {task}/ with {_LIST}", _FIX)
    found = sorted(path.name for path in root.iterdir())
    what = f"expected {task}/ with {_LIST}, imagesTr/ and labelsTr/; found {', '.join(found[:8]) or 'nothing'}"
    raise DataError("D20", root, what, _FIX)


def _read(listing: Path) -> Mapping[str, Any]:
    try:
        about = json.loads(listing.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError("D64", listing, f"cannot be read as JSON ({error})", _RESTORE) from error
    if not isinstance(about, dict):
        raise DataError("D64", listing, "is no JSON object", _RESTORE)
    return about


def _classes(about: Mapping[str, Any], listing: Path) -> Classes:
    """Classes from ``labels``: value (as text) to name, from 0 without a gap."""
    labels = about.get("labels")
    wanted = [str(value) for value in range(len(labels))] if isinstance(labels, dict) else []
    if not wanted or not isinstance(labels, dict) or set(labels) != set(wanted):
        what = f"'labels' is {str(labels)[:80]}, not the name of every value from 0"
        raise DataError("D64", listing, what, 'write {"0": "background", "1": "...", ...}')
    names = tuple(str(labels[value]) for value in wanted)
    return Classes(names, ((0, 0, 0), *palette(len(names) - 1)))


def _entries(about: Mapping[str, Any], split: str, share: Share, listing: Path) -> list[Any]:
    """What dataset.json lists for a split."""
    training, validation, test = (_list(about, key, listing) for key in ("training", "validation", "test"))
    if split == "test" and any(isinstance(entry, dict) for entry in test):
        return test
    if validation:
        return training if split == "train" else validation
    wanted = "train" if split == "train" else "val"
    # An entry that names no volume has no share: it is a fault of training.
    return [entry for entry in training if _split(entry, share) == wanted]


def _split(entry: Any, share: Share) -> str:
    return share.split(file_name(Path(entry["image"]))) if _is_pair(entry) else "train"


def _list(about: Mapping[str, Any], key: str, listing: Path) -> list[Any]:
    entries = about.get(key) or []
    if not isinstance(entries, list):
        raise DataError("D64", listing, f"{key!r} is no list", _RESTORE)
    return entries


def _is_pair(entry: Any) -> bool:
    return isinstance(entry, dict) and all(isinstance(entry.get(key), str) for key in ("image", "label"))


def _pairs(listing: Path, entries: list[Any]) -> Iterator[Pair]:
    """Pairs of a list; an entry that is none, or that comes again, is a fault of its own."""
    seen: set[str] = set()
    for number, entry in enumerate(entries):
        if not _is_pair(entry):
            what = f"the entry {str(entry)[:80]} names no image with its label"
            fault = DataError("D64", listing, what, 'write {"image": "./imagesTr/A", "label": "./labelsTr/A"}')
            yield Pair(f"entry_{number}", listing, fault=fault)
            continue
        image, label = (listing.parent / entry[key] for key in ("image", "label"))
        key = file_name(image)
        if key in seen:
            fault = DataError("D23", listing, f"{image.name} is named twice", "remove one of the entries")
            yield Pair(f"entry_{number}", listing, fault=fault)
            continue
        seen.add(key)
        yield Pair(key, image, label)
