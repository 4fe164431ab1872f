"""Pictures of edges: image, probability, lines and what the annotators drew beside each other."""

import numpy as np
from jaxtyping import Bool, Float, Int8, UInt8
from torch import Tensor

from visionkit import drawing
from visionkit.layers.valid import real_size
from visionkit.losses.edge_targets import agreement
from visionkit.metrics.edges import picture_f, thin_edges
from visionkit.types import Sample

_LINE: drawing.Color = (240, 60, 40)
_SHOWN = 0.5


def row(
    sample: Sample,
    probability: Float[Tensor, "h w"] | None,
    edges: Int8[Tensor, "a h w"] | None,
    tolerance: float,
) -> UInt8[np.ndarray, "height width 3"]:
    """Image, probability, thinned edges over the image, and the share of the annotators; the padding is cut off."""
    real = tuple(slice(0, length) for length in real_size(sample["valid"])) if "valid" in sample else (...,)
    image = drawing.to_uint8_rgb(sample["image"][(slice(None), *real)])
    panels = {"image": image}
    if probability is not None:
        found = probability.detach().cpu().float()[real]
        caption = "probability"
        if edges is not None:
            caption += f", F {picture_f(found, edges[(slice(None), *real)], tolerance):.2f}"
        panels[caption] = drawing.to_uint8_rgb(found[None])
        panels[f"thinned, from {_SHOWN}"] = _over(image, thin_edges(found, _SHOWN))
    if edges is not None:
        share = agreement(edges.cpu())[real].clamp(min=0)
        count = int((edges >= 0).flatten(1).any(1).sum())
        panels[f"{count} annotator{'s' if count != 1 else ''}"] = drawing.to_uint8_rgb(share[None])
    return drawing.side_by_side({caption: drawing.fit(panel) for caption, panel in panels.items()})


def _over(image: UInt8[np.ndarray, "h w 3"], lines: Bool[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Lines in colour over a paler image."""
    pale = (255 - (255 - image) * 0.6).astype(np.uint8)
    pale[lines] = _LINE
    return pale
