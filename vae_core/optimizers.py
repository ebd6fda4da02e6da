"""Torch's optimisers without its compiler, and Adam that is lazy by rows."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable
from typing import Any, TypeVar

import torch
from torch import nn, optim

from vae_core.optimizer_config import LazyAdam
from vae_core.row_sparse import make_row_sparse

OptimizerT = TypeVar("OptimizerT", bound=optim.Optimizer)


def uncompiled(kind: type[OptimizerT]) -> type[OptimizerT]:
    """The same optimiser, without the wrappers that hide it from torch's compiler.

    Each imports ``torch._dynamo`` when it is first called: more than a second and 70 MiB of every process that trains.
    """
    names = ("step", "zero_grad", "add_param_group", "state_dict", "load_state_dict")
    plain = {name: inspect.unwrap(getattr(kind, name)) for name in names}
    plain["step"] = torch.no_grad()(plain["step"])  # as the wrapper does
    return type(kind.__name__, (kind,), plain)


def row_lazy_adam(config: LazyAdam, model: nn.Module) -> RowLazyAdam:
    """Over the model's weights, of which some get sparse gradients."""
    rows = make_row_sparse(model)
    return uncompiled(RowLazyAdam)(_others(model.parameters(), rows), rows, config)


class RowLazyAdam(optim.Optimizer):
    """torch's SparseAdam for some parameters beside its Adam for the rest, as one optimiser with a group of each.

    Args:
        dense: for Adam.
        rows: whose gradients are sparse.
    """

    def __init__(self, dense: list[nn.Parameter], rows: list[nn.Parameter], config: LazyAdam) -> None:
        self._parts: list[optim.Optimizer] = []
        if dense:
            self._parts.append(uncompiled(optim.Adam)(dense, lr=config.lr, betas=config.betas, fused=True))
        if rows:
            self._parts.append(uncompiled(optim.SparseAdam)(rows, lr=config.lr, betas=config.betas))
        super().__init__([part.param_groups[0] for part in self._parts], {})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # no closure: nothing here evaluates a loss anew
        """One step of each; their states are this one's, whatever has been loaded into it."""
        assert closure is None
        for part, group in zip(self._parts, self.param_groups, strict=True):
            part.state, part.param_groups = self.state, [group]
            part.step()


def _others(parameters: Iterable[nn.Parameter], rows: Collection[nn.Parameter]) -> list[nn.Parameter]:
    among = {id(row) for row in rows}  # == would compare the entries
    return [parameter for parameter in parameters if id(parameter) not in among]
