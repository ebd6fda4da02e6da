"""Each page draws, by Streamlit's own runner: what the address says is what is shown, and what others wrote is text."""

from __future__ import annotations

import html
import os
from pathlib import Path
from typing import Any

import pytest

from tests.dashboards.app.home import NAME, REMOTE

testing = pytest.importorskip("streamlit.testing.v1", reason="the dashboard is an extra")


@pytest.fixture(autouse=True)
def _environment(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAE_SWEEPS_HOME", str(demo))
    monkeypatch.setenv("VAE_SWEEPS_MLFLOW_UI", "http://user:secret@127.0.0.1:5999")


def opened(path: str, **query: str | list[str]) -> Any:
    """The page after one run, with no error."""
    page = testing.AppTest.from_string(f"from dashboards.app.main import main\nmain({path!r})", default_timeout=120)
    for name, value in query.items():
        page.query_params[name.replace("__", ".")] = value
    page.run()
    assert not page.exception, [error.value for error in page.exception]
    return page


def told(page: Any) -> str:
    """All that is drawn as HTML."""
    return "\n".join(str(part.proto.body) for part in page.get("html"))


def test_the_sweeps_are_listed_newest_first() -> None:
    page = opened("")
    (table,) = page.dataframe
    assert list(table.value["name"]) == ["other", NAME]
    assert list(table.value["best"]) == [80.0, 87.25]
    assert list(opened("", holds="emo").dataframe[0].value["name"]) == [NAME]


def test_a_sweep_has_its_answer_and_what_was_written_is_text() -> None:
    page = opened("sweep", sweep=NAME)
    said = told(page)
    assert "scored best: best/val/neg_elbo 87.25" in said.partition("In MLflow")[0]
    assert [part.label for part in page.expander] == ["In full, and what the numbers are"]
    assert "Trial 1 won" in said
    assert html.escape(REMOTE) in said
    assert "<img" not in said
    assert "<script>alert" not in said
    assert not any("192.0.2.1" in part.value for part in page.markdown)
    board = page.dataframe[0].value
    assert list(board["trial"]) == ["1", "0", "2", "3"]
    assert [link.proto.url.partition("#")[0] for link in page.get("link_button")][-1] == "http://127.0.0.1:5999/", "no password"


def test_the_address_filters() -> None:
    assert list(opened("sweep", sweep=NAME, state="PRUNED").dataframe[0].value["trial"]) == ["2"]
    ranged = opened("sweep", sweep=NAME, p__objective__beta=["0.5", "0.75"])
    assert list(ranged.dataframe[0].value["trial"]) == ["1", "2"]
    by_rate = opened("sweep", sweep=NAME, metric="val/rate")
    assert "by the filters" not in told(by_rate)
    assert "87.25 among 2 ranked" in told(by_rate), "the answer stays that of the sweep"
    assert list(by_rate.dataframe[0].value["trial"]) == ["0", "1", "2", "3"], "both have one rate: by number, and not by −ELBO"


def test_figures_are_drawn_once_and_anew_for_another_choice(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dashboards.app import drawings, reading

    drawings._kept().clear()
    own, drawn = drawings.figures, []
    monkeypatch.setattr(drawings, "figures", lambda *of: drawn.append(len(of[0])) or own(*of))

    def shown(**query: str) -> list[str]:
        return [chart.proto.spec for chart in opened("sweep", sweep=NAME, **query).get("plotly_chart")]

    first = shown()
    assert len(first) > 1
    assert shown() == first
    assert drawn == [4]
    assert shown(state="PRUNED") != first
    assert drawn == [4, 1]
    store = demo / "mlflow.db"
    os.utime(store, ns=(store.stat().st_atime_ns, store.stat().st_mtime_ns + 1_000_000_000))
    reading.stamp.clear()  # it is looked at every few seconds
    assert shown() == first
    assert drawn == [4, 1, 4]


def test_the_first_trial_of_a_sweep_begins_while_it_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    from dashboards.app import reading

    every, asked = reading.trials_of, []

    def later(name: str) -> Any:
        asked.append(name)
        return every(name).iloc[: 0 if len(asked) == 1 else None]

    monkeypatch.setattr(reading, "trials_of", later)
    assert len(opened("sweep", sweep=NAME).dataframe[0].value) == 4


@pytest.mark.parametrize("held", [b"", b"PK\x03\x04 cut off", b"no archive"])
def test_damaged_codes_leave_the_rest_of_the_page(held: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    from dashboards.app import reading

    kept = reading.artifacts_of
    monkeypatch.setattr(
        reading, "artifacts_of", lambda run, folder: {"codes.npz": held} if folder == "latent" else kept(run, folder)
    )
    page = opened("trial", sweep=NAME, trial="0")
    assert "codes.npz cannot be read" in told(page)
    assert "What it drew" in [part.value for part in page.subheader]


def test_what_is_not_there_is_said() -> None:
    (error,) = opened("sweep", sweep="dmeo").error
    assert "did you mean demo" in error.value.replace("\\", "")
    (error,) = opened("trial", sweep=NAME, trial="9").error
    assert "its trials are 0 to 3" in error.value.replace("\\", "")


def test_a_trial_shows_what_it_kept() -> None:
    page = opened("trial", sweep=NAME, trial="1", example="3")
    assert [part.value for part in page.subheader] == [
        "Scores",
        "Configuration",
        "Learning curves",
        "What it drew",
        "The code",
        "Latent space",
    ]
    assert "Example 9 of validation" in told(page)
    failed = opened("trial", sweep=NAME, trial="3")
    assert html.escape(REMOTE) in told(failed)
    assert "Only a complete trial keeps samples" in told(failed)


def test_a_sample_stands_alone() -> None:
    page = opened("sample", sweep=NAME, trial="0", kind="samples", number="2")
    assert "Samples from the prior, 2 of 2" in told(page)
    assert [part.value for part in page.code] == ["greedy  three\ndrawn   four"]
    between = opened("sample", sweep=NAME, trial="1", kind="interpolations")
    assert "Interpolations, 1 of 2" in told(between), "not the first kind that there is"
    assert "10 of 10" in told(opened("sample", sweep=NAME, trial="1", kind="samples", number="99"))


def test_trials_and_sweeps_are_compared() -> None:
    page = opened("trials", sweep=NAME, trials=["0", "1"])
    differ = page.dataframe[0].value
    assert set(differ["parameter"]) == {"objective.beta", "model.softmax.kind"}
    assert list(differ.columns) == ["parameter", "trial 0", "trial 1"]
    table = opened("compare", sweeps=["other", NAME]).dataframe[0].value
    assert list(table["sweep"]) == ["other", NAME]
    assert list(table["same_data"]) == ["yes", "yes"]
