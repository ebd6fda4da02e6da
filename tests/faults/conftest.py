"""The sweep that most faults strike, and what comes of it when it is left alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import TINY
from tests.faults.postgres import Postgres, running_postgres
from tests.faults.sweeps import left_alone

LONGER = TINY.replace("epochs: 3", "epochs: 30")
"""Long enough to be hit in the middle."""


@pytest.fixture
def longer(tmp_path: Path) -> Path:
    """A sweep file of four trials of some seconds."""
    path = tmp_path / "tiny.yaml"
    path.write_text(LONGER)
    return path


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The table of the same sweep, left alone."""
    return left_alone(tmp_path_factory.mktemp("undisturbed"), LONGER)


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """A server of the test's own."""
    with running_postgres() as server:
        yield server
