"""ACDC: hearts in cine MR at end diastole and end systole, as published or as preprocessed HDF5 files."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from visionkit.datasets.hdf5 import Hdf5Reader
from visionkit.datasets.nifti_files import SUFFIXES, file_name
from visionkit.datasets.pairs import SPLITS, Pair
from visionkit.datasets.spacing import parse_spacing
from visionkit.datasets.volume_pairs import Grid, VolumePairs
from visionkit.errors import ConfigError, DataError, nearest
from visionkit.labels import Classes

CLASSES = Classes(
    names=("background", "right ventricle", "myocardium", "left ventricle"),
    colors=((0, 0, 0), (86, 180, 233), (240, 228, 66), (213, 94, 0)),
)
_TREE = "training/patient001/ (and testing/) with patient001_frame01.nii.gz, or train.list and data/*.h5"
_FIX = "set dataset.root to the folder that holds it (data/README.md shows the trees)"
_FRAME = re.compile(r"patient(\d+)_frame\d+", re.IGNORECASE)


class Acdc(VolumePairs):
    """Automated Cardiac Diagnosis Challenge (Bernard et al. 2018): ED and ES frame of each patient are two samples.

    Published tree: ``testing`` is test; of each group of 20 patients in ``training`` (one diagnosis each) the 15th
    and 16th are val. Without ``testing`` the last four of each group are test: 70, 10 and 20 patients.
    HDF5 tree (that of SSL4MIS): its three lists.

    Args:
        root: the folder that holds one of the trees, also inside ``ACDC`` or ``database``.
        split: train, val or test.
        channels: 1.
        spacing_mm: along d, h, w, to which volumes are resampled; None leaves them as they are.
        interpolation: of images, linear or cubic.
        hdf5_spacing_mm: of the voxels in HDF5 files, which do not hold it: distances are as good as this guess.

    Raises:
        ConfigError: C51 unknown interpolation, C52 unknown split, C59 no spacing.
        DataError: D20 another tree, D21 a list that cannot be read, D22 no volumes. Faults of single volumes
            (D21, D23, D24, those of VolumePairs and Hdf5Reader) are raised when the sample is read.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        channels: int = 1,
        spacing_mm: Sequence[float] | None = None,
        interpolation: Literal["linear", "cubic"] = "linear",
        hdf5_spacing_mm: Sequence[float] = (10.0, 1.5, 1.5),
    ) -> None:
        if split not in SPLITS:
            raise ConfigError("C52", "split", f"ACDC has no split {split!r}", nearest(split, SPLITS))
        home, grid = _home(Path(root)), Grid(spacing_mm, interpolation)
        if os.path.isdir(home / "training"):
            pairs = list(_published(home, split))
            super().__init__(pairs, CLASSES, channels, grid)
        else:
            spacing = parse_spacing(hdf5_spacing_mm, "dataset.layout.hdf5_spacing_mm") or (1.0, 1.0, 1.0)
            pairs = list(_listed(home, home / f"{split}.list"))
            image, label = Hdf5Reader("image", spacing), Hdf5Reader("label", spacing)
            super().__init__(pairs, CLASSES, channels, grid, read_image=image.image, read_labels=label.labels)
        if not pairs:
            raise DataError("D22", home, f"holds no frames for the split {split}", f"expected {_TREE}")


def split_of(number: int, has_testing: bool) -> str:
    """Split of a patient (1..100) of the published training part, alike for each diagnosis (20 in a row)."""
    place = (number - 1) % 20
    if place in (14, 15):
        return "val"
    return "test" if place > 15 and not has_testing else "train"


def _home(root: Path) -> Path:
    for inside in ("", "ACDC", "database", "ACDC/database"):
        home = root / inside
        if os.path.isdir(home / "training") or any(os.path.isfile(home / f"{split}.list") for split in SPLITS):
            return home
    if not os.path.isdir(root):
        raise DataError("D20", root, f"there is no such folder; expected {_TREE}", _FIX)
    found = sorted(path.name for path in root.iterdir())
    raise DataError("D20", root, f"expected {_TREE}; found {', '.join(found[:8]) or 'nothing'}", _FIX)


def _published(home: Path, split: str) -> Iterator[Pair]:
    has_testing = os.path.isdir(home / "testing")
    if split == "test" and has_testing:
        yield from _frames((home / "testing").glob("patient*"))
        return
    patients = (home / "training").glob("patient*")
    yield from (pair for pair in _frames(patients) if split_of(_number(pair.key), has_testing) == split)


def _frames(patients: Iterable[Path]) -> Iterator[Pair]:
    """Every volume of one frame with its truth, ``_gt``; the whole cycle (``_4d``) is not used."""
    for patient in sorted(patients):
        files: dict[str, list[Path]] = {}
        for path in sorted(patient.glob("patient*_frame*")):
            if path.name.lower().endswith(SUFFIXES):
                files.setdefault(file_name(path), []).append(path)
        frames = [key for key in files if _FRAME.fullmatch(key)]
        for key in frames:
            truth = files.get(f"{key}_gt", [])
            twice = next((same for same in (files[key], truth) if len(same) > 1), None)
            if twice:
                what = f"{' and '.join(path.name for path in twice)} have the same name but for the ending"
                yield Pair(key, twice[0], fault=DataError("D23", twice[0], what, "remove one of them"))
            else:
                yield Pair(key, files[key][0], truth[0] if truth else None)
        if not frames and patient.is_dir():
            what = "holds no frame (patient001_frame01.nii.gz)"
            yield Pair(f"{patient.name}_frame00", patient, fault=DataError("D22", patient, what, "restore it"))


def _number(key: str) -> int:
    match = re.search(r"patient(\d+)", key, re.IGNORECASE)
    return int(match[1]) if match else 1


def _listed(home: Path, listing: Path) -> Iterator[Pair]:
    """Pairs of a list, one name a row; one that comes again is a fault of its own."""
    try:
        lines = listing.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise DataError("D21", listing, f"the list cannot be read ({error})", "restore it (data/README.md)") from error
    seen: set[str] = set()
    for number, name in enumerate((line.strip() for line in lines), start=1):
        if name in seen:
            fault = DataError("D23", f"{listing}:{number}", f"{name} is already named", "remove one of the lines")
            yield Pair(f"{listing.stem}_line_{number}", listing, fault=fault)
        elif name:
            seen.add(name)
            path = home / "data" / f"{name}.h5"
            yield Pair(name, path, path)
