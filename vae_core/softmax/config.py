"""The options of the likelihood layer; free of torch, so that a sweep file is checked within a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from vae_core.configurable import Config, Count

if TYPE_CHECKING:
    from vae_core.softmax.head import HeadSizes, SoftmaxHead


class SoftmaxConfig(Config):
    """One member of the family; ``build`` makes its layer."""

    def build(self, sizes: HeadSizes) -> SoftmaxHead:
        """Makes the layer for these sizes; imports torch."""
        raise NotImplementedError


class FullSoftmax(SoftmaxConfig):
    """Full softmax (Bridle 1990): exact, over the whole vocabulary."""

    kind: Literal["full"] = "full"

    def build(self, sizes: HeadSizes) -> SoftmaxHead:
        from vae_core.softmax.full import FullHead

        return FullHead(sizes)


class AdaptiveSoftmax(SoftmaxConfig):
    """Adaptive softmax (Grave et al. 2017): a head of frequent words and clusters of rarer ones; exact and normalised."""

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

    def build(self, sizes: HeadSizes) -> SoftmaxHead:
        from vae_core.softmax.adaptive import AdaptiveHead

        return AdaptiveHead(self, sizes)


class SampledSoftmax(SoftmaxConfig):
    """Sampled softmax (Jean et al. 2015; Jozefowicz et al. 2016): corrected by log q, and scored by the full softmax."""

    kind: Literal["sampled"] = "sampled"
    samples: Count = 1024
    """Negative classes drawn a step, shared over the batch and the time steps."""
    proposal: Literal["unigram", "log_uniform", "uniform"] = "log_uniform"
    """Where they are drawn from: training frequency (counts of 0 taken as 1), Zipf's law over the ranks, or evenly."""
    replacement: bool = False
    """false: all drawn differ, so samples cannot exceed the vocabulary; the gradient is far less noisy than with repeats."""

    def build(self, sizes: HeadSizes) -> SoftmaxHead:
        from vae_core.softmax.sampled import SampledHead

        return SampledHead(self, sizes)


AnySoftmax = Annotated[FullSoftmax | AdaptiveSoftmax | SampledSoftmax, Field(discriminator="kind")]
"""The family's table."""
