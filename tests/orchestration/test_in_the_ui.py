"""What a real sweep leaves in MLflow, seen in its UI by a browser: columns, pictures over epochs, the report."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import pytest

from dashboards import load_sweeps, load_trials
from dashboards.home import Home
from orchestration import run_sweep
from orchestration.mlflow_server import Server, running_server
from orchestration.tracking.publish import publish_report
from orchestration.ui import sweep_links
from tests.conftest import TINY
from tests.orchestration.test_ui import BROWSER

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
PATIENCE_MS = 120_000


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with a finished sweep of three trials of images, and its report."""
    directory = tmp_path_factory.mktemp("swept")
    (directory / "tiny.yaml").write_text(TINY.replace("run_cap: 4", "run_cap: 3"))
    home = run_sweep(directory / "tiny.yaml", home=directory / "home", debug=True).home
    assert publish_report("tiny", home) is None
    return home


@pytest.fixture(scope="module")
def server(swept: Home) -> Iterator[Server]:
    with running_server(swept, say=lambda line: None) as server:
        yield server


@pytest.fixture
def page(server: Server) -> Iterator[Any]:
    """A page that asks nobody but the server, and keeps what the console said of errors."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is absent: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=BROWSER)
        page = browser.new_page(viewport={"width": 1900, "height": 1300})
        page.set_default_timeout(PATIENCE_MS)
        asked: set[str] = set()
        page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
        page.said = []
        page.on("console", lambda message: page.said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: page.said.append(str(error)))
        yield page
        assert asked <= {"", urlsplit(server.url).netloc}, "a request left the machine"
        browser.close()


def test_the_link_opens_the_trials_under_their_columns(page: Any, server: Server, swept: Home) -> None:
    (link,) = sweep_links(server.url, swept.tracking_uri)
    page.goto(link.url)
    for column in ("best/val/neg_elbo", "test/neg_elbo", "optimizer.lr", "objective.beta"):
        page.wait_for_selector(f"[data-testid='sort-header-{column}'], [role=columnheader]:has-text('{column}')")
    trials = load_trials("tiny", home=swept.root).sort_values("best/val/neg_elbo")
    shown = page.locator("a", has_text=re.compile(r"^tiny.\d+$")).all_inner_texts()
    assert shown == [f"tiny/{number:03d}" for number in trials["trial"]]
    assert page.get_by_text(f"{trials['best/val/neg_elbo'].iloc[0]:.4f}"[:6]).count()


def test_the_notes_links_lead_to_charts_and_report(page: Any, server: Server, swept: Home) -> None:
    run = load_sweeps(home=swept.root)["run_id"].iloc[0]
    page.goto(f"{server.url}#/experiments/1/runs/{run}?workflowType=machine_learning")
    page.get_by_text("Show more").click()
    for name, wanted in (("Charts", "text=tiny/001"), ("Report", "iframe")):
        with page.context.expect_page(timeout=PATIENCE_MS) as opened:
            page.get_by_role("link", name=name, exact=True).click()
        opened.value.wait_for_selector(wanted, timeout=PATIENCE_MS)
        opened.value.close()


def test_the_report_draws_its_figures_inside_mlflow(page: Any, server: Server, swept: Home) -> None:
    run = load_sweeps(home=swept.root)["run_id"].iloc[0]
    page.goto(f"{server.url}#/experiments/1/runs/{run}/artifacts/report.html?workflowType=machine_learning")
    frame = page.frame_locator("iframe").first
    frame.locator(".js-plotly-plot .main-svg").first.wait_for(state="attached")
    assert frame.locator(".js-plotly-plot path").count() > 10, "a figure without a line"
    assert frame.get_by_text("Does a smaller beta buy a lower distortion?").count()
    assert not [said for said in page.said if "404" not in said], "MLflow asks for one thing that it lacks itself"


def test_pictures_have_a_slider_over_epochs(page: Any, server: Server, swept: Home) -> None:
    run = load_trials("tiny", home=swept.root)["run_id"].iloc[0]
    page.goto(f"{server.url}#/experiments/1/runs/{run}/model-metrics?workflowType=machine_learning")
    page.get_by_placeholder("Search metric charts").fill("samples|reconstructions")
    page.get_by_role("slider").nth(1).wait_for()
    assert page.get_by_role("slider").count() == 2
    page.wait_for_timeout(2000)  # the slider takes no key before its range is known
    page.get_by_role("slider").first.press("ArrowRight")
    page.wait_for_selector("img[src*='images%2F']")
    for key in ("samples", "reconstructions"):
        assert page.get_by_text(key, exact=True).count()


def test_a_model_is_loaded_through_the_server(server: Server, swept: Home) -> None:
    import mlflow

    mlflow.set_tracking_uri(server.url)
    run = load_trials("tiny", home=swept.root)["run_id"].iloc[0]
    model = mlflow.pyfunc.load_model(f"runs:/{run}/checkpoint")
    drawn = model.predict(pd.DataFrame(), params={"task": "generate", "count": 3})
    assert len(drawn["image"].iloc[0]) == 8
