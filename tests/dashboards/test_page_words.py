"""The page's answer is computed, with its uncertainty; its methods cite the papers of what was trained."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dashboards.page.answer import answer
from dashboards.page.methods import methods
from tests.conftest import ROOT
from tests.dashboards.test_analysis import sweep_row, trials_of
from tests.test_methods import TABLES

PAPERS: dict[str, Any] = tomllib.loads((ROOT / "dashboards" / "page" / "references.toml").read_text())
CITED = {**PAPERS["options"], **PAPERS["fields"]}
_PLAIN = str.maketrans("ØøéćÉ", "Ooece")
ROWS = [
    (heading, row[0].strip("`"), row[1], row[2])
    for heading, rows in TABLES.items()
    if heading not in ("Figures of a trial", "generate --decoding")
    for row in rows
    if row[2] != "–" and row[0].strip("`") != "evaluation.samples"  # of one kind of model alone
]


@pytest.mark.parametrize(("heading", "name", "year", "paper"), ROWS, ids=lambda value: str(value)[:30])
def test_each_method_has_the_papers_of_its_row(heading: str, name: str, year: str, paper: str) -> None:
    keys = [name] if heading == "Further options" else [f"{heading}.{name}"]
    found = [own for key, own in CITED.items() if key in keys or (heading == "Further options" and key.startswith(f"{name}."))]
    assert found, f"references.toml has nothing on {keys[0]}"
    texts = [PAPERS["papers"][key] for own in found for key in own]
    surname = re.match(r"[\w-]+", paper)
    if name == "csv":
        assert "RFC 4180" in texts[0]
        return
    assert surname
    named = [text for text in texts if text.translate(_PLAIN).startswith(surname[0].translate(_PLAIN))]
    assert named, (surname[0], texts)
    assert any(f"({year})" in text for text in texts), (year, texts)


def test_every_paper_is_called_for_and_there() -> None:
    called = {key for part in ("options", "fields", "search", "analyses") for own in PAPERS[part].values() for key in own}
    assert called == set(PAPERS["papers"])
    for text in PAPERS["papers"].values():
        assert re.fullmatch(r".+ \((19|20)\d\d\)\. .+\..+\.", text), text


PARAMETERS = {
    "data.kind": "digits",
    "model.encoder.kind": "mlp",
    "model.decoder.kind": "mlp",
    "model.decoder.dropout": "0.0",
    "model.condition": "null",
    "model.latent.kind": "gaussian",
    "model.latent.size": "8",
    "objective.kind": "elbo",
    "objective.annealing.kind": "cyclical",
    "objective.free_bits.kind": "batch",
    "optimizer.kind": "adam",
    "optimizer.lr": "0.002",
    "training.epochs": "60",
    "training.precision": "float32",
    "evaluation.importance_samples": "50",
}


def test_the_methods_are_those_that_were_used() -> None:
    trials = trials_of([3.0, 1.0], objective__annealing__kind=["cyclical", "linear"], optimizer__lr=[1e-3, 2e-3])
    sweep = sweep_row(("objective.annealing.kind", "optimizer.lr"), method="tpe")
    written = methods(PARAMETERS, trials, sweep, ["rate_distortion"])
    text = " ".join(written.sentences)
    for author in ("Fu, H.", "Sønderby", "Kingma, D. P. & Ba", "Bergstra", "Alemi", "Kingma, D. P., Salimans"):
        assert any(paper.startswith(author) for paper in written.references), author
    assert not any("Srivastava" in paper or "Sohn" in paper or "Kalamkar" in paper for paper in written.references)
    numbers = [int(number) for marks in re.findall(r"\[([\d, ]+)\]", text) for number in marks.split(", ")]
    assert set(numbers) == set(range(1, len(written.references) + 1)), "each reference is called for, and none is missing"
    assert "annealing: cyclical" in text
    assert "K = 50" in text


def test_one_seed_each_has_no_interval_and_says_so() -> None:
    trials = trials_of([2.0, 1.5, 3.0])
    trials["test/neg_elbo"] = [2.0, 2.5, 3.0]
    first, *more = answer(trials, sweep_row(method="random"))
    assert first.startswith("Trial 1 (beta 0.2) scored best: best/val/neg_elbo 1.5 among 3 ranked, with one seed each")
    assert "lead of 0.5 over trial 0 has no interval; the test set does NOT agree (2.5 against 2)" in first
    assert more == []


def test_what_decided_most_has_its_intervals() -> None:
    draw = np.random.default_rng(0)
    scores = [*draw.normal(10, 0.1, 10), *draw.normal(20, 0.1, 10)]
    trials = trials_of(scores, objective__beta=[0.5] * 10 + [1.0] * 10, other=list(draw.uniform(0, 1, 20)))
    told = answer(trials, sweep_row(("objective.beta", "other"), method="random"))
    assert len(told) == 2
    assert re.search(r"What decided most was beta .* is 10\.\d+ \[.*\] at 0\.5 and (19|20)\.\d+ \[.*\] at 1 ", told[1])
    assert "overlap" not in told[1]
    assert "no random sample" in answer(trials, sweep_row(("objective.beta", "other"), method="tpe"))[1]


def test_several_seeds_are_compared_by_pairs() -> None:
    trials = trials_of([1.0, 2.0, 3.0, 1.01, 1.99, 3.02], objective__beta=[0.1] * 3 + [0.2] * 3, seed=[0, 1, 2] * 2)
    told = answer(trials, pd.concat([sweep_row(method="random"), pd.Series({"seeds": 3})]))[0]
    assert "± 1 (mean ± standard deviation of 3 seeds)" in told
    assert "the one it was compared with cannot be told apart from it, by +0.0067" in told


def test_the_best_is_the_one_that_was_compared() -> None:
    """The best trial is of a configuration that collapsed under its other seed; the best mean is another's."""
    trials = trials_of([0.5, 9.0, 1.0, 1.1, 2.0, 2.1], objective__beta=[0.1] * 2 + [0.2] * 2 + [0.3] * 2, seed=[0, 1] * 3)
    trials["state"] = ["COMPLETE", "COLLAPSED"] + ["COMPLETE"] * 4
    told = answer(trials, sweep_row(("objective.beta", "seed"), method="grid"))[0]
    assert told.startswith("Configuration (trials 2 and 3; beta 0.2) scored best: best/val/neg_elbo 1.05 ± 0.071 (mean")
    assert "1 configuration that collapsed under some seeds had no part" in told


def test_what_has_no_pairs_says_why() -> None:
    parameters = ("objective.beta", "seed")
    alone = trials_of([1.0, 2.0], objective__beta=[0.1, 0.1], seed=[0, 1])
    assert "differ only in their seed: 1.5 ± 0.71" in answer(alone, sweep_row(parameters, method="grid"))[0]
    uneven = trials_of([1.0, 2.0, 3.0], objective__beta=[0.1, 0.1, 0.2], seed=[0, 1, 0])
    told = answer(uneven, sweep_row(parameters, method="grid"))[0]
    assert "no two configurations share two seeds, so that its lead of 2 over trial 2" in told
    equal = trials_of([1.0, 1.0])
    equal["test/neg_elbo"] = [3.0, 3.0]
    told = answer(equal, sweep_row(method="random"))[0]
    assert "equal to trial 1, with one seed each, so that their equality has no interval" in told
    assert "the test set tells no difference (3 against 3)" in told


def test_survivors_are_no_random_sample() -> None:
    trials = trials_of([*np.linspace(1, 2, 20), 3.0], objective__beta=[0.1, 0.2] * 10 + [0.1])
    trials.loc[20, "state"] = "PRUNED"
    assert "no random sample (pruned ones are left out)" in answer(trials, sweep_row(method="random"))[1]


def test_choices_that_led_to_collapse_alone_are_told() -> None:
    softmax = ["full", "full", "sampled", "sampled", "adaptive"]
    proposal = [None, None, "unigram", "unigram", None]
    states = ["COMPLETE", "COMPLETE", "COLLAPSED", "COLLAPSED", "COLLAPSED"]
    trials = trials_of([1.0, 2.0, 3.0, 4.0, 5.0], state=states, model__softmax__kind=softmax, model__softmax__proposal=proposal)
    told = answer(trials, sweep_row(("model.softmax.kind", "model.softmax.proposal"), method="random"))[-1]
    assert told == "All 2 trials with softmax sampled collapsed.", "one trial says nothing, and the same trials are told of once"


def test_nothing_ranked_has_no_answer() -> None:
    assert answer(trials_of([1.0], state=["FAILED"]), sweep_row(method="random")) == []
