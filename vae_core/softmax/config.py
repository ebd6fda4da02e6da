"""The options of the likelihood layer; free of torch, so that a sweep file is checked within a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from vae_core.configurable import Config, Count, Positive
from vae_core.plugins import extended

if TYPE_CHECKING:
    from vae_core.softmax.head import HeadSizes, SoftmaxHead


MOST = "data.vocabulary.max_size"
"""What bounds the vocabulary before the data are read."""


class SoftmaxConfig(Config):
    """One member of the family; ``build`` makes its layer."""

    few_rows: ClassVar[bool] = False
    """Whether a training step reads only the vectors of its targets, and of what it draws or what stands with them."""
    full: ClassVar[bool] = True
    """Whether it is scored by a full softmax, which one by SVD can stand in for."""

    def build(self, sizes: HeadSizes) -> SoftmaxHead:
        """Makes the layer for these sizes; imports torch."""
        raise NotImplementedError

    def misfits(self, most: int) -> list[str]:
        """Every reason why it is for more words than a vocabulary of ``most`` can have, each a sentence that names the places."""
        return []


class FullSoftmax(SoftmaxConfig):
    """Full softmax (Bridle 1990): exact, over the whole vocabulary."""

    kind: Literal["full"] = "full"

    def build(self, sizes: HeadSizes) -> SoftmaxHead:
        from vae_core.softmax.full import FullHead

        return FullHead(sizes)


class ChunkedSoftmax(SoftmaxConfig):
    """Chunked softmax (Hsu et al. 2024): exact, a few tokens at a time, with the gradients computed in the forward pass."""

    kind: Literal["chunked"] = "chunked"
    chunk_mib: Positive = 128.0
    """Memory that the logits of one chunk may take, in MiB; a chunk has one token at least. Each chunk goes through the table and
    its gradient as a whole, so that with few tokens a chunk the memory's speed is the limit."""

    def build(self, sizes: HeadSizes) -> SoftmaxHead:
        from vae_core.softmax.chunked import ChunkedHead

        return ChunkedHead(self, sizes)


class AdaptiveSoftmax(SoftmaxConfig):
    """Adaptive softmax (Grave et al. 2017): a head of frequent words and clusters of rarer ones; exact and normalised."""

    full = False
    kind: Literal["adaptive"] = "adaptive"
    cutoffs: Annotated[tuple[Count, ...], Field(min_length=1)] = (2000, 10000)
    """Vocabulary ranks at which a cluster ends; ascending, and all below the size of the vocabulary."""
    division: Annotated[float, Field(ge=1.0)] | None = None
    """Each further cluster works in a space smaller by this factor; null: 4, or 1 with tied embeddings, which need full width."""

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if any(low >= high for low, high in zip(self.cutoffs, self.cutoffs[1:], strict=False)):
            raise ValueError(f"cutoffs must ascend, got {list(self.cutoffs)}")
        return self

    def misfits(self, most: int) -> list[str]:
        if (last := self.cutoffs[-1]) < most:
            return []
        return [f"model.softmax.cutoffs: {last} leaves no word for its last cluster; it must be below {MOST}: {most}"]

    def build(self, sizes: HeadSizes) -> SoftmaxHead:
        from vae_core.softmax.adaptive import AdaptiveHead

        return AdaptiveHead(self, sizes)


class HierarchicalSoftmax(SoftmaxConfig):
    """Hierarchical softmax (Goodman 2001): first the word's class, then the word in it; exact and normalised."""

    few_rows = True
    full = False
    kind: Literal["hierarchical"] = "hierarchical"
    levels: Annotated[int, Field(ge=2, le=4)] = 2
    """Decisions by which a word is found: its class, with more a class in that, ..., the word. With 3 a step looks at far fewer
    vectors, for large vocabularies; each decision is a softmax of its own, so that the model is another."""
    classes: Count | None = None
    """Classes of the first decision; null: as many as are in each of the others, the root of the vocabulary's size (with two
    levels the square root), which costs least."""
    grouping: Literal["size", "frequency"] = "size"
    """Neighbours in rank share a class: as many words in each, or (Mikolov et al. 2011) as many training tokens. By frequency
    the most frequent words stand alone, and the classes may be fewer than asked for."""

    def misfits(self, most: int) -> list[str]:
        if self.classes is None or self.classes <= most:
            return []
        return [f"model.softmax.classes: {self.classes} are more than the words, {MOST}: {most}"]

    def build(self, sizes: HeadSizes) -> SoftmaxHead:
        from vae_core.softmax.hierarchical import HierarchicalHead

        return HierarchicalHead(self, sizes)


class ProposalConfig(SoftmaxConfig):
    """What the members that draw negative classes from a proposal share."""

    few_rows = True
    default_power: ClassVar[float] = 1.0
    samples: Count = 1024
    """Negative classes drawn a step, shared over the batch and the time steps."""
    proposal: Literal["unigram", "log_uniform", "uniform"] = "unigram"
    """Where they are drawn from: training frequency (counts of 0 taken as 1), Zipf's law over the ranks, or evenly."""
    power: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """The unigram proposal goes with frequency to this power, and has no other; null: 1, in negative sampling 0.75."""

    @model_validator(mode="after")
    def _power_of_what(self) -> Self:
        if self.power is not None and self.proposal != "unigram":
            raise ValueError(f"power: {self.power} is for proposal unigram; with {self.proposal} it must be null")
        return self

    @property
    def exponent(self) -> float:
        """``power``, or its default."""
        return self.default_power if self.power is None else self.power


class SampledSoftmax(ProposalConfig):
    """Sampled softmax (Bengio & Senécal 2008; Jean et al. 2015): corrected by log q, and scored by the full softmax."""

    kind: Literal["sampled"] = "sampled"
    proposal: Literal["unigram", "log_uniform", "uniform"] = "log_uniform"
    """Where negatives are drawn from: training frequency (counts of 0 taken as 1), Zipf's law over the ranks, or evenly."""
    replacement: bool = False
    """false: all drawn differ, so samples cannot exceed the vocabulary; the gradient is far less noisy than with repeats."""
    targets: Literal["include", "exclude", "proposal"] = "include"
    """How a token's target enters the estimate of its normaliser. include: as a candidate, corrected by its own log q (Jean et
    al. 2015): log p is the optimum, the normaliser too large. exclude: once and uncorrected, beside negatives that are never the
    target (Blanc & Rendle 2018): the normaliser is unbiased, its logarithm and the gradient are off by O(1/samples). proposal:
    only where it was drawn (Bengio & Senécal 2008): as exclude, but far noisier, and the loss has no lower bound."""

    def misfits(self, most: int) -> list[str]:
        if self.replacement or self.samples <= most:
            return []
        return [
            f"model.softmax.samples: {self.samples} different words cannot be drawn from {MOST}: {most}; without replacement it "
            "must be that at most"
        ]

    def build(self, sizes: HeadSizes) -> SoftmaxHead:
        from vae_core.softmax.sampled import SampledHead

        return SampledHead(self, sizes)


class NoiseContrastive(ProposalConfig):
    """Noise contrastive estimation (Gutmann & Hyvärinen 2010; Mnih & Teh 2012): target against noise, normaliser 1."""

    kind: Literal["nce"] = "nce"

    def build(self, sizes: HeadSizes) -> SoftmaxHead:
        from vae_core.softmax.nce import NceHead

        return NceHead(self, sizes)


class NegativeSampling(ProposalConfig):
    """Negative sampling (Mikolov et al. 2013): the target against noise, uncorrected: log(p / k q), no likelihood."""

    default_power = 0.75
    kind: Literal["negative_sampling"] = "negative_sampling"

    def build(self, sizes: HeadSizes) -> SoftmaxHead:
        from vae_core.softmax.nce import NegativeSamplingHead

        return NegativeSamplingHead(self, sizes)


class OneVsEach(SoftmaxConfig):
    """One-vs-each (Titsias 2016): a bound on log p from the target's contest with each other class, or with some of them."""

    few_rows = True
    kind: Literal["one_vs_each"] = "one_vs_each"
    samples: Count = 1024
    """Other classes drawn a step, all different, evenly, and shared over the batch and the time steps."""

    def misfits(self, most: int) -> list[str]:
        if self.samples < most:
            return []
        return [f"model.softmax.samples: {self.samples} other words than the target cannot be drawn from {MOST}: {most}"]

    def build(self, sizes: HeadSizes) -> SoftmaxHead:
        from vae_core.softmax.one_vs_each import OneVsEachHead

        return OneVsEachHead(self, sizes)


AnySoftmax = Annotated[
    FullSoftmax
    | ChunkedSoftmax
    | AdaptiveSoftmax
    | HierarchicalSoftmax
    | SampledSoftmax
    | NoiseContrastive
    | NegativeSampling
    | OneVsEach,
    Field(discriminator="kind"),
]
"""The family's table. The SVD softmax is no member: it speeds a trained head up, and cannot be trained."""
if not TYPE_CHECKING:
    AnySoftmax = extended(AnySoftmax, SoftmaxConfig, "softmaxes")
