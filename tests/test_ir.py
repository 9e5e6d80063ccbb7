"""Saved graphs: whole, readable without the model's code, deterministic, safe to open."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from torch import nn

import flexir
from flexir.files.ir import functions

pytest.importorskip("google.protobuf")
pytest.importorskip("safetensors")
from nasty import CASES

from bench.fuzz_ir import seal
from flexir.files.ir import schema


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 5)

    def forward(self, x, scale: float = 2.0):
        x = torch.relu_(self.norm(self.conv(x)))
        x[:, 0] = 1.5
        pooled = x.mean((2, 3))
        return {"logits": self.head(pooled) * scale, "shapes": (x, [pooled])}


def net(path):
    model = Net().eval()
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        graph = flexir.capture(model, (x,))
    graph.save(path)
    return model, x, graph


def leaves(outputs):
    return torch.utils._pytree.tree_leaves(outputs)


def test_a_loaded_graph_says_and_does_the_same(tmp_path):
    model, x, graph = net(tmp_path / "net.flexir")
    loaded = flexir.load(tmp_path / "net.flexir")
    assert loaded.text() == graph.text()
    assert all(map(torch.equal, leaves(loaded(x)), leaves(graph(x))))
    assert sorted(v.name for v in loaded.constants) == sorted(v.name for v in graph.constants)
    assert {v.name: o for v, o in loaded.origins.items()}.keys() == {
        v.name for v in graph.constants
    }
    assert [n.path for n in loaded.walk()] == [n.path for n in graph.walk()]
    assert loaded.modules["conv"] is nn.Conv2d
    assert next(n for n in loaded.walk() if n.op == "Conv2d").target.kernel_size == (3, 3)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_nasty_graphs_survive(name, tmp_path):
    model, make, _ = CASES[name]
    args = make()
    with torch.no_grad():
        graph = flexir.capture(model, args)
    graph.save(tmp_path / "a")
    loaded = flexir.load(tmp_path / "a")
    assert loaded.text() == graph.text()
    assert str(loaded.audit) == str(graph.audit)
    assert [m.name for m in loaded.mutations] == [m.name for m in graph.mutations]
    loaded.save(tmp_path / "b")
    for file in ("graph.pb", "graph.txt", "manifest.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    try:
        expected = leaves(graph(*args))
    except flexir.Error as error:
        with pytest.raises(type(error)):
            loaded(*args)
        return
    if any(isinstance(n.target, functions.MissingFunction) for n in loaded):
        return
    made = leaves(loaded(*args))
    for a, b in zip(expected, made, strict=True):
        if isinstance(a, torch.Tensor):
            assert a.layout is b.layout
            a, b = a.to_dense(), b.to_dense()
            assert torch.equal(a, b) or torch.equal(a.isnan(), b.isnan())


def test_saving_twice_gives_the_same_bytes(tmp_path):
    _, _, graph = net(tmp_path / "a")
    graph.save(tmp_path / "b")
    for file in os.listdir(tmp_path / "a"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_what_shares_memory_is_stored_once(tmp_path):
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Parameter(torch.randn(100, 50))
            self.tied = self.table
            self.half = self.table.data[:50]
            self.turned = self.table.data.t()

        def forward(self, x):
            return x @ self.table + x @ self.tied, self.half * 2, self.turned + 1

    graph = flexir.capture(Shared(), (torch.randn(3, 100),))
    graph.save(tmp_path / "net")
    size = (tmp_path / "net" / "weights-00001.safetensors").stat().st_size
    assert size < 100 * 50 * 4 + 1000
    loaded = flexir.load(tmp_path / "net")
    names = {v.name: v.names for v in loaded.constants}
    assert names["table"] == ("table", "tied")
    x = torch.randn(3, 100)
    assert all(map(torch.equal, loaded(x), graph(x)))
    by_name = {v.name: t for v, t in loaded.constants.items()}
    assert by_name["turned"].stride() == (1, 50)


TENSORS = {
    "channels_last": lambda: torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
    "strided": lambda: torch.randn(4, 6)[:, ::2],
    "expanded": lambda: torch.randn(3, 1).expand(3, 4),
    "complex128": lambda: torch.randn(4).to(torch.complex128),
    "conjugated": lambda: torch.randn(4).to(torch.complex64).conj(),
    "bfloat16": lambda: torch.randn(4).to(torch.bfloat16),
    "float8": lambda: torch.randn(4).to(torch.float8_e4m3fn),
    "scalar": lambda: torch.tensor(True),
    "empty": lambda: torch.empty(0, 3),
    "coo": lambda: torch.eye(3).to_sparse(),
    "csr": lambda: torch.eye(3).to_sparse_csr(),
}


@pytest.mark.parametrize("kind", TENSORS)
@pytest.mark.filterwarnings("ignore")
def test_every_kind_of_constant_comes_back(kind, tmp_path):
    tensor = TENSORS[kind]()
    graph = flexir.capture(lambda x: (x, tensor.clone()), (torch.ones(1),))
    graph.save(tmp_path / "net")
    ((_, made),) = flexir.load(tmp_path / "net").constants.items()
    assert made.dtype == tensor.dtype and made.layout == tensor.layout
    if tensor.layout is torch.strided:
        assert made.shape == tensor.shape and made.stride() == tensor.stride()
        assert torch.equal(made.to(torch.complex128), tensor.to(torch.complex128))
    else:
        assert torch.equal(made.to_dense(), tensor.to_dense())


def test_a_fresh_process_without_the_models_code_replays_it(tmp_path, root):
    (tmp_path / "secret_model.py").write_text(
        "import torch, dataclasses\n"
        "from collections import namedtuple\n"
        "Pair = namedtuple('Pair', 'left right')\n"
        "@dataclasses.dataclass\n"
        "class Answer:\n"
        "    pair: Pair\n"
        "    text: str = 'hello'\n"
        "class Odd(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.w = torch.nn.Parameter(torch.arange(3.))\n"
        "    def forward(self, x):\n"
        "        return Answer(Pair(x * self.w, x.sum()))\n"
    )
    write = (
        "import sys; sys.path.insert(0, '.'); import torch, flexir, secret_model\n"
        "g = flexir.capture(secret_model.Odd(), (torch.ones(2, 3),)); g.save('net.flexir')\n"
        "import os; os.remove('secret_model.py')\n"
    )
    read = (
        "import torch, flexir\n"
        "out = flexir.load('net.flexir')(torch.full((2, 3), 2.))\n"
        "print(type(out).__name__, out.text, out.pair.left.tolist(), out.pair.right.item())\n"
    )
    for code in (write, read):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip
        assert not done.returncode, done.stderr
    assert done.stdout == "Answer hello [[0.0, 2.0, 4.0], [0.0, 2.0, 4.0]] 12.0\n"


def test_a_function_of_the_users_is_named_and_can_be_given(tmp_path):
    graph = flexir.capture(lambda x: halve(x) + 1, (torch.ones(3),))
    graph.save(tmp_path / "net")
    loaded = flexir.load(tmp_path / "net")
    with pytest.raises(flexir.UnsupportedError, match="halve"):
        loaded(torch.ones(3))
    (name,) = {n.target.__name__ for n in loaded if n.op == "halve"}
    loaded = flexir.load(tmp_path / "net", functions={name: lambda x: x / 2})
    assert torch.equal(loaded(torch.ones(3)), torch.full((3,), 1.5))


@flexir.opaque
def halve(x):
    return torch.from_numpy(x.numpy() / 2)


def test_a_conversion_keeps_what_became_of_every_call(tmp_path):
    target = flexir.Target("part")

    @target.op("conv2d")
    def conv2d(ctx, input, weight, bias, stride, padding, dilation, groups):
        raise flexir.Unsupported("no convolutions on Sundays")

    @target.op("relu")
    def relu(ctx, input):
        return input

    model, x = Net().eval(), torch.randn(1, 3, 8, 8)
    with torch.no_grad():
        result = flexir.convert(model, (x,), target)
    result.save(tmp_path / "net")
    loaded = flexir.load(tmp_path / "net")
    found = {node.op: what for node, what in loaded.status.items()}
    assert found["relu"] == ("handled", "")
    assert found["conv2d"] == ("refused", "handler refused: no convolutions on Sundays")
    assert found["mean"] == ("placeholder", "no handler")


def test_the_meta_device_needs_no_data_and_references_copy_nothing(tmp_path):
    from safetensors.torch import save_file

    model = Net().eval()
    save_file(model.state_dict(), tmp_path / "there.safetensors")
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        expected = leaves(model(x))
        with torch.device("meta"):
            empty = Net().eval()
        graph = flexir.capture(empty, (x.to("meta"),))
    with pytest.raises(flexir.Error, match="no referenced file holds|names no file"):
        graph.save(tmp_path / "net", weights=f"reference:{tmp_path}/absent*.safetensors")
    graph.save(tmp_path / "net", weights=f"reference:{tmp_path}/*.safetensors")
    assert not list((tmp_path / "net").glob("*.safetensors"))
    assert leaves(flexir.load(tmp_path / "net")(x.to("meta")))[0].shape == expected[0].shape
    loaded = flexir.load(tmp_path / "net", weights="recorded")
    assert all(map(torch.equal, leaves(loaded(x)), expected))


def test_referenced_weights_replay_when_they_are_given(tmp_path):
    from safetensors.torch import save_file

    model, x, graph = net(tmp_path / "full")
    save_file(model.state_dict(), tmp_path / "there.safetensors")
    graph.save(tmp_path / "net", weights=f"reference:{tmp_path}/there.safetensors")
    assert sum(f.stat().st_size for f in (tmp_path / "net").iterdir()) < 30_000
    blind = flexir.load(tmp_path / "net")
    with pytest.raises(flexir.FormatError, match="there.safetensors"):
        blind(x)
    for where in ("recorded", tmp_path):
        loaded = flexir.load(tmp_path / "net", weights=where)
        assert all(map(torch.equal, leaves(loaded(x)), leaves(graph(x))))


def test_the_old_file_stays_when_saving_fails(tmp_path):
    _, x, graph = net(tmp_path / "net")
    before = {f.name: f.read_bytes() for f in (tmp_path / "net").iterdir()}

    def fail(done, total):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        graph.save(tmp_path / "net", progress=fail)
    assert {f.name: f.read_bytes() for f in (tmp_path / "net").iterdir()} == before
    assert os.listdir(tmp_path) == ["net"]
    (tmp_path / "mine").mkdir()
    with pytest.raises(flexir.Error, match="no saved graph"):
        graph.save(tmp_path / "mine")


def test_a_loaded_weight_is_a_leaf_of_its_own(tmp_path):
    weight = nn.Parameter(torch.randn(1, 4, 4))
    graph = flexir.capture(lambda x: x @ weight.squeeze(0), torch.randn(2, 3, 4))
    graph.save(tmp_path / "net")
    (loaded,) = flexir.load(tmp_path / "net").constants.values()
    with torch.no_grad():  # kernels choose by this: views of a leaf require grad even here
        assert loaded.is_leaf and loaded.squeeze(0).requires_grad is weight.squeeze(0).requires_grad


@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_saved_is_named(tmp_path):
    from torch.testing._internal.two_tensor import TwoTensor

    pair = TwoTensor(torch.ones(2), torch.ones(2))
    with pytest.raises(flexir.Error, match="TwoTensor; only plain"):
        flexir.capture(lambda x: pair + x, torch.ones(2)).save(tmp_path / "pair")

    def ragged(a, b):
        return torch.nested.as_nested_tensor([a, b], layout=torch.jagged).values()

    with pytest.raises(flexir.Error, match="nested tensors? cannot be saved"):
        flexir.capture(ragged, (torch.ones(1, 2), torch.ones(3, 2))).save(tmp_path / "ragged")
    assert not os.listdir(tmp_path)


def test_attributes_that_only_look_like_tuples_are_left_out(tmp_path):
    class Endless(tuple):
        def __iter__(self):
            raise NotImplementedError

    model = nn.Sequential(nn.ReLU())
    model[0].irreps = Endless((1, 2))
    flexir.capture(model, torch.ones(2)).save(tmp_path / "net")
    assert flexir.load(tmp_path / "net")(torch.ones(2)).tolist() == [1, 1]


def test_differences_are_named_by_module_and_weight(tmp_path):
    model, x, graph = net(tmp_path / "a")
    assert not flexir.diff(tmp_path / "a", graph)
    with torch.no_grad():
        model.head.bias += 1
        model.norm.eps = 1e-3
        flexir.capture(model, (x,)).save(tmp_path / "b")
    found = flexir.diff(tmp_path / "a", tmp_path / "b")
    assert list(found.modules) == ["norm"]
    assert "eps=1e-05" in str(found) and "eps=0.001" in str(found)
    assert len(found.weights) == 1 and "head.bias" in found.weights[0]


# --- nothing is trusted


@pytest.mark.parametrize("file", ["graph.pb", "graph.txt", "weights-00001.safetensors"])
@pytest.mark.parametrize("how", ["flip", "truncate", "extend", "remove"])
def test_a_damaged_file_is_named(file, how, tmp_path):
    net(tmp_path / "net")
    path = tmp_path / "net" / file
    data = bytearray(path.read_bytes())
    if how == "flip":
        data[len(data) // 2] ^= 4
    path.write_bytes({"truncate": data[:-9], "extend": data + b"\0"}.get(how, data))
    if how == "remove":
        path.unlink()
    with pytest.raises(flexir.FormatError, match=file.split(".")[0]):
        flexir.load(tmp_path / "net")


def change(folder, edit):
    message = schema.Graph()
    message.ParseFromString((folder / "graph.pb").read_bytes())
    edit(message)
    seal(folder, message)


def _cycle(m):
    number = next(i for i, d in enumerate(m.data) if d.WhichOneof("kind") == "sequence")
    m.data[number].sequence.items.append(number)


def _bomb(m):
    for _ in range(60):
        last = len(m.data) - 1
        m.data.add().sequence.type = "tuple"
        m.data[-1].sequence.items.extend([last, last])
    m.outputs = len(m.data) - 1


def _deep(m):
    for _ in range(5000):
        last = len(m.data) - 1
        m.data.add().sequence.type = "tuple"
        m.data[-1].sequence.items.extend([last])
    m.outputs = len(m.data) - 1


def _often(m):
    m.data.add().sequence.type = "tuple"
    m.data[-1].sequence.items.extend([len(m.data) - 2] * 1000)
    m.left.extend([schema.Graph().left.add(name=str(i), data=len(m.data) - 1) for i in range(99)])


EDITS = {
    "data": lambda m: setattr(m, "outputs", 10**6), "unfolds into more": _often,
    "deeply": _deep, "before it": _cycle, "too large": _bomb,
    "strings": lambda m: setattr(m.nodes[0], "op", 10**6),
    "parent": lambda m: setattr(m.nodes[3], "parent_plus1", 10**6),
    "made twice": lambda m: m.nodes[-1].outputs.append(m.nodes[2].outputs[0]),
    "two values are named": lambda m: setattr(m.values[1], "name", m.values[0].name),
    "torch has no dtype": lambda m: setattr(m.types[0], "dtype", "float33"),
    "device": lambda m: setattr(m.types[0], "device", "toaster"),
    "window leaves": lambda m: setattr(m.constants[0].parts[0], "offset", 1 << 60),
    "holds no tensor": lambda m: setattr(m.constants[0].parts[0], "key", "elsewhere"),
    "weights files": lambda m: setattr(m.constants[0].parts[0], "file", 77),
    "is there twice": lambda m: m.constants.append(m.constants[0]),
    "not one per name": lambda m: m.nodes[2].arg_names.append(0),
    "no name of a class": lambda m: setattr(m.modules[1], "cls", "of.nowhere:A\0B"),
    "escape": lambda m: setattr(m.nodes[2], "escape", "tunnel"),
}  # fmt: skip


@pytest.mark.parametrize("field", EDITS)
def test_an_unsound_graph_with_fitting_checksums_is_refused(field, tmp_path):
    net(tmp_path / "net")
    change(tmp_path / "net", EDITS[field])
    with pytest.raises(flexir.FormatError, match=field):
        flexir.load(tmp_path / "net")


@pytest.mark.parametrize("name", ["../net/graph.pb", "/etc/passwd", "", ".."])
def test_a_manifest_cannot_point_outside(name, tmp_path):
    net(tmp_path / "net")
    manifest = json.loads((tmp_path / "net" / "manifest.json").read_text())
    manifest["files"][name] = manifest["files"]["graph.pb"]
    from hashlib import sha256

    from flexir.files.ir.manifest import canonical_bytes

    manifest["sha256"] = sha256(canonical_bytes(manifest)).hexdigest()
    (tmp_path / "net" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(flexir.FormatError, match="leaves the directory"):
        flexir.load(tmp_path / "net")


def test_a_newer_format_says_what_to_install(tmp_path):
    net(tmp_path / "net")
    manifest = json.loads((tmp_path / "net" / "manifest.json").read_text())
    manifest["minimum_reader"] = 99
    (tmp_path / "net" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(flexir.FormatError, match="Install a newer"):
        flexir.load(tmp_path / "net")


def test_dangerous_functions_cannot_be_named(tmp_path):
    net(tmp_path / "net")

    def edit(m):
        for word in ("torch.from_file", "os.system", "torch.load", "torch.hub.load"):
            m.strings.append(word)
        for number, node in enumerate([n for n in m.nodes if n.target_plus1]):
            node.target_plus1 = len(m.strings) - number % 4

    change(tmp_path / "net", edit)
    loaded = flexir.load(tmp_path / "net")
    for node in loaded:
        with pytest.raises(flexir.UnsupportedError):
            node.target()


def test_an_unknown_op_is_a_placeholder_not_an_error(tmp_path):
    net(tmp_path / "net")

    def edit(m):
        m.strings.extend(["torch.of_tomorrow", "of_tomorrow"])
        node = next(n for n in m.nodes if m.strings[n.op] == "mean")
        node.target_plus1, node.op = len(m.strings) - 1, len(m.strings) - 1

    change(tmp_path / "net", edit)
    loaded = flexir.load(tmp_path / "net")
    from flexir import describe

    report = flexir.convert(loaded, target=describe, out=[]).report
    assert [e.op for e in report.entries] == ["of_tomorrow"]


def test_fields_of_a_newer_version_are_kept(tmp_path):
    net(tmp_path / "net")

    def edit(m):
        m.MergeFromString(b"\xc2\x3e\x05hello")  # field 1000, bytes
        m.nodes[3].MergeFromString(b"\xc2\x3e\x03you")
        m.constants[0].MergeFromString(b"\xc0\x3e\x07")

    change(tmp_path / "net", edit)
    flexir.load(tmp_path / "net").save(tmp_path / "again")
    message = schema.Graph()
    message.ParseFromString((tmp_path / "again" / "graph.pb").read_bytes())
    assert b"hello" in message.SerializeToString()
    assert b"you" in message.nodes[3].SerializeToString()
    assert message.constants[0].SerializeToString().endswith(b"\xc0\x3e\x07")


def test_bytes_that_another_writer_laid_out_otherwise_are_read(tmp_path):
    net(tmp_path / "net")
    text = flexir.load(tmp_path / "net").text()
    message = schema.Graph()
    message.ParseFromString((tmp_path / "net" / "graph.pb").read_bytes())
    tables = schema.Graph()
    for name in ("strings", "types", "values"):
        getattr(tables, name).extend(getattr(message, name))
        message.ClearField(name)
    data = message.SerializeToString() + tables.SerializeToString()
    (tmp_path / "net" / "graph.pb").write_bytes(data)
    seal(tmp_path / "net")
    loaded = flexir.load(tmp_path / "net")
    assert (loaded.text(), loaded.unknown) == (text, {})


def test_the_compiled_schema_is_the_written_one(tmp_path, root):
    tools = pytest.importorskip("grpc_tools.protoc")
    folder = root / "src/flexir/files/ir"
    out = tmp_path / "schema.desc"
    assert not tools.main(
        ["protoc", f"-I{folder}", f"--descriptor_set_out={out}", str(folder / "schema.proto")]
    )
    assert out.read_bytes() == (folder / "schema.desc").read_bytes()


def test_a_cpp_program_reads_what_python_wrote(tmp_path, root):
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler here")
    torchvision = pytest.importorskip("zoo.torchvision_models")
    model, args, kwargs = torchvision.entry("resnet18").make()
    with torch.no_grad():
        graph = flexir.capture(model, args, kwargs)
    graph.save(tmp_path / "net.flexir")
    program = tmp_path / "read_flexir"
    source = root / "examples" / "read_flexir.cpp"
    subprocess.run([compiler, "-std=c++17", "-O1", str(source), "-o", str(program)], check=True)
    done = subprocess.run([program, tmp_path / "net.flexir"], capture_output=True, text=True)
    assert not done.returncode, done.stderr

    def typed(value):
        dtype = str(value.type.dtype).removeprefix("torch.")
        return f"{value}: {dtype}[{','.join(map(str, value.type.shape))}]"

    def show(part):
        if isinstance(part, flexir.Value):
            return str(part)
        if isinstance(part, float):
            return f"{part:.17g}"
        if type(part) in (tuple, list):
            inner = ", ".join(map(show, part))
            return f"({inner})" if type(part) is tuple else f"[{inner}]"
        return repr(part)

    lines = ["graph ResNet"]
    for node in graph:
        args = ", ".join(f"{name}={show(part)}" for name, part in node.args.items())
        lines.append(f"{', '.join(map(typed, node.outputs))} = {node.op}({args})   # {node.path}")
    for value, tensor in graph.constants.items():
        first = tensor.detach().contiguous().reshape(-1).view(torch.uint8)[:8]
        lines.append(f"weight {typed(value)} {bytes(first.tolist()).hex()}")
    assert done.stdout.splitlines() == lines


def test_the_files_of_every_release_load(root):
    released = sorted((root / "tests" / "fixtures").glob("*.flexir"))
    assert released
    for path in released:
        graph = flexir.load(path)
        x = torch.linspace(-1, 1, 2 * 3 * 6 * 6).reshape(2, 3, 6, 6)
        out = graph(x)
        assert out["y"][0].shape == (2, 4) and out["s"] == 1 << 70
        assert {"conv2d", "relu", "setitem", "matmul"} <= {node.op for node in graph}
        assert graph.guards[0].source.file == "bench/fuzz_ir.py"


def test_random_damage_is_refused(root):
    from bench.fuzz_ir import fuzz, kill

    outcomes = fuzz(300, seed=torch.randint(1 << 30, ()).item())
    assert set(outcomes) <= {"refused", "sound", "sound, does not replay"}, outcomes
    assert kill(2) == 0


class Wrapped(nn.Module):
    """As ``torch.compile`` wraps a module: its flags and names are those of what it holds."""

    def __init__(self, inner):
        self._ready = False
        super().__init__()
        self._ready, self.inner = True, inner

    @property
    def training(self):
        return self.inner.training

    @training.setter
    def training(self, mode):
        if self._ready:
            self.inner.training = mode

    def __getattr__(self, name):
        if name == "inner":
            return self._modules[name]
        return getattr(self.inner, name)

    def forward(self, x):
        return self.inner(x)


def test_a_module_whose_attributes_are_anothers_is_loaded(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.wrapped = Wrapped(nn.Linear(3, 2))

        def forward(self, x):
            return self.wrapped(x)

    net, x = Net(), torch.ones(1, 3)
    flexir.save(flexir.capture(net, x), tmp_path / "net.flexir")
    assert torch.equal(flexir.load(tmp_path / "net.flexir")(x), net(x))
