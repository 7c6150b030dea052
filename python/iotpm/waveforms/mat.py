"""MATLAB files, through SciPy."""

from __future__ import annotations

from pathlib import Path

from ..errors import SourceError
from .recording import Recording, from_arrays

_HDF5 = b"\x89HDF\r\n\x1a\n"


def read(path: Path) -> list[Recording]:
    """All channels of a `.mat` file.

    Raises:
        SourceError: SciPy is not installed, an HDF5 file of MATLAB 7.3, or something else.
    """
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ImportError:
        raise SourceError(f"{path}: MATLAB files need SciPy: pip install 'iotpm[mat]'") from None
    try:
        arrays = loadmat(path)
    except NotImplementedError:
        raise SourceError(f"{path}: an HDF5 file of MATLAB 7.3: save it again with save(..., '-v7')") from None
    except (ValueError, TypeError, OSError, MatReadError) as error:
        raise SourceError(f"{path}: not a MATLAB file ({_reason(path, error)})") from error
    plain = {name: array for name, array in arrays.items() if not name.startswith("__") and hasattr(array, "dtype")}
    return from_arrays(str(path), plain, None)


def _reason(path: Path, error: Exception) -> str:
    with path.open("rb") as file:
        start = file.read(len(_HDF5))
    return "HDF5: save it again with save(..., '-v7')" if start == _HDF5 else str(error) or "damaged"
