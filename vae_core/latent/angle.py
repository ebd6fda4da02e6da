"""The angle between a von Mises-Fisher sample and its mean direction, which is all of that family that takes an integral.

On the unit sphere of R^d the density prop. to exp(k w), w = cos(t), gives the angle t in [0, pi] the density prop. to
exp(k cos t) sin(t)^(d-2). It is smooth for every d >= 2, so that Gauss-Legendre quadrature gives normaliser, mean, divergence
and the inverse of the distribution function close to the accuracy of float64: no Bessel function, no rejection.

Shapes: R rows, each with its concentration k, or one for all; C cells of the angle, N nodes in each; K samples a row.
"""

from __future__ import annotations

import math
from copy import copy

import numpy as np
import torch
from torch import Tensor

_CELLS, _NODES = 32, 8
_REACH = 12.0
"""The cells go so many standard deviations to either side of the mode, or more; less than 1e-12 of the whole lies beyond."""
_STEPS = 3
"""Of the search within a cell; the tests look at what they leave."""
_RAREST = 1e-15
"""A rarer angle is taken for one as rare as this, some eight standard deviations out."""


class Angle:
    """The angle's distribution, differentiable in the concentration; all in float64. Built once for all that is asked of it.

    Args:
        size: d, 2 or more.
        concentration: k > 0 of each row, (R,).
    """

    def __init__(self, size: int, concentration: Tensor) -> None:
        self.concentration = concentration.double()
        self._power = float(size - 2)
        nodes, weights = np.polynomial.legendre.leggauss(_NODES)
        self._nodes = torch.from_numpy(nodes).to(concentration.device)
        self._log_weights = torch.from_numpy(weights).to(concentration.device).log()
        self._log_uniform = 0.5 * math.log(math.pi) + math.lgamma((size - 1) / 2) - math.lgamma(size / 2)
        self._edges = self._cells()
        self._log_mass = self._log_integral(self._edges[:, :-1], self._edges[:, 1:], self.concentration.view(-1, 1, 1))
        self._log_total = self._log_mass.flatten(1).logsumexp(1)
        self._cumulative = self._cumulate()

    def to(self, device: torch.device) -> Angle:
        """The same on a device; nothing is computed anew."""
        if self.concentration.device == device:
            return self
        moved = copy(self)
        moved.__dict__ |= {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return moved

    def log_ratio(self) -> Tensor:
        """log E exp(k (w - 1)) over uniform directions, (R,); exp(k (w - 1) - log_ratio) is the density relative to theirs."""
        return self._log_total - self._log_uniform

    def cosine_gap(self) -> Tensor:
        """1 - E w, (R,), to its last digits where the concentration is large."""
        share = (self._log_mass - self._log_total.view(-1, 1, 1)).exp()
        return (share * _versine(self._nodes_of(self._edges[:, :-1], self._edges[:, 1:]))).sum((1, 2))

    def kl(self) -> Tensor:
        """KL to a uniform direction in nats, (R,): E k (w - 1) - log_ratio."""
        return -self.concentration * self.cosine_gap() - self.log_ratio()

    def quantile(self, u: Tensor) -> Tensor:
        """The angle below which a share u lies, (K, B) -> (K, B); R is B or 1.

        Its derivative by the concentration is the implicit function's, -(dF/dk) / p at the angle.
        """
        with torch.no_grad():
            u = u.clamp(_RAREST, 1.0 - _RAREST)
            cell = (u.unsqueeze(-1) >= self._cumulative[:, 1:-1]).sum(-1)
            angle = self._solve(u, cell)
        if not self.concentration.requires_grad:
            return angle
        below = self._cdf(angle, cell)
        return angle - (below - below.detach()) / self._density(angle).detach()

    def _solve(self, u: Tensor, cell: Tensor) -> Tensor:
        """Newton's method for F(t) = u, with an exponential in place of a line: it has the density and its slope right."""
        low, high = self._at(self._edges, cell), self._at(self._edges, cell + 1)
        below, above = self._at(self._cumulative, cell), self._at(self._cumulative, cell + 1)
        share = ((u - below) / (above - below).clamp(min=_RAREST)).clamp(1e-12, 1.0)
        root = 1.0 / (self._power + 1.0)  # towards an end of [0, pi] F goes as the distance to it to the power of d - 1
        share = torch.where(low == 0.0, share**root, torch.where(high == math.pi, 1.0 - (1.0 - share) ** root, share))
        angle = torch.lerp(low, high, share)
        for _ in range(_STEPS):
            missing = (u - self._cdf(angle, cell)) / self._density(angle)
            slope = self._power / angle.tan() - self.concentration * angle.sin()  # of the log density
            bend = (slope * missing).clamp(min=-0.9)
            step = torch.where(bend.abs() < 1e-8, missing, missing * bend.log1p() / bend)
            angle = torch.minimum(torch.maximum(angle + step, torch.lerp(low, high, 1e-12)), high)
        return angle

    def _cdf(self, angle: Tensor, cell: Tensor) -> Tensor:
        """F at angles, each in its cell: two (K, B) -> (K, B)."""
        log_part = self._log_integral(self._at(self._edges, cell), angle).logsumexp(-1)
        return self._at(self._cumulative, cell) + (log_part - self._log_total).exp()

    def _density(self, angle: Tensor) -> Tensor:
        """p, (K, B) -> (K, B)."""
        log_density = torch.xlogy(self._power, angle.sin()) - self.concentration * _versine(angle)
        return (log_density - self._log_total).exp()

    def _cumulate(self) -> Tensor:
        """F at the edges, (R, C + 1)."""
        inner = (self._log_mass.logsumexp(-1) - self._log_total.unsqueeze(1)).exp().cumsum(1)
        return torch.cat((torch.zeros_like(inner[:, :1]), inner), 1)

    def _log_integral(self, start: Tensor, end: Tensor, concentration: Tensor | None = None) -> Tensor:
        """logs that sum to the integral from start to end, two (..., R) -> (..., R, N); intervals as narrow as a cell or less."""
        k = self.concentration.unsqueeze(-1) if concentration is None else concentration
        angle = self._nodes_of(start, end)
        log_density = torch.xlogy(self._power, angle.sin()) - k * _versine(angle)
        return log_density + self._log_weights + (0.5 * (end - start)).log().unsqueeze(-1)

    def _nodes_of(self, start: Tensor, end: Tensor) -> Tensor:
        return 0.5 * (start + end).unsqueeze(-1) + 0.5 * (end - start).unsqueeze(-1) * self._nodes

    def _at(self, table: Tensor, cell: Tensor) -> Tensor:
        """Each row's entries, (R, n) and (K, B) -> (K, B)."""
        return table.expand(cell.shape[1], -1).gather(1, cell.T).T

    def _cells(self) -> Tensor:
        """Edges (R, C + 1) about the mode, where k sin^2 t = (d - 2) cos t; they take no part in derivatives."""
        k, power = self.concentration.detach(), self._power
        cosine = (2.0 * k / (power + (power**2 + 4.0 * k.square()).sqrt())).clamp(max=1.0)
        reach = _REACH * (k * cosine + power).rsqrt()
        start, end = (cosine.acos() - reach).clamp(min=0.0), (cosine.acos() + reach).clamp(max=math.pi)
        share = torch.linspace(0.0, 1.0, _CELLS + 1, dtype=torch.float64, device=k.device)
        return torch.lerp(start.unsqueeze(1), end.unsqueeze(1), share)


def _versine(angle: Tensor) -> Tensor:
    """1 - cos t, with the digits of a small angle."""
    return 2.0 * (0.5 * angle).sin().square()
