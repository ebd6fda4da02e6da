"""Generators: one a purpose, the same everywhere, restored exactly."""

from __future__ import annotations

import torch

from vae_core.seeding import Streams, derive_seed, make_generator


def test_seeds_are_fixed_across_processes_and_versions():
    # the first 16 digits of `printf 0/noise | sha256sum`, halved
    assert derive_seed(0, "noise") == 5127903134280592399


def test_purposes_and_seeds_are_told_apart():
    seeds = [
        derive_seed(seed, *purpose) for seed in (0, 1) for purpose in (("noise",), ("dropout",), ("noise", 1), ("noise", 11))
    ]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_streams_do_not_disturb_one_another():
    quiet, busy = Streams.create(3), Streams.create(3)
    torch.randn(1000, generator=busy.dropout)
    assert torch.equal(torch.randn(5, generator=quiet.noise), torch.randn(5, generator=busy.noise))


def test_a_restored_stream_goes_on_where_it_was():
    streams = Streams.create(3)
    torch.randn(7, generator=streams.noise)
    torch.randperm(9, generator=streams.shuffle)
    saved = streams.state_dict()
    expected = [torch.rand(5, generator=stream) for stream in (streams.noise, streams.shuffle, streams.negatives)]
    other = Streams.create(4)
    other.load_state_dict(saved)
    for value, stream in zip(expected, (other.noise, other.shuffle, other.negatives), strict=True):
        assert torch.equal(torch.rand(5, generator=stream), value)


def test_no_generator_touches_the_global_one():
    before = torch.get_rng_state()
    make_generator(0, "init")
    Streams.create(0)
    assert torch.equal(torch.get_rng_state(), before)
