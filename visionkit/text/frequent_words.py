"""Lines of a language's frequent words: what can be known of a language without a text in it."""

from dataclasses import dataclass

import numpy as np

from visionkit.errors import ConfigError, ResourceError

_PLACE = "dataset.layout.text.ngrams.words"


@dataclass(frozen=True)
class FrequentWords:
    """Words drawn as often as people write them (Speer 2022, wordfreq, doi 10.5281/zenodo.7199437); deterministic.

    Args:
        language: its code, such as en, fr or de.
        words: the most frequent ones, which are drawn from.
        lines: how many are drawn.
        length: words of a line.
        capitals: share of words that begin with a capital.
        own_weight: how often a dataset's own texts count beside these lines.

    Raises ConfigError C229 for numbers without meaning.
    """

    language: str = "en"
    words: int = 20_000
    lines: int = 30_000
    length: int = 9
    capitals: float = 0.1
    own_weight: int = 3

    def __post_init__(self) -> None:
        least = min(self.words, self.lines, self.length, self.own_weight)
        if least < 1 or not 0 <= self.capitals <= 1:
            what = f"{least} words, lines or weights, or {self.capitals} capitals, are not possible"
            raise ConfigError("C229", _PLACE, what, "give 1 or more of each, and a share in 0..1")

    def drawn(self) -> list[str]:
        """The lines. Raises ConfigError C230 for an unknown language, ResourceError R14 without wordfreq."""
        words, shares = self._known()
        rng = np.random.default_rng(0)
        chosen = rng.choice(len(words), (self.lines, self.length), p=shares)
        large = rng.random(chosen.shape) < self.capitals
        rows = zip(chosen.tolist(), large.tolist(), strict=True)
        return [
            " ".join(words[place].capitalize() if up else words[place] for place, up in zip(*row, strict=True))
            for row in rows
        ]

    def _known(self) -> tuple[list[str], np.ndarray]:
        try:
            from wordfreq import available_languages, get_frequency_dict
        except ImportError as error:
            what = "the package wordfreq is not installed"
            raise ResourceError("R14", "", what, "pip install 'visionkit[language]'") from error
        if self.language not in available_languages():
            what = f"no frequencies of words are known of {self.language!r}"
            raise ConfigError("C230", f"{_PLACE}.language", what, f"choose of {', '.join(available_languages())}")
        frequencies = get_frequency_dict(self.language)
        words = sorted(frequencies, key=lambda word: (-frequencies[word], word))[: self.words]
        shares = np.array([frequencies[word] for word in words])
        return words, shares / shares.sum()
