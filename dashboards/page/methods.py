"""What was trained and by whose methods: a paragraph and its references, computed from a trial's recorded configuration."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import pandas as pd

from dashboards.analysis import searched_places
from dashboards.words import count_of, listed, plain

_OFF = ("null", "false", "0", "0.0")
"""What is logged where an option is not used."""
_CHAIN = (
    ("data", "data"),
    ("encoder", "model.encoder"),
    ("decoder", "model.decoder"),
    ("posterior", "model.latent"),
    ("prior", "model.prior"),
    ("likelihood layer", "model.softmax"),
    ("objective", "objective"),
    ("annealing", "objective.annealing"),
    ("optimiser", "optimizer"),
    ("procedure", "training.procedure"),
)
"""The places that every trial has, as the paragraph names them."""


@dataclass(frozen=True)
class Methods:
    """The paragraph, in sentences, with the numbers of its references in brackets; and these, in order."""

    sentences: tuple[str, ...]
    references: tuple[str, ...]


@cache
def _papers() -> Mapping[str, Any]:
    return tomllib.loads(resources.files("dashboards.page").joinpath("references.toml").read_text(encoding="utf-8"))


def methods(parameters: Mapping[str, str], trials: pd.DataFrame, sweep: pd.Series[Any], kinds: Iterable[str] = ()) -> Methods:
    """From the flat configuration of one trial, and what the others have in place of it.

    Args:
        parameters: a trial's, as logged (``trial_of(run_id).parameters``).
        trials: ``load_trials``: what was searched has all its values there.
        kinds: of the figures that stand beside the paragraph.
    """
    cited = _Cited()
    places = searched_places(sweep)
    values = {name: _values(trials, name, parameters) for name in {*parameters, *places}}
    used = [name for _, name in _CHAIN]
    told = []
    for words, place in _CHAIN:
        options = values.get(f"{place}.kind", [])
        if options and not (place == "model.softmax" and "model.decoder.tie_embeddings" not in parameters):
            told.append(f"{words}: {listed(f'{option}{cited.of_option(place, option)}' for option in options)}")
    others = list(_others(values, used, cited))
    sentences = [f"Each trial is a variational autoencoder: {'; '.join(told)}."] if told else []
    if others:
        sentences.append(f"Also {listed(others)}.")
    sentences.append(_training(values))
    sentences.append(_search(trials, sweep, values, cited))
    kinds = [kind for kind in kinds if kind in _papers()["analyses"]]
    if kinds:
        sentences.append(f"Figures: {listed(_FIGURES[kind] + cited.of(_papers()['analyses'][kind]) for kind in kinds)}.")
    return Methods(tuple(sentence for sentence in sentences if sentence), tuple(cited.references))


_FIGURES = {
    "importance": "importance by PED-ANOVA",
    "rate_distortion": "the rate-distortion plane",
    "progress": "the expected best of random draws",
    "seeds": "differences with bootstrap intervals and Holm's correction",
}


class _Cited:
    """Gives numbers to papers in the order in which they are called for."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    @property
    def references(self) -> list[str]:
        return [str(_papers()["papers"][key]) for key in self._numbers]

    def of(self, keys: Sequence[str]) -> str:
        """`` [1, 2]``; nothing for no paper."""
        numbers = [self._numbers.setdefault(key, len(self._numbers) + 1) for key in keys]
        return f" [{', '.join(map(str, sorted(numbers)))}]" if numbers else ""

    def of_option(self, place: str, option: str) -> str:
        return self.of(_papers()["options"].get(f"{place}.{option}", []))


def _others(values: Mapping[str, Sequence[str]], used: Sequence[str], cited: _Cited) -> Iterator[str]:
    """Everything else that some trial uses and a paper stands for, with its references."""
    for key, papers in _papers()["options"].items():
        place, _, option = key.rpartition(".")
        if place not in used and option in (*values.get(f"{place}.kind", []), *values.get(place, [])):
            yield f"{place} {option}{cited.of(papers)}"
    for place, papers in _papers()["fields"].items():
        if any(value not in _OFF for value in values.get(place, [])) or any(name.startswith(f"{place}.") for name in values):
            yield f"{place}{cited.of(papers)}"


def _values(trials: pd.DataFrame, name: str, parameters: Mapping[str, str]) -> list[str]:
    """What the trials have at a place, each once, as it is logged."""
    if name not in trials or trials[name].isna().all():
        return [parameters[name]] if name in parameters else []
    present = list(trials[name].dropna().unique())
    present.sort(key=str if any(isinstance(value, str) for value in present) else None)
    return [str(value).lower() if isinstance(value, bool) else str(value) for value in present]


def _training(values: Mapping[str, Sequence[str]]) -> str:
    told = []
    for words, name in (("epochs", "training.epochs"), ("examples a batch", "training.batch_size")):
        if name in values:
            told.append(f"{listed(values[name])} {words}")
    if "optimizer.lr" in values:
        rates = [_number(value) for value in values["optimizer.lr"]]
        told.append(f"learning rate {_span(rates)}")
    if "model.latent.size" in values:
        told.append(f"{listed(values['model.latent.size'])} latent dimensions")
    samples, examples = values.get("evaluation.importance_samples"), values.get("evaluation.importance_examples")
    scored = ""
    if samples:
        where = "all" if not examples or "null" in examples else listed(examples)
        scored = f" Test likelihoods: importance-weighted bound, K = {listed(samples)}, on {where} test examples."
    return f"Training: {', '.join(told)}.{scored}" if told else scored.strip()


def _search(trials: pd.DataFrame, sweep: pd.Series[Any], values: Mapping[str, Sequence[str]], cited: _Cited) -> str:
    method = str(sweep.get("method", ""))
    ranges = []
    for name in searched_places(sweep):
        own = values.get(name, [])
        if not own:
            continue
        numbers = [number for value in own if (number := _number(value)) is not None]
        few = len(own) <= 6 or len(numbers) < len(own)
        ranges.append(f"{name} ({listed(map(_short, own))})" if few else f"{name} ({_span(numbers)})")
    marks = cited.of(_papers()["search"].get(method, []))
    what = f" over {', '.join(ranges)}, as tried" if ranges else ""
    goal = "lowest" if sweep["goal"] == "minimize" else "highest"
    return (
        f"Search: {count_of(len(trials), 'trial')} by {method or 'an unnamed method'}{marks}{what}; the {goal} {sweep['metric']}."
    )


def _short(value: str) -> str:
    number = _number(value)
    return value if number is None else plain(number) if "." in value or "e" in value else value


def _number(text: str) -> float | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _span(numbers: Sequence[float | None]) -> str:
    there = sorted(number for number in numbers if number is not None)
    if not there:
        return "as recorded"
    return f"{there[0]:.3g}" if there[0] == there[-1] else f"{there[0]:.3g} to {there[-1]:.3g}"
