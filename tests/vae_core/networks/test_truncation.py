"""Truncated back-propagation: how far the gradient reaches, and that nothing else changes (definitions.md 27)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from tests.vae_core.conftest import MakeConfig
from tests.vae_core.resuming import assert_learns_and_goes_on
from vae_core.data.batching import TextBatch
from vae_core.data.text import TextData
from vae_core.model import VAE, build_model
from vae_core.moment import Moment
from vae_core.networks.cells import State, run_sequence
from vae_core.networks.initialise import recurrent
from vae_core.networks.recurrent_config import Truncation
from vae_core.networks.truncation import run_truncated
from vae_core.seeding import Streams

T = 11
every_cell = pytest.mark.parametrize("cell", ["lstm", "gru"])
SOFT: dict[str, Any] = {"kind": "soft", "end": 0.3, "schedule": {"kind": "constant"}}
FEEDINGS: dict[str, dict[str, Any] | None] = {"forced": None, "drawn": {**SOFT, "kind": "drawn"}, "soft": SOFT}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


@pytest.fixture
def batch(sentences: TextData) -> TextBatch:
    """Six sentences of unequal lengths."""
    lengths = sentences.splits["train"].lengths
    return sentences.batch("train", np.argsort(lengths)[:: len(lengths) // 5])


def trained(model: VAE[TextBatch], batch: TextBatch) -> tuple[Tensor, dict[str, Tensor]]:
    """The training loss and its gradients."""
    model.zero_grad(set_to_none=True)
    loss = model.decoder.training_nll(batch, normal(2, batch.size, 4), Moment(3, 10), Streams.create(0))
    loss.sum().backward()
    return loss.detach(), {
        name: weight.grad.clone() for name, weight in model.decoder.named_parameters() if weight.grad is not None
    }


@every_cell
@pytest.mark.parametrize(("every", "back"), [(1, 1), (3, 3), (3, 5), (2, 7), (1, 4), (4, 11), (11, 11), (20, 30), (5, 6)])
def test_the_gradient_of_each_step_reaches_exactly_its_window(cell: Any, every: int, back: int):
    """Step t is in the stretch that ends before e, and its window begins at e - back: inputs from there to t, and no others."""
    layer = recurrent(cell, 3, 5, generator()).double()
    inputs = normal(2, T, 3).requires_grad_()
    first = tuple(normal(2, 5, seed=seed).requires_grad_() for seed in range(1, 3 if cell == "lstm" else 2))

    def run(start: int, stop: int, state: State) -> tuple[Tensor, State]:
        return run_sequence(layer, inputs[:, start:stop], state)

    hidden = run_truncated(run, first, T, Truncation(every=every, back=back))
    torch.testing.assert_close(hidden, run(0, T, first)[0], rtol=1e-12, atol=1e-12)
    for step in range(T):
        window = max(0, min((step // every + 1) * every, T) - back)
        by_input, *by_state = torch.autograd.grad(hidden[:, step].sum(), (inputs, *first), retain_graph=True, allow_unused=True)
        assert by_input is not None
        assert by_input.abs().sum((0, 2)).nonzero().squeeze(1).tolist() == list(range(window, step + 1))
        assert all((gradient is not None and bool(gradient.any())) == (window == 0) for gradient in by_state)
        assert step - window + 1 <= back
        assert window == 0 or step - window + 1 >= back - every + 1


@every_cell
@pytest.mark.parametrize("feeding", FEEDINGS)
@pytest.mark.parametrize("dropped", [False, True])
def test_over_the_whole_sentence_it_is_full_back_propagation(
    cell: str,
    feeding: str,
    dropped: bool,
    text_config: MakeConfig,
    sentences: TextData,
    batch: TextBatch,
    every_dropout: dict[str, Any],
):
    """k1 = k2 = T, and any k1 with k2 = T: the same loss and the same gradients."""
    length = batch.inputs.shape[1]
    changes = (every_dropout if dropped else {}) | {
        "model.decoder.kind": cell,
        "model.decoder.scheduled_sampling": FEEDINGS[feeding],
    }
    loss, gradients = trained(build_model(text_config(changes), sentences, generator()).double(), batch)
    for every in (1, 4, length):
        cut = changes | {"model.decoder.truncation": {"every": every, "back": length}}
        found, others = trained(build_model(text_config(cut), sentences, generator()).double(), batch)
        torch.testing.assert_close(found, loss, rtol=1e-10, atol=1e-10)
        assert others.keys() == gradients.keys()
        for name, gradient in gradients.items():
            torch.testing.assert_close(others[name], gradient, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("feeding", FEEDINGS)
@pytest.mark.parametrize(("every", "back"), [(2, 2), (2, 3)])
def test_a_cut_changes_the_gradient_and_not_the_loss(
    every: int, back: int, feeding: str, text_config: MakeConfig, sentences: TextData, batch: TextBatch
):
    sampling = {"model.decoder.scheduled_sampling": FEEDINGS[feeding]}
    cut = sampling | {"model.decoder.truncation": {"every": every, "back": back}}
    whole, short = (build_model(text_config(changes), sentences, generator()).double() for changes in (sampling, cut))
    (loss, gradients), (found, others) = trained(whole, batch), trained(short, batch)
    torch.testing.assert_close(found, loss, rtol=1e-10, atol=1e-10)
    if feeding != "soft":  # whose gradient comes to the bias through what is fed, too
        torch.testing.assert_close(others["head.bias"], gradients["head.bias"])
    assert not torch.allclose(others["layer.weight_hh_l0"], gradients["layer.weight_hh_l0"], rtol=1e-3)
    z = normal(1, batch.size, 4)
    assert torch.equal(short.decoder.nll(batch, z), whole.decoder.nll(batch, z))


@pytest.mark.parametrize("feeding", FEEDINGS)
def test_it_learns_and_goes_on_bit_by_bit(
    feeding: str, text_config: MakeConfig, sentences: TextData, every_dropout: dict[str, Any]
):
    changes = {"model.decoder.truncation": {"every": 3, "back": 5}, "model.decoder.scheduled_sampling": FEEDINGS[feeding]}
    assert_learns_and_goes_on(text_config(every_dropout | changes), sentences)


@pytest.mark.parametrize("truncation", [{"every": 5, "back": 4}, {"every": 0, "back": 4}, {"every": 5}])
def test_values_that_mean_nothing_are_refused(truncation: dict[str, int], text_config: MakeConfig):
    with pytest.raises(ValidationError, match=r"back|every"):
        text_config({"model.decoder.truncation": truncation})
