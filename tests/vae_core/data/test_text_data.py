"""Text data: batches against hand-made ones, limits, splits, fingerprints, sharing."""

from __future__ import annotations

import pickle
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vae_core.data import DataError, PythonDocs, Splitting, TextFile, Vocabulary
from vae_core.data.text import TextData, TextSplit
from vae_core.data.vocabulary import WordList

ALL = Vocabulary(min_count=1)


def made(sentences: list[str]) -> TextData:
    """Data whose three splits are these sentences."""
    words = [word for sentence in sentences for word in sentence.split()]
    vocabulary = WordList.from_counts({word: words.count(word) for word in words}, len(sentences), ALL)
    offsets = np.concatenate([[0], np.cumsum([len(sentence.split()) for sentence in sentences])]).astype(np.int64)
    split = TextSplit(vocabulary.encode(words), offsets)
    return TextData.make({"train": split, "valid": split, "test": split}, vocabulary, "made")


def texts(data: TextData, split: str) -> list[str]:
    source = data.splits[split]
    return [data.vocabulary.decode(source.tokens[a:b]) for a, b in zip(source.offsets, source.offsets[1:], strict=False)]


def write(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def numbered(n: int) -> list[str]:
    return [f"w{i} x" for i in range(n)]


def test_a_batch_is_shifted_padded_and_masked() -> None:
    data = made(["a b c", "d", "e f"])
    v = data.vocabulary
    a, b, c, d = (int(v.encode([word])[0]) for word in "abcd")
    batch = data.batch("train", np.array([1, 0]))
    assert batch.inputs.tolist() == [[v.bos, d, v.pad, v.pad], [v.bos, a, b, c]]
    assert batch.targets.tolist() == [[d, v.eos, v.pad, v.pad], [a, b, c, v.eos]]
    assert batch.mask.tolist() == [[True, True, False, False], [True] * 4]
    assert batch.lengths.tolist() == [2, 4]
    assert (batch.size, batch.tokens) == (2, 6)
    assert {batch.inputs.dtype, batch.targets.dtype, batch.lengths.dtype} == {torch.int64}
    moved = batch.to("cpu")
    assert moved.tokens == 6
    assert torch.equal(moved.inputs, batch.inputs)


@given(
    st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=9).map(" ".join), min_size=1, max_size=40),
    st.integers(1, 7),
)
def test_an_epoch_gives_back_every_sentence_and_counts_no_padding(sentences: list[str], batch_size: int) -> None:
    data = made(sentences)
    v = data.vocabulary
    seen, tokens = [], 0
    for index in data.plan("train", batch_size, torch.Generator().manual_seed(0)):
        batch = data.batch("train", index)
        tokens += batch.tokens
        assert torch.equal(batch.mask.sum(1), batch.lengths)
        assert torch.equal(batch.mask, batch.targets != v.pad)
        assert torch.equal(batch.inputs[:, 1:][batch.mask[:, 1:]], batch.targets[:, :-1][batch.mask[:, 1:]])
        assert (batch.inputs[~batch.mask] == v.pad).all()
        assert batch.lengths.max() == batch.inputs.shape[1]
        seen += [v.decode(row) for row in batch.targets.tolist()]
    assert sorted(seen) == sorted(sentences)
    assert tokens == sum(len(sentence.split()) + 1 for sentence in sentences)


@pytest.mark.parametrize("read_only", [False, True])
def test_writing_to_a_batch_leaves_the_shared_arrays_alone(read_only: bool) -> None:
    data = made(["a b c", "d e"])
    tokens = data.splits["train"].tokens.copy()
    tokens.flags.writeable = not read_only
    shared = TextSplit(tokens, data.splits["train"].offsets.copy())
    again = TextData.make(dict.fromkeys(data.splits, shared), data.vocabulary, "shared")
    before = tokens.copy()
    batch = again.batch("train", np.array([0, 1]))
    for tensor in (batch.inputs, batch.targets, batch.mask, batch.lengths):
        tensor.zero_()
    assert (tokens == before).all()
    assert again.batch("train", np.array([0, 1])).tokens == 7
    with pytest.raises(ValueError, match="read-only"):
        shared.tokens[0] = 0


def test_data_survive_pickling() -> None:
    data = made(["a b c", "d e"])
    again = pickle.loads(pickle.dumps(data))
    assert again.fingerprint == data.fingerprint
    assert torch.equal(again.batch("test", np.array([1])).targets, data.batch("test", np.array([1])).targets)


def test_places_beyond_the_split_are_our_own_bug_and_stop() -> None:
    data = made(["a b", "c"])
    for index in ([-1], [2], []):
        with pytest.raises((AssertionError, IndexError)):
            data.batch("train", np.array(index, dtype=np.int64))


def test_one_file_is_split_by_seed_and_nothing_is_lost(tmp_path: Path) -> None:
    name = write(tmp_path / "all.txt", *numbered(50))
    load = lambda seed: TextFile(train=name, vocabulary=ALL, split=Splitting(valid=0.2, test=0.1, seed=seed)).load()  # noqa: E731
    data = load(0)
    assert {split: len(data.splits[split]) for split in data.splits} == {"train": 35, "valid": 10, "test": 5}
    assert set(texts(data, "train")) < set(numbered(50))
    assert load(0).fingerprint == data.fingerprint
    assert load(1).fingerprint != data.fingerprint
    assert data.vocabulary.counts[data.vocabulary.eos] == 35
    assert all(text == "<unk> x" for text in texts(data, "valid"))  # train alone makes the vocabulary


def test_given_files_keep_their_sentences_and_order(tmp_path: Path) -> None:
    files = {
        split: write(tmp_path / f"{split}.txt", f"x {split}", "", "x y", f"{split} x") for split in ("train", "valid", "test")
    }
    data = TextFile(**files, vocabulary=ALL).load()
    assert texts(data, "train") == ["x train", "x y", "train x"]
    assert texts(data, "valid") == ["x <unk>", "x y", "<unk> x"]
    partly = TextFile(train=files["train"], test=files["test"], vocabulary=ALL).load()
    assert {split: len(partly.splits[split]) for split in partly.splits} == {"train": 2, "valid": 1, "test": 3}


def test_limits_of_length_drop_or_cut(tmp_path: Path) -> None:
    names = {split: write(tmp_path / split, "a", "a b", "a b c", "a b c d") for split in ("train", "valid", "test")}
    dropped = TextFile(**names, vocabulary=ALL, min_length=2, max_length=3).load()
    assert texts(dropped, "train") == ["a b", "a b c"]
    cut = TextFile(**names, vocabulary=ALL, min_length=2, max_length=3, long="cut").load()
    assert texts(cut, "test") == ["a b", "a b c", "a b c"]


def test_max_sentences_thins_train_alone(tmp_path: Path) -> None:
    name = write(tmp_path / "all.txt", *numbered(100))
    whole = TextFile(train=name, vocabulary=ALL).load()
    thin = TextFile(train=name, vocabulary=ALL, max_sentences=7).load()
    assert {split: len(thin.splits[split]) for split in thin.splits} == {"train": 7, "valid": 10, "test": 10}
    assert set(texts(thin, "train")) < set(texts(whole, "train"))
    assert texts(thin, "train") == [text for text in texts(whole, "train") if text in texts(thin, "train")]


def test_unknown_words_in_the_text_stay_unknown(tmp_path: Path) -> None:
    names = {split: write(tmp_path / split, "the <unk> sat .", "the cat .") for split in ("train", "valid", "test")}
    data = TextFile(**names, vocabulary=ALL).load()
    assert data.vocabulary.counts[data.vocabulary.unk] == 1
    assert data.splits["train"].lengths.tolist() == [4, 3]
    assert (data.splits["train"].tokens == data.vocabulary.unk).sum() == 1
    assert len(data.vocabulary) == 8


def test_lowercase(tmp_path: Path) -> None:
    names = {split: write(tmp_path / split, "The cat, the CAT.") for split in ("train", "valid", "test")}
    data = TextFile(**names, vocabulary=Vocabulary(min_count=2, lowercase=True)).load()
    assert texts(data, "test") == ["the cat <unk> the cat <unk>"]


def test_the_fingerprint_is_of_the_content_wherever_it_lies(tmp_path: Path) -> None:
    fingerprints = []
    for folder, line in (("one", "a b"), ("two", "a b"), ("three", "b a")):
        (tmp_path / folder).mkdir()
        names = {split: write(tmp_path / folder / f"{folder}-{split}", line, "c d") for split in ("train", "valid", "test")}
        data = TextFile(**names, vocabulary=ALL).load()
        assert data.name == f"{folder}/{folder}-train"
        fingerprints.append(data.fingerprint)
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]
    assert fingerprints[0] == "3c7b7e6c5733c63d"  # of this content, on every machine


def test_the_documentation_makes_data_at_once() -> None:
    started = time.perf_counter()
    data = PythonDocs().load()
    assert time.perf_counter() - started < 5
    assert PythonDocs().load().fingerprint == data.fingerprint
    assert len(data.splits["train"]) > 1000
    assert (np.diff(data.vocabulary.counts) <= 0).all()
    assert data.vocabulary.unk in data.splits["train"].tokens


def test_wikitext_2_has_its_published_sizes(data_directory: Path) -> None:
    files = {split: str(data_directory / "wikitext-2" / f"{split}.txt") for split in ("train", "valid", "test")}
    started = time.perf_counter()
    data = TextFile(**files, vocabulary=Vocabulary(max_size=40_000, min_count=1), max_length=10_000).load()
    assert time.perf_counter() - started < 20  # half a second on an idle core
    assert len(data.splits["train"].tokens) == 2_051_910
    assert len(data.vocabulary) == 33_278 + 2  # published with <unk> and the end, without <s> and <pad>


def test_wikitext_2_by_sentence_wastes_little_padding(data_directory: Path) -> None:
    files = {split: str(data_directory / "wikitext-2" / f"{split}.txt") for split in ("train", "valid", "test")}
    data = TextFile(**files, unit="sentence").load()
    assert not any(text.startswith("= ") for text in texts(data, "valid"))
    assert sum(text.endswith((".", "?", "!", '"')) for text in texts(data, "valid")) > 0.9 * len(data.splits["valid"])
    padded = real = 0
    for index in data.plan("train", 64, torch.Generator().manual_seed(0)):
        batch = data.batch("train", index)
        padded += batch.mask.numel()
        real += batch.tokens
    assert padded / real <= 1.05


def test_characters(tmp_path: Path) -> None:
    lines = ["The  cat\tsat .", " a <unk> b "]
    names = {split: write(tmp_path / split, *lines) for split in ("train", "valid", "test")}
    data = TextFile(**names, tokens="character", vocabulary=ALL).load()
    assert texts(data, "train") == ["The cat sat .", "a <unk> b"]
    assert data.splits["train"].lengths.tolist() == [13, 5]  # spaces count, and <unk> is one
    assert len(data.vocabulary) == len(set("The cat sat .ab")) + 4
    assert WordList.from_dict(data.vocabulary.to_dict()).decode(data.splits["test"].tokens[:13]) == "The cat sat ."


def test_lengths_of_characters_are_counted_in_characters(tmp_path: Path) -> None:
    name = write(tmp_path / "a", *(["ab cd"] * 20), "x" * 150, "y" * 250)
    assert TextFile(train=name, tokens="character").max_length == 200
    assert TextFile(train=name, tokens="character", max_length=4).max_length == 4
    assert TextFile.from_dict(TextFile(train=name, tokens="character", max_length=40).to_dict()).max_length == 40
    assert TextFile(train=name).max_length == 40
    data = TextFile(train=name, tokens="character", vocabulary=ALL).load()
    assert sum(len(split) for split in data.splits.values()) == 21
    assert max(split.lengths.max() for split in data.splits.values()) == 150
    with pytest.raises(DataError, match=r"none of 22 sentences has 1 to 4 characters \(they have 5 to 250\)"):
        TextFile(train=name, tokens="character", max_length=4).load()


def test_tinyshakespeare_by_character_has_its_published_vocabulary(data_directory: Path) -> None:
    files = sorted((data_directory / "tinyshakespeare").glob("*.txt"))
    data = TextFile(train=str(files[0]), tokens="character", vocabulary=ALL, split=Splitting(valid=0.01, test=0.01)).load()
    assert len(data.vocabulary) == 65 - 1 + 4  # published with the line break, without the four special ones
