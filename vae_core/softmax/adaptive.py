"""The adaptive softmax.

Shapes: N tokens, D features, V vocabulary size, K tail clusters, C classes of the head = frequent words + K, R classes of a
tail, d features of a tail.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Generator, Tensor, nn

from vae_core.precision import widened
from vae_core.softmax.config import AdaptiveSoftmax
from vae_core.softmax.full import linear_nll, uniform_parameter
from vae_core.softmax.head import HeadSizes, SoftmaxHead

DIVISION = 4.0
"""Grave et al. 2017 reduce each further cluster by 4."""


class AdaptiveHead(SoftmaxHead):
    """Adaptive softmax (Grave et al. 2017): exact and normalised.

    log p(w | h) = log p_head(w | h) for a frequent word, log p_head(cluster | h) + log p_cluster(w | h P) for a rarer one. P maps
    to the tail's narrower space; a tail of full width has none. The bias starts at 0, weights uniform in +-1/sqrt(width).

    With a tied embedding the class vectors are its rows, so that every tail has full width and only those of the clusters are
    the head's own.

    Raises:
        ValueError: a cutoff is not below the vocabulary's size, or narrower tails are wanted of a tied embedding.
    """

    normalised = True

    def __init__(self, config: AdaptiveSoftmax, sizes: HeadSizes) -> None:
        super().__init__()
        assert (sizes.counts[:-1] >= sizes.counts[1:]).all(), "the adaptive softmax needs ids sorted by falling frequency"
        _check(config, sizes)
        division = config.division or (DIVISION if sizes.tied is None else 1.0)
        edges = [0, *config.cutoffs, sizes.vocabulary]
        self.lengths = [high - low for low, high in pairwise(edges)]
        """Words of the head and of each tail."""
        self.widths = [max(1, int(sizes.features / division**index)) for index in range(len(self.lengths))]
        self.tied = sizes.tied
        self.clusters = uniform_parameter(len(config.cutoffs), sizes.features, sizes.generator)
        self.cluster_bias = nn.Parameter(torch.zeros(len(config.cutoffs)))
        self.bias = nn.Parameter(torch.zeros(sizes.vocabulary))
        self.weights = nn.ParameterList()
        if sizes.tied is None:
            self.weights.extend(
                uniform_parameter(rows, width, sizes.generator) for rows, width in zip(self.lengths, self.widths, strict=True)
            )
        self.projections = nn.ParameterList(
            uniform_parameter(width, sizes.features, sizes.generator) for width in self.widths if width < sizes.features
        )
        self.register_buffer("cutoffs", torch.tensor(config.cutoffs), persistent=False)

    def loss(self, hidden: Tensor, targets: Tensor, generator: Generator | None = None) -> Tensor:
        return self.nll(hidden, targets)

    def nll(self, hidden: Tensor, targets: Tensor) -> Tensor:
        weights, biases = self._classes()
        cutoffs = self.get_buffer("cutoffs")
        cluster = torch.bucketize(targets, cutoffs, right=True)  # 0: a frequent word; k: tail k
        frequent = self.lengths[0]
        nll = linear_nll(hidden, weights[0], biases[0], torch.where(cluster == 0, targets, frequent - 1 + cluster))
        # A tail without a token still runs, on no rows: its gradient is then zero and not None, so that the optimiser's
        # moments decay at every step in every cluster alike.
        for tail in range(1, len(self.lengths)):
            index = (cluster == tail).nonzero().squeeze(1)
            inside = targets.index_select(0, index) - cutoffs[tail - 1]
            narrow = self._project(hidden.index_select(0, index), tail)
            nll = nll.index_add(0, index, linear_nll(narrow, weights[tail], biases[tail], inside))
        return nll

    def log_probs(self, hidden: Tensor) -> Tensor:
        weights, biases = self._classes()
        head = widened(nn.functional.linear(hidden, weights[0], biases[0])).log_softmax(-1)
        frequent, *clusters = torch.split(head, [self.lengths[0], *[1] * (len(self.lengths) - 1)], dim=1)
        tails = [
            cluster + widened(nn.functional.linear(self._project(hidden, tail), weights[tail], biases[tail])).log_softmax(-1)
            for tail, cluster in enumerate(clusters, start=1)
        ]
        return torch.cat([frequent, *tails], dim=1)

    def _classes(self) -> tuple[list[Tensor], list[Tensor]]:
        """The class vectors of the head (C, D) and of each tail (R, d), and their biases.

        A shared table is cut by one split: the backward of separate slices makes a zero of the table's size for each.
        """
        weights = list(self.weights) if self.tied is None else list(torch.split(self.tied, self.lengths))
        biases = list(torch.split(self.bias, self.lengths))
        weights[0] = torch.cat([weights[0], self.clusters])
        biases[0] = torch.cat([biases[0], self.cluster_bias])
        return weights, biases

    def _project(self, hidden: Tensor, tail: int) -> Tensor:
        """(N, D) -> (N, d)"""
        return nn.functional.linear(hidden, self.projections[tail - 1]) if len(self.projections) else hidden


def _check(config: AdaptiveSoftmax, sizes: HeadSizes) -> None:
    if config.cutoffs[-1] >= sizes.vocabulary:
        raise ValueError(
            f"model.softmax.cutoffs: {config.cutoffs[-1]} is too large for a vocabulary of {sizes.vocabulary} words; "
            f"each cutoff must lie between 1 and {sizes.vocabulary - 1}"
        )
    if sizes.tied is not None and (config.division or 1.0) > 1.0:
        raise ValueError(
            f"model.softmax.division: {config.division} narrows the tails, but tied embeddings have full width; "
            "it must be 1 or null"
        )
