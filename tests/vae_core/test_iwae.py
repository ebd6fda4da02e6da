"""The importance-weighted bound on a linear-Gaussian model, where likelihood and posterior are known (definitions.md 7)."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytest
import torch
from torch import Generator, Tensor, nn
from torch.distributions import MultivariateNormal, Normal

from tests.vae_core.conftest import MakeConfig
from vae_core.data.batching import ImageBatch
from vae_core.data.images import ImageData
from vae_core.data.text import TextData
from vae_core.latent.gaussian import GaussianPosterior, standard_normal_log_prob
from vae_core.latent.standard import Reference
from vae_core.model import VAE
from vae_core.moment import Moment
from vae_core.networks.interface import Decoder, Encoder
from vae_core.objectives.config import ImportanceWeighted
from vae_core.objectives.interface import ObjectiveSizes, Terms
from vae_core.seeding import Streams
from vae_core.trainer import Trainer

SIZE, PIXELS, EXAMPLES, NOISE_STD = 2, 4, 6, 0.7
GRADIENTS = ("plain", "dreg")


class Pixels(Encoder[ImageBatch]):
    """The summary of an image is the image."""

    features = PIXELS

    def forward(self, batch: ImageBatch, generator: Generator | None) -> Tensor:
        return batch.pixels


class LinearGaussianDecoder(Decoder[ImageBatch]):
    """x = W z + b + e, e ~ N(0, s^2 I)."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight, self.offset = nn.Parameter(weight), nn.Parameter(torch.zeros(PIXELS, dtype=torch.float64))

    def nll(self, batch: ImageBatch, z: Tensor) -> Tensor:
        return -Normal(z @ self.weight.T + self.offset, NOISE_STD).log_prob(batch.pixels).sum(-1)

    def training_nll(self, batch: ImageBatch, z: Tensor, moment: Moment, streams: Streams) -> Tensor:
        return self.nll(batch, z)

    def nll_and_gap(self, batch: ImageBatch, z: Tensor, negatives: Generator) -> tuple[Tensor, Tensor]:
        return self.nll(batch, z), self.nll(batch, z) * 0.0

    def bytes_per_sample(self, batch: ImageBatch) -> int:
        return 8 * PIXELS

    def evidence(self, batch: ImageBatch) -> Tensor:
        """log p(x), (B,)."""
        covariance = self.weight @ self.weight.T + NOISE_STD**2 * torch.eye(PIXELS, dtype=torch.float64)
        return MultivariateNormal(self.offset, covariance).log_prob(batch.pixels)


def make_model(error: float) -> VAE[ImageBatch]:
    """With the true posterior, or one that is ``error`` away from it in each weight; the columns of W are orthogonal."""
    generator = torch.Generator().manual_seed(0)
    basis, _ = torch.linalg.qr(torch.randn(PIXELS, SIZE, generator=generator, dtype=torch.float64))
    weight = basis * torch.tensor([0.8, 1.6], dtype=torch.float64)
    posterior = GaussianPosterior(PIXELS, SIZE, generator).double()
    precision = 1.0 + weight.square().sum(0) / NOISE_STD**2
    with torch.no_grad():
        posterior.layer.weight.zero_()[:SIZE] = weight.T / NOISE_STD**2 / precision.unsqueeze(1)
        posterior.layer.bias.zero_()[SIZE:] = -precision.log()
        for parameter in posterior.parameters():
            parameter += error * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return VAE(Pixels(), posterior, Reference(posterior.reference), LinearGaussianDecoder(weight))


@pytest.fixture(scope="module")
def batch() -> ImageBatch:
    generator = torch.Generator().manual_seed(1)
    return ImageBatch(1.3 * torch.randn(EXAMPLES, PIXELS, generator=generator, dtype=torch.float64))


def terms_of(model: VAE[ImageBatch], batch: ImageBatch, samples: int, gradient: str, streams: Streams) -> Terms:
    objective = ImportanceWeighted.from_dict({"samples": samples, "gradient": gradient}).build(ObjectiveSizes(EXAMPLES, SIZE))
    return objective.terms(model, batch, Moment(0, 1, objective.initial(torch.Generator())), streams)


def gradients(loss: Tensor, parameters: Iterable[nn.Parameter]) -> Tensor:
    """All in one vector."""
    return torch.cat([slope.flatten() for slope in torch.autograd.grad(loss, list(parameters), retain_graph=True)])


def negative_elbo(model: VAE[ImageBatch], batch: ImageBatch) -> Tensor:
    """In closed form: E |x - b - W z|^2 = |x - b - W m|^2 + sum_d v_d |W_d|^2."""
    posterior, decoder = model.encode(batch), model.decoder
    assert isinstance(decoder, LinearGaussianDecoder)
    spread = (posterior.log_variance.exp() * decoder.weight.square().sum(0)).sum(-1) / (2 * NOISE_STD**2)
    return (decoder.nll(batch, posterior.mean) + spread + posterior.kl()).mean()


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("samples", [1, 3, 8])
def test_the_true_posterior_gives_the_likelihood_at_any_k(samples: int, gradient: str, batch: ImageBatch):
    model = make_model(error=0.0)
    assert isinstance(model.decoder, LinearGaussianDecoder)
    terms = terms_of(model, batch, samples, gradient, Streams.create(0))
    torch.testing.assert_close(terms.loss, -model.decoder.evidence(batch).mean(), rtol=1e-12, atol=0.0)


@pytest.mark.parametrize("samples", [1, 3, 8])
def test_at_the_true_posterior_dreg_has_no_noise_and_the_plain_gradient_has(samples: int, batch: ImageBatch):
    model = make_model(error=0.0)
    plain, dreg = (
        gradients(terms_of(model, batch, samples, gradient, Streams.create(0)).loss, model.posterior.parameters())
        for gradient in GRADIENTS
    )
    assert dreg.abs().max() < 1e-12
    assert plain.abs().max() > 1e-2


@pytest.mark.parametrize("samples", [1, 4])
def test_the_gradients_are_weighted_by_the_formulas(samples: int, batch: ImageBatch):
    """Encoder: w~_k^2 with log q's parameters fixed. Decoder: w~_k. Written out from the same samples."""
    model = make_model(error=0.3)
    posterior = model.encode(batch)
    z = posterior.draw(samples, Streams.create(3).noise)
    fixed = z.detach().requires_grad_()
    log_weight = standard_normal_log_prob(fixed) - model.decoder.nll(batch, fixed) - posterior.detach().log_prob(fixed)
    share = log_weight.detach().softmax(0)
    (slope,) = torch.autograd.grad(log_weight.sum(), fixed, retain_graph=True)
    through_z = -(share.square().unsqueeze(-1) * slope * z).sum() / EXAMPLES
    in_decoder = -(share * log_weight).sum() / EXAMPLES
    loss = terms_of(model, batch, samples, "dreg", Streams.create(3)).loss
    for surrogate, part in ((through_z, model.posterior), (in_decoder, model.decoder)):
        found, expected = (gradients(value, part.parameters()) for value in (loss, surrogate))
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("samples", [2, 8])
def test_dreg_has_the_plain_gradient_s_mean_and_a_lower_variance(samples: int, batch: ImageBatch):
    """From the same draws: the decoder's gradients are equal, the encoder's within 4.5 standard errors of their difference."""
    model, draws, many = make_model(error=0.3), 500, ImageBatch(batch.pixels.repeat(20, 1))
    encoder: dict[str, Tensor] = {}
    for gradient in GRADIENTS:
        streams = Streams.create(5)
        losses = (terms_of(model, many, samples, gradient, streams).loss for _ in range(draws))
        table = torch.stack([gradients(loss, model.parameters()) for loss in losses])
        encoder[gradient], decoder = table[:, : 2 * SIZE * (PIXELS + 1)], table[:, 2 * SIZE * (PIXELS + 1) :]
        if gradient == "plain":
            expected = decoder
    torch.testing.assert_close(decoder, expected, rtol=1e-9, atol=1e-12)
    difference = encoder["dreg"] - encoder["plain"]
    assert (difference.mean(0).abs() < 4.5 * difference.std(0) / draws**0.5).all()
    assert encoder["plain"].mean(0).abs().max() > 10 * difference.mean(0).abs().max()
    assert encoder["dreg"].var(0).sum() < 0.5 * encoder["plain"].var(0).sum()


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_one_sample_is_the_elbo(gradient: str, batch: ImageBatch):
    """The value and the gradient of the closed form, within 4.5 standard errors."""
    model, draws, streams = make_model(error=0.3), 300, Streams.create(2)
    many = ImageBatch(batch.pixels.repeat(20, 1))
    exact = negative_elbo(model, batch)
    expected = torch.cat((exact.detach().unsqueeze(0), gradients(exact, model.parameters())))
    rows = []
    for _ in range(draws):
        loss = terms_of(model, many, 1, gradient, streams).loss
        rows.append(torch.cat((loss.detach().unsqueeze(0), gradients(loss, model.parameters()))))
    table = torch.stack(rows)
    assert ((table.mean(0) - expected).abs() < 4.5 * table.std(0) / draws**0.5).all()


def test_the_bound_falls_with_k_towards_the_likelihood(batch: ImageBatch):
    model = make_model(error=0.3)
    assert isinstance(model.decoder, LinearGaussianDecoder)
    with torch.no_grad():
        streams = Streams.create(4)
        one, few, many = (
            torch.stack([terms_of(model, batch, samples, "dreg", streams).loss for _ in range(400)]).mean().item()
            for samples in (1, 5, 50)
        )
        truth = -model.decoder.evidence(batch).mean().item()
        assert negative_elbo(model, batch).item() == pytest.approx(one, rel=0.02)
    assert truth - 0.01 < many < few - 0.05 < one - 0.2


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_training_by_the_bound_is_validated_by_the_elbo(gradient: str, image_config: MakeConfig, digits: ImageData):
    config = image_config({"objective": {"kind": "iwae", "samples": 5, "gradient": gradient}, "training.epochs": 4})
    trainer = Trainer(config, digits)
    records = list(trainer.run())
    for record in records[:-1]:
        metrics = record.metrics
        assert metrics["train/loss"] < metrics["train/distortion"] + metrics["train/rate"]
        assert metrics["val/neg_elbo"] == metrics["val/distortion"] + metrics["val/rate"]
        assert (metrics["train/beta"], record.annealed) == (1.0, True)
    assert records[3].metrics["train/loss"] < records[0].metrics["train/loss"] - 5.0
    assert records[-1].metrics["best/epoch"] == min(records[:-1], key=lambda record: record.metrics["val/neg_elbo"]).epoch


def test_text_is_trained_by_the_bound_through_tied_and_sampled_words(text_config: MakeConfig, sentences: TextData):
    """The embedding table is both encoder's and decoder's: it takes part in both gradients."""
    changes = {"objective": {"kind": "iwae", "samples": 3}, "model.decoder.tie_embeddings": True}
    changes |= {"model.softmax": {"kind": "sampled", "samples": 64}}
    first, *_, last, _final = Trainer(text_config(changes), sentences).run()
    assert last.metrics["val/perplexity"] < 0.9 * first.metrics["val/perplexity"]
    assert math.isfinite(last.metrics["train/loss"])
