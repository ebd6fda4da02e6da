"""The options of the optimiser; free of torch, so that a sweep file is checked within a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from vae_core.configurable import Config, Positive

if TYPE_CHECKING:
    from torch import nn, optim

_Decay = Annotated[float, Field(ge=0, lt=1)]


class OptimizerConfig(Config):
    """One optimiser; ``build`` makes it in torch's fused form: one kernel over all weights, some three times as fast on a CPU."""

    kind: str
    lr: Positive

    def build(self, model: nn.Module) -> optim.Optimizer:
        """Makes it over the model's weights; imports torch."""
        raise NotImplementedError


class Adam(OptimizerConfig):
    """Kingma & Ba 2015."""

    kind: Literal["adam"] = "adam"
    lr: Positive = 1e-3
    betas: tuple[_Decay, _Decay] = (0.9, 0.999)

    def build(self, model: nn.Module) -> optim.Optimizer:
        from torch import optim

        from vae_core.optimizers import uncompiled

        return uncompiled(optim.Adam)(model.parameters(), lr=self.lr, betas=self.betas, fused=True)


class LazyAdam(OptimizerConfig):
    """Adam, lazy by rows: a word's vectors and their moments move only at steps that read them, for large vocabularies.

    It is for the tables of words and labels, and for weight and bias of a softmax that reads few words a step (sampled, nce,
    negative_sampling, one_vs_each, hierarchical); all other weights have Adam. It is not Adam with zeros left out: an unread row
    neither coasts on its momentum nor lets its moments decay, so that a rare word moves further at each of its steps. The bias
    correction counts all steps (``torch.optim.SparseAdam``).
    """

    kind: Literal["lazy_adam"] = "lazy_adam"
    lr: Positive = 1e-3
    betas: tuple[_Decay, _Decay] = (0.9, 0.999)

    def build(self, model: nn.Module) -> optim.Optimizer:
        """Some of the weights get sparse gradients."""
        from vae_core.optimizers import row_lazy_adam

        return row_lazy_adam(self, model)


class AdamW(OptimizerConfig):
    """Loshchilov & Hutter 2019."""

    kind: Literal["adamw"] = "adamw"
    lr: Positive = 1e-3
    betas: tuple[_Decay, _Decay] = (0.9, 0.999)
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2

    def build(self, model: nn.Module) -> optim.Optimizer:
        from torch import optim

        from vae_core.optimizers import uncompiled

        kind = uncompiled(optim.AdamW)
        return kind(model.parameters(), lr=self.lr, betas=self.betas, weight_decay=self.weight_decay, fused=True)


class Sgd(OptimizerConfig):
    """Stochastic gradient descent, with momentum where it is above 0."""

    kind: Literal["sgd"] = "sgd"
    lr: Positive = 0.1
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0

    def build(self, model: nn.Module) -> optim.Optimizer:
        from torch import optim

        from vae_core.optimizers import uncompiled

        return uncompiled(optim.SGD)(model.parameters(), lr=self.lr, momentum=self.momentum, fused=True)


AnyOptimizer = Annotated[Adam | LazyAdam | AdamW | Sgd, Field(discriminator="kind")]
"""The family's table."""
