from __future__ import annotations

import math
from pathlib import Path

import pytest

from dashboards import StoreError, UnknownRun, UnknownSweep, load_trials
from dashboards.trial import find_trial, trial_artifacts
from tests.dashboards.conftest import Writer, text_trial


def test_by_sweep_and_number(softmax: Writer) -> None:
    trials = load_trials("softmax", home=softmax.home).set_index("trial")
    for name in ("softmax/1", "softmax/001"):
        record = find_trial(name, home=softmax.home)
        assert (record.number, record.run_id) == (1, trials["run_id"][1])
    assert record.parameters["model.softmax.cutoffs"] == "[2000, 10000]"
    assert record.metrics == {"train/step": 100.0, "val/neg_elbo": 80.0}
    assert record.tags["trial.state"] == "PRUNED"


def test_by_run_id(softmax: Writer) -> None:
    for number, run_id in enumerate(load_trials("softmax", home=softmax.home)["run_id"]):
        record = find_trial(run_id, home=softmax.home)
        assert (record.number, record.run_id, record.sweep) == (number, run_id, "whatever")


def test_what_a_trial_knows_of_labels_and_of_infinity(writer: Writer) -> None:
    parent = writer.sweep("s", ["a"])
    parameters = [{"model.condition": "null"}, {"model.condition.embedding": "4"}, {"model.prior.kind": "label"}]
    for number, own in enumerate(parameters):
        writer.trial(parent, number, own, final={"test/neg_elbo": -math.inf})
    found = [find_trial(f"s/{number}", home=writer.home) for number in range(3)]
    assert [record.knows_labels for record in found] == [False, True, True]
    assert found[0].metrics["test/neg_elbo"] == -math.inf, "and not the largest number that the database holds"


def test_a_sweep_stands_for_its_best_complete_trial(softmax: Writer) -> None:
    assert find_trial("softmax", home=softmax.home).number == 2


def test_the_best_is_the_largest_where_more_is_better(writer: Writer) -> None:
    parent = writer.sweep("units", ["a"], metric_name="val/active_units", metric_goal="maximize")
    for number, units in enumerate([3, 9, 9, 5]):
        writer.trial(parent, number, {"a": "1"}, final={"best/val/active_units": units})
    writer.trial(parent, 4, {"a": "1"}, final={"best/val/active_units": 99}, state="COLLAPSED")
    writer.trial(parent, 5, {"a": "1"})
    assert find_trial("units", home=writer.home).number == 1


def test_of_two_sweeps_of_one_name_the_newer_and_its_goal_count(writer: Writer) -> None:
    older = writer.sweep("s", ["a"])
    writer.trial(older, 0, {"a": "1"}, **text_trial(1.0))
    newer = writer.sweep("s", ["a"], metric_name="val/active_units", metric_goal="maximize")
    for number, units in enumerate([3, 9]):
        writer.trial(newer, number, {"a": "1"}, final={"best/val/active_units": units, "best/val/neg_elbo": units})
    record = find_trial("s", home=writer.home)
    assert (record.number, record.tags["mlflow.parentRunId"]) == (1, newer)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("softmax/5", "the sweep 'softmax' has no trial '5'; its trials are 0 to 4"),
        ("softmax/-1", "has no trial '-1'; its trials are 0 to 4"),
        ("softmax/", "has no trial ''"),
        ("softmax/1/2", "has no trial '1/2'"),
        ("sofmax", r"no trial's run has the id 'sofmax', and there is no sweep 'sofmax': did you mean softmax\?"),
        ("", "no trial's run has the id ''"),
    ],
)
def test_an_unknown_trial_offers_what_there_is(name: str, message: str, softmax: Writer) -> None:
    with pytest.raises(UnknownRun, match=message):
        find_trial(name, home=softmax.home)


def test_an_unknown_sweep_with_a_number(softmax: Writer) -> None:
    with pytest.raises(UnknownSweep, match=r"no sweep 'sofmax': did you mean softmax\?"):
        find_trial("sofmax/0", home=softmax.home)


def test_a_sweeps_own_run_is_no_trial(writer: Writer) -> None:
    parent = writer.sweep("s", ["a"])
    with pytest.raises(UnknownRun, match="no trial's run has the id"):
        find_trial(parent, home=writer.home)


def test_a_sweep_without_trials(writer: Writer) -> None:
    writer.sweep("s", ["a"])
    with pytest.raises(UnknownRun, match=r"the sweep 's' has no trial '0'; it has none yet$"):
        find_trial("s/0", home=writer.home)
    with pytest.raises(UnknownRun, match=r"no complete trial with best/val/neg_elbo yet, for it has none at all$"):
        find_trial("s", home=writer.home)


def test_a_sweep_without_a_complete_trial_names_one_that_there_is(writer: Writer) -> None:
    parent = writer.sweep("s", ["a"])
    writer.trial(parent, 3, {"a": "1"}, state="PRUNED", final={"best/val/neg_elbo": 1.0})
    with pytest.raises(UnknownRun, match=r"no complete trial with best/val/neg_elbo yet; name one by its number: s/3$"):
        find_trial("s", home=writer.home)


def test_a_run_that_this_program_did_not_write(writer: Writer) -> None:
    foreign = writer.client.create_run(writer.experiment(), tags={"kind": "trial"}).info.run_id
    with pytest.raises(StoreError, match="has no tag 'sweep': no record of a sweep"):
        find_trial(foreign, home=writer.home)


def test_artifacts_are_there_as_long_as_the_context(softmax: Writer) -> None:
    record = find_trial("softmax", home=softmax.home)
    softmax.client.log_text(record.run_id, "one\ntwo\n", "samples/samples.txt")
    softmax.client.log_text(record.run_id, "version: 1\n", "config.yaml")
    with trial_artifacts(record, "samples", home=softmax.home) as directory:
        assert [(file.name, file.read_text()) for file in directory.iterdir()] == [("samples.txt", "one\ntwo\n")]
    assert not Path(directory).exists()
    for path in ("config.yaml", "samples/samples.txt"):
        with trial_artifacts(record, path, home=softmax.home) as file:
            assert file.is_file()


@pytest.mark.parametrize("path", ["samples", "samples/samples.txt", "checkpoint"])
def test_a_trial_without_the_artifact(path: str, softmax: Writer) -> None:
    record = find_trial("softmax/1", home=softmax.home)
    softmax.client.log_text(record.run_id, "text", "samples.txt")
    with (
        pytest.raises(UnknownRun, match=f"trial whatever/1 \\(PRUNED\\) has no {path}: only a complete trial keeps it"),
        trial_artifacts(record, path, home=softmax.home),
    ):
        pytest.fail("entered without the artifact")


def test_where_all_collapsed_the_best_of_them_is_shown(writer: Writer) -> None:
    parent = writer.sweep("s", ["a"])
    for number, value in enumerate([3.0, 1.0, 2.0]):
        writer.trial(parent, number, {"a": "1"}, final={"best/val/neg_elbo": value}, state="COLLAPSED")
    writer.trial(parent, 3, {"a": "1"}, state="PRUNED")
    assert find_trial("s", home=writer.home).number == 1
