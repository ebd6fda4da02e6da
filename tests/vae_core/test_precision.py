"""Training in bfloat16: products are rounded, sums and losses are not, and evaluation knows nothing of it."""

from __future__ import annotations

from itertools import islice
from typing import Any, get_args

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from tests.vae_core.conftest import MakeConfig
from tests.vae_core.softmax.conftest import make_sizes  # noqa: F401  # a fixture
from tests.vae_core.softmax.test_softmax_family import CONFIGS, SMALL, MakeSizes
from tests.vae_core.test_trainer import same_weights, timeless
from vae_core.config import AnyLikelihood, TrialConfig
from vae_core.data.images import ImageData
from vae_core.data.text import TextData
from vae_core.evaluate import evaluate
from vae_core.latent.config import AnyLatent, AnyPrior
from vae_core.model import Data
from vae_core.networks.config import AnyDecoder, AnyEncoder
from vae_core.objectives.config import AnyObjective
from vae_core.precision import add_product, affine, product_dtype, widened, write_product
from vae_core.softmax.config import (
    AdaptiveSoftmax,
    AnySoftmax,
    FullSoftmax,
    HierarchicalSoftmax,
    NegativeSampling,
    NoiseContrastive,
    OneVsEach,
    SoftmaxConfig,
)
from vae_core.trainer import Trainer

ROUNDING = 2**-8
"""Of one number in bfloat16, relative."""
EPOCH = 5e-3
"""By how much, relative, an epoch's loss may differ from that in float32."""
KINDS = [member().kind for member in get_args(get_args(AnySoftmax)[0])]
OF_TEXT = ("categorical", "multinomial")
LIKELIHOODS = [member().kind for member in get_args(get_args(AnyLikelihood)[0]) if member().kind not in OF_TEXT]
SMALL_NETWORKS: dict[str, dict[str, Any]] = {
    "lstm": {"hidden": 16},
    "gru": {"hidden": 16},
    "transformer": {"width": 16, "heads": 2, "feed_forward": 32},
    "cnn": {"width": 16},
    "bag_of_words": {"hidden": [24]},
    "mlp": {"hidden": [24]},
    "conv": {"channels": [8, 8]},
}
NETWORKS = [
    (part, member.modality, member().kind)
    for part, family in (("encoder", AnyEncoder), ("decoder", AnyDecoder))
    for member in get_args(get_args(family)[0])
]

REST = [
    (place, member().kind)
    for place, family in (("objective", AnyObjective), ("model.latent", AnyLatent), ("model.prior", AnyPrior))
    for member in get_args(get_args(family)[0])
]


def test_what_is_widened():
    assert [widened(torch.ones(2, dtype=dtype)).dtype for dtype in (torch.bfloat16, torch.float32, torch.float64)] == [
        torch.float32,
        torch.float32,
        torch.float64,
    ]


def test_products_round_their_factors_and_not_what_they_are_added_to():
    a, b = torch.full((1, 1), 1 + 2**-10), torch.full((1, 1), 3.0)  # 1 + 2^-10 is 1 in bfloat16
    large, small = torch.full((1, 1), 1024.0), torch.full((1, 1), 0.25)
    for dtype, product in ((None, 3 + 3 * 2**-10), (torch.bfloat16, 3.0)):
        assert affine(large[0] + small[0], a, b, dtype).item() == 1024.25 + product
        total, result = large + small, torch.empty(1, 1)
        add_product(total, a, b, dtype)
        write_product(result, a, b, dtype)
        assert (total.item(), result.item()) == (1024.25 + product, product)
        assert {total.dtype, result.dtype} == {torch.float32}


def test_autocast_is_what_functions_ask_for():
    x = torch.ones(1)
    assert product_dtype(x) is None
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert product_dtype(x) == torch.bfloat16


@pytest.mark.parametrize("tied", [False, True], ids=["own", "tied"])
@pytest.mark.parametrize("config", CONFIGS, ids=repr)
def test_every_softmax_sums_in_float32(config: SoftmaxConfig, tied: bool, make_sizes: MakeSizes):  # noqa: F811  # the fixture
    """Against float64: no further off than the rounding of the logits makes it, and closer than rounded sums would be."""
    tokens, features, words = 64, 16, 10_500
    head = config.build(make_sizes(features, words, tied=tied))
    hidden = torch.randn(tokens, features, generator=torch.Generator().manual_seed(1)).bfloat16()
    targets = torch.randint(0, words, (tokens,), generator=torch.Generator().manual_seed(2))
    weights = torch.linspace(0.5, 1.5, tokens)

    def run(hidden: Tensor) -> tuple[Tensor, list[Tensor]]:
        hidden = hidden.detach().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=hidden.dtype != torch.float64):
            loss = head.loss(hidden, targets, torch.Generator().manual_seed(3))
        return loss.detach(), list(torch.autograd.grad(weights.to(loss.dtype) @ loss, [hidden, *head.parameters()]))

    loss, gradients = run(hidden)
    head.double()
    exact, expected = run(hidden.double())
    logits = head.log_probs(hidden.double())
    logit_error = ROUNDING * (logits - logits.mean(1, keepdim=True)).abs().max()
    # The derivatives by the logits sum to 2 at most in a softmax, of which some have two; in a sum of softplus to 1 + the sum.
    if isinstance(config, NoiseContrastive | NegativeSampling | OneVsEach):
        terms = 1 + exact
    else:
        terms = torch.full_like(exact, 4.0 if isinstance(config, AdaptiveSoftmax | HierarchicalSoftmax) else 2.0)
    assert loss.dtype == torch.float32
    assert ((loss - exact).abs() < logit_error * terms).all()
    if isinstance(config, FullSoftmax) and not tied:  # the test has power: large sums of small logits
        rounded = logits.bfloat16().gather(1, targets.unsqueeze(1)).squeeze(1)
        assert ((rounded + exact).abs() > logit_error * terms).any()
    pairs = [(mine.double(), reference) for mine, reference in zip(gradients, expected, strict=True) if reference.any()]
    errors = [((mine - reference).norm() / reference.norm()).item() for mine, reference in pairs]
    assert max(errors) < 4 * ROUNDING
    assert max(errors) > ROUNDING / 50, "no product was in bfloat16"


def compared(make: MakeConfig, data: Data, changes: dict[str, Any]) -> None:
    """One epoch in either precision: the losses differ, and hardly."""
    changes = changes | {"training.epochs": 1}
    wide, narrow = (Trainer(make(changes | {"training.precision": name}), data) for name in ("float32", "bfloat16"))
    expected, found = (next(trainer.run()).metrics for trainer in (wide, narrow))
    assert found["train/loss"] != expected["train/loss"]
    assert found["train/loss"] == pytest.approx(expected["train/loss"], rel=EPOCH)
    assert found["val/neg_elbo"] == pytest.approx(expected["val/neg_elbo"], rel=EPOCH)
    assert {weight.dtype for weight in narrow.model.parameters()} == {torch.float32}


@pytest.mark.parametrize("kind", KINDS)
def test_every_softmax_trains(kind: str, text_config: MakeConfig, sentences: TextData):
    compared(text_config, sentences, {"model.softmax": {"kind": kind, **SMALL[kind]}})


@pytest.mark.parametrize(("part", "modality", "kind"), NETWORKS)
def test_every_network_trains(
    part: str,
    modality: str,
    kind: str,
    text_config: MakeConfig,
    image_config: MakeConfig,
    sentences: TextData,
    digits: ImageData,
):
    network: dict[str, Any] = {f"model.{part}": {"kind": kind, **SMALL_NETWORKS[kind]}}
    if modality == "text":
        if part == "encoder":
            network["model.decoder.embedding"] = 12  # a network without word vectors has none to share
        compared(text_config, sentences, network)
    else:
        compared(image_config, digits, network)


@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_every_likelihood_of_pixels_trains(kind: str, image_config: MakeConfig):
    changes = {"model.likelihood": {"kind": kind}} | ({} if kind == "bernoulli" else {"data.pixels": "grey"})
    data = image_config(changes).data.load()
    assert isinstance(data, ImageData)
    compared(image_config, data, changes)


@pytest.mark.parametrize(("place", "kind"), REST)
def test_every_objective_and_code_trains(place: str, kind: str, image_config: MakeConfig):
    changes = {place: {"kind": kind}, "data.labels": True, "training.batch_size": 128}
    data = image_config(changes).data.load()
    assert isinstance(data, ImageData)
    compared(image_config, data, changes)


@pytest.fixture(params=["lstm", "gru", "transformer", "image"])
def trial(
    request: pytest.FixtureRequest,
    text_config: MakeConfig,
    image_config: MakeConfig,
    sentences: TextData,
    digits: ImageData,
    every_dropout: dict[str, Any],
) -> tuple[TrialConfig, Data]:
    """With every dropout."""
    common = {"training.precision": "bfloat16"}
    if request.param == "image":
        return image_config(common | {"model.encoder.dropout": 0.1, "model.decoder.dropout": 0.1}), digits
    if request.param == "transformer":
        network = {"kind": "transformer", **SMALL_NETWORKS["transformer"], "dropout": 0.1, "attention_dropout": 0.1}
        return text_config(common | {"model.encoder": network, "model.decoder": network}), sentences
    kinds = {"model.encoder.kind": request.param, "model.decoder.kind": request.param}
    return text_config(common | every_dropout | kinds | {"model.softmax": {"kind": "sampled", "samples": 64}}), sentences


@pytest.mark.parametrize("stop", [1, 2])
def test_training_resumes_bitwise(trial: tuple[TrialConfig, Data], stop: int):
    unbroken, first, second = (Trainer(*trial) for _ in range(3))
    expected = timeless(list(unbroken.run()))
    records = list(islice(first.run(), stop))
    second.load_state_dict(first.state_dict())
    assert timeless(records + list(second.run())) == expected
    assert same_weights(second, unbroken)


def test_evaluation_is_exact(trial: tuple[TrialConfig, Data]):
    """The same weights score the same, to the last bit, in a model that never heard of bfloat16."""
    config, data = trial
    trainer = Trainer(config, data)
    next(trainer.run())
    plain = config.to_dict()
    plain["training"]["precision"] = "float32"
    other = Trainer(TrialConfig.from_dict(plain), data)
    other.model.load_state_dict(trainer.model.state_dict())
    scores = [evaluate(model, data, "test", 16, seed=1) for model in (trainer.model, other.model)]
    assert scores[0] == scores[1]


def test_the_precision_is_part_of_the_trial(image_config: MakeConfig):
    names = [image_config({"training.precision": name}).fingerprint() for name in ("float32", "bfloat16")]
    assert names[0] == image_config().fingerprint() != names[1]
    with pytest.raises(ValidationError, match=r"training\.precision"):
        image_config({"training.precision": "float16"})
