"""Image models over the family's table: what a score depends on, sizes that no stage divides, and the order of pixels."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from tests.vae_core.conftest import MakeConfig
from vae_core.data.batching import ImageBatch
from vae_core.data.images import ImageData
from vae_core.likelihoods import BernoulliPixels, GaussianPixels
from vae_core.model import VAE, ModelSizes, build_model
from vae_core.moment import Moment
from vae_core.networks.config import AnyDecoder, AnyEncoder, ConvDecoder, ConvEncoder, ImageDecoderConfig, ImageEncoderConfig
from vae_core.networks.convolutional import ConvImageDecoder, ConvImageEncoder
from vae_core.seeding import Streams
from vae_core.trainer import Trainer

CONV: dict[str, Any] = {"kind": "conv", "channels": [3, 5]}
MODELS: dict[str, dict[str, Any]] = {
    "mlp": {},
    "linear": {"model.encoder": {"kind": "mlp", "hidden": []}, "model.decoder": {"kind": "mlp", "hidden": []}},
    "conv": {"model.encoder": CONV, "model.decoder": CONV},
    "conv encoder": {"model.encoder": {**CONV, "kernel": 5}},
    "conv decoder": {"model.decoder": {**CONV, "channels": [4], "activation": "tanh"}},
}
LIKELIHOODS: dict[str, dict[str, Any]] = {
    "bernoulli": {"kind": "bernoulli"},
    "continuous Bernoulli": {"kind": "continuous_bernoulli"},
    "gaussian": {"kind": "gaussian"},
    "gaussian of fixed variance": {"kind": "gaussian", "variance": 0.1},
}
SHAPES = [(8, 8), (28, 28), (7, 10), (5, 3, 3), (9, 6, 1), (2, 1), (1, 1)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def codes(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def images(shape: tuple[int, ...], count: int = 4) -> ImageBatch:
    return ImageBatch(torch.rand(count, math.prod(shape), generator=generator(5), dtype=torch.float64))


@pytest.fixture(params=MODELS, scope="module")
def changes(request: pytest.FixtureRequest) -> dict[str, Any]:
    return MODELS[request.param]


def model_of(changes: dict[str, Any], image_config: MakeConfig, shape: tuple[int, ...] = (8, 8)) -> VAE[ImageBatch]:
    return build_model(image_config(changes), ModelSizes(shape=shape), generator()).double()


def test_every_network_for_images_is_here(image_config: MakeConfig):
    configs = [image_config(changes).model for changes in MODELS.values()]
    for union, base, part in ((AnyEncoder, ImageEncoderConfig, "encoder"), (AnyDecoder, ImageDecoderConfig, "decoder")):
        known = {kind for kind in get_args(get_args(union)[0]) if issubclass(kind, base)}
        assert {type(getattr(config, part)) for config in configs} == known


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_images_are_scored_sample_by_sample(likelihood: str, changes: dict[str, Any], image_config: MakeConfig):
    pixels = "static" if likelihood == "bernoulli" else "grey"
    model = model_of({**changes, "data.pixels": pixels, "model.likelihood": LIKELIHOODS[likelihood]}, image_config)
    batch, z = images((8, 8), 5), codes(3, 5, 4)
    together = model.decoder.nll(batch, z)
    assert together.shape == (3, 5)
    for k in range(3):
        torch.testing.assert_close(model.decoder.nll(batch, z[k : k + 1])[0], together[k], rtol=1e-10, atol=1e-10)
    assert model.encode(batch).mean.shape == (5, 4)


@pytest.mark.parametrize("shape", SHAPES)
def test_images_of_any_size_are_encoded_and_scored_each_by_itself(
    shape: tuple[int, ...], changes: dict[str, Any], image_config: MakeConfig
):
    model = model_of(changes, image_config, shape)
    batch, z = images(shape), codes(1, 4, 4)
    mean, nll = model.encode(batch).mean, model.decoder.nll(batch, z)
    for place in range(4):
        one = slice(place, place + 1)
        alone = replace(batch, pixels=batch.pixels[one])
        torch.testing.assert_close(model.encode(alone).mean, mean[one], rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(model.decoder.nll(alone, z[:, one]), nll[:, one], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("shape", SHAPES[:5])
def test_every_pixel_is_seen_and_every_pixel_sees_the_code(
    shape: tuple[int, ...], changes: dict[str, Any], image_config: MakeConfig
):
    """By gradients: of the summary to each pixel, of each parameter to the code; no size leaves a border out."""
    smooth = {
        f"model.{part}": {**changes.get(f"model.{part}", {"kind": "mlp", "hidden": [24]}), "activation": "gelu"}
        for part in ("encoder", "decoder")
    }
    model = model_of(smooth, image_config, shape)
    pixels = images(shape, 1).pixels.requires_grad_()
    (to_pixels,) = torch.autograd.grad(model.encode(ImageBatch(pixels)).mean.square().sum(), pixels)
    assert (to_pixels != 0).all()
    first, second = (model.decoder.parameters_of(codes(1, 4, seed=seed)) for seed in (1, 2))  # type: ignore[operator]
    assert first.shape == (1, math.prod(shape))
    assert (first != second).all()


def test_every_weight_is_trained(changes: dict[str, Any], image_config: MakeConfig):
    model = model_of(changes, image_config)
    batch = images((8, 8), 50)
    posterior = model.encode(batch)
    (model.decoder.nll(batch, posterior.draw(1, generator())).mean() + posterior.kl().mean()).backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()] == []


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_dropout_acts_in_training_only_and_draws_from_its_generator(part: str, changes: dict[str, Any], image_config: MakeConfig):
    network = {**changes.get(f"model.{part}", {"kind": "mlp", "hidden": [24]}), "dropout": 0.5}
    if network.get("hidden") == []:
        with pytest.raises(ValidationError, match=r"dropout: 0\.5 is of hidden layers, and hidden: \[\] has none"):
            model_of({f"model.{part}": network}, image_config)
        return
    model, plain = model_of({**changes, f"model.{part}": network}, image_config), model_of(changes, image_config)
    batch, z, before = images((8, 8)), codes(1, 4, 4), torch.get_rng_state()
    assert torch.equal(model.encode(batch).mean, plain.encode(batch).mean)
    assert torch.equal(model.decoder.nll(batch, z), plain.decoder.nll(batch, z))
    means = [model.encode(batch, generator(seed)).mean for seed in (0, 0, 1)]
    losses = [model.decoder.training_nll(batch, z, Moment(0, 1), Streams.create(seed)) for seed in (0, 0, 1)]
    for active, exact, (first, again, other) in (
        (part == "encoder", plain.encode(batch).mean, means),
        (part == "decoder", plain.decoder.nll(batch, z), losses),
    ):
        assert torch.equal(first, again)
        assert torch.equal(first, exact) != active
        assert torch.equal(first, other) != active
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("stages", "kernel"), [(1, 3), (3, 3), (2, 5), (5, 1)])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_decoder_passes_the_sizes_of_its_encoder_backwards(shape: tuple[int, ...], stages: int, kernel: int):
    channels = tuple(range(2, 2 + stages))
    encoder = ConvImageEncoder(ConvEncoder(channels=channels, kernel=kernel), shape, generator()).double()
    mirrored = ConvDecoder(channels=channels[::-1], kernel=kernel)
    decoder = ConvImageDecoder(mirrored, 4, shape, BernoulliPixels(), generator()).double()
    passed: list[tuple[int, ...]] = []
    for stage in (*encoder.stages, *decoder.stages):
        stage.register_forward_hook(lambda _, inputs, output: passed.append((*inputs[0].shape[2:], *output.shape[2:])))
    assert encoder(images(shape), None).shape == (4, encoder.features)
    down, passed[:] = passed[:], []
    assert decoder.parameters_of(codes(2, 3, 4)).shape == (2, 3, math.prod(shape))
    assert passed == [(*sizes[2:], *sizes[:2]) for sizes in reversed(down)]


def test_channels_stand_last_in_what_is_read_and_what_is_given():
    """One linear stage of kernel 1 against the same by hand on (H, W, C); means before variances, both in the pixels' order."""
    shape = (3, 4, 2)
    encoder = ConvImageEncoder(ConvEncoder(channels=(2,), kernel=1), shape, generator()).double()
    stage = encoder.stages[0]
    with torch.no_grad():
        stage.get_parameter("weight").copy_(torch.eye(2).view(2, 2, 1, 1))
        stage.get_parameter("bias").zero_()
    batch = images(shape)
    every_second = batch.pixels.view(4, *shape)[:, ::2, ::2]
    assert torch.equal(encoder(batch, None).view(4, 2, 2, 2), every_second.permute(0, 3, 1, 2))
    decoder = ConvImageDecoder(ConvDecoder(channels=(2,)), 4, shape, GaussianPixels(-7.0), generator()).double()
    with torch.no_grad():
        decoder.stages[0].get_parameter("weight").zero_()
        decoder.stages[0].get_parameter("bias").copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    means, spreads = decoder.parameters_of(codes(5, 4)).view(5, 2, *shape).unbind(1)
    for channel in range(2):
        assert (means[..., channel] == 1.0 + channel).all()
        assert (spreads[..., channel] == 3.0 + channel).all()


def test_a_convolutional_model_learns_and_goes_on_bit_by_bit(image_config: MakeConfig, digits: ImageData):
    conv = {"kind": "conv", "channels": [8, 16], "dropout": 0.1}
    changes = {"model.encoder": conv, "model.decoder": {**conv, "channels": [16, 8]}, "training.epochs": 3}
    config = image_config({**changes, "model.initialisation": {"kind": "he"}})
    whole = Trainer(config, digits)
    scores = [record.metrics["val/neg_elbo"] for record in whole.run() if not record.final]
    assert scores[2] < scores[1] < scores[0] < 64 * math.log(2.0)  # an even guess at each of the 64 pixels
    first, second = Trainer(config, digits), Trainer(config, digits)
    next(first.run())
    second.load_state_dict(first.state_dict())
    assert [record.metrics["val/neg_elbo"] for record in second.run() if not record.final] == scores[1:]


def test_batches_of_data_are_what_the_networks_read(changes: dict[str, Any], image_config: MakeConfig, digits: ImageData):
    model = build_model(image_config(changes), digits, generator())
    batch = digits.batch("test", np.arange(3), None)
    assert model.decoder.nll(batch, model.encode(batch).mean.unsqueeze(0)).shape == (1, 3)
