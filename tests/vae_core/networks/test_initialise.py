"""First weights: the default is what it always was, the others against their papers' variances and what these are for."""

from __future__ import annotations

import math
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from tests.vae_core.conftest import MakeConfig
from vae_core.data.text import TextData
from vae_core.latent.gaussian import GaussianPosterior
from vae_core.model import ModelSizes, build_model
from vae_core.networks.initialisation import (
    AnyInitialisation,
    DefaultInitialisation,
    HeInitialisation,
    OrthogonalInitialisation,
    ScaledInitialisation,
    UniformInitialisation,
    XavierInitialisation,
)
from vae_core.networks.initialise import convolution, doubling, embedding, halving, initialise, linear, recurrent
from vae_core.networks.recurrent import RecurrentSentenceDecoder, RecurrentSentenceEncoder
from vae_core.networks.recurrent_config import LstmDecoder, LstmEncoder

CONFIGS: dict[str, ScaledInitialisation | OrthogonalInitialisation] = {
    "uniform": UniformInitialisation(bound=0.05),
    "xavier": XavierInitialisation(),
    "xavier normal": XavierInitialisation(gain=2.0, distribution="normal"),
    "he": HeInitialisation(),
    "he uniform": HeInitialisation(distribution="uniform"),
    "he of gradients": HeInitialisation(fan="out"),
    "orthogonal": OrthogonalInitialisation(),
    "orthogonal with gain": OrthogonalInitialisation(gain=1.5),
}
SCALED = {name: config for name, config in CONFIGS.items() if isinstance(config, ScaledInitialisation)}
LAYERS: dict[str, tuple[Any, float, float]] = {
    "linear": (lambda: linear(300, 500, generator()), 300, 500),
    "convolution over positions": (lambda: convolution(80, 90, 3, generator(), dilation=2), 80 * 3, 90 * 3),
    "convolution": (lambda: halving(40, 60, 3, generator()), 40 * 9, 60 * 9 / 4),
    "transposed convolution": (lambda: doubling(40, 60, 3, generator()), 40 * 9 / 4, 60 * 9),
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(layer: nn.Module, config: AnyInitialisation, seed: int = 1) -> nn.Module:
    """The layer in a model, its weights drawn anew."""
    initialise(nn.Sequential(layer), config, generator(seed))
    return layer


def test_every_initialisation_is_here():
    assert {type(config) for config in CONFIGS.values()} == {*get_args(get_args(AnyInitialisation)[0])} - {DefaultInitialisation}


def test_the_default_is_the_parts_as_they_are_built(text_config: MakeConfig, sentences: TextData):
    """Bit by bit: nothing is drawn between or after the parts."""
    config, draws = text_config(), generator(3)
    model = build_model(config, sentences, generator(3))
    assert isinstance(config.model.encoder, LstmEncoder)
    assert isinstance(config.model.decoder, LstmDecoder)
    table = embedding(len(sentences.vocabulary), 12, draws)
    encoder = RecurrentSentenceEncoder(config.model.encoder, table, draws)
    posterior = GaussianPosterior(encoder.features, 4, draws)
    decoder = RecurrentSentenceDecoder(config.model.decoder, 4, table, config.model.softmax, sentences.vocabulary, draws)
    parts = [*encoder.parameters(), *posterior.parameters(), *list(decoder.parameters())[1:]]  # the table is shared
    for (name, weight), part in zip(model.named_parameters(), parts, strict=True):
        assert torch.equal(weight, part), name


@pytest.mark.parametrize("name", SCALED)
@pytest.mark.parametrize("kind", LAYERS)
def test_weights_have_the_paper_s_variance(kind: str, name: str):
    make, fan_in, fan_out = LAYERS[kind]
    config = SCALED[name]
    variance = {
        "uniform": 0.05**2 / 3,
        "xavier": 2.0 / (fan_in + fan_out),
        "xavier normal": 4.0 * 2.0 / (fan_in + fan_out),
        "he": 2.0 / fan_in,
        "he uniform": 2.0 / fan_in,
        "he of gradients": 2.0 / fan_out,
    }[name]
    layer = drawn(make(), config)
    weight = layer.get_parameter("weight").double()
    assert weight.var().item() == pytest.approx(variance, rel=0.05)  # 21,600 weights at least: a standard error below 0.01
    assert abs(weight.mean().item()) < 5.0 * math.sqrt(variance / weight.numel())
    largest = weight.abs().max().item() / math.sqrt(3.0 * variance)
    assert (0.99 < largest <= 1.0 + 1e-6) if config.distribution == "uniform" else largest > 1.5
    assert not layer.get_parameter("bias").any()


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("name", ["xavier", "he"])
def test_a_gate_is_a_layer_of_its_own(name: str, cell: Any):
    layer = drawn(recurrent(cell, 100, 200, generator()), CONFIGS[name])
    for of, inputs in (("ih", 100), ("hh", 200)):
        variance = 2.0 / (inputs + 200) if name == "xavier" else 2.0 / inputs
        for gate in layer.get_parameter(f"weight_{of}_l0").split(200):
            assert gate.var().item() == pytest.approx(variance, rel=0.05)
        assert not layer.get_parameter(f"bias_{of}_l0").any()


@pytest.mark.parametrize("name", ["orthogonal", "orthogonal with gain"])
@pytest.mark.parametrize(("inputs", "outputs"), [(30, 50), (50, 30), (40, 40)])
def test_rows_or_columns_are_orthonormal(name: str, inputs: int, outputs: int):
    config = CONFIGS[name]
    assert isinstance(config, OrthogonalInitialisation)

    def check(matrix: Tensor) -> None:
        wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
        torch.testing.assert_close(wide @ wide.T, config.gain**2 * torch.eye(len(wide)), rtol=0.0, atol=1e-5)

    layers = [
        linear(inputs, outputs, generator()),
        halving(inputs, outputs, 3, generator()),
        doubling(inputs, outputs, 3, generator()),
    ]
    dense, convolution, transposed = (drawn(layer, config).get_parameter("weight") for layer in layers)
    check(dense)
    check(convolution.flatten(1))
    check(transposed.transpose(0, 1).flatten(1))
    layer = drawn(recurrent("gru", inputs, outputs, generator()), config)
    for weight in (layer.get_parameter("weight_ih_l0"), layer.get_parameter("weight_hh_l0")):
        for gate in weight.split(outputs):
            check(gate)
    assert not layer.get_parameter("bias_hh_l0").any()


def test_he_keeps_the_size_of_activations_through_relu_and_xavier_that_of_linear_layers():
    """Mean squares through 20 layers; the default's would have shrunk to (1/6)^20 with ReLU and (1/3)^20 without."""
    x = torch.randn(500, 256, generator=generator(5))
    for config, activation in ((HeInitialisation(), torch.relu), (XavierInitialisation(), nn.Identity())):
        y = x
        for seed in range(20):
            y = activation(drawn(linear(256, 256, generator()), config, seed)(y))
        assert 0.3 < (y.square().mean() / activation(x).square().mean()).item() < 3.0


@pytest.mark.parametrize("make", [halving, doubling])
def test_he_s_fans_count_the_stride(make: Any):
    """A convolution's pre-activations have twice the inputs' mean square, away from the border; so has a transposed one's."""
    x = torch.randn(4, 64, 32, 32, generator=generator(5))
    layer = drawn(make(64, 64, 3, generator()), HeInitialisation())
    y = layer(x)[:, :, 2:-2, 2:-2]
    assert y.square().mean().item() == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_model_s_layers_are_drawn_from_the_generator_and_its_words_and_softmax_are_not(
    name: str, text_config: MakeConfig, sentences: TextData
):
    transformer = {"kind": "transformer", "width": 16, "heads": 2, "feed_forward": 24}
    changes = {"model.encoder.hidden": 20, "model.decoder": transformer, "model.initialisation": CONFIGS[name].to_dict()}
    before = torch.get_rng_state()
    model, again = (build_model(text_config(changes), sentences, generator(3)) for _ in range(2))
    other = build_model(text_config(changes), sentences, generator(4))
    plain = build_model(text_config({key: changes[key] for key in list(changes)[:2]}), sentences, generator(3))
    assert torch.equal(torch.get_rng_state(), before)
    kept = ("encoder.table", "decoder.head", "decoder.table", ".norm.", ".before_")
    weights = zip(model.named_parameters(), again.parameters(), other.parameters(), plain.parameters(), strict=True)
    for (key, weight), same, of_other, default in weights:
        assert torch.equal(weight, same), key
        assert torch.equal(weight, default) == any(part in key for part in kept), key
        if "bias" in key and not any(part in key for part in kept):
            assert not weight.any(), key
        elif not any(part in key for part in kept):
            assert not torch.equal(weight, of_other), key


def test_default_weights_are_the_recorded_ones(image_config: MakeConfig):
    """From before there was a choice; a change here changes every trial that names no initialisation."""
    model = build_model(image_config(), ModelSizes(shape=(8, 8)), generator(3))
    recorded = [-0.12393412, 0.120149776, -0.179828674, 0.037495703, -0.303600788, 0.105005682, -0.131814077, -0.134941444]
    assert [weight.flatten()[0].item() for weight in model.parameters()] == pytest.approx(recorded, rel=1e-6)
