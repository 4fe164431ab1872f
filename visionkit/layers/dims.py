"""What works on pictures alone says so."""

from visionkit.errors import ConfigError


def require_pictures(name: str, spatial_dims: int) -> None:
    """Raises ConfigError C83 for volumes; ``name`` is the part that has no meaning there."""
    if spatial_dims != 2:
        what = f"{name} is for pictures, and the encoder is for data with {spatial_dims} axes"
        raise ConfigError("C83", "task", what, "choose another task, or an encoder for pictures")
