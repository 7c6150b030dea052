"""Any table of readings, without a server or a configuration: what is in it, what is odd, what to start from."""

from .files import Readings, Unread, read_files
from .ingestion import Ingestion, inspect_series
from .page import write_page
from .report import SeriesReport, scan
from .series import Series, read_series
from .start import starting_configuration
from .unusual import Unusual, find_unusual

__all__ = [
    "Ingestion",
    "Readings",
    "Series",
    "SeriesReport",
    "Unread",
    "Unusual",
    "find_unusual",
    "inspect_series",
    "read_files",
    "read_series",
    "scan",
    "starting_configuration",
    "write_page",
]
