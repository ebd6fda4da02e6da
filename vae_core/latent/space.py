"""Where the codes of a family of posteriors live, and how one is moved about there for people to look at.

Shapes: Z numbers of a code, P parts of it that can be changed apart, D of them chosen, S steps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize


class Space(ABC):
    """A set of codes."""

    size: int
    """Z."""
    part: str
    """How a part is called; its number follows in brackets."""
    line: str
    """What leads from one code to another."""

    @property
    def centre(self) -> Tensor | None:
        """The code in the middle, (Z,); None where none is."""
        return None

    @abstractmethod
    def path(self, first: Tensor, last: Tensor, steps: int) -> Tensor:
        """Codes from one code to another, both ends among them: two (Z,) -> (S, Z)."""

    @property
    @abstractmethod
    def labels(self) -> list[str]:
        """What the steps of a traversal are called, S of them."""

    @abstractmethod
    def traverse(self, base: Tensor, parts: Tensor) -> Tensor:
        """Codes that differ from ``base`` in one part each, by every step: (Z,), (D,) -> (D, S, Z)."""

    def spread(self, means: Tensor) -> Tensor:
        """How much each part varies between posteriors, given their expectations: (n, Z) -> (P,)."""
        return means.var(0, correction=0)


@dataclass(frozen=True)
class Euclidean(Space):
    """All of R^Z about 0, where a standard deviation of the prior is 1; its parts are the dimensions."""

    size: int
    part = "z"
    line = "straight lines"
    _values = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)

    @property
    def centre(self) -> Tensor:
        return torch.zeros(self.size)

    def path(self, first: Tensor, last: Tensor, steps: int) -> Tensor:
        return torch.lerp(first, last, _shares(first, steps))

    @property
    def labels(self) -> list[str]:
        return [f"{value:+.0f}" for value in self._values]

    def traverse(self, base: Tensor, parts: Tensor) -> Tensor:
        codes = base.repeat(len(parts), len(self._values), 1)
        codes[torch.arange(len(parts), device=base.device), :, parts] = base.new_tensor(self._values)
        return codes


@dataclass(frozen=True)
class Sphere(Space):
    """The unit sphere of R^Z; a traversal goes along the half circle from one end of an axis through the base to the other."""

    size: int
    part = "z"
    line = "great circles"
    _degrees = (-90.0, -60.0, -30.0, 0.0, 30.0, 60.0, 90.0)

    def path(self, first: Tensor, last: Tensor, steps: int) -> Tensor:
        """Shoemake 1985; opposite ends are joined by one of their many circles."""
        tangent = last - (first @ last) * first
        if tangent.norm() < 1e-6:
            tangent = torch.eye(self.size, dtype=first.dtype, device=first.device)[first.abs().argmin()]
            tangent = tangent - (first @ tangent) * first
        angle = torch.atan2((last - first).norm(), (last + first).norm()) * 2.0 * _shares(first, steps)
        return angle.cos() * first + angle.sin() * normalize(tangent, dim=0)

    @property
    def labels(self) -> list[str]:
        return [f"{degrees:+4.0f}°" for degrees in self._degrees]

    def traverse(self, base: Tensor, parts: Tensor) -> Tensor:
        angle = torch.deg2rad(base.new_tensor(self._degrees)).unsqueeze(1)
        axes = torch.eye(self.size, dtype=base.dtype, device=base.device)[parts].unsqueeze(1)
        return angle.sin() * axes + angle.cos() * normalize(base * (1.0 - axes), dim=-1)


@dataclass(frozen=True)
class OneHot(Space):
    """Variables of a class each, one hot; the variables are its parts, and a step is a class."""

    variables: int
    classes: int
    part = "variable"
    line = "switches of one variable after another"
    _shown = 16
    """Classes of a traversal at most."""

    @property
    def size(self) -> int:  # type: ignore[override]  # nobody writes it
        return self.variables * self.classes

    def path(self, first: Tensor, last: Tensor, steps: int) -> Tensor:
        switched = (_shares(first, steps) * self.variables).round()
        order = torch.arange(self.variables, device=first.device).repeat_interleave(self.classes)
        return torch.where(order < switched, last, first)

    @property
    def labels(self) -> list[str]:
        return [f"class {number}" for number in range(min(self.classes, self._shown))]

    def traverse(self, base: Tensor, parts: Tensor) -> Tensor:
        steps = len(self.labels)
        codes = base.repeat(len(parts), steps, 1).view(len(parts), steps, self.variables, self.classes)
        codes[torch.arange(len(parts), device=base.device), :, parts] = torch.eye(steps, self.classes).to(base)
        return codes.flatten(2)

    def spread(self, means: Tensor) -> Tensor:
        return super().spread(means).view(self.variables, self.classes).sum(1)


def _shares(like: Tensor, steps: int) -> Tensor:
    return torch.linspace(0.0, 1.0, steps, device=like.device, dtype=like.dtype).unsqueeze(1)
