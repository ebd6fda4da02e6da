"""Small data sets, real ones, and trial configs for them.

How close is close enough, in all tests of the core; what is coarser says why:
- bitwise: the same operations in the same order (resuming, a seed, a default);
- 1e-12 in float64: the same formula, its operations in another order;
- 1e-10: sums over a vocabulary, a split or a quadrature;
- 1e-9: derivatives of those;
- 1e-6 and 1e-5: single precision, or against the textbook way's own error in it;
- 4.5 standard errors: means of random draws, beside a check that the error is small enough to tell anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from vae_core.config import TrialConfig
from vae_core.data.images import ImageData
from vae_core.data.text import TextData

TEXT: dict[str, Any] = {
    "data": {"kind": "python_docs", "vocabulary": {"max_size": 400}, "max_length": 12, "max_sentences": 300},
    "model": {
        "encoder": {"kind": "lstm", "embedding": 12, "hidden": 16},
        "decoder": {"kind": "lstm", "hidden": 16},
        "latent": {"kind": "gaussian", "size": 4},
    },
    "objective": {"kind": "elbo"},
    "optimizer": {"kind": "adam", "lr": 0.005},
    "training": {"epochs": 3, "batch_size": 32},
    "evaluation": {"importance_samples": 3, "importance_examples": 20, "samples": 4},
}
IMAGES: dict[str, Any] = {
    "data": {"kind": "digits"},
    "model": {
        "encoder": {"kind": "mlp", "hidden": [24]},
        "decoder": {"kind": "mlp", "hidden": [24]},
        "latent": {"kind": "gaussian", "size": 4},
    },
    "objective": {"kind": "elbo"},
    "optimizer": {"kind": "adam", "lr": 0.003},
    "training": {"epochs": 3, "batch_size": 64},
    "evaluation": {"importance_samples": 3, "importance_examples": 20, "samples": 4},
}
EVERY_DROPOUT: dict[str, Any] = {
    "model.encoder.dropout": 0.1,
    "model.encoder.embedding_dropout": 0.1,
    "model.encoder.variational_dropout": {"inputs": 0.1, "hidden": 0.2, "output": 0.1},
    "model.decoder.dropout": 0.2,
    "model.decoder.embedding_dropout": 0.1,
    "model.decoder.word_dropout": 0.3,
    "model.decoder.variational_dropout": {"inputs": 0.1, "hidden": 0.2, "output": 0.1},
}

MakeConfig = Callable[..., TrialConfig]


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """What is claimed bitwise is claimed for one thread, as trials are trained; and two stall on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def text_config() -> MakeConfig:
    """Makes a small text trial, changed at dotted names."""
    return lambda changes=None: TrialConfig.from_dict(_changed(TEXT, changes or {}))


@pytest.fixture(scope="session")
def image_config() -> MakeConfig:
    """Makes a small image trial, changed at dotted names."""
    return lambda changes=None: TrialConfig.from_dict(_changed(IMAGES, changes or {}))


@pytest.fixture(scope="session")
def every_dropout() -> dict[str, Any]:
    """Changes that turn every dropout of a text model on."""
    return EVERY_DROPOUT


@pytest.fixture(scope="session")
def sentences(text_config: MakeConfig) -> TextData:
    """Some 200 sentences of the interpreter's documentation to train on."""
    data = text_config().data.load()
    assert isinstance(data, TextData)
    return data


@pytest.fixture(scope="session")
def digits(image_config: MakeConfig) -> ImageData:
    """scikit-learn's digits, binarised anew in each batch."""
    data = image_config().data.load()
    assert isinstance(data, ImageData)
    return data


def _changed(plain: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    changed = {key: _changed(value, {}) if isinstance(value, dict) else value for key, value in plain.items()}
    for dotted, value in changes.items():
        *path, last = dotted.split(".")
        place = changed
        for key in path:
            place = place.setdefault(key, {})
        place[last] = value
    return changed
