"""PRONOSTIA, bearings run to failure for the IEEE PHM 2012 challenge: 0.1 s of two accelerometers every 10 s.

The trend is the RMS of each snapshot and sensor; every run ends with a failed bearing. A snapshot holds 3 turns of
the shaft: too few to tell the lines of a bearing apart, so no element is diagnosed. The rule is in
`iotpm.evaluate.run_to_failure`.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iotpm import features
from iotpm.errors import SourceError
from iotpm.evaluate import files, run_to_failure
from iotpm.evaluate.report import Options, Report
from iotpm.evaluate.run_to_failure import Trend

LAYOUT = """  Learning_set_Bearing<n>_<m>_acc_milli_g_int32.npz   acc_milli_g (snapshots, 2560, 2), g * 1000"""

SNAPSHOT_S = 10.0
"""Between snapshots."""
SENSORS = ("horizontal", "vertical")


def run(directory: Path, options: Options) -> Report:
    """Follow the runs found.

    Raises:
        InputError: none.
        SourceError: a file that cannot be read or is too short.
    """
    found = files.below(directory, "*Bearing*_acc_milli_g_int32.npz")
    if not found:
        raise files.none_found(directory, LAYOUT)
    trends = options.map(read, found, "PRONOSTIA")
    if options.html is not None:
        run_to_failure.page(options.html, "PRONOSTIA", trends)
    tables = [run_to_failure.changes_table("PRONOSTIA", trends), run_to_failure.table("PRONOSTIA", trends)]
    notes = ["every bearing failed: there is no healthy one to raise a false alarm"]
    return Report(f"PRONOSTIA, {len(found)} runs", tables, run_to_failure.json(trends), notes)


def read(path: Path) -> Trend:
    """The trend of one run, in g.

    Raises:
        SourceError: not such a file.
    """
    snapshots = _snapshots(path)
    hours = np.arange(len(snapshots)) * SNAPSHOT_S / 3600
    channels = {name: features.time_domain(snapshots[:, :, at]).rms / 1000 for at, name in enumerate(SENSORS)}
    match = re.search(r"Bearing\d+_\d+", path.stem)
    return Trend(match[0] if match else path.stem, "bearing", True, hours, channels)


def _snapshots(path: Path) -> NDArray[Any]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            snapshots: NDArray[Any] = arrays["acc_milli_g"]
    except (ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
        raise SourceError(f"{path} holds no array acc_milli_g ({error})") from error
    if snapshots.ndim != 3 or snapshots.shape[2] != len(SENSORS):
        raise SourceError(f"{path}: acc_milli_g has the shape {snapshots.shape}: must be (snapshots, samples, 2)")
    return snapshots
