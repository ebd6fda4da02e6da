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
from vae_core.softmax.hierarchical import HierarchicalHead, class_tree, within_class_nll

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


def by_the_definition(head: HierarchicalHead, h: Tensor, word: int) -> Tensor:
    """log p of a word: from its leaf up to the root, log of its share among those that have the same parent."""
    levels = [(head.classes, head.class_bias), *zip(head.subclasses, head.subclass_biases, strict=True), (head.weight, head.bias)]
    log_p, node = h.new_zeros(()), word
    for (vectors, biases), lengths in zip(levels[::-1], [*head.tree[::-1], [len(head.classes)]], strict=True):
        start, parent = 0, 0
        while start + lengths[parent] <= node:
            start, parent = start + lengths[parent], parent + 1
        siblings = slice(start, start + lengths[parent])
        log_p = log_p + (vectors[siblings] @ h + biases[siblings]).log_softmax(0)[node - start]
        node = parent
    assert node == 0
    return log_p


TREES: list[dict[str, Any]] = [
    {},
    {"classes": 1},
    {"classes": V},
    {"classes": 3},
    {"grouping": "frequency"},
    {"levels": 3},
    {"levels": 3, "classes": 7},
    {"levels": 3, "grouping": "frequency"},
    {"levels": 4},
    {"levels": 4, "classes": 1},
]


@pytest.mark.parametrize("options", TREES, ids=repr)
def test_every_word_by_the_definition(options: dict[str, Any], make_sizes: MakeSizes) -> None:
    head = randomise(build(make_sizes(D, V), **options))
    assert len(head.tree) == options.get("levels", 2) - 1
    (h,) = states(1)
    expected = torch.stack([by_the_definition(head, h, word) for word in range(V)])
    torch.testing.assert_close(-head.nll(h.expand(V, D), torch.arange(V)), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(head.log_probs(h.expand(1, D))[0], expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(expected.exp().sum(), torch.ones((), dtype=torch.float64), rtol=1e-12, atol=0)


def test_zero_weights_give_uniform_parts(make_sizes: MakeSizes) -> None:
    head = build(make_sizes(D, V), classes=3)
    assert head.tree == [[7, 7, 6]]
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
    assert class_tree(HierarchicalSoftmax(**options), np.array(counts)) == [lengths]


@pytest.mark.parametrize(
    ("counts", "options", "tree"),
    [
        ([5] * 27, {"levels": 3}, [[3, 3, 3], [3] * 9]),
        ([5] * 16, {"levels": 4}, [[2, 2], [2, 2, 2, 2], [2] * 8]),
        ([5] * 9, {"levels": 3, "classes": 2}, [[2, 2], [3, 2, 2, 2]]),  # of 5 words and of 4, each by its own root
        ([8, 4, 2, 2, 1, 1], {"levels": 3, "classes": 2, "grouping": "frequency"}, [[1, 2], [2, 2, 2]]),
        ([1], {"levels": 3}, [[1], [1]]),
    ],
)
def test_trees_by_hand(counts: list[int], options: dict[str, Any], tree: list[list[int]]) -> None:
    assert class_tree(HierarchicalSoftmax(**options), np.array(counts)) == tree


@pytest.mark.parametrize("grouping", ["size", "frequency"])
def test_classes_cover_the_vocabulary(grouping: Any, make_sizes: MakeSizes) -> None:
    (lengths,) = class_tree(HierarchicalSoftmax(grouping=grouping), make_sizes(2, 10_007).counts)
    assert sum(lengths) == 10_007
    assert min(lengths) >= 1
    assert len(lengths) == 100 if grouping == "size" else len(lengths) < 100
    assert max(lengths) <= 101 or grouping == "frequency"


@pytest.mark.parametrize("words", [[19, 0, 5, 19, 18], [19, 18]])
@pytest.mark.parametrize("grouping", ["size", "frequency"])
def test_gradient(grouping: Any, words: list[int], make_sizes: MakeSizes) -> None:
    """Classes with several tokens, with one, and with none, few of them or most; tokens out of order."""
    head, hidden = randomise(build(make_sizes(D, V), grouping=grouping)), states(len(words)).requires_grad_()
    targets = torch.tensor(words)
    (lengths,), (classes,) = head.tree, head.get_buffer("path")[:, targets]
    assert len(classes.unique()) < len(lengths)
    inputs = [hidden, head.weight, head.bias]
    assert torch.autograd.gradcheck(lambda h, w, b: within_class_nll(h, w, b, targets, classes, lengths), inputs)


@pytest.mark.parametrize("options", TREES, ids=repr)
def test_sparse_gradients_are_the_dense_ones_of_the_classes_that_were_read(
    options: dict[str, Any], make_sizes: MakeSizes
) -> None:
    dense, sparse = (randomise(build(make_sizes(D, V), **options)) for _ in range(2))
    sparse.sparse = True
    targets = torch.tensor([19, 0, 5, 19, 18])
    for head in (dense, sparse):
        head.nll(states(5), targets).square().sum().backward()
    lowest = dense.get_buffer("path")[-1]
    read = torch.isin(lowest, lowest[targets]).nonzero().squeeze(1)
    for (name, one), other in zip(dense.named_parameters(), sparse.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(other.grad.to_dense(), one.grad, rtol=1e-12, atol=1e-14)
        assert other.grad.is_sparse == (name in ("weight", "bias"))
        if other.grad.is_sparse:
            assert torch.equal(other.grad.coalesce().indices()[0], read)


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
    parts = torch.arange(V).split(head.tree[-1])
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
