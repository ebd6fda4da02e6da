"""Adam that is lazy by rows; the other optimisers are torch's own."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import torch
from torch import nn, optim

from vae_core.optimizer_config import LazyAdam
from vae_core.row_sparse import make_row_sparse


def row_lazy_adam(config: LazyAdam, model: nn.Module) -> RowLazyAdam:
    """Over the model's weights, of which some get sparse gradients."""
    rows = make_row_sparse(model)
    return RowLazyAdam(_others(model.parameters(), rows), rows, config)


class RowLazyAdam(optim.Optimizer):
    """torch's SparseAdam for some parameters beside its Adam for the rest, as one optimiser with a group of each.

    Args:
        dense: for Adam.
        rows: whose gradients are sparse.
    """

    def __init__(self, dense: list[nn.Parameter], rows: list[nn.Parameter], config: LazyAdam) -> None:
        self._parts: list[optim.Optimizer] = []
        if dense:
            self._parts.append(optim.Adam(dense, lr=config.lr, betas=config.betas, fused=True))
        if rows:
            self._parts.append(optim.SparseAdam(rows, lr=config.lr, betas=config.betas))
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
