"""What the demo says of latency: within the bucket that holds it, and nothing where nothing was measured."""

from __future__ import annotations

from typing import Any

import pytest

from iotpm.cli.demo import _figure, _latency
from iotpm.demo import percentile_ms


def histogram(*values: float) -> dict[str, Any]:
    bounds = (0.01, 0.02, 0.04, 0.08)
    return {
        "count": len(values),
        "max": max(values, default=0.0),
        "buckets": [(bound, sum(value <= bound for value in values)) for bound in bounds],
    }


@pytest.mark.parametrize(("share", "expected"), [(0.5, 20.0), (0.25, 10.0), (0.75, 30.0), (1.0, 40.0)])
def test_a_quantile_lies_evenly_within_its_bucket(share: float, expected: float) -> None:
    now = histogram(0.005, 0.015, 0.025, 0.035)
    assert percentile_ms(now, histogram(), share) == expected


def test_what_came_before_does_not_count() -> None:
    before = histogram(0.005, 0.005, 0.005)
    assert percentile_ms(histogram(0.005, 0.005, 0.005, 0.015, 0.015), before, 0.5) == 15.0


def test_beyond_the_last_bucket_the_greatest_value_stands() -> None:
    assert percentile_ms(histogram(0.5), histogram(), 0.99) == 500.0


def test_where_nothing_was_measured_nothing_is_said_to_be() -> None:
    assert percentile_ms(histogram(), histogram(), 0.5) is None
    assert "None" not in _latency({"p50": None, "p95": None, "p99": None})
    assert _latency({"p50": 8.1, "p95": 9.0, "p99": 12.5}).startswith("p50 8.1 ms, p99 12.5 ms")
    assert (_figure(None), _figure(0.0), _figure(0.97)) == ("-", "0.0", "0.97")
