"""Generated tables: rendered when they are needed, endless, and the same for the same index."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch

from visionkit.datasets import table_content
from visionkit.datasets.table_content import Form, Text, compose
from visionkit.datasets.table_fonts import families
from visionkit.datasets.table_render import Layout, Look, look, measure, render
from visionkit.errors import ConfigError, nearest
from visionkit.seeding import generator
from visionkit.text.table_tokens import in_order
from visionkit.types import Sample

_LUMA = np.array([0.299, 0.587, 0.114])
_MARGIN_PX = 3


class SyntheticTables:
    """Tables of words and numbers with spans, heads, lines or none, in the fonts of the machine.

    Seed and index alone decide, together with the fonts that are found: these decide what fits. A table that does not
    fit is made anew with smaller type, fewer columns and fewer rows.

    Args:
        split: part of the seed; any name.
        channels: 3 for colour, 1 for grey.
        length: samples, or samples by split.
        size: height and width of every picture in pixels; with ``tight`` the most that they may be.
        tight: pictures end a few pixels beyond their tables, as those of PubTabNet do.
        rows, columns: least and most rows of the body, and columns.
        font_px: smallest and largest type.
        spans: probability of each kind of spanning cells, or probabilities by split.
        empty, words, plain: see ``table_content.Form``.
        fonts: folder of fonts; None looks where the system has them.
        seed: another seed is another dataset.

    Raises:
        ConfigError: C50 channels, C52 a split without length or spans, C54 no size, C208 numbers that are no range.
    """

    def __init__(
        self,
        split: str,
        channels: int = 3,
        length: int | Mapping[str, int] = 4096,
        size: Sequence[int] = (192, 320),
        tight: bool = False,
        rows: Sequence[int] = (2, 8),
        columns: Sequence[int] = (2, 6),
        font_px: Sequence[int] = (9, 13),
        spans: float | Mapping[str, float] = 0.35,
        empty: float = 0.06,
        words: int = 2,
        plain: bool = False,
        fonts: str | None = None,
        seed: int = 0,
    ) -> None:
        if channels not in (1, 3):
            what = f"pictures cannot have {channels} channels"
            raise ConfigError("C50", "dataset.channels", what, "set it to 1 or 3")
        for name, value in (("length", length), ("spans", spans)):
            if isinstance(value, Mapping) and split not in value:
                raise ConfigError("C52", f"dataset.layout.{name}", f"no {name} for {split!r}", nearest(split, value))
        if len(size) != 2 or min(size) < 32:
            raise ConfigError(
                "C54", "dataset.layout.size", f"{list(size)} is too small", "write [height, width], 32 or more"
            )
        self.split, self.channels, self.seed, self.tight, self.fonts = split, channels, seed, tight, fonts
        self.length = length[split] if isinstance(length, Mapping) else length
        self.size = (int(size[0]), int(size[1]))
        self.font_px = _range("font_px", font_px, 5)
        most = max(spans.values()) if isinstance(spans, Mapping) else spans
        form = Form(_range("rows", rows, 1), _range("columns", columns, 1), most, empty, max(1, words), plain)
        self.form = replace(form, spans=spans[split] if isinstance(spans, Mapping) else spans)
        content = (*table_content.CHARACTERS, *(() if plain else table_content.TAGS))
        tokens = in_order(table_content.structure_tokens(form), content)
        self.labels: Mapping[str, Any] = {"table": tokens}

    def __len__(self) -> int:
        return self.length

    def key(self, index: int) -> str:
        """Split and number."""
        return f"{self.split}_{range(self.length)[index]:06d}"

    def __getitem__(self, index: int) -> Sample:
        """Renders one sample: image uint8 c h w, table, valid bool h w."""
        key = self.key(index)
        text, style, layout = self._fitting(key)
        rng = generator(self.seed, "table_place", key)
        room = [most - length - 2 * _MARGIN_PX for most, length in zip(self.size, layout.size, strict=True)]
        size, corner = self.size, (_MARGIN_PX, _MARGIN_PX)
        if self.tight:
            size = (layout.size[0] + 2 * _MARGIN_PX, layout.size[1] + 2 * _MARGIN_PX)
        else:
            corner = tuple(_MARGIN_PX + int(rng.integers(0, max(free, 0) + 1)) for free in room)  # type: ignore[assignment]
        picture, table = render(text, style, layout, size, corner)
        return {
            "key": key,
            "path": "",
            "image": torch.from_numpy(self._noisy(rng, picture)).permute(2, 0, 1),
            "valid": torch.ones(size, dtype=torch.bool),
            "table": table,
        }

    def _fitting(self, key: str) -> tuple[Text, Look, Layout]:
        """A table that fits; every other attempt has one column or row less, down to one cell of the smallest type."""
        names = families(self.fonts)
        shape, attempt = [0, 0], 0
        while True:
            rng = generator(self.seed, "table", key, attempt)
            if not attempt:
                shape = [int(rng.integers(low, high + 1)) for low, high in (self.form.rows, self.form.columns)]
            text = compose(rng, self.form, shape[1], shape[0])
            smallest, largest = self.font_px
            style = look(rng, shape[1], (smallest, max(smallest, largest - attempt)), names)
            layout = measure(text, style)
            high, wide = (length + 2 * _MARGIN_PX for length in layout.size)
            if (high <= self.size[0] and wide <= self.size[1]) or shape == [1, 1]:
                return text, style, layout
            attempt += 1
            shape[1] = max(shape[1] - (wide > self.size[1]), 1)
            shape[0] = max(shape[0] - (high > self.size[0] or shape[1] == 1), 1)

    def _noisy(self, rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
        """Grain that darkens by up to 2 levels in half of the pictures; grey where one channel is wanted."""
        if self.channels == 1:
            picture = (picture @ _LUMA + 0.5).astype(np.uint8)[..., None]
        if rng.random() < 0.5:
            grain = rng.integers(0, 3, picture.shape[:2], dtype=np.uint8)
            darker = cv2.subtract(picture, cv2.merge([grain] * self.channels))
            picture = darker.reshape(picture.shape)
        return picture


def _range(name: str, value: Sequence[int], least: int) -> tuple[int, int]:
    if len(value) != 2 or not least <= value[0] <= value[1]:
        what = f"{list(value)} is no range of numbers from {least}"
        raise ConfigError("C208", f"dataset.layout.{name}", what, "write [least, most]")
    return int(value[0]), int(value[1])
