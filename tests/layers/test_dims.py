import pytest

from visionkit.errors import ConfigError
from visionkit.layers.dims import require_pictures


def test_volumes_are_refused_in_one_line() -> None:
    require_pictures("the part", 2)
    with pytest.raises(ConfigError, match=r"C83.*the part is for pictures.*3 axes"):
        require_pictures("the part", 3)
