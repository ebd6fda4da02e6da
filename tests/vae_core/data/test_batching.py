"""Plans: every example once, in as many batches as there must be, of like lengths."""

from __future__ import annotations

from math import ceil

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vae_core.data import DataError, Digits
from vae_core.data.batching import POOL, plan_bucketed, plan_shuffled, require_batch

lengths = st.lists(st.integers(1, 40), max_size=300).map(lambda values: np.array(values, dtype=np.int64))
seeds = st.none() | st.integers(0, 2**31)


def generator(seed: int | None) -> torch.Generator | None:
    return None if seed is None else torch.Generator().manual_seed(seed)


def both_plans(n: np.ndarray, batch_size: int, seed: int | None) -> list[list[np.ndarray]]:
    return [plan_bucketed(n, batch_size, generator(seed)), plan_shuffled(len(n), batch_size, generator(seed))]


@given(lengths, st.integers(1, 9), seeds)
def test_every_example_once_in_exactly_as_many_batches_as_needed(n: np.ndarray, batch_size: int, seed: int | None) -> None:
    for batches in both_plans(n, batch_size, seed):
        assert len(batches) == ceil(len(n) / batch_size)
        assert sorted(np.concatenate(batches).tolist() if batches else []) == list(range(len(n)))
        assert sum(len(batch) < batch_size for batch in batches) == (len(n) % batch_size > 0)
        assert all(0 < len(batch) <= batch_size for batch in batches)


@given(lengths, st.integers(1, 9), seeds)
def test_a_plan_is_decided_by_its_generator(n: np.ndarray, batch_size: int, seed: int | None) -> None:
    first, again = both_plans(n, batch_size, seed), both_plans(n, batch_size, seed)
    assert [[batch.tolist() for batch in plan] for plan in first] == [[batch.tolist() for batch in plan] for plan in again]


def test_another_generator_or_another_epoch_gives_another_order() -> None:
    n = np.arange(1, 101)
    one = generator(0)
    plans = [plan_bucketed(n, 7, one), plan_bucketed(n, 7, one), plan_bucketed(n, 7, generator(1))]
    assert len({tuple(np.concatenate(plan).tolist()) for plan in plans}) == 3


def test_without_a_generator_text_is_in_order_of_length_and_images_as_stored() -> None:
    n = np.array([3, 1, 2, 1, 5])
    assert [batch.tolist() for batch in plan_bucketed(n, 2, None)] == [[1, 3], [2, 0], [4]]
    assert [batch.tolist() for batch in plan_shuffled(5, 2, None)] == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize("n", [67_000, 5_000, 3_201])
def test_buckets_leave_little_padding(n: int) -> None:
    """Lengths as English sentences have them: log-normal, mean 22, at most 40 and their </s>."""
    drawn = np.random.default_rng(0).lognormal(3.0, 0.5, size=n).astype(np.int64).clip(1, 40)
    padded = real = 0
    for batch in plan_bucketed(drawn, 64, generator(0)):
        padded += len(batch) * (drawn[batch].max() + 1)
        real += (drawn[batch] + 1).sum()
    assert padded / real <= 1.05


def test_pools_mix_lengths_over_the_epoch() -> None:
    """Batches are shuffled: the mean length of the first half is that of the second, within sampling error."""
    drawn = np.random.default_rng(0).integers(1, 41, size=64 * POOL * 4)
    means = [drawn[batch].mean() for batch in plan_bucketed(drawn, 64, generator(3))]
    half = len(means) // 2
    error = np.std(means) / np.sqrt(half) * np.sqrt(2)
    assert abs(np.mean(means[:half]) - np.mean(means[half:])) < 3 * error


def test_lengths_are_sorted_within_pools_only() -> None:
    """Sorted over all of 4 pools, a batch of 8 unlike lengths would span 8 of them; within its pool it spans about 4 x 8."""
    drawn = np.arange(8 * POOL * 4)
    spans = [np.ptp(drawn[batch]) + 1 for batch in plan_bucketed(drawn, 8, generator(0))]
    assert 24 < np.median(spans) < 40


def test_the_short_batch_favours_no_length() -> None:
    """An example's weight in its batch's mean is 1 / size; were the longest always in the short batch, theirs would be higher."""
    n = np.arange(1, 32)  # one pool of 4 batches, the short one of 7
    shares = np.zeros(31)
    one = generator(0)
    for _ in range(400):
        for batch in plan_bucketed(n, 8, one):
            shares[batch] += 1 / len(batch) / 400
    assert shares.max() < 1 / 7 - 0.005  # drawn: between 1/8 and 1/7; fixed: 1/7 for the longest
    assert shares[-1] == pytest.approx(0.25 / 7 + 0.75 / 8, abs=0.002)


@pytest.mark.parametrize("size", [0, -1])
def test_a_batch_size_below_one_is_refused(size: int) -> None:
    for plan in (lambda: plan_bucketed(np.ones(3, dtype=np.int64), size, None), lambda: plan_shuffled(3, size, None)):
        with pytest.raises(ValueError, match="1 or more"):
            plan()


def test_train_must_fill_a_batch() -> None:
    data = Digits().load()
    n = len(data.splits["train"])
    require_batch(data, n)
    with pytest.raises(DataError, match=f"batch_size is {n + 1}, but train of digits has {n} examples: give at most {n}"):
        require_batch(data, n + 1)
