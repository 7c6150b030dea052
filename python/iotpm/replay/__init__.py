"""Files through the engine: CSV, Parquet and NDJSON, in virtual time."""

from .messages import replay_messages
from .run import Pacer, Progress, parse_speed, replay_engine, replay_stream
from .source import Rows, Source, SourceFile, data_files, open_source
from .summary import Summary

__all__ = [
    "Pacer",
    "Progress",
    "Rows",
    "Source",
    "SourceFile",
    "Summary",
    "data_files",
    "open_source",
    "parse_speed",
    "replay_engine",
    "replay_messages",
    "replay_stream",
]
