"""Generated lines and words: any text with any font, endless and the same for the same fonts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from visionkit.datasets.line_fonts import BUILT_IN, EM_PX, Font, find_fonts, usable
from visionkit.datasets.line_render import Size, natural_ratio
from visionkit.datasets.line_words import Words
from visionkit.datasets.text_rules import TextRules, shown
from visionkit.errors import ConfigError, nearest
from visionkit.seeding import generator
from visionkit.types import Sample

Style = Callable[[UInt8[np.ndarray, "h w"], np.random.Generator, Size, int], UInt8[np.ndarray, "height width c"]]
"""(ink, rng, height and width, channels) to a picture."""
_SENTENCES = 4000


class SyntheticLines:
    """Lines whose words no other split has, drawn with the fonts of the system or of a folder.

    A sample is a function of ``seed``, split and index, and of the fonts: another machine may have others. Text in
    ASCII is also drawn with the faces that OpenCV holds.

    Args:
        split: train, val or test.
        channels: 3 for colour, 1 for grey.
        words: makes what is written.
        style: makes a picture of ink.
        length: samples, or samples by split.
        height: of the pictures in pixels, or the lowest and the highest.
        text: rules of the text; by default the characters are all that ``words`` can make.
        fonts: folder of TrueType and OpenType files; None for the usual folders of the system.
        seed: another seed is another dataset.

    Raises:
        ConfigError: C50 channels, C52 a split without length, C187 height, C189 fonts that lack characters, a charset
            that lacks characters of ``words``, those of ``TextRules``.
    """

    def __init__(
        self,
        split: str,
        words: Words,
        style: Style,
        channels: int = 1,
        length: int | Mapping[str, int] = 10000,
        height: int | Sequence[int] = 48,
        text: TextRules | None = None,
        fonts: str | Path | None = None,
        seed: int = 0,
    ) -> None:
        if channels not in (1, 3):
            what = f"pictures cannot have {channels} channels"
            raise ConfigError("C50", "dataset.channels", what, "set it to 1 or 3")
        if isinstance(length, Mapping) and split not in length:
            raise ConfigError("C52", "dataset.layout.length", f"no length for {split!r}", nearest(split, length))
        self.split, self.channels, self.seed, self.words, self.style = split, channels, seed, words, style
        self.length = length[split] if isinstance(length, Mapping) else length
        self.lowest, self.highest = (height, height) if isinstance(height, int) else height
        if not 8 <= self.lowest <= self.highest:
            what = f"{height} is no height"
            raise ConfigError("C187", "dataset.layout.height", what, "write 8 or more, or [lowest, highest]")
        self.rules = text or TextRules()
        characters = (self.rules.clean(one) or " " for one in sorted(words.characters))
        self.charset = self.rules.labels(characters, self._sentences())
        self.labels = {"text": self.charset}
        self._require_known()
        self._fonts = usable([*find_fonts(fonts), *BUILT_IN], "".join(sorted(words.characters)))

    def __len__(self) -> int:
        return self.length

    def key(self, index: int) -> str:
        """Split and number."""
        return f"{self.split}_{range(self.length)[index]:07d}"

    def text(self, index: int) -> str:
        """What is written in a sample, without drawing it."""
        return self.rules.clean(self._planned(index)[0])

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of a picture, without drawing it."""
        return self._planned(index)[1]

    def __getitem__(self, index: int) -> Sample:
        """Draws one sample: image uint8 c h w, valid bool h w, text."""
        (written, size), key = self._planned(index), self.key(index)
        rng = generator(self.seed, "line", key)
        ink = self._font(rng).draw(written) if written else np.zeros((EM_PX, 1), dtype=np.uint8)
        picture = self.style(ink, rng, size, self.channels)
        image = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))
        valid = torch.ones(size, dtype=torch.bool)
        return {"key": key, "path": "", "image": image, "valid": valid, "text": self.rules.clean(written)}

    def _sentences(self) -> Iterator[str]:
        """Enough of what is written for training to learn subwords from, in every split the same."""
        for index in range(_SENTENCES):
            yield self.rules.clean(self.words.word(generator(self.seed, "subwords", str(index)), "train"))

    def _planned(self, index: int) -> tuple[str, tuple[int, int]]:
        """What is written, and the picture's size: known before anything is drawn, so that like sizes share batches."""
        rng = generator(self.seed, "text", self.key(index))
        written = self.words.word(rng, self.split)
        height = int(rng.integers(self.lowest, self.highest + 1))
        ratio = natural_ratio(written) if written else rng.uniform(0.5, 6)
        return written, (height, max(height // 2, round(height * (0.8 * ratio * rng.uniform(0.75, 1.3) + 0.2))))

    def _font(self, rng: np.random.Generator) -> Font:
        return self._fonts[int(rng.integers(len(self._fonts)))]

    def _require_known(self) -> None:
        known = set(self.charset.characters)
        unknown = sorted({one for made in self.words.characters for one in self.rules.clean(made)} - known)
        if unknown:
            what = f"the charset lacks {', '.join(map(shown, unknown[:5]))}, which the words have"
            raise ConfigError("C189", "dataset.layout.text", what, "add it, or change dataset.layout.words")
