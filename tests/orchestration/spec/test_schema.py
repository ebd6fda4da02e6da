"""The JSON Schema says the same as the checks, as far as a schema can."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from orchestration.spec import SweepFileError, load_sweep, parse_sweep, spec_text
from orchestration.spec.config_tree import dotted_names
from orchestration.spec.schema import json_schema
from orchestration.spec.yaml_source import parse
from orchestration.templates import TEMPLATES, template_text
from tests.conftest import ROOT, TINY
from vae_core.config import TrialConfig
from vae_core.schedules import Linear


@pytest.fixture(scope="module")
def validator() -> Any:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    return jsonschema.Draft202012Validator(json_schema())


@pytest.mark.parametrize("file", sorted((ROOT / "sweeps").glob("*.yaml")), ids=lambda file: file.stem)
def test_what_loads_is_valid(validator: Any, file: Path) -> None:
    validator.validate(parse(file.read_text(), "f").tree)
    validator.validate(parse(spec_text(load_sweep(file)), "f").tree)


@pytest.mark.parametrize("name", TEMPLATES)
def test_templates_are_valid(validator: Any, name: str) -> None:
    validator.validate(parse(template_text(name), "f").tree)


INVALID = {
    "unknown key": ("run_cap: 4", "run_cap: 4\nconfirmation: {top: 3}"),
    "unknown key of confirm": ("run_cap: 4", "run_cap: 4\nconfirm: {tops: 3}"),
    "no run_cap": ("run_cap: 4\n", ""),
    "wrong version": ("version: 1", "version: 2"),
    "unsafe name": ("name: tiny", "name: ../tiny"),
    "unknown method": ("method: random", "method: annealing"),
    "wrong type in the trial": ("epochs: 3", "epochs: three"),
    "unknown key in the trial": ("epochs: 3", "epoch: 3"),
    "unknown kind": ("kind: digits", "kind: letters"),
    "unknown parameter": ("objective.beta:", "objective.betta:"),
    "unknown option": ("linear: {", "linaer: {"),
    "unknown child of an option": ("{warmup: {", "{warm: {"),
    "no form": ("objective.beta: {min: 0.1, max: 1.0}", "objective.beta: 0.3"),
    "two forms": ("objective.beta: {min: 0.1, max: 1.0}", "objective.beta: {min: 0.1, values: [1.0]}"),
    "empty values": ("objective.beta: {min: 0.1, max: 1.0}", "objective.beta: {values: []}"),
    "unknown distribution": ("log_uniform_values", "log_normal"),
    "negative seed": ("seed: 1", "seed: -1"),
    "no time": ("run_cap: 4", "run_cap: 4\nbudget: {wall_time: ''}"),
}


@pytest.mark.parametrize(("old", "new"), INVALID.values(), ids=INVALID)
def test_what_the_schema_refuses_the_loader_refuses(validator: Any, old: str, new: str) -> None:
    text = TINY.replace(old, new, 1)
    assert text != TINY
    assert not validator.is_valid(parse(text, "f").tree)
    with pytest.raises(SweepFileError):
        parse_sweep(text)
    assert validator.is_valid(parse(TINY, "f").tree)


def test_a_grid_needs_no_run_cap(validator: Any) -> None:
    text = TINY.replace("run_cap: 4\n", "").replace("method: random", "method: grid")
    assert validator.is_valid(parse(text, "f").tree)


def test_every_field_of_a_trial_is_known_as_a_parameter() -> None:
    known = json_schema()["$defs"]["parameters.TrialConfig"]["properties"]
    leaves = set(dotted_names(TrialConfig))
    sections = {name for name in leaves if any(other.startswith(f"{name}.") for other in leaves)}
    assert leaves - sections <= set(known) <= leaves
    assert "choices" in known["model.softmax"]["properties"]


def test_fields_are_explained_and_the_whole_is_plain_json() -> None:
    schema = json_schema()
    assert json.loads(json.dumps(schema)) == schema
    assert schema["$defs"]["trial.Linear"]["properties"]["warmup"]["description"] == (Linear.model_fields["warmup"].description)
    references = set(_references(schema))
    assert {reference.removeprefix("#/$defs/") for reference in references} <= set(schema["$defs"])


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in _references(value)]
    return [found for value in node for found in _references(value)] if isinstance(node, list) else []
