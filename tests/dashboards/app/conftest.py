"""One home for all pages: writing it takes seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dashboards.app.home import write_home
from tests.dashboards.conftest import Writer


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of ``write_home``."""
    pytest.importorskip("streamlit", reason="the dashboard is an extra")
    home = tmp_path_factory.mktemp("demo")
    write_home(Writer(home))
    return home
