"""History through the same engine: what a configuration would have raised, and what another one would have changed.

>>> from pathlib import Path
>>> from iotpm.backtest import Span, compare, judge, run, store_history
>>> from iotpm.config import Config
>>> span = Span()
>>> with store_history(Path("iotpm-data"), span) as history:  # doctest: +SKIP
...     ran = run(history, [Config.load("new.toml"), Config.load("old.toml")], workers=2)
...     print(judge(ran, 0, span).rate, compare(ran.raised[1], ran.raised[0]).as_json())
"""

from .history import FileHistory, History, Span
from .judge import Difference, Verdict, compare, judge
from .labels import Label, read_labels
from .run import Raised, Ran, run
from .store import store_history

__all__ = [
    "Difference",
    "FileHistory",
    "History",
    "Label",
    "Raised",
    "Ran",
    "Span",
    "Verdict",
    "compare",
    "judge",
    "read_labels",
    "run",
    "store_history",
]
