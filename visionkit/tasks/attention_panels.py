"""Pictures of attention: for each token that was read the line again, and on it where the decoder looked."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from visionkit.layers.valid import real_size
from visionkit.tasks.text_panels import FONT_PX, MISSING, RIGHT, Piece, line_of, write
from visionkit.types import Sample

_LOOK = np.array((213, 94, 0), dtype=np.float32)
_STRIP_PX, _LABEL_PX, _GAP, _FADED = FONT_PX + 8, 6 * FONT_PX, 6, 0.35
_MOST = 40
"""Tokens that are shown; of longer texts the first ones."""


def looks(
    sample: Sample, tokens: Sequence[str], attention: Float[np.ndarray, "t w"]
) -> UInt8[np.ndarray, "height width 3"]:
    """A strip for each token: the line, pale, in orange where its share is large, and the token beside it.

    Args:
        sample: that was read.
        tokens: as they were written.
        attention: of each token over the columns of pixels; orange is full at a token's largest share.
    """
    if "valid" in sample:
        attention = attention[:, : real_size(sample["valid"])[1]]
    line = line_of(sample)
    width = line.shape[1]
    small = Image.fromarray(line).resize((width, _STRIP_PX), Image.Resampling.BOX)
    pale = 255 - _FADED * (255 - np.asarray(small, dtype=np.float32))
    shown = min(len(tokens), len(attention), _MOST)
    page = Image.new("RGB", (width + _LABEL_PX, 18 + shown * (_STRIP_PX + 2) + _GAP), (255, 255, 255))
    draw = ImageDraw.Draw(page)
    caption = "where each token looked" + (f", first {shown} of {len(tokens)}" if shown < len(tokens) else "")
    draw.text((_GAP, 3), caption, fill=(120, 120, 120), font=ImageFont.load_default(12))
    for row, (token, share) in enumerate(zip(tokens[:shown], attention, strict=False)):
        top = 18 + row * (_STRIP_PX + 2)
        strength = _over(share, width)[None, :, None]
        strip = pale + (_LOOK - pale) * 0.8 * strength
        page.paste(Image.fromarray(strip.round().astype(np.uint8)), (0, top))
        write(draw, (width + _GAP, top), Piece(token, MISSING if token.isspace() else RIGHT))
    return np.asarray(page)


def _over(share: Float[np.ndarray, " w"], width: int) -> Float[np.ndarray, " width"]:
    """Of each column of the picture its share, 0..1 of the largest."""
    places = (np.arange(width) * len(share)) // width
    found = np.nan_to_num(share)[places]
    return found / max(float(found.max()), 1e-12)
