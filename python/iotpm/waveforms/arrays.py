"""NumPy files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import SourceError
from .recording import Recording, from_arrays


def read(path: Path) -> list[Recording]:
    """All channels of an `.npy` or `.npz` file; nothing is unpickled.

    Raises:
        SourceError: not such a file, Python objects in it, or no samples.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return from_arrays(str(path), {path.stem: loaded}, None)
        with loaded:
            return from_arrays(str(path), {name: loaded[name] for name in loaded.files}, None)
    except (ValueError, OSError, EOFError) as error:
        raise SourceError(f"{path}: not a NumPy file of plain numbers ({error}): write it with numpy.savez") from error
