"""Models that know labels: the bound is on log p(x|y), and each label has its own scores and samples."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from torch import Generator, Tensor, nn
from torch.distributions import MultivariateNormal

from tests.vae_core.conftest import MakeConfig
from tests.vae_core.test_iwae import NOISE_STD, PIXELS, SIZE, LinearGaussianDecoder, Pixels
from tests.vae_core.test_trainer import same_weights, timeless
from vae_core.checkpoint import CheckpointError, load_model, save_model
from vae_core.data.batching import ImageBatch
from vae_core.data.images import ImageData, ImageSplit
from vae_core.data.text import TextData
from vae_core.estimators import importance_weighted_nll
from vae_core.evaluate import evaluate, importance_weighted
from vae_core.generate import decode_images, decode_text, posteriors, prior_codes
from vae_core.latent.gaussian import GaussianPosterior
from vae_core.latent.interface import Points, PriorSizes, divergence
from vae_core.latent.labelled import LabelGaussians
from vae_core.latent.pseudo_inputs import PseudoImages
from vae_core.model import VAE, Data, build_model
from vae_core.moment import Moment
from vae_core.samples import write_samples
from vae_core.seeding import Streams, make_generator
from vae_core.trainer import Trainer

CONDITION = {"model.condition": {"embedding": 5}}
LABEL_PRIOR = {"model.prior": {"kind": "label"}}
KINDS = {"condition": CONDITION, "prior": LABEL_PRIOR, "both": CONDITION | LABEL_PRIOR}
every_kind = pytest.mark.parametrize("kind", KINDS)
Subject = tuple[MakeConfig, Data, dict[str, Any]]


@pytest.fixture(scope="module")
def labelled_text(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A table of 200 sentences of two labels, which share most of their words."""
    path = tmp_path_factory.mktemp("labelled") / "rows.jsonl"
    words = {"good": ("fine", "great", "warm"), "bad": ("poor", "cold", "dull")}
    rows = [
        {"text": f"the {noun} was {words[label][place % 3]} and {noun}", "mood": label}
        for place, noun in enumerate(["film", "tea", "book", "play", "song"] * 20)
        for label in words
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return {"data": {"kind": "json_lines", "train": str(path), "label_column": "mood"}}


@pytest.fixture(params=["text", "image"])
def subject(
    request: pytest.FixtureRequest, text_config: MakeConfig, image_config: MakeConfig, labelled_text: dict[str, Any]
) -> Subject:
    """Makes a trial; its data, and the changes that name them."""
    make, changes = (text_config, labelled_text) if request.param == "text" else (image_config, {"data.labels": True})
    return make, make(changes).data.load(), changes


def first_batch(data: Data, count: int = 12) -> Any:
    return data.batch("train", np.arange(count), make_generator(0, "binarise"))


def other_labels(batch: Any, labels: int) -> Any:
    return replace(batch, labels=(batch.labels + 1) % labels)


def built(subject: Subject, kind: str) -> VAE[Any]:
    """Untrained, its label prior moved to where labels differ."""
    make, data, changes = subject
    model = build_model(make(changes | KINDS[kind]), data, make_generator(0, "init"))
    if isinstance(model.prior, LabelGaussians):
        with torch.no_grad():
            model.prior.mean.copy_(torch.randn(model.prior.mean.shape, generator=make_generator(1)))
    return model


# -- against closed forms -----------------------------------------------------------------------------------------------------


def linear_gaussian(error: float, labels: int = 3) -> tuple[VAE[ImageBatch], Tensor, Tensor]:
    """x = W z + U e_y + e, z ~ N(m_y, v I); the posterior is the true one, or ``error`` away from it in each weight.

    Returns:
        The model; the mean of x of each label (Y, P), and its covariance (P, P).
    """
    draws = Generator().manual_seed(0)
    basis, _ = torch.linalg.qr(torch.randn(PIXELS, SIZE, generator=draws, dtype=torch.float64))
    weight, variance = basis * torch.tensor([0.8, 1.6], dtype=torch.float64), 0.6
    offsets = torch.randn(PIXELS, labels, generator=draws, dtype=torch.float64)
    means = torch.randn(labels, SIZE, generator=draws, dtype=torch.float64)
    decoder = LinearGaussianDecoder(torch.cat((weight, offsets), 1))
    posterior = GaussianPosterior(PIXELS + labels, SIZE, draws).double()
    precision = 1.0 / variance + weight.square().sum(0) / NOISE_STD**2
    slope = weight.T / NOISE_STD**2 / precision.unsqueeze(1)
    with torch.no_grad():
        posterior.layer.weight.zero_()[:SIZE] = torch.cat(
            (slope, means.T / variance / precision.unsqueeze(1) - slope @ offsets), 1
        )
        posterior.layer.bias.zero_()[SIZE:] = -precision.log()
        for parameter in posterior.parameters():
            parameter += error * torch.randn(parameter.shape, generator=draws, dtype=torch.float64)
        prior = LabelGaussians(PriorSizes(posterior, PseudoImages(PIXELS, Pixels(), posterior), draws, labels)).double()
        prior.mean.copy_(means)
        prior.log_variance.fill_(float(np.log(variance)))
    condition = nn.Embedding.from_pretrained(torch.eye(labels, dtype=torch.float64))
    covariance = variance * weight @ weight.T + NOISE_STD**2 * torch.eye(PIXELS, dtype=torch.float64)
    return VAE(Pixels(), posterior, prior, decoder, condition), (means @ weight.T + offsets.T), covariance


@pytest.fixture(scope="module")
def batch() -> ImageBatch:
    draws = Generator().manual_seed(1)
    return ImageBatch(1.3 * torch.randn(60, PIXELS, generator=draws, dtype=torch.float64), torch.arange(60) % 3)


def negative_elbo(model: VAE[ImageBatch], batch: ImageBatch, samples: int) -> Tensor:
    """(B,)."""
    posterior = model.encode(batch)
    z = posterior.draw(samples, make_generator(3))
    return (model.nll(batch, z).mean(0) + divergence(posterior, model.prior_of(batch), Points(z)).sum(-1)).detach()


def evidence(means: Tensor, covariance: Tensor, batch: ImageBatch) -> Tensor:
    """log p(x|y), (B,)."""
    return MultivariateNormal(means[batch.labels], covariance).log_prob(batch.pixels)


def test_with_the_true_posterior_every_weight_is_log_p_of_x_given_y(batch: ImageBatch):
    model, means, covariance = linear_gaussian(error=0.0)
    z = model.encode(batch).draw(7, make_generator(2))
    log_weight = model.log_joint(batch, z) - model.encode(batch).log_prob(z)
    truth = evidence(means, covariance, batch)
    torch.testing.assert_close(log_weight, truth.expand(7, -1), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(negative_elbo(model, batch, 20_000).mean(), -truth.mean(), rtol=0.0, atol=0.02)


def test_with_any_other_posterior_the_elbo_is_a_bound_and_more_samples_close_it(batch: ImageBatch):
    model, means, covariance = linear_gaussian(error=0.08)
    truth = -evidence(means, covariance, batch)
    elbo = negative_elbo(model, batch, 4000)
    assert (elbo > truth - 0.05).all()
    assert elbo.mean() > truth.mean() + 0.05
    draws = make_generator(4)
    noise = [torch.randn(2000, batch.size, SIZE, generator=draws, dtype=torch.float64) for _ in range(5)]
    found = importance_weighted_nll(model.encode(batch), lambda z: model.log_joint(batch, z), noise).detach()
    torch.testing.assert_close(found, truth, rtol=0.0, atol=0.05)


def test_scores_of_a_split_are_under_each_example_s_own_label(batch: ImageBatch):
    model, means, covariance = linear_gaussian(error=0.0)
    assert batch.labels is not None
    split = ImageSplit(batch.pixels.float().numpy().reshape(60, 1, -1), batch.labels.numpy())
    data = ImageData.make(dict.fromkeys(("train", "valid", "test"), split), "grey", "made", ("a", "b", "c"))
    truth = -evidence(means, covariance, batch).mean().item()
    bound = importance_weighted(model.float(), data, "test", samples=1)
    assert bound.nll == pytest.approx(truth, abs=1e-4)
    shifted = ImageSplit(split.pixels, (batch.labels.numpy() + 1) % 3)
    wrong = ImageData.make(dict.fromkeys(("train", "valid", "test"), shifted), "grey", "made", ("a", "b", "c"))
    other = importance_weighted(model, wrong, "test", samples=1).nll
    assert other == pytest.approx(
        -evidence(means, covariance, replace(batch, labels=(batch.labels + 1) % 3)).mean().item(), abs=1e-4
    )
    assert abs(other - truth) > 0.1


# -- what reads the label -----------------------------------------------------------------------------------------------------


@every_kind
def test_another_label_changes_what_is_told_of_it_and_nothing_else(subject: Subject, kind: str):
    model, data = built(subject, kind), subject[1]
    batch = first_batch(data)
    other = other_labels(batch, model.label_count)
    z = torch.randn(2, batch.size, 4, generator=make_generator(5))
    conditional = kind != "prior"
    assert (model.nll(batch, z) != model.nll(other, z)).all() == conditional
    assert torch.equal(model.encode(batch).expectation(), model.encode(other).expectation()) != conditional
    streams = lambda: Streams.create(0)  # noqa: E731
    pairs = [model.training_nll(each, z, Moment(0, 1), streams()) for each in (batch, other)]
    assert torch.equal(*pairs) != conditional
    assert torch.equal(model.nll(batch, z), model.nll_and_gap(batch, z, make_generator(0))[0])
    priors = [model.prior_of(each).log_prob(z) for each in (batch, other)]
    assert (priors[0] != priors[1]).all() == (kind != "condition")
    assert torch.equal(*priors) == (kind == "condition")


@every_kind
def test_an_example_s_scores_do_not_depend_on_its_neighbours_labels(subject: Subject, kind: str):
    model, batch = built(subject, kind), first_batch(subject[1])
    z = torch.randn(1, batch.size, 4, generator=make_generator(5))
    other = other_labels(batch, model.label_count)
    mixed = replace(batch, labels=torch.where(torch.arange(batch.size) == 3, batch.labels, other.labels))
    torch.testing.assert_close(model.log_joint(mixed, z)[0, 3], model.log_joint(batch, z)[0, 3], rtol=1e-6, atol=1e-5)


def test_labels_change_nothing_in_a_model_that_is_not_told_of_them(subject: Subject):
    make, data, changes = subject
    model = build_model(make(changes), data, make_generator(0, "init"))
    batch = first_batch(data)
    other = other_labels(batch, len(data.labels or ()))
    z = torch.randn(1, batch.size, 4, generator=make_generator(5))
    assert model.label_count == 0
    assert torch.equal(model.log_joint(batch, z), model.log_joint(other, z))
    assert torch.equal(model.log_joint(batch, z), model.log_joint(replace(batch, labels=None), z))


@every_kind
def test_training_goes_on_bitwise_and_learns_what_it_is_told_by(subject: Subject, kind: str):
    make, data, changes = subject
    config = make(changes | KINDS[kind] | {"training.epochs": 4})
    unbroken, first, second = (Trainer(config, data) for _ in range(3))
    own = {
        name: weight.clone() for name, weight in unbroken.model.named_parameters() if name.split(".")[0] in ("condition", "prior")
    }
    assert len(own) == {"condition": 1, "prior": 2, "both": 3}[kind]
    expected = timeless(list(unbroken.run()))
    records = list(islice(first.run(), 2))
    second.load_state_dict(first.state_dict())
    assert timeless([*records, *second.run()]) == expected
    assert same_weights(second, unbroken)
    after = dict(unbroken.model.named_parameters())
    assert all((after[name] != before).any(1).all() for name, before in own.items())
    scores = [record["metrics"]["val/neg_elbo"] for record in expected[:4]]
    assert scores[3] < scores[0] - 0.5


@every_kind
def test_scores_do_not_depend_on_the_batch_size(subject: Subject, kind: str):
    model, data = built(subject, kind), subject[1]
    few, many = (evaluate(model, data, "valid", size, seed=0) for size in (3, 1000))
    for name, value in many.items():
        assert few[name] == pytest.approx(value, rel=1e-5, abs=1e-5), name


def test_a_trained_decoder_draws_the_digit_that_it_is_told(image_config: MakeConfig):
    """At the same code, each label's image is nearest to the mean image of its own digit."""
    changes = {"data.labels": True, "training.epochs": 20, "optimizer.lr": 0.01} | CONDITION
    trainer = Trainer(image_config(changes), image_config(changes).data.load())
    list(trainer.run())
    grey = image_config({"data.labels": True, "data.pixels": "grey", "model.likelihood": {"kind": "gaussian"}}).data.load()
    assert isinstance(grey, ImageData)
    train = grey.splits["train"]
    truth = np.stack([train.pixels[train.labels == digit].mean(0) for digit in range(10)])
    drawn = decode_images(trainer.model, torch.zeros(10, 4), (8, 8), torch.arange(10))
    nearest = ((drawn[:, None] - truth[None]) ** 2).sum((2, 3)).argmin(1)
    assert (nearest == np.arange(10)).sum() >= 9


# -- kept, and generated from -------------------------------------------------------------------------------------------------


@every_kind
def test_a_model_is_kept_with_the_names_of_its_labels(subject: Subject, kind: str, tmp_path: Path):
    make, data, changes = subject
    model = built(subject, kind)
    config = make(changes | KINDS[kind])
    save_model(model, config, data, tmp_path)
    loaded = load_model(tmp_path)
    assert loaded.labels == data.labels
    assert evaluate(loaded.model, data, "test", 50, seed=0) == evaluate(model, data, "test", 50, seed=0)
    (tmp_path / "labels.json").unlink()
    with pytest.raises(CheckpointError, match=r"labels\.json"):
        load_model(tmp_path)


def test_codes_are_each_label_s_own_from_the_same_noise(subject: Subject):
    model = built(subject, "prior")
    assert isinstance(model.prior, LabelGaussians)
    labels = torch.tensor([1, 0, 1])
    z = prior_codes(model, 3, seed=4, labels=labels)
    noise = torch.randn(1, 3, 4, generator=make_generator(4, "prior"))[0]
    torch.testing.assert_close(z, model.prior.mean[labels].detach() + noise)
    turns = torch.arange(5) % model.label_count
    assert torch.equal(prior_codes(model, 5, seed=4), prior_codes(model, 5, seed=4, labels=turns))


def test_text_samples_of_each_label(text_config: MakeConfig, labelled_text: dict[str, Any], tmp_path: Path):
    config = text_config(labelled_text | CONDITION | {"training.epochs": 60, "optimizer.lr": 0.02})
    data = config.data.load()
    assert isinstance(data, TextData)
    trainer = Trainer(config, data)
    list(trainer.run())
    model = trainer.model
    z = prior_codes(model, 20, seed=0)
    for label, own, foreign in ((0, "poor cold dull", "fine great warm"), (1, "fine great warm", "poor cold dull")):
        words = {word for text in decode_text(model, z, 9, labels=torch.full((20,), label)) for word in text.split()}
        assert words & set(own.split())
        assert not words & set(foreign.split())
    write_samples(model, config, data, tmp_path)
    samples = (tmp_path / "samples.txt").read_text()
    assert samples.count("label   bad\n") == samples.count("label   good\n") == 4
    assert all(
        (word in "poor cold dull") for block in samples.split("label   bad\n")[1:] for word in _moods(block.split("\n")[0])
    )
    index = np.arange(4) * len(data.splits["test"]) // 4
    means, labels = posteriors(model, data, "test", index).mode(), data.batch("test", index).labels
    assert labels is not None
    ends = [block.strip("\n").split("\n")[-1] for block in (tmp_path / "interpolations.txt").read_text().split("\n\n")[1:]]
    assert ends == decode_text(model, means[[1, 3]], 40, labels=labels[[0, 2]])  # the last code, told the first end's label


def _moods(line: str) -> list[str]:
    return [word for word in line.split() if word in "poor cold dull fine great warm"]


def test_image_samples_are_rows_of_a_label(image_config: MakeConfig, tmp_path: Path):
    config = image_config({"data.labels": True} | CONDITION)
    data = config.data.load()
    assert isinstance(data, ImageData)
    model = build_model(config, data, make_generator(0, "init"))
    write_samples(model, config, data, tmp_path)
    with Image.open(tmp_path / "samples.png") as read:
        assert read.size == (8 * (4 * 9 - 1), 8 * (10 * 9 - 1))
        rows = np.asarray(read)[::8, ::8] / 255
    z = prior_codes(model, 4, seed=config.seed, labels=torch.zeros(4, dtype=torch.long))
    for label in (0, 7):
        expected = decode_images(model, z, (8, 8), torch.full((4,), label))
        np.testing.assert_allclose(rows[9 * label : 9 * label + 8, 9:17], expected[1], atol=1 / 255)


# -- refused ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (CONDITION, r"model\.condition needs labels, and data\.kind: digits has them by data\.labels alone"),
        (LABEL_PRIOR, r"model\.prior\.kind: label needs labels, and data\.kind: digits has them by data\.labels alone"),
        (
            CONDITION | {"data.labels": True, "model.prior": {"kind": "vamp"}},
            r"model\.prior\.kind: vamp reads its pseudo-inputs without a label",
        ),
        (
            LABEL_PRIOR | {"data.labels": True, "model.latent": {"kind": "vmf"}},
            r"model\.prior\.kind: label is for codes of model\.latent\.kind: gaussian, not vmf",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(image_config: MakeConfig, changes: dict[str, Any], message: str):
    with pytest.raises(ValidationError, match=message):
        image_config(changes)


def test_text_without_labels_is_refused(text_config: MakeConfig):
    with pytest.raises(ValidationError, match=r"model\.condition needs labels, and data\.kind: python_docs has none"):
        text_config(CONDITION)
    with pytest.raises(ValidationError, match=r"data\.kind: csv has them by data\.label_column alone"):
        text_config(CONDITION | {"data": {"kind": "csv", "train": "a.csv"}})


def test_free_bits_of_a_dimension_go_with_a_label_prior(image_config: MakeConfig):
    bits = {"objective.free_bits": {"kind": "example", "nats": 0.1}}
    assert image_config(LABEL_PRIOR | bits | {"data.labels": True})
