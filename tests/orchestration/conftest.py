"""What tests of the search platform share: a cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.orchestration.heads import Running, guarded_head


@pytest.fixture(scope="module")
def cluster() -> Iterator[Running]:
    """A Ray cluster of one machine with a faked GPU."""
    with guarded_head() as running:
        yield running
