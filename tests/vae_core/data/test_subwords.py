"""Byte pair encoding: every text comes back, train alone decides, and the layout is that of any vocabulary."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.conftest import ROOT
from tests.vae_core.conftest import MakeConfig
from tests.vae_core.test_trainer import same_weights, timeless
from vae_core.checkpoint import load_model, save_model
from vae_core.data import DataError, JsonLines, Splitting, TextFile, Vocabulary
from vae_core.data.python_docs import documentation_sentences
from vae_core.data.subwords import Subwords
from vae_core.data.text import TextData
from vae_core.data.vocabulary import BOS, EOS, PAD, SPECIALS, UNK, WordList
from vae_core.generate import decode_text, prior_codes
from vae_core.trainer import Trainer

OPTIONS = Vocabulary(max_size=400)


@pytest.fixture(scope="module")
def prose() -> list[str]:
    return list(islice(documentation_sentences(), 600))


@pytest.fixture(scope="module")
def file(prose: list[str], tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("prose") / "prose.txt"
    path.write_text("\n".join(prose), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def learned(prose: list[str]) -> Subwords:
    return Subwords.learn(prose, OPTIONS)


@pytest.fixture(scope="module")
def vocabulary(learned: Subwords, prose: list[str]) -> WordList:
    return counted(learned, prose)


def counted(subwords: Subwords, texts: list[str]) -> WordList:
    ids = np.concatenate(subwords.encode(texts))
    return subwords.vocabulary(np.bincount(ids, minlength=len(subwords.tokens)), len(texts))


def load(file: str, **options: Any) -> TextData:
    return TextFile(train=file, tokens="bpe", **{"vocabulary": OPTIONS, "max_length": 100} | options).load()


def texts(data: TextData, split: str) -> list[str]:
    source = data.splits[split]
    return [data.vocabulary.decode(source.tokens[a:b]) for a, b in zip(source.offsets, source.offsets[1:], strict=False)]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_but_for_runs_of_white_space(vocabulary: WordList, text: str):
    """Signs, scripts and emoji that train never had, and the specials' own names, among them."""
    subwords = Subwords.of(vocabulary)
    for each in (text, f"{text} </s> <unk>x  <pad>"):
        (ids,) = subwords.encode([each])
        assert vocabulary.decode(ids) == " ".join(each.split())
        assert {vocabulary.unk, vocabulary.eos, vocabulary.bos, vocabulary.pad}.isdisjoint(ids.tolist())


def test_the_layout_is_that_of_any_vocabulary(vocabulary: WordList, prose: list[str]):
    assert len(vocabulary) == 400
    assert (np.diff(vocabulary.counts) <= 0).all()
    assert set(SPECIALS) <= set(vocabulary.words)
    assert [int(vocabulary.counts[vocabulary.index[word]]) for word in (EOS, UNK, BOS, PAD)] == [len(prose), 0, 0, 0]
    tied = [word for word, count in zip(vocabulary.words, vocabulary.counts, strict=True) if count == 0]
    assert tied == sorted(tied)
    assert len([word for word in vocabulary.words if len(word) == 1]) == 256


def test_merges_are_of_the_most_frequent_pairs():
    """By hand: "low" 5 times and "lot" twice; (space, l) and (l, o) occur 7 times, then (lo, w) 5 times."""
    subwords = Subwords.learn(["low low low low low lot lot"], Vocabulary(max_size=264))
    merges = ["".join(pair) for pair in subwords.merges]
    assert len(merges) == 4
    assert {"Ġlo", "Ġlow", "Ġlot"} <= set(merges)
    tokens = [subwords.tokens[place] for place in subwords.encode(["low lot slow"])[0]]
    assert tokens[:2] == ["Ġlow", "Ġlot"]
    assert "".join(tokens) == "ĠlowĠlotĠslow"


def test_a_rare_pair_becomes_no_token():
    once = Subwords.learn(["abc abc xyz"], Vocabulary(max_size=300, min_count=2))
    assert "Ġabc" in once.tokens
    assert not any(set("xyz") & set(token) for token in once.tokens if len(token) > 1)


def test_learning_is_the_same_in_every_process(file: str):
    program = f"""
from vae_core.data import TextFile, Vocabulary
print(TextFile(train={file!r}, tokens="bpe", vocabulary=Vocabulary(max_size=400), max_length=100).load().fingerprint)
"""
    found = {
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert found == {f"{load(file).fingerprint}\n"}


def test_train_alone_is_learned_from_and_the_split_is_that_of_the_seed(file: str, prose: list[str]):
    data = load(file, split=Splitting(valid=0.2, test=0.1, seed=3))
    known = {" ".join(text.split()) for text in prose}
    every = [text for split in data.splits for text in texts(data, split)]
    assert set(every) <= known
    train = [text for text in prose if " ".join(text.split()) in set(texts(data, "train"))]
    assert len(train) < 0.75 * len(prose)
    assert load(file).fingerprint != data.fingerprint == load(file, split=Splitting(valid=0.2, test=0.1, seed=3)).fingerprint


def test_words_of_valid_alone_shape_nothing(tmp_path: Path):
    (tmp_path / "train").write_text("a cab and a cab\n" * 30)
    (tmp_path / "valid").write_text("zyzzyva zyzzyva\n" * 90)
    (tmp_path / "other").write_text("qwertz qwertz\n" * 90)
    one, two = (
        load(str(tmp_path / "train"), valid=str(tmp_path / name), test=str(tmp_path / name)).vocabulary
        for name in ("valid", "other")
    )
    assert one.words == two.words
    assert one.merges == two.merges
    assert one.decode(one.encode(["Ġcab"])) == "cab"
    assert (
        texts(load(str(tmp_path / "train"), valid=str(tmp_path / "valid"), test=str(tmp_path / "valid")), "test")[0]
        == "zyzzyva zyzzyva"
    )


def test_limits_count_tokens(file: str):
    data = load(file, max_length=40, min_length=20)
    for split in data.splits.values():
        assert split.lengths.min() >= 20
        assert split.lengths.max() <= 40
    cut = load(file, max_length=40, long="cut")
    assert len(cut.splits["train"]) > len(data.splits["train"])
    assert load(file, max_sentences=50).splits["train"].lengths.size <= 50
    with pytest.raises(DataError, match="has 1 to 2 BPE tokens"):
        load(file, max_length=2)


@pytest.mark.parametrize("text", ["A cat . A dog .\n", "A cat. A dog.\n\n"])
def test_sentences_are_those_of_words(text: str, tmp_path: Path):
    (tmp_path / "a").write_text(text * 40)
    words = TextFile(train=str(tmp_path / "a"), unit="sentence", vocabulary=OPTIONS).load()
    data = load(str(tmp_path / "a"), unit="sentence")
    assert {split: len(part) for split, part in data.splits.items()} == {split: len(part) for split, part in words.splits.items()}
    assert set(texts(data, "train")) == {sentence.strip() for sentence in (text.split(".")[0] + ".", text.split(".")[1] + ".")}


def test_lowercase(tmp_path: Path):
    (tmp_path / "a").write_text("The CAT\n" * 20)
    data = load(str(tmp_path / "a"), vocabulary=Vocabulary(max_size=300, lowercase=True))
    assert set(texts(data, "train")) == {"the cat"}
    assert [data.vocabulary.decode(ids) for ids in Subwords.of(data.vocabulary).encode(["A Cat"])] == ["a cat"]


def test_labels_stay_with_their_sentences(tmp_path: Path):
    rows = [{"text": f"w{place} {'good' if place % 2 else 'bad'}" if place % 7 else " ", "y": place % 2} for place in range(80)]
    (tmp_path / "a").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    data = JsonLines(train=str(tmp_path / "a"), tokens="bpe", vocabulary=OPTIONS, label_column="y").load()
    for split in data.splits:
        labels = data.splits[split].labels
        assert labels is not None
        assert [text.endswith("good") for text in texts(data, split)] == [label == 1 for label in labels]


def test_the_vocabulary_survives_json_with_its_merges(vocabulary: WordList, prose: list[str]):
    again = WordList.from_dict(json.loads(json.dumps(vocabulary.to_dict())))
    assert (again.words, again.merges) == (vocabulary.words, vocabulary.merges)
    first, second = (Subwords.of(words).encode(prose[:50]) for words in (vocabulary, again))
    assert all(np.array_equal(one, two) for one, two in zip(first, second, strict=True))
    assert [again.decode(ids) for ids in first] == [" ".join(text.split()) for text in prose[:50]]


def test_the_fingerprint_covers_the_merges(file: str):
    data = load(file)
    assert data.vocabulary.merges is not None
    swapped = WordList(
        data.vocabulary.words, data.vocabulary.counts, False, "", (data.vocabulary.merges[1], data.vocabulary.merges[0])
    )
    assert TextData.make(data.splits, swapped, "x").fingerprint != data.fingerprint


def test_a_small_vocabulary_is_refused():
    with pytest.raises(ValidationError, match=r"vocabulary\.max_size: 260 is too small for tokens: bpe: 256 bytes and 4 special"):
        TextFile(train="a", tokens="bpe", vocabulary=Vocabulary(max_size=260))


def test_a_model_of_tokens_trains_goes_on_bitwise_and_speaks_after_loading(text_config: MakeConfig, file: str, tmp_path: Path):
    data_options = {"kind": "text_file", "train": file, "tokens": "bpe", "vocabulary": {"max_size": 400}, "max_length": 30}
    config = text_config({"data": data_options})
    data = config.data.load()
    unbroken, first, second = (Trainer(config, data) for _ in range(3))
    expected = timeless(list(unbroken.run()))
    records = list(islice(first.run(), 1))
    second.load_state_dict(first.state_dict())
    assert timeless([*records, *second.run()]) == expected
    assert same_weights(second, unbroken)
    save_model(unbroken.model, config, data, tmp_path)
    loaded = load_model(tmp_path)
    z = prior_codes(loaded.model, 5, seed=0)
    spoken = decode_text(loaded.model, z, 30)
    assert spoken == decode_text(unbroken.model, z, 30)
    assert not any("Ġ" in text for text in spoken)
