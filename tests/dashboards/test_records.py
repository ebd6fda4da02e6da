from __future__ import annotations

import json
import math
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import dashboards
from dashboards import NoHome, StoreError, UnknownRun, UnknownSweep, load_curves, load_sweeps, load_trials
from dashboards.records import sweep_row
from tests.dashboards.conftest import SEARCHED, Writer, text_trial

PROVENANCE = [
    "config.fingerprint",
    "data.fingerprint",
    "git.commit",
    "threads",
    "torch",
    "scores",
    "training.epochs",
    "training.patience",
    "evaluation.importance_samples",
    "evaluation.importance_examples",
]


def test_trials_are_read_as_they_were_written(softmax: Writer) -> None:
    trials = load_trials("softmax", home=softmax.home)
    assert list(trials["trial"]) == [0, 1, 2, 3, 4]
    assert list(trials["state"]) == ["COMPLETE", "PRUNED", "COMPLETE", "FAILED", "RUNNING"]
    assert list(trials["reason"]) == ["", "", "", "NaN loss at step 31", ""]
    assert list(trials["epochs"]) == [3, 1, 3, 0, 2]
    np.testing.assert_array_equal(trials["duration_s"], [10, 20, 30, 40, math.nan])
    np.testing.assert_array_equal(trials["best/val/neg_elbo"], [88.5, math.nan, 87.125, math.nan, math.nan])
    np.testing.assert_array_equal(trials["val/neg_elbo"], [89.5, 80, 88.125, math.nan, 98])
    assert trials["run_id"].str.fullmatch("[0-9a-f]{32}").all()
    metrics = [str(name) for name in trials if "/" in str(name)]
    assert list(trials) == [
        "run_id", "trial", "state", "reason", "seed", "duration_s", "epochs", *SEARCHED, *metrics, *PROVENANCE,
    ]  # fmt: skip
    assert [name.split("/")[0] for name in metrics] == ["best"] * 5 + ["test"] * 3 + ["val"] * 2 + ["train"] * 2


def test_parameters_are_typed_and_missing_where_not_active(softmax: Writer) -> None:
    trials = load_trials("softmax", home=softmax.home).set_index("trial")
    assert trials["objective.beta"].dtype == "float64"
    assert list(trials["objective.beta"]) == [0.5, 1.0, 1.0, 0.5, 0.5]
    assert trials["model.softmax.samples"].dtype == "Int64"
    assert trials["model.softmax.samples"].dropna().to_dict() == {2: 1024}
    assert trials["model.softmax.cutoffs"].dropna().to_dict() == {1: "[2000, 10000]"}
    assert list(trials["model.softmax.kind"]) == ["full", "adaptive", "sampled", "full", "full"]
    assert trials["optimizer.lr"].dropna().to_dict() == {0: 1e-05, 2: 0.001, 3: 1e-05, 4: 1e-05}
    assert trials["training.epochs"].dtype == "int64"


@pytest.mark.parametrize(
    ("texts", "dtype", "values"),
    [
        (["1", "2"], "int64", [1, 2]),
        (["1", None], "Int64", [1, pd.NA]),
        (["1", "2.5"], "float64", [1.0, 2.5]),
        (["0.1", "null"], "float64", [0.1, math.nan]),
        (["true", "false"], "bool", [True, False]),
        (["true", None], "boolean", [True, pd.NA]),
        (["5", "auto"], "str", ["5", "auto"]),
        (["null", "auto"], "str", [math.nan, "auto"]),
        (["[1, 2]", "[3]"], "str", ["[1, 2]", "[3]"]),
        (["true", "1"], "str", ["true", "1"]),
        (["NaN", "Infinity"], "str", ["NaN", "Infinity"]),
        (["0.30000000000000004", "1e-300"], "float64", [0.30000000000000004, 1e-300]),
        ([str(2**63), "1"], "str", [str(2**63), "1"]),
        ([None, None], "str", [math.nan, math.nan]),
    ],
)
def test_a_parameter_column_has_the_type_that_holds_all_its_values(
    texts: list[str | None], dtype: str, values: list[Any], writer: Writer
) -> None:
    parent = writer.sweep("s", ["a.b"])
    for number, text in enumerate(texts):
        writer.trial(parent, number, {} if text is None else {"a.b": text})
    column = load_trials("s", home=writer.home)["a.b"]
    pd.testing.assert_series_equal(column, pd.Series(values, dtype=dtype, name="a.b"))


def test_a_searched_seed_is_the_seed_column(writer: Writer) -> None:
    parent = writer.sweep("s", ["seed", "training.epochs"])
    writer.trial(parent, 0, {"seed": "5"}, tags={"seed": "5"})
    trials = load_trials("s", home=writer.home)
    assert list(trials["seed"]) == [5]
    assert trials.columns.is_unique


def test_a_trial_that_failed_before_it_had_a_config_has_no_seed(writer: Writer) -> None:
    parent = writer.sweep("s", ["a"])
    writer.trial(parent, 0, {"a": "1"})
    assert load_trials("s", home=writer.home)["seed"].dtype == "int64"
    writer.trial(parent, 1, {}, state="FAILED", without=("seed", "data.fingerprint", "config.fingerprint"))
    trials = load_trials("s", home=writer.home)
    assert list(trials["seed"].isna()) == [False, True]
    assert list(trials["seed"].dropna()) == [0]
    assert list(trials["data.fingerprint"].isna()) == [False, True]


def test_nan_and_infinity_survive(writer: Writer) -> None:
    parent = writer.sweep("s", ["a"])
    values = {"val/x": math.inf, "val/y": -math.inf, "val/z": math.nan}
    writer.trial(parent, 0, {"a": "1"}, epochs=[values])
    row = load_trials("s", home=writer.home).iloc[0]
    assert (row["val/x"], row["val/y"]) == (math.inf, -math.inf)
    assert math.isnan(row["val/z"])
    curves = load_curves("s", home=writer.home).set_index("metric")["value"]
    assert (curves["val/x"], curves["val/y"]) == (math.inf, -math.inf)
    assert math.isnan(curves["val/z"])


def test_sweeps(softmax: Writer) -> None:
    parent = softmax.sweep("images", ["a"], metric_name="val/active_units", metric_goal="maximize", question="More units?")
    for number, units in enumerate([3, 9, 5]):
        softmax.trial(parent, number, {"a": "1"}, final={"best/val/active_units": units})
    softmax.trial(parent, 3, {"a": "1"}, final={"best/val/active_units": 99}, state="COLLAPSED")
    sweeps = load_sweeps(home=softmax.home).set_index("name")
    assert list(load_sweeps(home=softmax.home))[:7] == ["name", "state", "question", "trials", "best", "started", "duration_s"]
    assert list(sweeps.index) == ["softmax", "images"]
    assert list(sweeps["state"]) == ["RUNNING", "FINISHED"]
    assert list(sweeps["question"]) == ["Which softmax?", "More units?"]
    assert list(sweeps["trials"]) == [5, 4]
    assert list(sweeps["best"]) == [87.125, 9.0]
    assert sweeps["started"].iloc[0] == pd.Timestamp("2023-11-14T22:13:20Z")
    np.testing.assert_array_equal(sweeps["duration_s"], [math.nan, 90.5])
    assert json.loads(sweeps["parameters"].iloc[0]) == SEARCHED


def test_a_recorded_duration_goes_before_the_time_from_start_to_end(writer: Writer) -> None:
    parent = writer.sweep("s", ["a"], duration_s="12.5")
    writer.trial(parent, 0, {"a": "1"}, tags={"duration_s": "3.25"})
    writer.trial(parent, 1, {"a": "1"})
    running = writer.trial(parent, 2, {"a": "1"}, state="RUNNING", tags={"duration_s": "7.0"})
    assert load_sweeps(home=writer.home)["duration_s"].tolist() == [12.5]
    np.testing.assert_array_equal(load_trials("s", home=writer.home)["duration_s"], [3.25, 20.0, math.nan])
    writer.client.set_tag(running, "trial.state", "STOPPED")
    np.testing.assert_array_equal(load_trials("s", home=writer.home)["duration_s"], [3.25, 20.0, 7.0])
    writer.client.set_tag(running, "duration_s", "a while")
    with pytest.raises(StoreError, match=f"the tag 'duration_s' of the run {running} is no number: 'a while'"):
        load_trials("s", home=writer.home)


def test_the_patience_is_read(writer: Writer) -> None:
    parent = writer.sweep("s", ["a"])
    writer.trial(parent, 0, {"a": "1", "training.patience": "5"})
    writer.trial(parent, 1, {"a": "1", "training.patience": "null"})
    column = load_trials("s", home=writer.home)["training.patience"]
    pd.testing.assert_series_equal(column, pd.Series([5, pd.NA], dtype="Int64", name="training.patience"))


def test_curves_are_long_and_carry_the_step(softmax: Writer) -> None:
    curves = load_curves("softmax", home=softmax.home)
    assert list(curves) == ["run_id", "trial", "epoch", "step", "metric", "value"]
    losses = curves[(curves["trial"] == 2) & (curves["metric"] == "val/neg_elbo")]
    assert list(losses["epoch"]) == [1, 2, 3]
    assert list(losses["step"]) == [100, 200, 300]
    assert list(losses["value"]) == [89.125, 87.125, 88.125]
    assert set(curves["metric"]) == {"train/step", "train/loss", "val/neg_elbo", "val/rate"}
    assert len(curves) == 2 * 3 * 4 + 2 + 2 * 2
    some = curves["run_id"].unique()[:2]
    assert load_curves(list(some), home=softmax.home).equals(curves[curves["run_id"].isin(some)].reset_index(drop=True))


def test_an_epoch_logged_twice_counts_once_with_its_later_value(writer: Writer) -> None:
    parent = writer.sweep("s", ["a"])
    run = writer.trial(parent, 0, {"a": "1"}, epochs=[{"val/x": 5.0}, {"val/x": 4.0}])
    writer.log(run, 2, {"train/step": 200, "val/x": 3.0}, at=5000)
    curves = load_curves("s", home=writer.home)
    assert list(curves.loc[curves["metric"] == "val/x", "value"]) == [5.0, 3.0]
    assert list(load_trials("s", home=writer.home)["epochs"]) == [2]


def test_a_sweep_of_no_trials_gives_typed_empty_frames(writer: Writer) -> None:
    writer.sweep("s", ["objective.beta"])
    trials, curves = load_trials("s", home=writer.home), load_curves("s", home=writer.home)
    assert len(trials) == len(curves) == 0
    assert "objective.beta" in trials
    assert trials["duration_s"].dtype == "float64"
    assert trials["trial"].dtype == "int64"
    assert curves["value"].dtype == "float64"
    assert load_curves([], home=writer.home).dtypes.equals(curves.dtypes)
    assert math.isnan(load_sweeps(home=writer.home)["best"].iloc[0])


def test_a_store_without_sweeps(writer: Writer) -> None:
    sweeps = load_sweeps(home=writer.home)
    assert len(sweeps) == 0
    assert sweeps["best"].dtype == "float64"
    with pytest.raises(UnknownSweep, match="there is none"):
        load_trials("s", home=writer.home)


def test_an_unknown_name_offers_the_nearest(softmax: Writer) -> None:
    with pytest.raises(UnknownSweep, match=r"no sweep 'sofmax': did you mean softmax\?"):
        load_trials("sofmax", home=softmax.home)
    with pytest.raises(UnknownRun, match="no trial has the run id 'abc'"):
        load_curves(["abc"], home=softmax.home)


@pytest.mark.parametrize("name", ["it's", 'a"b', "' OR tags.kind = 'sweep", "a`b", "%", "é|\n"])
def test_a_hostile_name_is_compared_never_interpreted(name: str, writer: Writer) -> None:
    writer.trial(writer.sweep(name, ["a"]), 0, {"a": "1"})
    writer.sweep("other", ["a"])
    assert len(load_trials(name, home=writer.home)) == 1
    assert list(load_sweeps(home=writer.home)["name"]) == [name, "other"]


def test_of_two_sweeps_of_one_name_the_newer_is_read(writer: Writer) -> None:
    writer.trial(writer.sweep("s", ["a"]), 0, {"a": "1"})
    newer = writer.sweep("s", ["a"])
    writer.trial(newer, 7, {"a": "1"})
    assert list(load_trials("s", home=writer.home)["trial"]) == [7]
    assert sweep_row("s", home=writer.home)["run_id"] == newer


def test_deleted_and_foreign_runs_are_left_out(softmax: Writer) -> None:
    runs = load_trials("softmax", home=softmax.home)["run_id"]
    softmax.client.delete_run(runs.iloc[0])
    softmax.client.create_run(softmax.experiment(), tags={"kind": "trial"})
    softmax.client.create_run(softmax.experiment())
    assert list(load_trials("softmax", home=softmax.home)["trial"]) == [1, 2, 3, 4]
    assert list(load_sweeps(home=softmax.home)["trials"]) == [4]


def test_what_this_program_did_not_write_is_named(writer: Writer) -> None:
    parent = writer.sweep("s", ["a"])
    writer.client.set_tag(parent, "parameters", "[not json")
    with pytest.raises(StoreError, match=r"is no JSON list.*not json"):
        load_trials("s", home=writer.home)


@pytest.mark.parametrize("left", ["nothing", "directory", "empty file"])
def test_reading_creates_nothing(left: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "home"
    if left != "nothing":
        home.mkdir()
    if left == "empty file":
        (home / "mlflow.db").touch()
    before = sorted((path, path.stat().st_size) for path in tmp_path.rglob("*"))
    with pytest.raises(NoHome, match="no sweeps here"):
        load_sweeps(home=home)
    assert sorted((path, path.stat().st_size) for path in tmp_path.rglob("*")) == before


def test_reading_changes_nothing(softmax: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "cwd"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    before = (softmax.home / "mlflow.db").read_bytes()
    load_sweeps(home=softmax.home)
    load_trials("softmax", home=softmax.home)
    load_curves("softmax", home=softmax.home)
    assert [path.name for path in softmax.home.iterdir()] == ["mlflow.db"]
    assert list(elsewhere.iterdir()) == []
    assert (softmax.home / "mlflow.db").read_bytes() == before


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("postgresql://me:secret@127.0.0.1:1/x", r"cannot read the records at postgresql://me:\*\*\*@127.0.0.1:1/x: "),
        ("postgresql://127.0.0.1:1/x?user=me&password=secret", r"cannot read the records at .*/x\?user=me&password=\*\*\*: "),
        ("http://127.0.0.1:1", "cannot read the records at http://127.0.0.1:1: "),
        ("http://me:secret@127.0.0.1:1/", r"cannot read the records at http://me:\*\*\*@127.0.0.1:1/: "),
    ],
)
def test_a_store_that_cannot_be_read(uri: str, message: str) -> None:
    start = time.perf_counter()
    with pytest.raises(StoreError, match=message) as caught:
        load_sweeps(tracking_uri=uri)
    assert "secret" not in str(caught.value)
    assert time.perf_counter() - start < 30


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("not a database at all, but long enough to be looked at" * 20)
    with pytest.raises(StoreError, match="file is not a database"):
        load_sweeps(home=tmp_path)


def test_a_hundred_runs_of_twenty_epochs_and_twenty_metrics_are_quick(writer: Writer) -> None:
    """Written straight into MLflow's tables: 40,000 points through the client would take 15 s. The limit is in CPU time."""
    import sqlite3

    parent = writer.sweep("big", ["a"])
    names = [*(f"val/m{k}" for k in range(19)), "train/step"]
    runs = [writer.trial(parent, number, {"a": "1"}) for number in range(100)]
    rows = [
        (name, epoch * 10.0 + k, writer.started + epoch, run, epoch, False)
        for run in runs
        for epoch in range(1, 21)
        for k, name in enumerate(names)
    ]
    latest = [row for row in rows if row[4] == 20]
    with sqlite3.connect(writer.home / "mlflow.db") as database:
        columns = "(key, value, timestamp, run_uuid, step, is_nan)"
        database.executemany(f"INSERT INTO metrics {columns} VALUES (?, ?, ?, ?, ?, ?)", rows)
        database.executemany(f"INSERT INTO latest_metrics {columns} VALUES (?, ?, ?, ?, ?, ?)", latest)
    start = time.process_time()
    curves = load_curves("big", home=writer.home)
    assert time.process_time() - start < 5
    assert len(curves) == 40_000
    one = curves[(curves["trial"] == 42) & (curves["metric"] == "val/m3")]
    assert list(one["value"]) == [epoch * 10.0 + 3 for epoch in range(1, 21)]


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, dashboards; dashboards.resolve_home('.');"
        "heavy = {'mlflow', 'pandas', 'numpy', 'rich', 'sqlalchemy', 'torch', 'ray'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_exported_name_is_there() -> None:
    assert all(getattr(dashboards, name) is not None for name in dashboards.__all__)
    with pytest.raises(AttributeError, match="no attribute 'load_sweps'"):
        dashboards.load_sweps  # noqa: B018 - the access itself is what is tested


@pytest.mark.slow
def test_a_server_gives_the_same_frames(softmax: Writer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    parent = softmax.sweep("more", ["a"])
    for number in range(3):
        softmax.trial(parent, number, {"a": "1"}, **text_trial(80.0 + number))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    command = [sys.executable, "-m", "mlflow", "server", "-w", "1", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(
        [*command, "--backend-store-uri", softmax.uri], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        uri = f"http://127.0.0.1:{port}"
        _wait_for(port)
        for sweep in ("softmax", "more"):
            pd.testing.assert_frame_equal(load_trials(sweep, tracking_uri=uri), load_trials(sweep, home=softmax.home))
            pd.testing.assert_frame_equal(load_curves(sweep, tracking_uri=uri), load_curves(sweep, home=softmax.home))
        pd.testing.assert_frame_equal(load_sweeps(tracking_uri=uri), load_sweeps(home=softmax.home))
        import dashboards.store

        whole = load_curves("more", home=softmax.home)
        monkeypatch.setattr(dashboards.store, "_BULK_POINTS", 4)  # three runs of three points: cut off, then fetched in halves
        pd.testing.assert_frame_equal(load_curves("more", tracking_uri=uri), whole)
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait_for(port: int) -> None:
    import urllib.error
    import urllib.request

    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise TimeoutError("the server did not start")
