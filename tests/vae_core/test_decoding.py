"""Decoding against models small enough to know every sentence of."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from vae_core.decoding import (
    DECODINGS,
    Ancestral,
    AnyDecoding,
    Beam,
    Greedy,
    Nucleus,
    State,
    TopK,
    WordModel,
    beam_search,
    keep_nucleus,
    keep_top_k,
)

END, A, B, C, START = range(5)
Table = dict[int, dict[int, float]]

GARDEN_PATH: Table = {
    START: {A: 0.6, B: 0.4},
    A: {END: 0.1, B: 0.45, C: 0.45},
    B: {END: 0.9, C: 0.1},
    C: {END: 1.0},
}
"""A is the likelier first word, but of all sentences ``B`` is the likeliest: 0.36, where ``A B`` has 0.243."""
LENGTHS: Table = {START: {END: 0.5, A: 0.5}, A: {END: 0.8, B: 0.2}, B: {END: 1.0}}
"""Three sentences: nothing (0.5, one word with its end), ``A`` (0.4, two), ``A B`` (0.1, three)."""


def model_of(table: Table, count: int = 1) -> WordModel:
    """The next word depends on the last one alone."""
    log_probs = torch.full((5, 5), -math.inf, dtype=torch.float64)
    for last, following in table.items():
        for word, probability in following.items():
            log_probs[last, word] = math.log(probability)
    return WordModel(lambda words, state: (log_probs[words], state), (torch.zeros(count, 1),), START, END)


def random_model(seed: int, count: int) -> tuple[WordModel, Tensor]:
    """What follows depends on the whole sentence so far, through a state, and differs from sentence to sentence.

    Gives the model and its table (count, 5, 8, 4) by sentence, last word and state.
    """
    table = torch.randn(count, 5, 8, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).mul(2).log_softmax(3)

    def step(words: Tensor, state: State) -> tuple[Tensor, State]:
        row, memory = state
        return table[row, words, memory], (row, (3 * memory + words + 1) % 8)

    return WordModel(step, (torch.arange(count), torch.zeros(count, dtype=torch.long)), START, END), table


def words_of(ids: Tensor) -> list[list[int]]:
    """Each sentence without its end and what follows it."""
    return [list(itertools.takewhile(lambda word: word != END, row)) for row in ids.tolist()]


def decode(decoding: AnyDecoding, model: WordModel, max_length: int = 6, seed: int = 0) -> list[list[int]]:
    return words_of(decoding.decode(model, max_length, torch.Generator().manual_seed(seed)))


def test_beam_search_finds_the_likelier_sentence_that_greedy_walks_past() -> None:
    assert decode(Greedy(), model_of(GARDEN_PATH)) == [[A, B]]
    assert decode(Beam(beams=2, length_penalty=0.0), model_of(GARDEN_PATH)) == [[B]]


@pytest.mark.parametrize(("penalty", "sentence"), [(0.0, []), (1.0, [A]), (3.0, [A, B])])
def test_length_normalisation_by_hand(penalty: float, sentence: list[int]) -> None:
    """log p / n^penalty: 0: -.69, -.92, -2.30; 1: -.69, -.46, -.77; 3: -.69, -.115, -.085."""
    assert decode(Beam(beams=2, length_penalty=penalty), model_of(LENGTHS)) == [sentence]


@pytest.mark.parametrize("penalty", [0.0, 0.5, 1.0, 2.0])
def test_enough_beams_find_the_best_of_all_sentences(penalty: float) -> None:
    longest, count = 4, 6
    model, table = random_model(0, count)
    for row, found in enumerate(words_of(beam_search(model, 200, penalty, longest))):
        scores = {}
        for length in range(1, longest + 1):
            for body in itertools.product((A, B, C), repeat=length - 1):
                for last in (END, A, B, C) if length == longest else (END,):
                    total, memory, before = 0.0, 0, START
                    for word in (*body, last):
                        total += table[row, before, memory, word].item()
                        before, memory = word, (3 * memory + before + 1) % 8
                    scores[tuple(word for word in (*body, last) if word != END)] = total / length**penalty
        assert tuple(found) == max(scores, key=lambda sentence: scores[sentence])


@pytest.mark.parametrize("seed", range(5))
def test_one_beam_is_greedy_and_so_is_top_1_and_a_tiny_nucleus(seed: int) -> None:
    greedy = decode(Greedy(), random_model(seed, 20)[0])
    for other in (Beam(beams=1, length_penalty=0.0), TopK(k=1), Nucleus(p=1e-6), Ancestral(temperature=1e-4)):
        assert decode(other, random_model(seed, 20)[0]) == greedy, other


def test_a_whole_nucleus_and_every_k_are_ancestral() -> None:
    ancestral = decode(Ancestral(temperature=1.3), random_model(0, 200)[0])
    assert decode(Nucleus(p=1.0, temperature=1.3), random_model(0, 200)[0]) == ancestral
    assert decode(TopK(k=100, temperature=1.3), random_model(0, 200)[0]) == ancestral


@pytest.mark.parametrize("kind", DECODINGS)
def test_no_method_looks_at_the_neighbours_or_beyond_the_longest(kind: str) -> None:
    decoding = DECODINGS[kind]()
    model, _ = random_model(1, 7)
    together = decode(decoding, model, max_length=5)
    assert max(map(len, together)) <= 5
    assert decode(decoding, model, max_length=5) == together  # the same draws from the same seed
    if not hasattr(decoding, "temperature"):
        for row, sentence in enumerate(together):
            alone = WordModel(model.step, tuple(part[row : row + 1] for part in model.state), START, END)
            assert decode(decoding, alone, max_length=5) == [sentence]


def test_draws_follow_the_distribution_that_is_left() -> None:
    """First words of 20,000 draws: p = .5, .3, .2 squared (temperature 1/2) is .25, .09, .04; k = 2 leaves .25 : .09."""
    count = 20_000
    model = model_of({START: {A: 0.5, B: 0.3, C: 0.2}}, count)
    for decoding, expected in (
        (Ancestral(), {A: 0.5, B: 0.3, C: 0.2}),
        (Ancestral(temperature=0.5), {A: 25 / 38, B: 9 / 38, C: 4 / 38}),
        (TopK(k=2, temperature=0.5), {A: 25 / 34, B: 9 / 34}),
        (Nucleus(p=0.6), {A: 5 / 8, B: 3 / 8}),
        (Nucleus(p=0.81), {A: 0.5, B: 0.3, C: 0.2}),
    ):
        drawn = [sentence[0] for sentence in decode(decoding, model, max_length=1)]
        assert set(drawn) == set(expected)
        for word, p in expected.items():
            assert drawn.count(word) / count == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) / count)), (decoding, word)


def test_what_is_kept_keeps_its_score_and_its_place() -> None:
    scores = torch.tensor([[0.1, 0.5, 0.15, 0.25], [0.97, 0.01, 0.01, 0.01]], dtype=torch.float64).log()
    kept = [[-math.inf, math.log(0.5), -math.inf, math.log(0.25)], [math.log(0.97), *[-math.inf] * 3]]
    torch.testing.assert_close(keep_nucleus(scores, 0.7), torch.tensor(kept, dtype=torch.float64))
    torch.testing.assert_close(keep_top_k(scores[:1], 2), torch.tensor(kept[:1], dtype=torch.float64))
    assert (keep_top_k(torch.zeros(1, 5), 3) == 0.0).sum() == 3


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("ancestral", {"temperature": 0.0}),
        ("ancestral", {"temperature": math.nan}),
        ("top-k", {"k": 0}),
        ("nucleus", {"p": 0.0}),
        ("nucleus", {"p": 1.1}),
        ("beam", {"beams": 0}),
        ("beam", {"length_penalty": -1.0}),
        ("greedy", {"temperature": 1.0}),
    ],
)
def test_values_that_mean_nothing_are_refused(kind: str, options: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(options))):
        DECODINGS[kind].model_validate(options)
