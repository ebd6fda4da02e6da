"""Searches that rank unlike things together are allowed, and warned of."""

from __future__ import annotations

import pytest

from orchestration.planning.plan import make_plan
from orchestration.spec import parse_sweep
from orchestration.spec.beware import warnings_of
from tests.conftest import TINY

HEAD, TAIL = TINY[: TINY.index("parameters:")], TINY[TINY.index("run_cap") :]
PARAMETERS = {
    "a variant of it": (
        "told: {variants: {no: {}, yes: {model.condition: {}}}}",
        "told is searched, and with it what val/neg_elbo is of changes (p(x) or, told the label, p(x|y))",
    ),
    "the width of what is told": ("model.condition.embedding: {values: [4, 8]}", None),
    "one variant that takes it away": (
        "told: {variants: {as it is: {}, no: {model.condition: null}}}",
        "told is searched, and with it what val/neg_elbo is of changes (p(x) or, told the label, p(x|y))",
    ),
    "likelihood": (
        "model.likelihood: {choices: {gaussian: {}, continuous_bernoulli: {}}}",
        "model.likelihood is searched, and with it what val/neg_elbo is of changes (the likelihood: a probability, or a density)",
    ),
    "data": (
        "data.split.seed: {values: [0, 1]}",
        "data.split.seed is searched, and with it what val/neg_elbo is of changes (the data, or how they are read)",
    ),
    "one value": ("data.split.seed: {value: 1}", None),
    "a fixed likelihood's variance": ("model.likelihood: {choices: {gaussian: {variance: {values: [0.1, 0.2]}}}}", None),
    "nothing of that": ("optimizer.lr: {min: 1e-3, max: 1e-2}", None),
}


@pytest.mark.parametrize(("parameter", "warning"), PARAMETERS.values(), ids=PARAMETERS)
def test_what_changes_the_score_s_meaning_is_named(parameter: str, warning: str | None) -> None:
    head = HEAD.replace("kind: digits}", "kind: digits, labels: true, pixels: PIXELS}")
    text = f"{head}parameters:\n  {parameter}\n{TAIL}".replace("PIXELS", "grey" if "likelihood" in parameter else "dynamic")
    if "as it is" in parameter:
        text = text.replace("  model: {", "  model: {condition: {}, ")
    spec = parse_sweep(text)
    found = warnings_of(spec)
    assert len(found) == (0 if warning is None else 1)
    if warning is not None:
        assert found[0].startswith(warning)
        assert found[0] in make_plan(spec, profile="none").notes


def test_a_metric_that_is_no_likelihood_is_not_concerned() -> None:
    text = f"{HEAD}parameters:\n  data.split.seed: {{values: [0, 1]}}\n{TAIL}"
    assert warnings_of(parse_sweep(text))
    assert not warnings_of(
        parse_sweep(text.replace("name: val/neg_elbo, goal: minimize", "name: val/active_units, goal: maximize"))
    )


TEXT = """
version: 1
name: contests
trial:
  data: {kind: python_docs}
  model: {encoder: {kind: lstm}, decoder: {kind: lstm}, latent: {kind: gaussian, size: 8}}
method: grid
metric: {name: val/neg_elbo, goal: minimize}
"""
CONTESTS = {
    "a choice": ("parameters: {model.softmax: {choices: {full: {}, one_vs_each: {}}}}", True),
    "the trial's own": ("parameters: {objective.beta: {values: [20, 50]}}", True),
    "not clipped": ("parameters: {training.clip_norm: {value: null}, model.softmax: {choices: {one_vs_each: {}}}}", False),
    "a variant of its own": (
        "parameters: {s: {variants: {b: {model.softmax.kind: one_vs_each, training.clip_norm: null, objective.beta: 50}}}}",
        False,
    ),
    "another": ("parameters: {model.softmax: {choices: {full: {}, nce: {}}}}", False),
}


@pytest.mark.parametrize(("parameters", "warned"), CONTESTS.values(), ids=CONTESTS)
def test_one_vs_each_is_not_for_the_usual_clipping(parameters: str, warned: bool) -> None:
    text = TEXT.replace("size: 8}}", "size: 8}, softmax: {kind: one_vs_each}}") if "beta: {values" in parameters else TEXT
    found = warnings_of(parse_sweep(text + parameters))
    assert [warning.startswith("the training loss of model.softmax.kind one_vs_each") for warning in found] == [True] * warned
