"""Checksums of saved weights: which function makes them, and what happens where it is missing."""

from __future__ import annotations

import copy
import gc
import json

import pytest
import torch
from torch import nn

import flexir
from flexir.files.ir import digests, mapped

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


# --- headers ------------------------------------------------------------------------------------


def written(path, header, data=b"\0" * 8):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return mapped.File(path)


def entry(dtype="F32", shape=(2,), offsets=(0, 8), **more):
    return {"a": {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}, **more}


def test_a_header_is_read_as_safetensors_reads_it(tmp_path):
    from safetensors.torch import load_file, save_file

    tensors = {
        "a": torch.rand(3, 4), "b": torch.rand(2).to(torch.bfloat16), "c": torch.tensor(True),
        "d": torch.zeros(0, 7), "e": torch.rand(5).to(torch.complex64), "f": torch.arange(9),
    }  # fmt: skip
    save_file(tensors, tmp_path / "x.safetensors", metadata={"format": "pt"})
    file, plain = mapped.File(tmp_path / "x.safetensors"), load_file(tmp_path / "x.safetensors")
    assert set(file.entries) == set(tensors)
    for name, tensor in plain.items():
        made = file.tensor(name)
        assert made.dtype == tensor.dtype and made.shape == tensor.shape
        assert torch.equal(made, tensor) and made.untyped_storage().nbytes() == tensor.nbytes


def test_what_is_written_to_a_mapped_tensor_stays_out_of_the_file(tmp_path):
    file = written(tmp_path / "x", entry())
    file.tensor("a").add_(1)
    assert mapped.File(tmp_path / "x").tensor("a").tolist() == [0, 0]


@pytest.mark.parametrize("header, says", [
    (b"{", "x: "), (b"[1]", "its header is no table"), (b"\xff\xfe", "x: "),
])  # fmt: skip
def test_a_header_that_is_none_is_refused_when_the_file_is_opened(header, says, tmp_path):
    with pytest.raises(flexir.FormatError, match=says):
        written(tmp_path / "x", header)


def test_a_header_longer_than_the_file_is_refused(tmp_path):
    (tmp_path / "x").write_bytes((1 << 62).to_bytes(8, "little") + b"{}")
    with pytest.raises(flexir.FormatError, match="longer than the file"):
        mapped.File(tmp_path / "x")


@pytest.mark.parametrize("header, says", [
    (entry(offsets=(8, 16)), "not where it says"),
    (entry(offsets=(-8, 0)), "not where it says"),
    (entry(offsets=(0, 4)), "not where it says"),
    (entry(shape=(3,)), "not where it says"),
    (entry(shape=(-2, -1)), "not where it says"),
    (entry(shape=(1 << 63, 0), offsets=(0, 0)), "not where it says"),
    (entry(shape=(2.0,)), "not where it says"),
    (entry(shape="22"), "not where it says"),
    (entry(offsets=(0,)), "described wrongly"),
    (entry(offsets=("a", "b")), "not where it says"),
    (entry(dtype=["F32"]), "described wrongly"),
    (entry(dtype="F33"), "unknown dtype"),
    ({"a": 7}, "described wrongly"),
    ({"a": {"dtype": "F32"}}, "described wrongly"),
    (entry(shape=(0, 1 << 62, 1 << 62), offsets=(0, 0)), "no such shape"),
])  # fmt: skip
def test_a_tensor_that_is_not_where_the_header_says_is_refused(header, says, tmp_path):
    with pytest.raises(flexir.FormatError, match=says):
        written(tmp_path / "x", header).tensor("a")


def test_each_checksum_of_a_tensor_is_compared(tmp_path):
    file = written(tmp_path / "x", entry())
    right = digests.digest_of(memoryview(bytes(8)), "sha256")
    file.compare("a", right)
    with pytest.raises(flexir.FormatError, match="do not match their sha256 checksum"):
        file.compare("a", digests.Digest("sha256", bytes(32)))


def test_a_byte_of_a_large_tensor_that_changed_is_named_whether_all_or_one_is_compared(tmp_path):
    graph = flexir.capture(nn.Linear(600, 600), (torch.rand(1, 600),))  # 1.4 MB
    graph.save(tmp_path / "net")
    assert flexir.load(tmp_path / "net", check=True).text() == graph.text()
    file = tmp_path / "net" / "weights-00001.safetensors"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(flexir.FormatError, match="'weight' do not match"):
        flexir.load(tmp_path / "net", check=True)
    loaded = flexir.load(tmp_path / "net", check=False)
    with pytest.raises(flexir.FormatError, match="'weight' do not match"):
        loaded(torch.rand(1, 600))


# --- long graphs --------------------------------------------------------------------------------


def test_nothing_is_collected_while_a_graph_is_read_and_no_weight_made(tmp_path):
    layers = nn.Sequential(*[nn.Linear(2, 2) for _ in range(300)])
    flexir.capture(layers, (torch.rand(1, 2),)).save(tmp_path / "net")
    seen = []

    def watch(phase, info):
        seen.append(phase)

    gc.collect()
    gc.callbacks.append(watch)
    try:
        graph = flexir.load(tmp_path / "net", check=True)
    finally:
        gc.callbacks.remove(watch)
    assert len(seen) <= 2  # at the end, when the collector may run again
    assert len(graph.constants) == 600 and not graph.constants.made


def test_modules_that_were_read_hold_nothing_and_take_nothing_in(tmp_path):
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2)).eval()
    flexir.capture(model, (torch.rand(1, 2),)).save(tmp_path / "net")
    one, other = (n.target for n in flexir.load(tmp_path / "net").find(module=nn.Linear))
    assert (one.in_features, other.in_features) == (2, 3)
    assert not one.train(False).training and one.training is not other.train().training
    assert list(one.modules()) == [one] and not one.state_dict()
    with pytest.raises(TypeError, match=r"weights are in graph.constants"):
        one.register_forward_hook(print)
    with pytest.raises(TypeError, match=r"it takes no parameters"):
        one.weight = nn.Parameter(torch.rand(3, 2))
    own = copy.deepcopy(one)
    own.register_forward_hook(print)
    own.weight = nn.Parameter(torch.rand(3, 2))
    own.register_buffer("count", torch.zeros(1))
    assert not other._forward_hooks and not one._forward_hooks
