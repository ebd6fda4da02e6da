"""The hierarchical softmax against its definition, its classes, and its hand-written gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from vae_core.softmax.config import HierarchicalSoftmax
from vae_core.softmax.head import HeadSizes
from vae_core.softmax.hierarchical import HierarchicalHead, class_lengths, within_class_nll

MakeSizes = Callable[..., HeadSizes]
D, V = 6, 20


def build(sizes: HeadSizes, **options: Any) -> HierarchicalHead:
    head = HierarchicalSoftmax(**options).build(sizes)
    assert isinstance(head, HierarchicalHead)
    return head.double()


def randomise(head: HierarchicalHead) -> HierarchicalHead:
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_(generator=generator)
    return head


def states(tokens: int) -> Tensor:
    return torch.randn(tokens, D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("options", [{}, {"classes": 1}, {"classes": V}, {"classes": 3}, {"grouping": "frequency"}], ids=repr)
def test_every_word_by_the_definition(options: dict[str, Any], make_sizes: MakeSizes) -> None:
    head = randomise(build(make_sizes(D, V), **options))
    (h,) = states(1)
    class_p = (head.classes @ h + head.class_bias).softmax(0)
    found = head.nll(h.expand(V, D), torch.arange(V))
    start = 0
    for place, length in enumerate(head.lengths):
        inside = (head.weight[start : start + length] @ h + head.bias[start : start + length]).softmax(0)
        torch.testing.assert_close(found[start : start + length], -(class_p[place] * inside).log(), rtol=1e-12, atol=1e-12)
        start += length
    assert start == V


def test_zero_weights_give_uniform_parts(make_sizes: MakeSizes) -> None:
    head = build(make_sizes(D, V), classes=3)
    assert head.lengths == [7, 7, 6]
    nll = head.nll(torch.zeros(2, D, dtype=torch.float64), torch.tensor([0, 19]))
    expected = torch.tensor([math.log(3 * 7), math.log(3 * 6)], dtype=torch.float64)
    torch.testing.assert_close(nll, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("counts", "options", "lengths"),
    [
        ([5] * 16, {}, [4, 4, 4, 4]),
        ([5] * 18, {}, [5, 4, 5, 4]),
        ([5] * 8, {"grouping": "frequency", "classes": 4}, [2, 2, 2, 2]),
        ([40, 20, 20, 10, 4, 3, 2, 1], {"grouping": "frequency", "classes": 5}, [1, 1, 1, 5]),  # 2 of the 5 would be empty
        ([4, 2, 1, 1, 0, 0], {"grouping": "frequency", "classes": 2}, [2, 4]),  # never seen counts as once: 6 + 4 tokens
        ([1], {}, [1]),
    ],
)
def test_classes_by_hand(counts: list[int], options: dict[str, Any], lengths: list[int]) -> None:
    assert class_lengths(HierarchicalSoftmax(**options), np.array(counts)) == lengths


@pytest.mark.parametrize("grouping", ["size", "frequency"])
def test_classes_cover_the_vocabulary(grouping: Any, make_sizes: MakeSizes) -> None:
    lengths = class_lengths(HierarchicalSoftmax(grouping=grouping), make_sizes(2, 10_007).counts)
    assert sum(lengths) == 10_007
    assert min(lengths) >= 1
    assert len(lengths) == 100 if grouping == "size" else len(lengths) < 100
    assert max(lengths) <= 101 or grouping == "frequency"


@pytest.mark.parametrize("grouping", ["size", "frequency"])
def test_gradient(grouping: Any, make_sizes: MakeSizes) -> None:
    """Classes with several tokens, with one, and with none; tokens out of order."""
    head, hidden = randomise(build(make_sizes(D, V), grouping=grouping)), states(5).requires_grad_()
    targets = torch.tensor([19, 0, 5, 19, 18])
    classes = head.get_buffer("class_of")[targets]
    assert len(classes.unique()) < len(head.lengths)
    inputs = [hidden, head.weight, head.bias]
    assert torch.autograd.gradcheck(lambda h, w, b: within_class_nll(h, w, b, targets, classes, head.lengths), inputs)


def test_gradient_can_be_taken_twice_from_one_graph(make_sizes: MakeSizes) -> None:
    head = randomise(build(make_sizes(D, V)))
    loss, inputs = head.nll(states(V), torch.arange(V)).sum(), list(head.parameters())
    first = torch.autograd.grad(loss, inputs, retain_graph=True)
    for one, other in zip(first, torch.autograd.grad(loss, inputs), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("tied", [False, True])
def test_permuting_ids_with_the_tree_changes_nothing(tied: bool, make_sizes: MakeSizes) -> None:
    """Words exchanged inside their class, with their vectors and biases; equal counts leave every such order sorted."""
    head = randomise(build(replace(make_sizes(D, V, tied=tied), counts=np.full(V, 3)), classes=3))
    hidden = states(V)
    before = head.log_probs(hidden), head.nll(hidden, torch.arange(V))
    generator = torch.Generator().manual_seed(7)
    parts = torch.arange(V).split(head.lengths)
    order = torch.cat([part[torch.randperm(len(part), generator=generator)] for part in parts])  # new id -> old id
    with torch.no_grad():
        head.bias.copy_(head.bias[order])
        head.weight.copy_(head.weight[order])
    torch.testing.assert_close(head.log_probs(hidden), before[0][:, order], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(head.nll(hidden, order.argsort()), before[1], rtol=1e-12, atol=1e-12)


def test_the_order_of_tokens_does_not_matter(make_sizes: MakeSizes) -> None:
    head, hidden, targets = randomise(build(make_sizes(D, V))), states(V), torch.arange(V)
    order = torch.randperm(V, generator=torch.Generator().manual_seed(7))
    torch.testing.assert_close(head.nll(hidden[order], targets[order]), head.nll(hidden, targets)[order], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("tied", [False, True])
def test_one_table_is_made_for_the_gradient_and_no_class_but_the_target_s_is_read(
    tied: bool, make_sizes: MakeSizes, shape_log: Any
) -> None:
    head = HierarchicalSoftmax().build(make_sizes(64, 2500, tied=tied))
    hidden, targets = torch.randn(30, 64), torch.arange(0, 2500, 84)
    with shape_log:
        head.nll(hidden, targets).sum().backward()
    made = [operation for operation, shape in shape_log.shapes if shape == (2500, 64)]
    assert [operation for operation in made if "detach" not in operation] == ["aten.empty_like.default"]
    products = {shape for operation, shape in shape_log.shapes if "addmm" in operation}
    assert products == {(30, 50), (1, 50), (30, 64)}  # classes, words of one class, and the gradient of the states
    assert head.bias.grad is not None
    assert (head.bias.grad != 0).sum() == 30 * 50  # every target in a class of its own, of 50 words


def test_more_classes_than_words_are_refused(make_sizes: MakeSizes) -> None:
    with pytest.raises(
        ValueError, match=r"^model\.softmax\.classes: 21 is too large for a vocabulary of 20 words; .* 20 at most$"
    ):
        build(make_sizes(D, V), classes=V + 1)


def test_ids_must_be_sorted_by_frequency(make_sizes: MakeSizes) -> None:
    sizes = make_sizes(D, V)
    with pytest.raises(AssertionError, match="falling frequency"):
        build(replace(sizes, counts=sizes.counts[::-1].copy()))
