"""The dashboard on a large store: the time to what one sees first, and what the server takes.

    python -m benchmarks.dashboard_load --trials 2000 --epochs 100

Serves the dashboard on a synthetic record and opens its pages in Chromium, first with nothing read, then again. What the readers
alone take is in ``benchmarks.reading``.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measure import machine
from benchmarks.measure.record import SWEEP, record_of

_BROWSER = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


def main() -> None:
    """Prints a line a measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--home", type=Path, default=None, help="kept, and used again where it is there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = given.home or Path(scratch, "home")
        file = record_of(home, given.trials, given.epochs)
        print(f"{given.trials} trials x {given.epochs} epochs, {file.stat().st_size / 2**20:.0f} MiB\n{machine()}")
        browse(home)


def browse(home: Path) -> None:
    """Times the pages, and prints the server's memory."""
    import psutil
    from playwright.sync_api import sync_playwright

    from dashboards.app.links import page_url
    from dashboards.home import resolve_home
    from orchestration.page_servers import running_dashboard

    where = resolve_home(home, f"sqlite:///{home}/mlflow.db")
    with running_dashboard(where, "", "", "127.0.0.1", None, print) as server, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=_BROWSER)
        for again in ("first time", "again"):
            for what, path, query in _PAGES:
                page = browser.new_page(viewport={"width": 1400, "height": 1000})
                page.set_default_timeout(600_000)
                started = time.perf_counter()
                page.goto(page_url(path, server.url, **query))
                for name, selector in _MOMENTS[what]:
                    page.locator(selector).first.wait_for()
                    print(f"{what}, {again}: {name} after {time.perf_counter() - started:.1f} s", flush=True)
                page.close()
            print(f"  server: {sum(_memory(psutil)):.0f} MiB", flush=True)
        browser.close()


_PAGES: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("sweeps", "", {}),
    ("sweep", "sweep", {"sweep": SWEEP}),
    ("trial", "trial", {"sweep": SWEEP, "trial": "0"}),
)
_DONE = "[data-testid=stApp][data-test-script-state=notRunning]"
_MOMENTS = {
    "sweeps": [("the table", "[data-testid=stDataFrame]"), ("all", _DONE)],
    "sweep": [
        ("the question", ".vs-title"),
        ("the answer", ".vs-answer"),
        ("the leaderboard", "[data-testid=stDataFrame]"),
        ("the first figure", ".js-plotly-plot .main-svg"),
        ("all", _DONE),
    ],
    "trial": [("the configuration", ".vs-title"), ("the curves", ".js-plotly-plot .main-svg"), ("all", _DONE)],
}


def _memory(psutil: Any) -> Iterator[float]:
    """MiB of each process of the server."""
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has just ended
            if "streamlit" in " ".join(child.cmdline()):
                yield child.memory_info().rss / 2**20


if __name__ == "__main__":
    main()
