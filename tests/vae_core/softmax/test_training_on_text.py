"""Each softmax trained on real text, at equal steps: its exact perplexity falls, and comes near the full softmax's."""

from __future__ import annotations

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
ABOVE_FULL = dict.fromkeys(CONFIGS, 0.15) | {"one_vs_each": 0.35, "negative_sampling": None}
"""Share by which the last perplexity may lie above the full softmax's. One-vs-each weighs all contests of a word alike: 0.27 was
seen, with all classes drawn as with some. Negative sampling is no likelihood, and says so itself."""
BETA = {"one_vs_each": 20.0}
"""Its loss is some fifty times the exact one, beside which a KL at weight 1 counts for nothing."""


@pytest.fixture(scope="module")
def train(text_config: MakeConfig) -> Any:
    base = {
        "data": {"kind": "python_docs", "max_length": 25},
        "model.encoder": {"kind": "lstm", "embedding": 48, "hidden": 48},
        "model.decoder": {"kind": "lstm", "hidden": 64, "dropout": 0.3, "word_dropout": 0.2},
        "training": {"epochs": 16, "batch_size": 32},
    }
    loaded: dict[str, TextData] = {}

    def run(kind: str) -> list[float]:
        changes = base | {"model.softmax": {"kind": kind, **CONFIGS[kind]}, "objective.beta": BETA.get(kind, 1.0)}
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
    limit = ABOVE_FULL[kind]
    if limit is not None:
        assert perplexities[-1] < (1.0 + limit) * full[-1]
