"""Variants: several places of the trial changed together, under a name of the file's own."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import jsonschema
import optuna
import pandas as pd
import pytest

from dashboards import load_trials
from dashboards.status import report_sweep
from orchestration import run_sweep
from orchestration.spec import SweepFileError, SweepSpec, parse_sweep, spec_text
from orchestration.spec.schema import json_schema
from orchestration.spec.search_space import SearchSpace, make_trial_config
from orchestration.spec.variants import in_words, taken
from orchestration.spec.yaml_source import parse
from orchestration.study import planned_trials
from orchestration.trial_view import trial_text
from tests.conftest import TINY

VARIANTS = (
    TINY[: TINY.index("parameters:")].replace("method: random", "method: grid")
    + """\
parameters:
  optimizer.lr: {values: [1e-3, 1e-2]}
  remedy:
    variants:
      plain: {}
      weaker: {objective.beta: 0.5, training.epochs: 4}
      other decoder: {model.decoder: {kind: conv, channels: [8]}, objective.free_bits: {kind: batch, nats: 0.1}}
"""
)


def sweep(*changes: tuple[str, str]) -> SweepSpec:
    text = VARIANTS
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return parse_sweep(text, "f.yaml")


def test_a_grid_has_every_variant_once_with_all_that_it_sets() -> None:
    spec = sweep()
    space = SearchSpace(spec.parameters)
    assert (space.size(), spec.run_cap, planned_trials(spec)) == (6, 6, 6)
    grid = list(space.grid())
    assert [point["remedy"] for point in grid] == ["plain", "weaker", "other decoder"] * 2
    assignments = [space.suggest(optuna.trial.FixedTrial(point)) for point in grid]
    assert assignments[0] == {"optimizer.lr": 1e-3}
    assert assignments[1] == {"optimizer.lr": 1e-3, "objective.beta": 0.5, "training.epochs": 4}
    plain, weaker, other = (make_trial_config(spec, assignment) for assignment in assignments[:3])
    assert (weaker.objective.beta, weaker.training.epochs) == (0.5, 4)
    assert weaker.model == plain.model
    assert (plain.training.epochs, plain.objective.free_bits) == (3, None)
    assert other.model.decoder.to_dict() == {**other.model.decoder.to_dict(), "kind": "conv", "channels": [8]}
    assert other.objective.free_bits is not None


def test_columns_are_what_some_variant_sets() -> None:
    names = ["optimizer.lr", "objective.beta", "training.epochs", "model.decoder.kind", "model.decoder.channels"]
    assert SearchSpace(sweep().parameters).names == [*names, "objective.free_bits.kind", "objective.free_bits.nats"]


def test_any_method_draws_them() -> None:
    spec = sweep(("method: grid", "run_cap: 4\nmethod: tpe"))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = [SearchSpace(spec.parameters).suggest(study.ask()) for _ in range(40)]
    assert {len(assignment) for assignment in drawn} == {1, 3}
    assert {trial.params["remedy"] for trial in study.get_trials()} == {"plain", "weaker", "other decoder"}


def test_below_a_choice_they_are_its_own() -> None:
    strength = "{choices: {elbo: {strength: {variants: {low: {beta: 0.1}, high: {beta: 2.0, samples: 2}}}}}}"
    text = VARIANTS[: VARIANTS.index("  remedy:")].replace("  objective: {kind: elbo}\n", "") + f"  objective: {strength}\n"
    spec = parse_sweep(text, "f.yaml")
    space = SearchSpace(spec.parameters)
    found = [make_trial_config(spec, space.suggest(optuna.trial.FixedTrial(point))).objective for point in space.grid()]
    assert [(objective.beta, objective.samples) for objective in found] == [(0.1, 1), (2.0, 2)] * 2


def test_the_file_comes_back_as_it_was_and_the_schema_knows_it() -> None:
    spec = sweep(("plain: {}", "plain: {training.patience: null}"))
    assert parse_sweep(spec_text(spec), "f.yaml") == spec
    validator = jsonschema.Draft202012Validator(json_schema())
    validator.validate(parse(spec_text(spec), "f").tree)
    assert not validator.is_valid(parse(VARIANTS.replace("variants:", "variant:"), "f").tree)


FAULTS: dict[str, tuple[tuple[str, str], str, str]] = {
    "no such field": (("objective.beta: 0.5", "objective.betta: 0.5"), "parameters.remedy.variants.weaker", "no such field"),
    "wrong value": (
        ("training.epochs: 4", "training.epochs: 0"),
        "parameters.remedy.variants.weaker",
        "greater than or equal to 1",
    ),
    "inside a mapping": (("channels: [8]", "channels: []"), "parameters.remedy.variants.other decoder", "must hold at least 1"),
    "another kind's field": (("kind: conv", "kind: lstm"), "parameters.remedy.variants.other decoder", "no field of kind lstm"),
    "misfit": (("conv, channels: [8]", "lstm"), "parameters.remedy.variants.other decoder", "lstm reads text"),
    "set elsewhere too": (
        ("objective.beta: 0.5", "optimizer.lr: 0.5"),
        "parameters.remedy.variants.weaker",
        "set twice, here and in parameters.optimizer.lr",
    ),
    "no variant": (("variants:\n      plain: {}", "variants: {}\n    x: {y: {}}"), "parameters.remedy", ""),
}


@pytest.mark.parametrize(("change", "place", "message"), FAULTS.values(), ids=FAULTS)
def test_a_fault_of_a_variant_is_told_at_its_place(change: tuple[str, str], place: str, message: str) -> None:
    text = VARIANTS if change[0] != "variants:\n      plain: {}" else VARIANTS[: VARIANTS.index("      weaker")]
    with pytest.raises(SweepFileError) as caught:
        parse_sweep(text.replace(*change, 1), "f.yaml")
    faults: list[Any] = [fault for fault in caught.value.faults if fault.path.startswith(place) and message in fault.message]
    assert faults, str(caught.value)
    assert faults[0].line is not None


def test_a_sweep_of_variants_runs_and_its_rows_tell_them_apart(tmp_path: Path) -> None:
    """Columns hold what a variant sets, and the trial's own value where it sets nothing."""
    path = tmp_path / "variants.yaml"
    text = VARIANTS.replace("  optimizer.lr: {values: [1e-3, 1e-2]}\n", "").replace("training.epochs: 4", "model.latent.size: 3")
    path.write_text(text.replace("name: tiny", "name: variants"))
    result = run_sweep(path, home=tmp_path / "home", debug=True)
    assert [view.state for view in result.trials] == ["COMPLETE"] * 3
    trials = load_trials("variants", home=tmp_path / "home").sort_values("trial")
    assert trials["model.latent.size"].tolist() == [4, 3, 4]
    assert trials["model.decoder.kind"].tolist() == ["mlp", "mlp", "conv"]
    assert trials["objective.beta"].tolist() == [1.0, 0.5, 1.0]
    assert trials["remedy"].tolist() == ["plain", "weaker", "other decoder"]
    assert result.ended_by == "grid"


def test_their_names_stand_in_every_report(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    path = tmp_path / "variants.yaml"
    path.write_text(VARIANTS.replace("name: tiny", "name: variants").replace("values: [1e-3, 1e-2]", "value: 1e-3"))
    home = run_sweep(path, home=tmp_path / "home", debug=True).home
    table = str(report_sweep("variants", home=home.root))
    heading = next(line for line in table.splitlines() if "remedy" in line)
    assert "decoder" not in heading, "what a variant sets has no columns of its own"
    assert all(name in table for name in ("plain", "weaker", "other decoder"))
    assert re.search(r"remedy\s+(plain|weaker|other decoder)\)", table), "in the words of a configuration"
    csv = pd.read_csv(io.StringIO(str(report_sweep("variants", home=home.root, format="csv"))))
    assert dict(zip(csv["trial"], csv["remedy"], strict=True)) == {0: "plain", 1: "weaker", 2: "other decoder"}
    assert csv.set_index("trial").loc[1, "objective.beta"] == 0.5
    assert "remedy  weaker" in trial_text("variants/1", home)
    (sweep,) = MlflowClient(home.tracking_uri).search_runs(["1"], "tags.kind = 'sweep'")
    note = sweep.data.tags["mlflow.note.content"]
    assert "remedy&emsp;" in note
    assert "other decoder&emsp;" in note
    assert "channels" not in note


def test_an_assignment_is_known_by_its_variant() -> None:
    spec = sweep()
    for name in ("plain", "weaker", "other decoder"):
        assignment = SearchSpace(spec.parameters).assignment({"optimizer.lr": 1e-3, "remedy": name})
        assert taken(spec.parameters, assignment) == {"remedy": name}
        assert in_words(spec.parameters, assignment) == {"optimizer.lr": 1e-3, "remedy": name}


def test_a_capped_grid_and_a_whole_one_end_by_their_own_names(tmp_path: Path) -> None:
    path = tmp_path / "variants.yaml"
    path.write_text(VARIANTS + "run_cap: 2\n")
    result = run_sweep(path, home=tmp_path / "home", debug=True)
    assert (len(result.trials), result.ended_by) == (2, "run_cap")


def test_a_variant_that_leads_through_a_plain_value_is_a_fault_of_that_value() -> None:
    with pytest.raises(SweepFileError, match=r"trial\.training: must be a mapping"):
        sweep(("training: {epochs: 3, batch_size: 64}", "training: 3"))
