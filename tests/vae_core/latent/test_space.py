"""How codes are moved about: every step is a code, and what is to change changes alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from tests.vae_core.latent.posteriors import draws
from vae_core.latent.space import Euclidean, OneHot, Space, Sphere

CODES: dict[str, tuple[Space, Tensor, Tensor]] = {
    "euclidean": (Euclidean(3), draws(3), draws(3, seed=3)),
    "sphere": (Sphere(3), normalize(draws(3), dim=0), normalize(draws(3, seed=3), dim=0)),
    "circle": (Sphere(2), normalize(draws(2), dim=0), normalize(draws(2, seed=3), dim=0)),
    "one-hot": (OneHot(3, 2), torch.tensor([1.0, 0, 1, 0, 1, 0]).double(), torch.tensor([0.0, 1, 1, 0, 0, 1]).double()),
}


@pytest.mark.parametrize("name", CODES)
def test_a_path_starts_and_ends_at_its_codes(name: str):
    space, first, last = CODES[name]
    path = space.path(first, last, 5)
    assert path.shape == (5, space.size)
    torch.testing.assert_close(path[[0, -1]], torch.stack((first, last)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CODES)
def test_a_traversal_has_a_row_a_part_and_a_code_a_label(name: str):
    space, base, _ = CODES[name]
    codes = space.traverse(base, torch.tensor([1, 0]))
    assert codes.shape == (2, len(space.labels), space.size)
    assert codes.dtype == base.dtype


def test_a_line_is_straight():
    first, last = torch.tensor([0.0, 4.0]), torch.tensor([1.0, -4.0])
    expected = torch.tensor([[0.0, 4.0], [0.25, 2.0], [0.5, 0.0], [0.75, -2.0], [1.0, -4.0]])
    torch.testing.assert_close(Euclidean(2).path(first, last, 5), expected)


def test_a_traversal_changes_one_dimension_at_a_time():
    codes = Euclidean(3).traverse(torch.tensor([0.5, 0.6, 0.7]), torch.tensor([2, 0]))
    values = torch.arange(-3.0, 4.0)
    torch.testing.assert_close(codes[0], torch.stack((torch.full((7,), 0.5), torch.full((7,), 0.6), values), 1))
    torch.testing.assert_close(codes[1], torch.stack((values, torch.full((7,), 0.6), torch.full((7,), 0.7)), 1))


@pytest.mark.parametrize("size", [2, 3, 8])
def test_a_great_circle_stays_on_the_sphere_in_equal_steps(size: int):
    first, last = normalize(draws(2, size), dim=1)
    path = Sphere(size).path(first, last, 9)
    torch.testing.assert_close(path.norm(dim=1), torch.ones(9, dtype=torch.float64), rtol=1e-12, atol=0.0)
    steps = (path[1:] * path[:-1]).sum(1).acos()
    torch.testing.assert_close(steps, ((first @ last).acos() / 8).expand(8), rtol=1e-9, atol=1e-12)


def test_opposite_and_equal_ends_have_a_path_too():
    first = normalize(draws(4), dim=0)
    half = Sphere(4).path(first, -first, 3)
    torch.testing.assert_close(half[2], -first, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(half[1] @ first, torch.tensor(0.0, dtype=torch.float64), rtol=0.0, atol=1e-12)
    torch.testing.assert_close(half[1].norm(), torch.tensor(1.0, dtype=torch.float64), rtol=1e-12, atol=0.0)
    torch.testing.assert_close(Sphere(4).path(first, first, 3), first.expand(3, -1), rtol=1e-12, atol=1e-12)


def test_a_traversal_of_the_sphere_goes_from_pole_to_pole_past_the_base():
    base = normalize(draws(3), dim=0)
    codes = Sphere(3).traverse(base, torch.tensor([2]))[0]
    torch.testing.assert_close(codes.norm(dim=1), torch.ones(7, dtype=torch.float64), rtol=1e-12, atol=0.0)
    torch.testing.assert_close(codes[[0, -1]], torch.tensor([[0.0, 0, -1], [0, 0, 1]]).double(), rtol=0.0, atol=1e-12)
    torch.testing.assert_close(codes[1:-1, 1] / codes[1:-1, 0], (base[1] / base[0]).expand(5), rtol=1e-9, atol=0.0)
    degrees = torch.rad2deg(codes[:, 2].clamp(-1.0, 1.0).asin())
    torch.testing.assert_close(degrees, torch.arange(-90.0, 91.0, 30.0).double(), rtol=1e-9, atol=1e-5)


def test_variables_switch_one_after_the_other():
    space, first, last = CODES["one-hot"]
    path = space.path(first, last, 4).view(4, 3, 2).argmax(-1)
    assert path.tolist() == [[0, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 1]]


def test_a_traversal_sets_each_variable_to_each_class():
    base = one_hot(torch.tensor([2, 0]), 3).flatten().double()
    codes = OneHot(2, 3).traverse(base, torch.tensor([1, 0])).view(2, 3, 2, 3)
    assert (codes.sum(-1) == 1.0).all()
    assert codes.argmax(-1).tolist() == [[[2, 0], [2, 1], [2, 2]], [[0, 0], [1, 0], [2, 0]]]
    many = OneHot(2, 40)
    assert len(many.labels) == 16
    assert many.traverse(torch.zeros(80).double(), torch.tensor([0])).shape == (1, 16, 80)


def test_a_variable_s_spread_is_that_of_its_classes():
    means = torch.tensor([[1.0, 0.0, 0.5, 0.5], [0.0, 1.0, 0.5, 0.5]]).double()
    torch.testing.assert_close(OneHot(2, 2).spread(means), torch.tensor([0.5, 0.0]).double())
    torch.testing.assert_close(Euclidean(4).spread(means), torch.tensor([0.25, 0.25, 0.0, 0.0]).double())
