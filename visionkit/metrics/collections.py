"""The metrics of a segmentation as one collection, called with the classes; a task's YAML names one of these."""

from torchmetrics import MetricCollection

from visionkit.labels import Classes
from visionkit.metrics.conventions import Convention
from visionkit.metrics.overlap import CaseDice
from visionkit.metrics.segmentation import SegmentationMetrics
from visionkit.metrics.surface import SurfaceDistance


def by_pixel(labels: Classes) -> MetricCollection:
    """IoU and accuracy over all pixels of the set, from one confusion matrix."""
    return MetricCollection([SegmentationMetrics(len(labels))])


def by_case(
    labels: Classes,
    convention: Convention | None = None,
    percentile: float = 95.0,
    pooled: bool = True,
    use_spacing: bool = True,
) -> MetricCollection:
    """Dice and surface distance of each case, averaged over cases and then classes without the background.

    The confusion matrix of ``by_pixel`` comes with them. Arguments as of ``SurfaceDistance``.
    """
    classes = len(labels)
    surface = SurfaceDistance(classes, convention, percentile, pooled, use_spacing)
    # Grouping would share the states of metrics that agree after one batch, such as a Dice and a distance of 0.
    return MetricCollection(
        [CaseDice(classes, convention), surface, SegmentationMetrics(classes)], compute_groups=False
    )
