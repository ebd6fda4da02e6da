"""Two steps of each optimiser against its paper's equations, by hand; every option of the config must reach it."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from vae_core.config import TrialConfig
from vae_core.optimizer_config import Adam, AdamW, AnyOptimizer, LazyAdam, Sgd

LR = 0.1
START = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
GRADIENTS = torch.tensor([[0.5, -1.0, 2.0], [-1.0, 0.25, 4.0]], dtype=torch.float64)


def adam(weight: Tensor, betas: tuple[float, float], decay: float) -> Tensor:
    """Kingma & Ba 2015, algorithm 1; with Loshchilov & Hutter 2019, algorithm 2: w is scaled by 1 - lr decay at each step."""
    first = second = torch.zeros_like(weight)
    for step, gradient in enumerate(GRADIENTS, 1):
        first = betas[0] * first + (1 - betas[0]) * gradient
        second = betas[1] * second + (1 - betas[1]) * gradient**2
        direction = first / (1 - betas[0] ** step) / ((second / (1 - betas[1] ** step)).sqrt() + 1e-8)
        weight = weight * (1 - LR * decay) - LR * direction
    return weight


def sgd(weight: Tensor, momentum: float) -> Tensor:
    """v = momentum v + g, w = w - lr v."""
    velocity = torch.zeros_like(weight)
    for gradient in GRADIENTS:
        velocity = momentum * velocity + gradient
        weight = weight - LR * velocity
    return weight


CASES: list[tuple[AnyOptimizer, Callable[[Tensor], Tensor]]] = [
    (Adam(lr=LR), lambda weight: adam(weight, (0.9, 0.999), 0.0)),
    (Adam(lr=LR, betas=(0.5, 0.7)), lambda weight: adam(weight, (0.5, 0.7), 0.0)),
    (LazyAdam(lr=LR, betas=(0.5, 0.7)), lambda weight: adam(weight, (0.5, 0.7), 0.0)),
    (AdamW(lr=LR, betas=(0.5, 0.7), weight_decay=0.3), lambda weight: adam(weight, (0.5, 0.7), 0.3)),
    (AdamW(lr=LR, weight_decay=0.0), lambda weight: adam(weight, (0.9, 0.999), 0.0)),
    (Sgd(lr=LR, momentum=0.0), lambda weight: sgd(weight, 0.0)),
    (Sgd(lr=LR, momentum=0.8), lambda weight: sgd(weight, 0.8)),
]


def test_every_optimiser_is_here():
    assert {type(config) for config, _ in CASES} == set(get_args(get_args(AnyOptimizer)[0]))


@pytest.mark.parametrize(("config", "expected"), CASES, ids=[repr(config) for config, _ in CASES])
def test_two_steps_are_those_of_the_paper(config: AnyOptimizer, expected: Callable[[Tensor], Tensor]):
    weight = nn.Parameter(START.clone())
    optimizer = config.build(nn.ParameterList([weight]))
    for gradient in GRADIENTS:
        weight.grad = gradient.clone()
        optimizer.step()
    torch.testing.assert_close(weight.detach(), expected(START), rtol=1e-10, atol=0.0)


TORCH_S_OWN = {Adam: torch.optim.Adam, AdamW: torch.optim.AdamW, Sgd: torch.optim.SGD}


@pytest.mark.parametrize("config", [config for config, _ in CASES if type(config) in TORCH_S_OWN], ids=repr)
def test_a_state_goes_to_and_from_torch_s_own(config: AnyOptimizer):
    own, other = (nn.ParameterList([nn.Parameter(START.clone())]) for _ in range(2))
    options: dict[str, Any] = {name: value for name, value in config if name != "kind"}
    ours, theirs = config.build(own), TORCH_S_OWN[type(config)](other.parameters(), fused=True, **options)
    for step, gradient in enumerate([*GRADIENTS, *GRADIENTS]):
        if step == 2:
            states = copy.deepcopy((ours.state_dict(), theirs.state_dict()))
            theirs.load_state_dict(states[0])
            ours.load_state_dict(states[1])
        for weights in (own, other):
            weights[0].grad = gradient.clone()
        ours.step()
        theirs.step()
        assert torch.equal(own[0], other[0])
    ours.zero_grad()
    assert own[0].grad is None


_TRIALS = """
import json, sys
from orchestration.messages import Job
from orchestration.worker import run_trial
from vae_core.config import TrialConfig

for place, plain in enumerate(json.loads(sys.argv[1])):
    data = TrialConfig.from_dict(plain).data.load()
    for part in range(2):  # to its second epoch, then on from its checkpoint to the end
        for message in run_trial(Job(place, plain, f"{sys.argv[2]}/{place}"), data):
            if part == 0 and message.epoch == 2:
                break
    assert message.state == "COMPLETE", message.reason
print(sorted({"torch._dynamo", "sympy"} & set(sys.modules)))
"""


def test_a_trial_does_not_import_the_compiler(
    text_config: Callable[..., TrialConfig], image_config: Callable[..., TrialConfig], tmp_path: Path
):
    """It takes more than a second of each worker's start."""
    lazy = text_config({"optimizer": {"kind": "lazy_adam"}, "model.softmax": {"kind": "sampled", "samples": 64}})
    trials = [image_config(), lazy, *(text_config({"optimizer": {"kind": kind}}) for kind in ("adamw", "sgd"))]
    plain = json.dumps([trial.to_dict() for trial in trials])
    done = subprocess.run([sys.executable, "-c", _TRIALS, plain, str(tmp_path)], capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr
