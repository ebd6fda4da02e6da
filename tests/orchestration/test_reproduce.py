"""A row of the table trained again: the same numbers, or a clear word on what is not the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dashboards.home import resolve_home
from orchestration.cli import app
from orchestration.errors import LaunchError
from orchestration.launch import run_sweep
from orchestration.reproduce import lines, reproduce

SWEEP = """\
version: 1
name: tiny
trial:
  data: {kind: digits}
  model: {encoder: {kind: mlp, hidden: [32]}, decoder: {kind: mlp, hidden: [32]}, latent: {kind: gaussian, size: 4}}
  training: {epochs: 3, batch_size: 64}
  evaluation: {importance_samples: 3, importance_examples: 20, samples: 4}
method: random
parameters:
  objective.beta: {min: 0.1, max: 1.0}
early_terminate: {type: asha, min_epochs: 1, eta: 2}
run_cap: 4
"""


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a sweep of four trials, of which some are pruned."""
    directory = tmp_path_factory.mktemp("swept")
    path = directory / "tiny.yaml"
    path.write_text(SWEEP)
    states = {trial.state for trial in run_sweep(path, home=directory / "home", debug=True).trials}
    assert states == {"COMPLETE", "PRUNED"}
    return directory / "home"


def typed(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(words))
    return result.exit_code, result.output


@pytest.mark.parametrize("number", range(4))
def test_every_trial_is_bitwise_the_same_again(swept: Path, number: int) -> None:
    result = reproduce(f"tiny/{number}", resolve_home(swept), lambda message: None)
    assert result.same
    assert result.surroundings == {}
    assert result.values >= 10 * result.epochs


def test_the_command_says_so(swept: Path) -> None:
    code, output = typed("reproduce", "tiny", "--home", str(swept))
    assert code == 0
    assert re.search(r"tiny/\d: bitwise the same: \d+ numbers over 3 epochs", output)


def test_a_number_that_differs_is_shown(swept: Path) -> None:
    import mlflow

    where = resolve_home(swept)
    result = reproduce("tiny/0", where, lambda message: None)
    client = mlflow.MlflowClient(tracking_uri=where.tracking_uri)
    recorded = result.record.metrics["train/loss"]
    client.log_metric(result.record.run_id, "train/loss", recorded * 1.001, step=result.epochs, timestamp=2**41)
    client.set_tag(result.record.run_id, "torch", "1.0")
    again = reproduce("tiny/0", where, lambda message: None)
    try:
        assert not again.same
        assert again.surroundings["torch"][0] == "1.0"
        (difference,) = again.differences
        assert (difference.metric, difference.epochs) == ("train/loss", (result.epochs,))
        assert difference.again == recorded
        assert difference.relative == pytest.approx(0.001 / 1.001)
        assert any("train/loss" in line and "relative 1.0e-03" in line for line in lines(again))
        code, _ = typed("reproduce", "tiny/0", "--home", str(swept))
        assert code == 1
    finally:
        client.log_metric(result.record.run_id, "train/loss", recorded, step=result.epochs, timestamp=2**41 + 1)
        client.set_tag(result.record.run_id, "torch", result.record.tags["torch"])


def test_a_gpu_that_is_not_here_and_other_plugins_are_named(swept: Path) -> None:
    import mlflow
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    where = resolve_home(swept)
    record = reproduce("tiny/0", where, lambda message: None).record
    client = mlflow.MlflowClient(tracking_uri=where.tracking_uri)
    client.set_tag(record.run_id, "device", "NVIDIA H200")
    client.set_tag(record.run_id, "plugins", "other-softmax 1.2")
    try:
        again = reproduce("tiny/0", where, lambda message: None)
        assert again.surroundings == {"device": ("NVIDIA H200", "cpu"), "plugins": ("other-softmax 1.2", "none")}
        _, output = typed("reproduce", "tiny/0", "--home", str(swept))
        first, *_ = output.splitlines()
        assert first == "note: trained on NVIDIA H200, and torch sees no GPU here: this is on the CPU, where the numbers differ"
        assert "not as it was: device NVIDIA H200, now cpu" in output
        assert "not as it was: plugins other-softmax 1.2, now none" in output
    finally:
        client.set_tag(record.run_id, "device", record.tags["device"])
        client.delete_tag(record.run_id, "plugins")


@pytest.mark.parametrize("tag", ["config.fingerprint", "data.fingerprint"])
def test_another_config_or_other_data_are_refused(swept: Path, tag: str) -> None:
    import mlflow

    where = resolve_home(swept)
    record = reproduce("tiny/1", where, lambda message: None).record
    client = mlflow.MlflowClient(tracking_uri=where.tracking_uri)
    client.set_tag(record.run_id, tag, "0123456789abcdef")
    try:
        with pytest.raises(LaunchError, match="0123456789abcdef"):
            reproduce("tiny/1", where, lambda message: None)
    finally:
        client.set_tag(record.run_id, tag, record.tags[tag])


def test_evaluate_scores_a_split(swept: Path) -> None:
    code, output = typed("evaluate", "tiny", "--split", "valid", "--importance-samples", "7", "--home", str(swept))
    assert code == 0
    assert "on valid, 180 examples" in output
    assert re.search(r"iw_nll +\d+\.\d+ ± .*K = 7, 180 examples", output)


def test_evaluate_comes_near_the_recorded_score(swept: Path) -> None:
    """The trial's test score has a seed derived from its own; another seed is another draw, near it."""
    where = resolve_home(swept)
    best = reproduce("tiny", where, lambda message: None).record
    code, output = typed("evaluate", "tiny", "--home", str(swept))
    assert code == 0
    match = re.search(r"neg_elbo +([\d.]+)", output)
    assert match
    assert float(match[1]) == pytest.approx(best.metrics["test/neg_elbo"], rel=0.01)


@pytest.mark.parametrize("command", ["reproduce", "evaluate"])
def test_a_trial_that_is_not_there(swept: Path, command: str) -> None:
    code, _ = typed(command, "tiny/9", "--home", str(swept))
    assert code != 0
