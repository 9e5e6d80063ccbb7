"""Checksums of saved weights: which function makes them, and what happens where it is missing."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

import flexir
from flexir.files.ir import digests

pytest.importorskip("blake3")


def saved(path, **options):
    graph = flexir.capture(nn.Linear(3, 2), (torch.rand(1, 3),))
    graph.save(path, **options)
    return graph


def spoil(path):
    file = path / "weights-00001.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


def manifest(path):
    return json.loads((path / "manifest.json").read_text())


@pytest.mark.parametrize("checksums, name, reader", [
    (True, "blake3", 4), ("blake3", "blake3", 4), ("sha256", "sha256", 1),
])  # fmt: skip
def test_a_byte_that_changed_is_named_with_its_checksum(checksums, name, reader, tmp_path):
    saved(tmp_path / "net", checksums=checksums)
    assert manifest(tmp_path / "net")["minimum_reader"] == reader
    loaded = flexir.load(tmp_path / "net")
    assert {loaded.constants.digest(value).name for value in loaded.constants} == {name}
    spoil(tmp_path / "net")
    with pytest.raises(flexir.FormatError, match=f"do not match their {name} checksum"):
        flexir.load(tmp_path / "net")


def test_without_checksums_nothing_is_compared_and_any_reader_will_do(tmp_path):
    saved(tmp_path / "net", checksums=False)
    spoil(tmp_path / "net")
    loaded = flexir.load(tmp_path / "net", check=True)
    assert all(loaded.constants.digest(value) is None for value in loaded.constants)
    assert manifest(tmp_path / "net")["minimum_reader"] == 1


def test_a_reader_without_blake3_says_what_to_install(tmp_path, monkeypatch):
    saved(tmp_path / "net")
    monkeypatch.setattr(digests, "_blake3", lambda: None)
    loaded = flexir.load(tmp_path / "net", check=False)  # its structure needs no weights
    assert [node.op for node in loaded] == ["linear"]
    with pytest.raises(flexir.FormatError, match=r"BLAKE3 .*pip install 'flextorchir\[ir\]'"):
        loaded(torch.rand(1, 3))
    with pytest.raises(flexir.Error, match="needs the package"):
        saved(tmp_path / "other", checksums="blake3")
    graph = saved(tmp_path / "other")
    assert flexir.load(tmp_path / "other").text() == graph.text()
    assert manifest(tmp_path / "other")["minimum_reader"] == 1


def test_an_unknown_function_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(flexir.Error, match="'blake3' or 'sha256'; got 'md5'"):
        saved(tmp_path / "net", checksums="md5")
    assert not list(tmp_path.iterdir())


def test_weights_are_compared_across_checksum_functions(tmp_path):
    graph = saved(tmp_path / "a", checksums="sha256")
    graph.save(tmp_path / "b", checksums="blake3")
    assert not flexir.diff(tmp_path / "a", tmp_path / "b")
    assert not flexir.diff(graph, tmp_path / "b")
    with torch.no_grad():
        next(t for t in graph.constants.values() if t.ndim == 2).add_(1)
    graph.save(tmp_path / "c", checksums="blake3")
    assert len(flexir.diff(tmp_path / "a", tmp_path / "c").weights) == 1
