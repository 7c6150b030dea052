"""What every fault test needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.nodes import kill_left_nodes


@pytest.fixture(autouse=True)
def no_node_outlives_its_test() -> Iterator[None]:
    yield
    kill_left_nodes()
