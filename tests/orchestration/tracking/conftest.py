"""One store for the tests of a file: making its tables takes seconds."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a space in its path; each test takes a sweep name of its own."""
    return tmp_path_factory.mktemp("a home")
