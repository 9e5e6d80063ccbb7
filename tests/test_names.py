"""Inputs and outputs are named by where they stand in what the model takes and returns."""

from collections import OrderedDict, namedtuple

import pytest
import torch
from torch import nn

import flexir

Pair = namedtuple("Pair", "left right")


class Layer:
    def __init__(self, keys, values):
        self.keys, self.values = keys, values


class Cache:
    """An object of the user's own, as caches are."""

    def __init__(self, *layers):
        self.layers, self.seen = list(layers), 3


class Net(nn.Module):
    def forward(self, x, *rest, cache=None, pair=None, **more):
        for layer in cache.layers:
            x = x + layer.keys * layer.values
        out = x + pair.left * pair.right + rest[0] + rest[1]["odd key!"] + more["bias"]
        kept = Cache(*(Layer(layer.keys + 1, layer.values) for layer in cache.layers))
        return OrderedDict(logits=out, cache=kept, pairs=[Pair(out + 1, out + 2), (x,)], again=out)


def t():
    return torch.rand(2)


@pytest.fixture(scope="module")
def graph():
    cache = Cache(Layer(t(), t()), Layer(t(), t()))
    return flexir.capture(
        Net(), (t(), t(), {"odd key!": t(), "odd key?": t()}),
        kwargs={"cache": cache, "pair": Pair(t(), t()), "bias": t()},
    )  # fmt: skip


def test_an_input_has_the_name_of_its_place(graph):
    assert [value.name for value in graph.input_values] == [
        "x", "rest.0", "rest.1.odd_key_", "rest.1.odd_key__2",
        "cache.layers.0.keys", "cache.layers.0.values",
        "cache.layers.1.keys", "cache.layers.1.values", "pair.left", "pair.right", "more.bias",
    ]  # fmt: skip
    assert "%cache.layers.0.keys: f32[2]" in str(graph)


def test_an_output_has_the_name_of_its_place(graph):
    names = graph.output_names
    assert list(names) == graph.output_values
    assert list(names.values()) == [
        "logits", "cache.layers.0.keys", "cache.layers.0.values", "cache.layers.1.keys",
        "cache.layers.1.values", "pairs.0.left", "pairs.0.right", "pairs.1.0",
    ]  # fmt: skip
    again = graph.inputs["cache"].attributes["layers"][0].attributes["values"]
    assert names[again] == again.name, "what goes in and comes out has one name"


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (lambda x: x + 1, ["output"]),
        (lambda x: (x + 1, [x * 2]), ["output.0", "output.1.0"]),
        (lambda x: {"a b": x + 1, "a-b": x + 2}, ["a_b", "a_b_2"]),
        (lambda x: {0: x + 1, "": x + 2}, ["output.0", "_"]),
        (lambda x: (None, x, x), ["output.1"]),
        (lambda x: None, []),
        (lambda x: x.max(0), ["values", "indices"]),
    ],
)
def test_outputs_without_names_are_numbered(model, names):
    graph = flexir.capture(model, (t(),))
    assert list(graph.output_names.values()) == names


def test_the_names_of_places_survive_a_file(graph, tmp_path):
    pytest.importorskip("google.protobuf")
    pytest.importorskip("safetensors")
    graph.save(tmp_path / "net.flexir")
    loaded = flexir.load(tmp_path / "net.flexir")
    assert [v.name for v in loaded.input_values] == [v.name for v in graph.input_values]
    assert list(loaded.output_names.values()) == list(graph.output_names.values())


def test_one_tensor_at_two_places_is_named_by_the_first():
    x = t()
    graph = flexir.capture(lambda pair, other: pair["b"] + other, ({"b": x}, x))
    assert [value.name for value in graph.input_values] == ["pair.b"]


def test_the_cache_of_a_transformer_is_named_by_its_layers():
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("zoo.torchvision_models").ensure()
    config = transformers.GPT2Config(n_layer=2, n_head=2, n_embd=8, vocab_size=16, n_positions=8)
    model = transformers.GPT2LMHeadModel(config).eval()
    ids = torch.tensor([[1, 2, 3]])
    with torch.no_grad():
        cache = model(ids, use_cache=True).past_key_values
        graph = flexir.capture(model, (torch.tensor([[4]]),), {"past_key_values": cache})
    names = [value.name for value in graph.input_values]
    assert "past_key_values.layers.0.keys" in names and "past_key_values.layers.1.values" in names
    outputs = set(graph.output_names.values())
    assert {"logits", "past_key_values.layers.0.keys"} <= outputs
