"""The HTML report: one file, asks nothing of the network, shows what anybody wrote as text, and draws its figures."""

from __future__ import annotations

import base64
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dashboards.page.figures import figures
from dashboards.page.gallery import Exhibit
from dashboards.page.page import render_page, shown_of
from dashboards.records import load_trials
from dashboards.records import sweep_row as sweep_row_of
from tests.dashboards.conftest import Writer, text_trial
from tests.dashboards.test_analysis import sweep_row, trials_of
from tests.dashboards.test_reports import HOSTILE

BROWSER = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
NO_CURVES = pd.DataFrame(columns=["run_id", "trial", "epoch", "step", "metric", "value"])
PIXEL = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360f8cf500f0003860180"
        "5c9f1d500000000049454e44ae426082"
    )
).decode()


@pytest.fixture(scope="module")
def recorded() -> tuple[pd.DataFrame, pd.Series[Any], pd.DataFrame]:
    """Twelve trials with all there is to draw, and hostile words wherever one can write."""
    draw, count = np.random.default_rng(0), 12
    schedules = ["constant", "linear", HOSTILE] * 4
    trials = trials_of(
        list(draw.uniform(90, 110, count)),
        objective__annealing__kind=schedules,
        model__decoder__word_dropout=list(draw.uniform(0, 1, count)),
    )
    trials["model.softmax.kind"] = ["full", "sampled"] * 6
    trials["best/val/rate"] = draw.uniform(0, 9, count)
    trials["best/val/distortion"] = trials["best/val/neg_elbo"] - trials["best/val/rate"]
    trials["best/val/active_units"] = draw.integers(0, 8, count).astype(float)
    trials["best/val/perplexity"] = draw.uniform(90, 200, count)
    trials["train/tokens_per_s"] = draw.uniform(1e3, 1e4, count)
    trials["started"] = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(np.arange(count), unit="s")
    trials["ended"] = trials["started"] + pd.Timedelta(seconds=2)
    rows = [
        (str(run), trial, epoch, 10 * epoch, metric, value)
        for run, trial, score in zip(trials["run_id"], trials["trial"], trials["best/val/neg_elbo"], strict=True)
        for epoch in range(1, 6)
        for metric, value in (("val/neg_elbo", score + 10 / epoch), ("train/beta", min(1.0, epoch / 3)))
    ]
    curves = pd.DataFrame(rows, columns=["run_id", "trial", "epoch", "step", "metric", "value"])
    names = ["objective.annealing.kind", "model.decoder.word_dropout", "model.softmax.kind"]
    return trials, sweep_row(names, question=HOSTILE, name=HOSTILE, method="random"), curves


@pytest.fixture(scope="module")
def page(recorded: tuple[pd.DataFrame, pd.Series[Any], pd.DataFrame]) -> str:
    gallery = {
        "Samples from the prior": [Exhibit(0, text=f"drawn {HOSTILE}"), Exhibit(1, image=f"data:image/png;base64,{PIXEL}")],
    }
    return render_page(*recorded, gallery)


def test_what_was_written_is_text(page: str) -> None:
    own = page.replace(re.search(r"<script>.*?</script>", page, re.DOTALL)[0], "")  # type: ignore[index]
    assert "<script>alert" not in own
    assert "&lt;script&gt;alert(1)" in own
    assert "\x1b" not in own
    assert "\u202e" not in own


def test_there_is_a_figure_for_each_question(recorded: tuple[pd.DataFrame, pd.Series[Any], pd.DataFrame]) -> None:
    titles = [str(figure.layout.title.text) for _, figure in figures(*recorded[:2], recorded[2])]
    assert titles == [
        "What mattered",
        "Rate and distortion (validation, selected epoch)",
        "Learning curves",
        "Every trial",
        "Scores by each parameter",
        "Two parameters together",
        "The best so far",
        "Softmax: speed and the exact perplexity",
        "Annealing schedules",
        "model.decoder.word_dropout",
        "Who worked when",
    ]


def test_a_sweep_with_nothing_complete_has_a_page(recorded: tuple[pd.DataFrame, pd.Series[Any], pd.DataFrame]) -> None:
    trials, sweep, curves = recorded
    told = render_page(trials.assign(state="FAILED", reason="no"), sweep, curves.iloc[:0], {})
    assert "No trial is complete: there is nothing to rank." in told


def test_figures_draw_the_tables(recorded: tuple[pd.DataFrame, pd.Series[Any], pd.DataFrame]) -> None:
    trials = recorded[0]
    drawn = {str(figure.layout.title.text): figure for _, figure in figures(*recorded[:2], recorded[2])}
    plane = drawn["Rate and distortion (validation, selected epoch)"]
    complete = next(trace for trace in plane.data if trace.name == "complete")
    assert sorted(complete.x) == pytest.approx(sorted(trials["best/val/rate"]))
    steps = drawn["The best so far"].data[1]
    assert list(steps.y) == pytest.approx(list(trials["best/val/neg_elbo"].cummin()))
    curve = next(trace for trace in drawn["Learning curves"].data if str(trace.name).startswith("trial"))
    assert list(curve.x) == [1, 2, 3, 4, 5]
    every = drawn["Every trial"]
    assert list(every.layout.xaxis.ticktext) == ["annealing", "word_dropout", "softmax", "best/<br>val/<br>neg_elbo"]
    lines = [line for trace in every.data for line in zip(trace.y[3::5], trace.customdata[::5], strict=True)]
    assert len(lines) == 12, "four axes and a gap a trial"
    assert min(lines)[1].startswith(f"trial {trials['best/val/neg_elbo'].idxmin()}<br>")
    assert "&lt;script&gt;" in "".join(note.text for note in every.layout.annotations)


def test_seeds_of_one_configuration_are_no_unfairness(recorded: tuple[pd.DataFrame, pd.Series[Any], pd.DataFrame]) -> None:
    trials, sweep, curves = recorded
    pairs = trials.assign(seed=[0, 1] * 6)
    for name in json.loads(sweep["parameters"]):
        pairs[name] = pairs[name].iloc[::2].repeat(2).to_numpy()
    replicated = pd.concat([sweep, pd.Series({"seeds": 2})])
    told = render_page(pairs, replicated, curves, {})
    assert "NOT equal" not in told
    assert "The first trial of its best configuration" in told


def test_as_many_rows_as_were_asked_for() -> None:
    trials = trials_of([float(place) for place in range(120)])
    for top, rows in ((None, 100), (110, 110), (5, 5)):
        told = render_page(trials, sweep_row((), method="random"), NO_CURVES, {}, top=top)
        assert f"120 trials, {rows} of 120 rows shown" in told
        assert told[told.index('id="leaderboard"') :].partition("</table>")[0].count("<tr") == rows + 1


def test_a_population_s_annealing_ends_before_it_takes_over_another_s_beta(writer: Writer) -> None:
    """By all that the figure reads of the record: after epoch 2 the trial goes on with a larger weight."""
    parent = writer.sweep("population", ["objective.beta"])
    logged = text_trial(80.0)
    for place, (epoch, beta) in enumerate(zip(logged["epochs"], (0.25, 0.5, 0.9), strict=True), start=1):
        epoch |= {"train/beta": beta} | ({"population/donor": 1.0} if place == 2 else {})
    writer.trial(parent, 0, {"objective.beta": "0.5"}, **logged)
    where: dict[str, Any] = {"home": writer.home}
    every = shown_of(load_trials("population", **where), sweep_row_of("population", **where), **where)
    (curves,) = [one for one in every if one.kind == "learning_curves"]
    assert curves.arguments[1].to_dict() == {0: 2}


@pytest.mark.slow
def test_it_opens_in_a_browser_and_asks_for_nothing(page: str, tmp_path: Path) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is absent: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    file = tmp_path / "report.html"
    file.write_text(page)
    said: list[str] = []
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=BROWSER)
        opened = browser.new_page(viewport={"width": 1200, "height": 900})
        opened.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        opened.on("pageerror", lambda error: said.append(str(error)))
        opened.on("dialog", lambda dialog: said.append("a script of the data ran"))
        opened.on(
            "request",
            lambda asked: said.append(asked.url[:80]) if not asked.url.startswith(("file:", "data:", "blob:")) else None,
        )
        opened.goto(file.as_uri())
        opened.wait_for_function("document.querySelectorAll('.js-plotly-plot .main-svg').length >= 11", timeout=60_000)
        assert opened.locator(".js-plotly-plot").count() == 11
        assert opened.locator("#leaderboard tbody tr").count() == 12
        assert "alert(1)" in opened.locator("h1").inner_text()
        assert opened.evaluate("document.images[0].naturalWidth") == 1
        width = opened.evaluate("document.documentElement.scrollWidth")
        browser.close()
    assert [line for line in said if "GL Driver Message" not in line] == []  # of a machine that draws without a GPU
    assert width <= 1200, "nothing hangs over the side"
