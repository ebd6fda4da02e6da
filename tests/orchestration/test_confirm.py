"""Confirmations from end to end: real searches, their best trained anew, killed and gone on with."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

from dashboards import load_sweeps, load_trials
from dashboards.home import Home, resolve_home
from dashboards.status import report_sweep
from dashboards.trial import find_trial
from orchestration import load_sweep, run_sweep
from orchestration.cli import app
from orchestration.confirm import Confirmation, make_confirmation
from orchestration.errors import LaunchError
from orchestration.spec import SweepFileError, parse_sweep, spec_text
from orchestration.tracking.tracker import Tracker
from tests.conftest import TINY, comparable
from tests.faults.sweeps import start

pytestmark = pytest.mark.xdist_group("ray")


@pytest.fixture(scope="module")
def _searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the finished search ``tiny`` of four trials."""
    directory = tmp_path_factory.mktemp("search")
    (directory / "tiny.yaml").write_text(TINY + "confirm: {top: 2, seeds: 3}\n")
    run_sweep(directory / "tiny.yaml", home=directory / "home", debug=True)
    return directory / "home"


@pytest.fixture
def searched(_searched: Path, tmp_path: Path) -> Path:
    """A copy of that home of the test's own, where it may write."""
    home = tmp_path / "home"
    shutil.copytree(_searched, home)
    return home


def confirm(home: Path, *words: str, code: int = 0) -> str:
    """What ``vae-sweeps confirm`` prints, or its message where the input is wrong."""
    result = CliRunner().invoke(app, ["confirm", *words, "--home", str(home), "--debug"], env={"COLUMNS": "200"})
    if isinstance(result.exception, ValueError | LookupError):
        assert code == 2, result.exception
        return str(result.exception)
    assert result.exit_code == code, result.output + repr(result.exception)
    return result.output


def made(home: Path, search: str = "tiny", top: int | None = None, seeds: int | None = None, name: str = "c") -> Confirmation:
    return make_confirmation(search, resolve_home(home), top=top, seeds=seeds, name=name)


def search(directory: Path, text: str) -> Home:
    """The home of a new search."""
    (directory / "search.yaml").write_text(text)
    return run_sweep(directory / "search.yaml", home=directory / "home", debug=True).home


def versions(home: Path, name: str = "tiny") -> list[Any]:
    return list(MlflowClient(resolve_home(home).tracking_uri).search_model_versions(f"name = '{name}'"))


def test_the_winner_is_the_champion_and_registered_once(searched: Path) -> None:
    output = confirm(searched, "tiny", "--seeds", "2")
    client = MlflowClient(resolve_home(searched).tracking_uri)
    (version,) = versions(searched)
    assert client.get_model_version_by_alias("tiny", "champion").version == version.version
    run = client.get_run(version.run_id)
    assert f"the champion is trial tiny-confirm/{run.data.tags['trial.number']}: models:/tiny@champion" in output
    trials = load_trials("tiny-confirm", home=searched)
    plan = json.loads(load_sweeps(home=searched).set_index("name").loc["tiny-confirm", "confirms_plan"])["trials"]
    configurations = trials["trial"].map(lambda number: plan[number % len(plan)])
    means = trials.groupby(configurations)["test/neg_elbo"].mean()
    best = trials[configurations == means.idxmin()]
    assert version.run_id == best.loc[best["best/val/neg_elbo"].idxmin(), "run_id"], "the test split chooses no seed"
    assert version.tags["configuration"] == str(means.idxmin())
    for sweep in ("tiny", "tiny-confirm"):
        note = client.get_run(load_sweeps(home=searched).set_index("name").loc[sweep, "run_id"]).data.tags["mlflow.note.content"]
        assert f"[Champion](#/models/tiny/versions/{version.version})" in note

    mlflow.set_tracking_uri(resolve_home(searched).tracking_uri)
    model = mlflow.pyfunc.load_model("models:/tiny@champion")
    assert len(model.predict(pd.DataFrame(), params={"task": "generate", "count": 3})) == 3

    assert "is there already, and finished" in confirm(searched, "tiny", code=2)
    assert [one.run_id for one in versions(searched)] == [version.run_id], "no second version of the same run"
    client.delete_registered_model("tiny")
    confirm(searched, "tiny", code=2)
    assert [one.run_id for one in versions(searched)] == [version.run_id], "what failed at the end is made up for"


def test_without_a_registry_the_confirmation_is_whole(searched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "http://127.0.0.1:9")
    output = confirm(searched, "tiny", "--top", "1", "--seeds", "1")
    assert "no champion of tiny-confirm was registered: " in output
    assert load_trials("tiny-confirm", home=searched)["state"].tolist() == ["COMPLETE"]
    monkeypatch.delenv("MLFLOW_REGISTRY_URI")
    assert versions(searched) == []


def test_the_best_are_trained_anew_under_fresh_seeds(searched: Path) -> None:
    parents = load_trials("tiny", home=searched)
    best = parents.sort_values("best/val/neg_elbo")["trial"].tolist()[:2]
    output = confirm(searched, "tiny")
    trials = load_trials("tiny-confirm", home=searched)
    assert trials["state"].tolist() == ["COMPLETE"] * 6
    assert trials["seed"].tolist() == [1, 1, 2, 2, 3, 3]
    assert not set(trials["seed"]) & set(parents["seed"])

    sweep = load_sweeps(home=searched).set_index("name").loc["tiny-confirm"]
    assert sweep["confirms"] == "tiny"
    assert sweep["confirms_plan"] == f'{{"trials": {best}, "seeds": [1, 2, 3]}}'
    for number in range(6):
        again = find_trial(f"tiny-confirm/{number}", home=searched).parameters
        assert {**again, "seed": "0"} == find_trial(f"tiny/{best[number % 2]}", home=searched).parameters

    mean = trials["test/neg_elbo"][0::2].mean()
    assert f"Best on test/neg_elbo: trial {best[0]}" in output or f"Best on test/neg_elbo: trial {best[1]}" in output
    assert f"{mean:.2f}" in output
    report = str(report_sweep("tiny-confirm", home=searched))
    assert report.splitlines()[0] == "tiny-confirm"
    assert f"{mean:.2f}" in report
    assert "Holm's correction over 1" in report
    assert report in output or report.split("\n\n")[-1].strip() in output
    csv = str(report_sweep("tiny-confirm", home=searched, format="csv"))
    assert len(csv.splitlines()) == 7, "the machine's formats hold every training"


def test_twice(searched: Path) -> None:
    confirm(searched, "tiny", "--top", "1", "--seeds", "1")
    assert "'tiny-confirm' is there already, and finished: vae-sweeps report tiny-confirm" in confirm(searched, "tiny", code=2)
    assert "--top 1 --seeds 1, which --seeds 4 does not fit" in confirm(searched, "tiny", "--seeds", "4", code=2)
    assert "'tiny-confirm' confirms 'tiny' already" in confirm(searched, "tiny-confirm", code=2)
    assert "does not confirm 'tiny'" in confirm(searched, "tiny", "--name", "tiny", code=2)
    other = confirm(searched, "tiny", "--name", "again", "--top", "1", "--seeds", "1")
    assert "again: trial" in other
    assert "One seed each" in other


def test_unknown_search_and_impossible_names(searched: Path) -> None:
    assert confirm(searched, "tinny", code=2) == f"there is no sweep 'tinny' in {searched}; there are: tiny"
    assert "can name no sweep" in confirm(searched, "tiny", "--name", "x" * 65, code=2)
    assert load_sweeps(home=searched)["name"].tolist() == ["tiny"]


def test_fewer_complete_than_asked_for(searched: Path) -> None:
    assert "of the 9 configurations asked for, 4 were completed: these are confirmed" in made(searched, top=9).remarks
    assert len(made(searched, top=9).trials) == 4


def test_what_waits_for_the_record_is_sent_before_it_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tracking server was away all the time, and is there again: its whole record lies in the spool."""
    close = Tracker.close
    monkeypatch.setattr(Tracker, "close", lambda self, timeout=30.0: close(self, 0.3))
    (tmp_path / "search.yaml").write_text(TINY)
    away = run_sweep(tmp_path / "search.yaml", home=tmp_path / "home", debug=True, tracking_uri="http://127.0.0.1:9")
    assert away.unsent.waiting > 0
    (away.home.sweep_dir("tiny") / "tracking-uri").unlink()
    assert sorted(made(tmp_path / "home", top=4).trials) == [0, 1, 2, 3]


def test_a_record_that_lacks_trials_ranks_nothing(searched: Path) -> None:
    import mlflow

    trials = load_trials("tiny", home=searched)
    best = trials.loc[trials["best/val/neg_elbo"].idxmin()]
    mlflow.MlflowClient(tracking_uri=resolve_home(searched).tracking_uri).delete_run(best["run_id"])
    message = confirm(searched, "tiny", code=2)
    assert "1 complete trial is not, or not wholly, in the record of 'tiny' at sqlite:///" in message
    assert f": {best['trial']}. They were deleted there" in message
    assert load_sweeps(home=searched)["name"].tolist() == ["tiny"]


def test_a_search_that_is_running_is_left_alone(searched: Path) -> None:
    with (searched / "trials" / "tiny" / "driver.lock").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(LaunchError, match="is being run by"):
            made(searched)


def test_nothing_to_confirm_where_all_collapsed(tmp_path: Path) -> None:
    home = search(tmp_path, TINY.replace("run_cap: 4", "run_cap: 2") + "collapse: {min_active_units: 5, action: report}\n")
    with pytest.raises(LaunchError, match=r"no complete trial is ranked \(2 trials: 2 collapsed\)"):
        make_confirmation("tiny", home, top=None, seeds=None, name="c")


def test_collapse_is_told_and_ends_no_training(searched: Path) -> None:
    """A search whose rule stops collapsed trials: under fresh seeds they are trained to the end, and scored."""
    text = TINY.replace("run_cap: 4", "run_cap: 1") + "collapse: {min_active_units: 1, min_rate: 0.001, action: stop}\n"
    home = search(searched.parent, text.replace("name: tiny", "name: strict"))
    spec = make_confirmation("strict", home, top=1, seeds=2, name="c").spec
    assert spec.collapse is not None
    assert spec.collapse.action == "report"
    harsh = parse_sweep(spec_text(spec).replace("min_active_units: 1", "min_active_units: 5"))
    run_sweep(harsh, home=home.root, debug=True)
    report = " ".join(str(report_sweep("c", home=home.root)).split())
    assert "2 of 2" in report
    assert "2 collapsed" in report
    assert "under seeds 1, 2 (4 active units, fewer than 5): counted with the scores that it has." in report


def test_a_searched_seed_is_no_part_of_a_configuration(tmp_path: Path) -> None:
    """Two values by three seeds are two configurations, ranked by their means; the seeds that follow are new."""
    head, tail = TINY.split("parameters:\n")[0], TINY[TINY.index("run_cap") :]
    parameters = "parameters:\n  objective.beta: {values: [0.2, 4.0]}\n  seed: {values: [0, 1, 5]}\n"
    grid = (head + parameters + tail).replace("method: random", "method: grid").replace("run_cap: 4", "run_cap: 6")
    home = search(tmp_path, grid)
    confirmation = make_confirmation("tiny", home, top=5, seeds=3, name="c")
    trials = load_trials("tiny", home=home.root)
    means = trials.groupby("objective.beta")["best/val/neg_elbo"].mean()
    chosen = trials.set_index("trial").loc[confirmation.trials, "objective.beta"].tolist()
    assert chosen == means.sort_values().index.tolist()
    assert confirmation.seeds == [2, 3, 4]
    assert any("differ in the seed only" in remark for remark in confirmation.remarks)


def test_ties_take_the_lower_number_and_say_so(tmp_path: Path) -> None:
    """Patience beyond the planned epochs changes nothing: two configurations with one score."""
    head, tail = TINY.split("parameters:\n")[0], TINY[TINY.index("run_cap") :]
    parameters = "parameters:\n  training.patience: {values: [7, 8, 9]}\n"
    home = search(
        tmp_path, (head + parameters + tail).replace("method: random", "method: grid").replace("run_cap: 4", "run_cap: 3")
    )
    confirmation = make_confirmation("tiny", home, top=1, seeds=1, name="c")
    assert confirmation.trials == [0]
    assert confirmation.remarks == ["trial 0 is equal to 1, 2, left out: of equals the lower number is taken; see --top"]


def test_pruned_trials_are_not_confirmed_and_none_is_pruned(tmp_path: Path) -> None:
    text = TINY.replace("run_cap: 4", "run_cap: 8").replace("epochs: 3", "epochs: 4")
    home = search(tmp_path, text + "early_terminate: {type: asha, min_epochs: 2, eta: 2}\nbudget: {wall_time: 1h}\n")
    trials = load_trials("tiny", home=home.root).set_index("trial")
    assert (trials["state"] == "PRUNED").any()
    confirmation = make_confirmation("tiny", home, top=50, seeds=1, name="c")
    assert set(trials.loc[confirmation.trials, "state"]) == {"COMPLETE"}
    assert confirmation.spec.early_terminate is None
    assert confirmation.spec.budget.wall_time is None


def test_every_digit_of_a_parameter_is_kept(searched: Path) -> None:
    confirmation = made(searched, top=4)
    assert parse_sweep(spec_text(confirmation.spec)) == confirmation.spec
    rates = load_trials("tiny", home=searched).set_index("trial")["optimizer.lr"]
    variants = confirmation.spec.parameters["configuration"].variants
    assert {int(name): change["optimizer.lr"] for name, change in variants.items()} == rates.to_dict()


@pytest.mark.parametrize("section", ["confirm: {top: 0}", "confirm: {seeds: 0}", "confirm: {tops: 3}", "confirm: {top: 101}"])
def test_a_wrong_section_is_told(section: str) -> None:
    with pytest.raises(SweepFileError, match=r"<text>:2\d:\d+: confirm\."):
        parse_sweep(TINY + section + "\n")


def test_confirms_is_not_for_files_by_hand() -> None:
    with pytest.raises(SweepFileError, match=r"<text>:\d+:\d+: confirms.*vae-sweeps confirm"):
        parse_sweep(TINY + "confirms: other\n")


def test_the_report_of_the_search_says_what_its_test_scores_are(searched: Path) -> None:
    words = " ".join(str(report_sweep("tiny", home=searched)).split())
    assert "Each is of one seed; vae-sweeps confirm tiny gives means over fresh ones." in words


def test_validate_accepts_the_file_of_the_record(searched: Path) -> None:
    confirm(searched, "tiny", "--top", "1", "--seeds", "1")
    spec = load_sweep(searched / "trials" / "tiny-confirm" / "sweep.yaml")
    assert spec.confirms == "tiny"


def wait_for_epochs(process: subprocess.Popen[str], home: Path, name: str, epochs: int, seconds: float = 240.0) -> None:
    """Waits until the study of one of the home's sweeps has heard so many epochs; looks at the database without touching it."""
    query = (
        "SELECT count(*) FROM trial_intermediate_values JOIN trials USING (trial_id) JOIN studies USING (study_id)"
        " WHERE study_name = ?"
    )
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.closing(sqlite3.connect(f"file:{home / 'optuna.db'}?mode=ro", uri=True)) as database:
            if database.execute(query, [name]).fetchone()[0] >= epochs:
                return
        time.sleep(0.05)
    process.kill()
    raise AssertionError(f"no {epochs} epochs within {seconds} s: {process.communicate()[0]}")


@pytest.mark.long
@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT], ids=lambda blow: blow.name)
def test_killed_and_gone_on_with_it_gives_the_same_table(tmp_path: Path, blow: signal.Signals) -> None:
    home = search(tmp_path, TINY.replace("epochs: 3", "epochs: 30")).root
    untouched = tmp_path / "untouched"
    shutil.copytree(home, untouched)
    confirm(untouched, "tiny", "--top", "2", "--seeds", "3")

    process = start("confirm", "tiny", "--top", "2", "--seeds", "3", "--home", home, "--debug")
    wait_for_epochs(process, home, "tiny-confirm", 75)
    os.kill(process.pid, blow)
    process.communicate(timeout=120)
    assert process.returncode == (130 if blow == signal.SIGINT else -blow)
    before = load_trials("tiny-confirm", home=home)
    assert (before["state"] == "COMPLETE").sum() < 6
    assert "Provisional" in " ".join(str(report_sweep("tiny-confirm", home=home)).split())

    if blow == signal.SIGINT:
        assert "is there, unfinished, and is gone on with" in confirm(home, "tiny")
    else:
        resumed = start("resume", "tiny-confirm", "--home", home, "--debug")
        output, _ = resumed.communicate(timeout=200)
        assert resumed.returncode == 0, output
    pd.testing.assert_frame_equal(comparable("tiny-confirm", home), comparable("tiny-confirm", untouched), check_exact=True)
    assert report_sweep("tiny-confirm", home=home) == report_sweep("tiny-confirm", home=untouched)


@pytest.mark.long
def test_through_ray_it_is_the_same(searched: Path, tmp_path: Path) -> None:
    debugged = tmp_path / "debugged"
    shutil.copytree(searched, debugged)
    confirm(debugged, "tiny", "--top", "2", "--seeds", "2")
    process = start("confirm", "tiny", "--top", "2", "--seeds", "2", "--home", searched)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert report_sweep("tiny-confirm", home=searched) == report_sweep("tiny-confirm", home=debugged)
