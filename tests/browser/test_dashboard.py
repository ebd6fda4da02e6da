"""The dashboard in a browser: from the sweeps to a sample; no error in the console, and no request that leaves the machine."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from dashboards.app.links import page_url
from dashboards.home import resolve_home
from orchestration.page_servers import running_dashboard
from tests.dashboards.app.home import NAME, write_home
from tests.dashboards.conftest import Writer

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]
BROWSER = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
WAIT_MS = 120_000
_GUESSED = ("/_stcore/health", "/_stcore/host-config")
"""What Streamlit asks for below a page's own path first, to find where it is served; the answer is 404."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a dashboard on the home of ``write_home``."""
    pytest.importorskip("streamlit", reason="the dashboard is an extra")
    home = tmp_path_factory.mktemp("home")
    write_home(Writer(home))
    with running_dashboard(
        resolve_home(home, f"sqlite:///{home}/mlflow.db"), "", "", "127.0.0.1", unused_port(), lambda line: None
    ) as server:
        yield server.url


def unused_port() -> int:
    """Not the dashboard's own, which another test may be about to take."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


@pytest.fixture
def tab(served: str) -> Iterator[Any]:
    """A page of a browser; at its end nothing may have gone wrong on it."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is absent: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    wrong: list[str] = []

    def heard(message: Any) -> None:
        guessed = message.type == "error" and any(part in message.location.get("url", "") for part in _GUESSED)
        if message.type == "error" and not guessed:
            wrong.append(f"{message.text} {message.location}")

    def asked(request: Any) -> None:
        if not request.url.startswith((served, served.replace("http:", "ws:"), "data:", "blob:")):
            wrong.append(f"asked for {request.url[:120]}")

    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=BROWSER)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(WAIT_MS)
        page.on("console", heard)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append("a script of the data ran"))
        page.on("request", asked)
        yield page
        browser.close()
    assert wrong == []


def test_from_the_sweeps_to_a_sample(tab: Any, served: str) -> None:
    tab.goto(served)
    table = tab.get_by_test_id("stDataFrame")
    table.wait_for()
    click_first_button(tab, row=2)  # the sweep `demo`, the older one
    tab.wait_for_url(f"**/sweep?sweep={NAME}")
    tab.get_by_text("among 2 ranked").first.wait_for()
    assert tab.locator("img[src*='192.0.2.1']").count() == 0
    tab.get_by_test_id("stDataFrame").first.wait_for()
    click_first_button(tab, row=1)  # the best trial
    tab.wait_for_url("**/trial?*")
    tab.get_by_text("What it drew").wait_for()
    assert "trial=1" in tab.url
    tab.get_by_text("One by one: 10").click()
    tab.wait_for_url("**/sample?*")
    tab.get_by_text("Samples from the prior, 1 of 10").wait_for()
    tab.get_by_role("button", name="Next").click()
    tab.get_by_text("Samples from the prior, 2 of 10").wait_for()
    tab.wait_for_function(
        "document.querySelector('[data-testid=stImage] img')?.naturalWidth >= 320"
    )  # it arrives behind the text


def test_a_pasted_address_opens_the_filtered_view(tab: Any, served: str) -> None:
    tab.goto(page_url("sweep", served, sweep=NAME, state="PRUNED"))
    tab.get_by_text("1 of 4 trials, by the filters").wait_for()
    tab.get_by_role("button", name="Clear all").first.click()
    tab.get_by_text("1 of 4 trials, by the filters").wait_for(state="detached")
    assert "PRUNED" not in tab.url


def test_a_click_on_a_code_shows_its_example(tab: Any, served: str) -> None:
    tab.goto(page_url("trial", served, sweep=NAME, trial=0))
    tab.get_by_text("No example is chosen.").wait_for()
    point = tab.locator(".js-plotly-plot", has_text="Codes of validation examples").locator(".scatterlayer .point").first
    box = where_it_stays(tab, point)
    tab.mouse.move(box["x"] + box["width"] / 2 - 1, box["y"] + box["height"] / 2 - 1)
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tab.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tab.get_by_text("of validation: rate").wait_for()
    assert "example=0" in tab.url
    tab.get_by_text("output  text 0").wait_for()


def click_first_button(tab: Any, row: int) -> None:
    """Clicks the button of a row's first column, which a table draws on a canvas: 35 pixels a row, behind the boxes."""
    box = where_it_stays(tab, tab.get_by_test_id("stDataFrame").first)
    tab.mouse.click(box["x"] + 35 + 22, box["y"] + 35 * row + 17)


def where_it_stays(tab: Any, locator: Any) -> dict[str, float]:
    """Where an element is in sight, once nothing above it moves it any more."""
    boxes: list[dict[str, float]] = []
    while len(boxes) < 4 or any(box != boxes[-1] for box in boxes[-4:]):
        locator.scroll_into_view_if_needed()
        boxes.append(locator.bounding_box())
        tab.wait_for_timeout(400)
    return boxes[-1]
