"""Sparse gradients against dense ones, and lazy Adam against its rule written out row by row."""

from __future__ import annotations

import io
import math
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from tests.vae_core.conftest import MakeConfig
from tests.vae_core.test_trainer import same_weights, timeless
from vae_core.data.text import TextData
from vae_core.optimizer_config import Adam, LazyAdam
from vae_core.row_sparse import clip_gradients
from vae_core.trainer import Trainer

LAZY = {"kind": "lazy_adam", "lr": 0.01}
TRIALS: dict[str, dict[str, Any]] = {
    "sampled, tied": {"model.softmax": {"kind": "sampled", "samples": 64}, "model.decoder.tie_embeddings": True},
    "nce, own table": {"model.softmax": {"kind": "nce", "samples": 64}, "model.decoder.embedding": 8},
    "negative sampling": {"model.softmax": {"kind": "negative_sampling", "samples": 64}},
    "one-vs-each, tied": {"model.softmax": {"kind": "one_vs_each", "samples": 64}, "model.decoder.tie_embeddings": True},
    "full": {},
    "own words": {"model.softmax": {"kind": "sampled", "samples": 64}, "model.decoder.scheduled_sampling": {"kind": "drawn"}},
    "vectors from characters": {
        "model.softmax": {"kind": "nce", "samples": 64},
        "model.encoder.word_vectors.kind": "character_cnn",
    },
    "half precision": {"model.softmax": {"kind": "sampled", "samples": 64}, "training.precision": "bfloat16"},
    "several batches a step": {"model.softmax": {"kind": "sampled", "samples": 64}, "training.accumulate": 2},
    "adaptive": {"model.softmax": {"kind": "adaptive", "cutoffs": [50, 150]}},
    "hierarchical": {"model.softmax": {"kind": "hierarchical", "grouping": "frequency"}},
    "hierarchical, tied": {"model.softmax": {"kind": "hierarchical", "levels": 3}, "model.decoder.tie_embeddings": True},
    "hierarchical, of a document": {"model.softmax": {"kind": "hierarchical"}, "model.decoder": {"kind": "bag_of_words"}},
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sparse(indices: list[int], values: Tensor, rows: int) -> Tensor:
    """A gradient that may hold a row in several parts."""
    return torch.sparse_coo_tensor(torch.tensor([indices]), values, (rows, *values.shape[1:]), check_invariants=True)


STEPS: list[list[int]] = [[0, 3], [3, 3, 1], [0], [4, 1, 4]]
"""The rows that are read at each step, some of them twice, and row 2 never."""


def gradients_of(width: int) -> list[Tensor]:
    draw = generator(5)
    return [torch.randn(len(rows), width, dtype=torch.float64, generator=draw) for rows in STEPS]


def test_a_row_moves_at_the_steps_that_read_it_by_the_rule_and_at_no_other():
    """m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, w -= lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt v + 1e-8), where read."""
    config = LazyAdam(lr=0.1, betas=(0.6, 0.8))
    table = nn.Embedding(5, 3, dtype=torch.float64)
    start = torch.randn(5, 3, dtype=torch.float64, generator=generator(4))
    with torch.no_grad():
        table.weight.copy_(start)
    optimizer = config.build(table)
    weight, first, second = start.clone(), torch.zeros(5, 3).double(), torch.zeros(5, 3).double()
    for step, (rows, values) in enumerate(zip(STEPS, gradients_of(3), strict=True), 1):
        table.weight.grad = sparse(rows, values, 5)
        before = table.weight.detach().clone()
        optimizer.step()
        for row in range(5):
            if row not in rows:
                assert torch.equal(table.weight[row], before[row])
                continue
            gradient = sum((values[place] for place, read in enumerate(rows) if read == row), torch.zeros(3).double())
            first[row] = 0.6 * first[row] + 0.4 * gradient
            second[row] = 0.8 * second[row] + 0.2 * gradient**2
            scale = 0.1 * math.sqrt(1 - 0.8**step) / (1 - 0.6**step)
            weight[row] -= scale * first[row] / (second[row].sqrt() + 1e-8)
        torch.testing.assert_close(table.weight.detach(), weight, rtol=1e-12, atol=1e-14)
    state = optimizer.state[table.weight]
    torch.testing.assert_close(state["exp_avg"], first, rtol=1e-12, atol=1e-14)
    assert torch.equal(table.weight[2], start[2])
    assert not state["exp_avg_sq"][2].any()


def test_the_rest_of_a_model_has_adam_and_a_state_goes_from_one_to_the_next():
    """Halfway the state is written, read and loaded into a fresh optimiser, at another learning rate of both groups."""
    results = {}
    for config in (Adam(lr=0.1), LazyAdam(lr=0.1)):
        draw = generator(6)
        model = nn.ModuleList([nn.Linear(3, 2, dtype=torch.float64), nn.Embedding(5, 3, dtype=torch.float64)])
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=draw, dtype=torch.float64))
        optimizer = config.build(model)
        for step in range(4):
            if step == 2:
                file = io.BytesIO()
                torch.save(optimizer.state_dict(), file)
                file.seek(0)
                optimizer = config.build(model)
                optimizer.load_state_dict(torch.load(file, weights_only=True))
                for group in optimizer.param_groups:
                    group["lr"] = 0.03
            optimizer.zero_grad(set_to_none=True)
            words = model[1](torch.arange(5))  # all rows at all steps: lazy Adam is then Adam, but for where epsilon stands
            model[0](words).square().sum().backward()
            optimizer.step()
        results[type(config)] = [parameter.detach().clone() for parameter in model.parameters()]
    for one, other in zip(results[Adam], results[LazyAdam], strict=True):
        torch.testing.assert_close(other, one, rtol=1e-6, atol=1e-7)


def test_without_its_state_it_starts_anew():
    """As after a rollback that resets the optimiser: the next step is a first one, lr times the sign of each gradient."""
    model = nn.ModuleList([nn.Linear(3, 2, dtype=torch.float64), nn.Embedding(5, 3, dtype=torch.float64)])
    draw = generator(6)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draw, dtype=torch.float64))
    optimizer = LazyAdam(lr=0.1).build(model)
    for step in range(6):
        if step == 5:
            optimizer.state.clear()
        before = [parameter.detach().clone() for parameter in model.parameters()]
        optimizer.zero_grad(set_to_none=True)
        model[0](model[1](torch.tensor([0, 4]))).square().sum().backward()
        optimizer.step()
    for parameter, start in zip(model.parameters(), before, strict=True):
        move = parameter.detach() - start
        torch.testing.assert_close(move[move != 0].abs(), torch.full_like(move[move != 0], 0.1), rtol=1e-4, atol=0.0)
    assert move.any(1).tolist() == [True, False, False, False, True]


@pytest.mark.parametrize("max_norm", [0.1, 1e6])
def test_clipping_sees_sparse_gradients_as_what_they_stand_for(max_norm: float):
    values = gradients_of(3)[3]
    one, two = nn.Parameter(torch.zeros(5, 3).double()), nn.Parameter(torch.ones(4).double())
    whole = [nn.Parameter(torch.zeros(5, 3).double()), nn.Parameter(torch.ones(4).double())]
    one.grad, two.grad = sparse(STEPS[3], values, 5), torch.full((4,), 0.3).double()
    whole[0].grad, whole[1].grad = one.grad.to_dense(), two.grad.clone()
    clip_gradients([one, two, nn.Parameter(torch.zeros(2))], max_norm)
    clip_grad_norm_(whole, max_norm)
    assert one.grad.is_sparse
    torch.testing.assert_close(one.grad.to_dense(), whole[0].grad, rtol=1e-12, atol=0.0)
    assert torch.equal(two.grad, whole[1].grad)


@pytest.mark.parametrize("kind", ["adam", "lazy_adam"])
def test_a_step_moves_the_words_that_it_reads_and_only_adam_the_others(kind: str, text_config: MakeConfig, sentences: TextData):
    """Of a table and of the softmax; Adam's other rows coast on the momentum of the step before."""
    changes = {"model.softmax": {"kind": "sampled", "samples": 8}, "model.decoder.embedding": 8}
    trainer = Trainer(text_config(changes | {"optimizer": {"kind": kind}}), sentences)
    updates, model = trainer._updates, trainer.model
    updates(sentences.batch("train", np.arange(16)))
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    batch = sentences.batch("train", np.arange(16, 24))
    updates(batch)
    read = {
        "encoder.table.weight": set(batch.targets.unique().tolist()),
        "decoder.table.weight": set(batch.inputs.unique().tolist()),
        "decoder.head.weight": set(batch.targets[batch.mask].unique().tolist()),
        "decoder.head.bias": set(batch.targets[batch.mask].unique().tolist()),
    }
    for name, words in read.items():
        moved = dict(model.named_parameters())[name].detach() != before[name]
        found = set(
            moved.flatten(1).any(1).nonzero().flatten().tolist() if moved.dim() == 2 else moved.nonzero().flatten().tolist()
        )
        pad = {sentences.vocabulary.pad}  # its vector is read and gets no gradient
        assert words - pad <= found
        negatives = 8 if "head" in name else 0
        assert (len(found - words) <= negatives) == (kind == "lazy_adam")


@pytest.fixture(params=TRIALS)
def trial(request: pytest.FixtureRequest) -> dict[str, Any]:
    return TRIALS[request.param] | {"optimizer": LAZY, "training.clip_norm": 1.0}


def test_training_learns_and_goes_on_bitwise(trial: dict[str, Any], text_config: MakeConfig, sentences: TextData):
    config = text_config(trial)
    unbroken, first, second = (Trainer(config, sentences) for _ in range(3))
    expected = list(unbroken.run())
    records = list(islice(first.run(), 1))
    second.load_state_dict(first.state_dict())
    records += list(second.run())
    assert timeless(records) == timeless(expected)
    assert same_weights(second, unbroken)
    assert expected[2].metrics["val/neg_elbo"] < expected[0].metrics["val/neg_elbo"] - 0.3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.decoder.tie_embeddings": True}, r"tie_embeddings needs a softmax that reads few words .* full reads them all"),
        (
            {"model.decoder.tie_embeddings": True, "model.softmax": {"kind": "adaptive", "cutoffs": [50]}},
            r"model\.softmax\.kind: adaptive reads them all",
        ),
        (
            {"model.encoder": {"kind": "bag_of_words"}, "model.decoder": {"kind": "bag_of_words"}},
            r"optimizer\.kind: lazy_adam has nothing to be lazy with",
        ),
        ({"model.encoder.word_vectors": {"kind": "character_cnn"}}, r"lazy_adam has nothing to be lazy with"),
        ({"model.decoder.scheduled_sampling": {"kind": "soft"}}, r"cannot go with model\.decoder\.scheduled_sampling"),
    ],
)
def test_what_reads_every_row_is_refused(changes: dict[str, Any], message: str, text_config: MakeConfig):
    with pytest.raises(ValidationError, match=message):
        text_config(changes | {"optimizer": LAZY})


def test_a_decoder_s_own_table_is_one_to_be_lazy_with(text_config: MakeConfig):
    changes = {"model.encoder.word_vectors": {"kind": "character_cnn"}, "model.decoder.embedding": 12}
    assert text_config(changes | {"optimizer": LAZY}).optimizer.kind == "lazy_adam"


def test_images_have_no_rows_to_be_lazy_with(image_config: MakeConfig):
    with pytest.raises(ValidationError, match=r"optimizer\.kind: lazy_adam is for word vectors, but data\.kind: digits is image"):
        image_config({"optimizer": LAZY})
