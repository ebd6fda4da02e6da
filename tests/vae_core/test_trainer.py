"""Training as a whole: it learns, repeats bit by bit, goes on bit by bit, and fails with a reason."""

from __future__ import annotations

import copy
import math
from collections import UserDict
from collections.abc import Mapping
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.vae_core.conftest import MakeConfig
from vae_core.checkpoint import load_state, save_state
from vae_core.config import TrialConfig
from vae_core.data.images import ImageData
from vae_core.data.text import TextData
from vae_core.evaluate import evaluate
from vae_core.metrics import FINAL, TRAINING, VALIDATION
from vae_core.model import Data
from vae_core.seeding import derive_seed
from vae_core.trainer import EVALUATION_BATCH, Outcome, Record, Trainer

LINEAR = {"kind": "linear", "warmup": 0.5}
STILL = {"kind": "sgd", "lr": 1e-30}
"""A learning rate that rounds away: every epoch scores the same."""


@pytest.fixture(params=["text", "gru", "image"])
def trial(
    request: pytest.FixtureRequest,
    text_config: MakeConfig,
    image_config: MakeConfig,
    sentences: TextData,
    digits: ImageData,
    every_dropout: dict[str, Any],
) -> tuple[TrialConfig, Data]:
    """Trials that draw from every generator: all dropouts and a sampled softmax; images binarised anew in each batch."""
    common = {"training.epochs": 4, "objective.annealing": LINEAR, "objective.samples": 2}
    if request.param == "image":
        return image_config(common | {"model.encoder.dropout": 0.1, "model.decoder.dropout": 0.1}), digits
    changes = common | every_dropout | {"model.softmax": {"kind": "sampled", "samples": 64}}
    if request.param == "gru":
        changes |= {"model.encoder.kind": "gru", "model.decoder.kind": "gru", "model.encoder.bidirectional": True}
        changes |= {"optimizer": {"kind": "sgd", "lr": 0.05, "momentum": 0.9}}
    return text_config(changes), sentences


def timeless(records: list[Record]) -> list[dict[str, Any]]:
    """The records without what the clock says."""
    plain = [asdict(record) for record in records]
    for record in plain:
        record["metrics"] = {name: value for name, value in record["metrics"].items() if not name.endswith("_per_s")}
    return plain


def same_weights(one: Trainer, other: Trainer) -> bool:
    pairs = zip(one.model.parameters(), other.model.parameters(), strict=True)
    return all(torch.equal(first, second) for first, second in pairs)


@pytest.mark.parametrize("stop", [1, 3, 4])
def test_resumed_training_is_bitwise_what_unbroken_training_is(trial: tuple[TrialConfig, Data], stop: int, tmp_path: Path):
    unbroken = Trainer(*trial)
    expected = timeless(list(unbroken.run()))
    first = Trainer(*trial)
    records = list(islice(first.run(), stop))
    save_state(first, tmp_path)
    second = Trainer(*trial)
    state = load_state(tmp_path)
    assert state is not None
    second.load_state_dict(state)
    assert second.history == first.history
    records += list(second.run())
    assert timeless(records) == expected
    assert same_weights(second, unbroken)


@pytest.mark.parametrize("forgotten", ["streams", "updates"])
def test_nothing_in_the_state_can_be_left_out(trial: tuple[TrialConfig, Data], forgotten: str):
    """The test above has power: without one part of the state it would fail."""
    unbroken, broken = Trainer(*trial), Trainer(*trial)
    expected = timeless(list(unbroken.run()))
    first = Trainer(*trial)
    list(islice(first.run(), 2))
    state = first.state_dict()
    state[forgotten] = broken.state_dict()[forgotten]
    broken.load_state_dict(state)
    assert timeless(list(broken.run())) != expected[2:]


def test_a_state_that_was_loaded_is_left_alone(trial: tuple[TrialConfig, Data]):
    """Neither who gave it nor who took it trains with the other's tensors."""
    trainer, other, third = (Trainer(*trial) for _ in range(3))
    run = trainer.run()
    next(run)
    state = copy.deepcopy(trainer.state_dict())
    other.load_state_dict(trainer.state_dict())
    rest = timeless(list(run))
    assert timeless(list(other.run())) == rest
    other.load_state_dict(state)
    assert timeless(list(other.run())) == rest
    third.load_state_dict(state)
    assert timeless(list(third.run())) == rest


def test_training_repeats_whatever_the_global_generator_holds(trial: tuple[TrialConfig, Data]):
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002  # the global generator is what must not matter
        before = torch.get_rng_state()
        trainer = Trainer(*trial)
        results.append((timeless(list(trainer.run())), trainer))
        assert torch.equal(torch.get_rng_state(), before)
    assert results[0][0] == results[1][0]
    assert same_weights(results[0][1], results[1][1])


def test_another_seed_trains_another_model(image_config: MakeConfig, digits: ImageData):
    one, other = (next(Trainer(image_config({"seed": seed}), digits).run()) for seed in (0, 1))
    assert one.metrics["train/loss"] != other.metrics["train/loss"]


def test_validation_leaves_training_as_it_is(trial: tuple[TrialConfig, Data]):
    plain, watched = Trainer(*trial), Trainer(*trial)
    records = []
    for record in watched.run():
        records.append(record)
        if not record.final:
            evaluate(watched.model, trial[1], "test", 16, seed=record.epoch)
    assert timeless(records) == timeless(list(plain.run()))


def test_records_hold_the_metrics_of_the_table_and_no_others(trial: tuple[TrialConfig, Data]):
    config, data = trial
    *epochs, final = list(Trainer(config, data).run())
    each = {metric.name for metric in (*TRAINING, *VALIDATION) if metric.modality in (None, data.modality)}
    last = {metric.name for metric in FINAL if metric.modality in (None, data.modality)}
    assert [record.metrics.keys() for record in epochs] == [each] * config.training.epochs
    assert final.metrics.keys() == last
    assert all(math.isfinite(value) for record in (*epochs, final) for value in record.metrics.values())
    assert [record.epoch for record in (*epochs, final)] == [1, 2, 3, 4, 4]
    assert [record.final for record in (*epochs, final)] == [False] * 4 + [True]
    assert Record.from_json(final.as_json) == final


def test_a_state_of_before_records_were_strings_is_gone_on_with(image_config: MakeConfig, digits: ImageData):
    first, second = (Trainer(image_config(), digits) for _ in range(2))
    records = list(islice(first.run(), 2))
    second.load_state_dict(first.state_dict() | {"history": [asdict(record) for record in records]})
    assert second.history == records


def test_steps_and_weights_follow_the_plan(text_config: MakeConfig, sentences: TextData):
    trainer = Trainer(text_config({"objective.annealing": LINEAR, "objective.beta": 0.5, "training.epochs": 4}), sentences)
    n, steps = len(sentences.splits["train"]), trainer.steps_per_epoch
    assert steps == math.ceil(n / 32)
    assert (trainer.total_steps, trainer.annealing_end) == (4 * steps, 2 * steps)
    records = list(trainer.run())[:-1]
    assert [record.step for record in records] == [steps, 2 * steps, 3 * steps, 4 * steps]
    assert [record.metrics["train/step"] for record in records] == [record.step for record in records]
    expected = [0.5 * min(1.0, (record.step - 1) / (2 * steps)) for record in records]
    assert [record.metrics["train/beta"] for record in records] == pytest.approx(expected)
    assert [record.annealed for record in records] == [False, True, True, True]


def test_validation_is_at_beta_one_whatever_training_weighs(image_config: MakeConfig, digits: ImageData):
    metrics = next(Trainer(image_config({"objective.beta": 0.0}), digits).run()).metrics
    assert metrics["train/loss"] == metrics["train/distortion"]
    assert metrics["val/rate"] > 1.0
    assert metrics["val/neg_elbo"] == metrics["val/distortion"] + metrics["val/rate"]


def test_only_epochs_after_annealing_are_candidates(image_config: MakeConfig, digits: ImageData):
    """Unannealed epochs have the lower distortion and may have the lower ELBO, but never win."""
    trainer = Trainer(image_config({"objective.annealing": LINEAR, "training.epochs": 4, "optimizer": STILL}), digits)
    run = trainer.run()
    assert (next(run).improved, trainer.best_metrics()) == (False, {})
    assert [record.improved for record in run] == [True, False, False, False]
    assert trainer.best_metrics()["best/epoch"] == 2.0


def test_patience_counts_from_annealing_s_end(image_config: MakeConfig, digits: ImageData):
    changes = {"objective.annealing": LINEAR, "training.epochs": 8, "training.patience": 2, "optimizer": STILL}
    trainer = Trainer(image_config(changes), digits)
    records = list(trainer.run())
    assert [record.epoch for record in records] == [1, 2, 3, 4, 5, 6, 6]  # annealed at 4, two epochs without better
    assert trainer.outcome == Outcome("COMPLETE", "patience")
    assert records[-1].metrics["best/epoch"] == 4.0


def test_the_test_split_is_not_read_before_the_end(trial: tuple[TrialConfig, Data]):
    """Everything that reads a split takes it from ``splits``."""
    config, data = trial
    watched = Watched(data.splits)
    epochs = 0
    for record in Trainer(config, replace(data, splits=watched)).run():
        assert ("test" in watched.read) == record.final
        epochs += not record.final
    assert epochs == config.training.epochs


def test_clipping_scales_the_gradient_to_its_norm(text_config: MakeConfig, sentences: TextData):
    """One step of SGD at rate 1 moves the weights by the gradient, or by just so much in its direction."""
    moves = {norm: first_move(text_config, sentences, norm) for norm in (None, 1e-3, 1e6)}
    assert moves[None].norm().item() > 1.0
    assert moves[1e-3].norm().item() == pytest.approx(1e-3, rel=1e-5)
    assert torch.cosine_similarity(moves[1e-3], moves[None], 0).item() == pytest.approx(1.0, abs=1e-9)
    assert torch.equal(moves[1e6], moves[None])


def first_move(config: MakeConfig, data: TextData, clip_norm: float | None) -> torch.Tensor:
    """What the first step adds to all weights, in double precision."""
    changes = {"optimizer": {"kind": "sgd", "lr": 1.0, "momentum": 0.0}, "training.clip_norm": clip_norm}
    trainer = Trainer(config(changes | {"training.epochs": 1, "training.batch_size": 5000}), data)
    trainer.model.double()
    before = torch.cat([weight.detach().flatten() for weight in trainer.model.parameters()])
    assert next(trainer.run()).step == 1
    return torch.cat([weight.detach().flatten() for weight in trainer.model.parameters()]) - before


class Watched(UserDict[str, Any]):
    """Splits that note which of them were read."""

    def __init__(self, splits: Mapping[str, Any]) -> None:
        super().__init__(splits)
        self.read: set[str] = set()

    def __getitem__(self, split: str) -> Any:
        self.read.add(split)
        return super().__getitem__(split)


def test_the_model_ends_with_the_selected_weights(image_config: MakeConfig, digits: ImageData):
    """A learning rate far too high makes the last epoch worse than an earlier one."""
    config = image_config({"training.epochs": 6, "optimizer.lr": 0.2})
    trainer = Trainer(config, digits)
    final = list(trainer.run())[-1]
    best = min(trainer.history, key=lambda record: record.metrics["val/neg_elbo"])
    assert best.epoch < 6
    assert final.metrics["best/epoch"] == best.epoch
    scores = evaluate(trainer.model, digits, "valid", EVALUATION_BATCH, derive_seed(config.seed, "validation"))
    assert scores == {name.removeprefix("val/"): value for name, value in best.metrics.items() if name.startswith("val/")}
    assert {name: final.metrics[f"best/val/{name}"] for name in scores} == scores


def test_a_loss_that_is_not_finite_ends_the_trial_and_names_its_step(image_config: MakeConfig, digits: ImageData):
    trainer = Trainer(image_config(), digits)
    run = trainer.run()
    next(run)
    with torch.no_grad():
        next(trainer.model.parameters()).fill_(math.nan)
    assert list(run) == []
    assert trainer.outcome == Outcome("FAILED", f"NaN loss at step {trainer.steps_per_epoch + 1}")
    assert list(trainer.run()) == []
    assert len(trainer.history) == 1


def test_divergence_is_seen_in_training(image_config: MakeConfig, digits: ImageData):
    config = image_config({"optimizer": {"kind": "sgd", "lr": 1e30}, "training.clip_norm": None})
    trainer = Trainer(config, digits)
    assert list(trainer.run()) == []
    assert trainer.outcome is not None
    assert trainer.outcome.state == "FAILED"
    assert trainer.outcome.reason in ("NaN loss at step 2", "infinite loss at step 2")


def test_divergence_is_seen_in_validation(image_config: MakeConfig, digits: ImageData):
    """One step an epoch: its loss is still finite, what comes out of it is not."""
    changes = {"optimizer": {"kind": "sgd", "lr": 1e30}, "training.clip_norm": None, "training.batch_size": 5000}
    trainer = Trainer(image_config(changes), digits)
    assert list(trainer.run()) == []
    assert trainer.outcome is not None
    assert trainer.outcome.reason in ("NaN val/neg_elbo at epoch 1", "infinite val/neg_elbo at epoch 1")


def test_a_finished_state_has_nothing_left_to_run(image_config: MakeConfig, digits: ImageData):
    config = image_config({"training.epochs": 1})
    trainer, other = Trainer(config, digits), Trainer(config, digits)
    list(trainer.run())
    other.load_state_dict(trainer.state_dict())
    assert other.outcome == Outcome("COMPLETE", "epochs")
    assert list(other.run()) == []
    assert same_weights(other, trainer)


def test_a_state_of_another_trial_is_refused(image_config: MakeConfig, digits: ImageData):
    state = Trainer(image_config(), digits).state_dict()
    with pytest.raises(ValueError, match="another trial: its config fingerprint"):
        Trainer(image_config({"seed": 1}), digits).load_state_dict(state)
    with pytest.raises(ValueError, match="another trial: its data fingerprint"):
        Trainer(image_config(), digits).load_state_dict(state | {"data": "0" * 16})


@pytest.mark.parametrize(
    "optimizer", [{"kind": "adam", "lr": 0.003}, {"kind": "adamw", "lr": 0.003}, {"kind": "sgd", "lr": 0.02}]
)
def test_every_optimiser_lowers_the_loss(optimizer: dict[str, Any], image_config: MakeConfig, digits: ImageData):
    records = list(Trainer(image_config({"optimizer": optimizer}), digits).run())
    assert records[2].metrics["val/neg_elbo"] < records[0].metrics["val/neg_elbo"] - 1.0
    assert records[0].metrics["train/lr"] == optimizer["lr"]


def test_text_training_beats_word_frequencies(text_config: MakeConfig):
    """On unseen sentences, a perplexity well below that of the best model without context."""
    changes = {"data.max_sentences": 1500, "training.epochs": 6, "model.encoder.hidden": 48, "model.decoder.hidden": 48}
    config = text_config(changes | {"model.encoder.embedding": 32, "model.decoder.word_dropout": 0.2})
    data = config.data.load()
    assert isinstance(data, TextData)
    final = list(Trainer(config, data).run())[-1]
    frequency = data.vocabulary.counts / data.vocabulary.counts.sum()
    test = data.splits["test"]
    targets = np.concatenate((test.tokens, np.full(len(test), data.vocabulary.eos)))
    unigram = math.exp(-np.log(frequency[targets]).mean())
    assert final.metrics["test/perplexity"] < 0.7 * unigram
    assert final.metrics["test/iw_nll"] <= final.metrics["test/neg_elbo"] + 2 * final.metrics["test/iw_nll_se"]


def test_image_training_beats_independent_pixels_and_uses_its_code(image_config: MakeConfig, digits: ImageData):
    changes = {"model.encoder.hidden": [64], "model.decoder.hidden": [64], "training.epochs": 20, "optimizer.lr": 0.005}
    final = list(Trainer(image_config(changes), digits).run())[-1]
    mean = digits.splits["train"].pixels.mean(0).clip(1e-3, 1 - 1e-3)
    pixels = digits.splits["test"].pixels / 255.0
    independent = -(pixels * np.log(mean) + (1 - pixels) * np.log(1 - mean)).sum((1, 2)).mean()
    assert final.metrics["test/neg_elbo"] < independent - 2.0
    assert final.metrics["test/active_units"] >= 2.0
    assert final.metrics["test/mutual_information"] > 1.0
