"""Variables of MATLAB files."""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

from visionkit.datasets.images import file_size
from visionkit.errors import DataError

_REPLACE = "replace it or set dataset.on_bad=skip"


def read_variable(path: Path, name: str, expected: str) -> np.ndarray[Any, Any]:
    """A variable of a MATLAB file of version 5 to 7; ``expected`` says in an error what the file should hold.

    Raises DataError: D10 missing, D11 unreadable, D12 empty, D80 no such file of MATLAB, D81 no such variable.
    """
    file_size(path)
    try:
        with path.open("rb") as file:
            return np.asarray(loadmat(file, variable_names=[name])[name])
    except NotImplementedError as error:
        raise DataError("D80", path, "is a MATLAB file of version 7.3", "save it with save(..., '-v7')") from error
    except KeyError as error:
        raise DataError("D81", path, f"has no variable {name}", expected) from error
    except MemoryError:
        raise
    except Exception as error:  # the decoder can fail in any way on bytes that are not what they claim to be
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise DataError("D80", path, f"cannot be read as a MATLAB file ({reason})", _REPLACE) from error
