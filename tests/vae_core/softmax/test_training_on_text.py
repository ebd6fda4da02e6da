"""Each softmax trained on real text, at equal steps: its exact perplexity falls, and comes near the full softmax's."""

from __future__ import annotations

from functools import cache
from typing import Any, get_args

import pytest

from tests.vae_core.conftest import MakeConfig
from vae_core.data.text import TextData
from vae_core.softmax.config import AnySoftmax
from vae_core.trainer import Trainer

CONFIGS: dict[str, dict[str, Any]] = {
    "full": {},
    "chunked": {},
    "adaptive": {"cutoffs": [300, 1000]},
    "hierarchical": {},
    "sampled": {"samples": 256},
    "nce": {"samples": 256},
    "negative_sampling": {"samples": 256},
    "one_vs_each": {"samples": 400},
}
"""Of some 1,200 words."""
WITHIN = 0.15
"""Share by which the last perplexity may lie above the full softmax's."""
NO_LIKELIHOOD = "negative_sampling"
"""It says so itself; only that it learns is asked of it."""
CHANGES: dict[str, dict[str, Any]] = {"one_vs_each": {"objective.beta": 100.0, "training.clip_norm": None}}
"""Its loss is some twenty times the exact one, and so are its gradients: a KL at weight 1 counts for nothing, and a norm that the
others seldom reach cuts each of its steps."""


@pytest.fixture(scope="module")
def train(text_config: MakeConfig) -> Any:
    base = {
        "data": {"kind": "python_docs", "max_length": 25},
        "model.encoder": {"kind": "lstm", "embedding": 48, "hidden": 48},
        "model.decoder": {"kind": "lstm", "hidden": 48, "dropout": 0.3, "word_dropout": 0.2},
        "training.epochs": 16,
        "training.batch_size": 32,
    }
    loaded: dict[str, TextData] = {}

    @cache
    def run(kind: str) -> list[float]:
        changes = base | {"model.softmax": {"kind": kind, **CONFIGS[kind]}} | CHANGES.get(kind, {})
        config = text_config(changes)
        if not loaded:
            data = config.data.load()
            assert isinstance(data, TextData)
            loaded["data"] = data
        return [record.metrics["val/perplexity"] for record in Trainer(config, loaded["data"]).run() if not record.final]

    return run


@pytest.fixture(scope="module")
def full(train: Any) -> list[float]:
    perplexities: list[float] = train("full")
    return perplexities


def test_every_softmax_is_trained() -> None:
    assert set(CONFIGS) == {member.model_fields["kind"].default for member in get_args(get_args(AnySoftmax)[0])}


@pytest.mark.slow
@pytest.mark.parametrize("kind", CONFIGS)
def test_exact_perplexity_falls_and_comes_near_full_softmax(kind: str, train: Any, full: list[float]) -> None:
    perplexities = train(kind)
    assert perplexities[-1] < 0.6 * perplexities[0]
    if kind != NO_LIKELIHOOD:
        assert perplexities[-1] < (1.0 + WITHIN) * full[-1]
