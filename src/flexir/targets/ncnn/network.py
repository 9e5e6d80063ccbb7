"""An ncnn network while it is built, its two files, and one run of the engine.

A blob holds a tensor's numbers in torch's order. ncnn knows no batch and at most four dimensions,
so the dimensions of a blob are those its layer made, not the tensor's shape: a layer that needs
others asks :meth:`Network.shaped` for them. Knows no torch op; writes no file unasked.
"""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import flexir

MAGIC = 7767517  # the first line of a .param file
Dims = tuple[int, ...]
# Layers that a convolution or inner product does on its way, by activation_type.
_FUSED = {"ReLU": 1, "Sigmoid": 4, "Mish": 5}
_FUSES = ("Convolution", "Deconvolution", "InnerProduct")
_SIZES = {1: (0,), 2: (0, 1), 3: (0, 1, 2), 4: (0, 1, 11, 2)}  # keys of w, h, d, c


class Blob(NamedTuple):
    """Numbers in torch's order, under a name, in the dimensions of ncnn, outermost first."""

    name: str
    dims: Dims


@dataclass(eq=False)
class Layer:
    """One line of the .param file and its part of the .bin file."""

    kind: str
    inputs: list[str]
    outputs: list[str]
    params: dict[int, Any]
    weights: list[bytes]
    name: str = ""

    def __str__(self) -> str:
        counts = (
            f"{self.kind:24} {self.name or self.outputs[0]} {len(self.inputs)} {len(self.outputs)}"
        )
        words = [*self.inputs, *self.outputs]
        return " ".join([counts, *words, *(_parameter(k, v) for k, v in self.params.items())])


def _parameter(key: int, value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return f"{-23300 - key}={','.join(map(str, [len(value), *map(_number, value)]))}"
    return f"{key}={_number(value)}"


def _number(value: Any) -> str:
    if isinstance(value, float):
        limit = float(np.finfo(np.float32).max)
        return f"{min(max(value, -limit), limit):.9e}"
    return str(int(value))


@dataclass(eq=False)
class Network:
    """Layers in the order of their calls.

    Attributes:
        layers: as the handlers added them; see :meth:`finished`.
        inputs: name of a graph input -> its blob.
        outputs: name of a graph output -> its blob.
    """

    layers: list[Layer] = field(default_factory=list)
    inputs: dict[str, Blob] = field(default_factory=dict)
    outputs: dict[str, Blob] = field(default_factory=dict)
    _constants: dict[Any, Blob] = field(default_factory=dict)
    _shaped: dict[tuple[str, Dims], Blob] = field(default_factory=dict)
    _engine: Any = None

    def add(
        self, kind: str, inputs: list[Blob], dims: Dims, params: dict[int, Any] | None = None,
        weights: Any = (), name: str = "",
    ) -> Blob:  # fmt: skip
        """Append a layer of one output.

        Args:
            kind: ncnn's name of the layer.
            inputs: its blobs.
            dims: of its output, outermost first.
            params: by ncnn's numbers.
            weights: arrays, in its order; see :func:`tagged` for those that have a tag.
            name: what its name begins with: the path of the module it comes from.
        """
        made = Blob(str(len(self.layers)), dims)
        data = [w if isinstance(w, bytes) else plain(w) for w in weights]
        full = f"{name}_{made.name}" if name else ""
        names = [blob.name for blob in inputs]
        self.layers.append(Layer(kind, names, [made.name], params or {}, data, full))
        return made

    def add_input(self, name: str, dims: Dims) -> Blob:
        """An input of the network."""
        blob = Blob(f"in{len(self.inputs)}", dims)
        sizes = dict(zip(_SIZES[len(dims)], reversed(dims)))
        self.layers.append(Layer("Input", [], [blob.name], sizes, []))
        self.inputs[name] = blob
        return blob

    def constant(self, key: Any, array: np.ndarray, dims: Dims) -> Blob:
        """Numbers of the model's own, once for each key."""
        if key not in self._constants:
            sizes = dict(zip(_SIZES[len(dims)], reversed(dims)))
            self._constants[key] = self.add("MemoryData", [], dims, sizes, [array])
        return self._constants[key]

    def add_output(self, name: str, blob: Blob) -> None:
        """An output of the network; one that a layer reads, too, is passed on, lest it be freed."""
        if any(blob.name in layer.inputs for layer in self.layers) or blob in self.inputs.values():
            blob = self.add("Noop", [blob], blob.dims)
        self.outputs[name] = blob

    def shaped(self, blob: Blob, dims: Dims) -> Blob:
        """The same numbers in other dimensions; no layer if these are its own."""
        if blob.dims == dims:
            return blob
        assert math.prod(blob.dims) == math.prod(dims), (blob, dims)
        if (blob.name, dims) not in self._shaped:
            sizes = dict(zip(_SIZES[len(dims)], reversed(dims)))
            self._shaped[blob.name, dims] = self.add("Reshape", [blob], dims, sizes)
        return self._shaped[blob.name, dims]

    def finished(self) -> list[Layer]:
        """The layers as the engine takes them.

        Activations are fused, what is read more than once is split, what nothing reads is gone.
        """
        layers = _read(self.layers, {blob.name for blob in self.outputs.values()})
        return _split(_fuse(layers, {blob.name for blob in self.outputs.values()}))

    def param(self) -> str:
        """The .param file."""
        layers = self.finished()
        blobs = sum(len(layer.outputs) for layer in layers)
        return "\n".join([str(MAGIC), f"{len(layers)} {blobs}", *map(str, layers), ""])

    def weights(self) -> bytes:
        """The .bin file."""
        return b"".join(part for layer in self.finished() for part in layer.weights)

    def write(self, param: Path, weights: Path) -> None:
        """Write the two files."""
        param.write_text(self.param())
        weights.write_bytes(self.weights())

    def engine(self) -> Any:
        """ncnn's own network, in f32 and on one thread; made once.

        Raises:
            flexir.Error: ncnn does not take the files.
        """
        if self._engine is None:
            import ncnn

            net = ncnn.Net()
            options = net.opt
            options.num_threads, options.use_vulkan_compute = 1, False
            for name in dir(options):  # exact to rounding
                if name.startswith(("use_fp16", "use_bf16", "use_winograd")):
                    setattr(options, name, False)
            with tempfile.TemporaryDirectory() as folder:
                param, weights = Path(folder, "net.param"), Path(folder, "net.bin")
                self.write(param, weights)
                if net.load_param(str(param)) or net.load_model(str(weights)):
                    raise flexir.Error(f"ncnn does not take the network:\n{self.param()}")
            self._engine = net
        return self._engine

    def run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Arrays by name in, arrays by name out; ncnn's dimensions.

        Raises:
            flexir.Error: a layer failed.
        """
        import ncnn

        if not self.outputs:  # ncnn takes no network without layers
            return {}
        extractor = self.engine().create_extractor()
        read = {name for layer in self.finished() for name in layer.outputs}
        for name, blob in self.inputs.items():
            if blob.name in read:
                array = np.ascontiguousarray(feeds[name], np.float32).reshape(blob.dims)
                extractor.input(blob.name, ncnn.Mat(array).clone())  # else it lies on freed memory
        made = {}
        for name, blob in self.outputs.items():
            code, mat = extractor.extract(blob.name)
            found = np.array(mat) if not code else None
            if found is None or found.size != math.prod(blob.dims):
                shape = "nothing" if found is None else found.shape
                raise flexir.Error(f"ncnn made {shape} of {name!r}, not {blob.dims}")
            made[name] = found
        return made


def plain(array: Any) -> bytes:
    """Numbers of a layer, as ncnn reads most."""
    return np.ascontiguousarray(array, np.float32).tobytes()


def tagged(array: Any) -> bytes:
    """Numbers of a layer, where ncnn reads a tag before them; the tag of f32 is 0."""
    return b"\0\0\0\0" + plain(array)


def _read(layers: list[Layer], wanted: set[str]) -> list[Layer]:
    wanted = set(wanted)
    found: list[Layer] = []
    for layer in reversed(layers):
        if layer.outputs[0] in wanted or layer.kind == "Input":
            found.append(layer)
            wanted.update(layer.inputs)
    return found[::-1]


def _fuse(layers: list[Layer], outputs: set[str]) -> list[Layer]:
    """Activations move into the layer before, if they alone read it."""
    readers = Counter(name for layer in layers for name in layer.inputs)
    makers: dict[str, Layer] = {}
    found: list[Layer] = []
    for layer in layers:
        before = makers.get(layer.inputs[0]) if layer.kind in _FUSED and not layer.params else None
        if (
            before is not None
            and before.kind.startswith(_FUSES)
            and 9 not in before.params
            and readers[layer.inputs[0]] == 1
            and layer.inputs[0] not in outputs
        ):
            params = {**before.params, 9: _FUSED[layer.kind]}
            made = replace(before, outputs=layer.outputs, params=params)
            found[found.index(before)] = made
            layer = made
        else:
            found.append(layer)
        makers[layer.outputs[0]] = layer
    return found


def _split(layers: list[Layer]) -> list[Layer]:
    """In ncnn each blob has one reader; a Split makes a blob for each."""
    readers = Counter(name for layer in layers for name in layer.inputs)
    taken: dict[str, int] = {}
    found: list[Layer] = []
    for layer in layers:
        inputs = []
        for name in layer.inputs:
            if readers[name] > 1:
                number = taken[name] = taken.get(name, -1) + 1
                name = f"{name}.{number}"
            inputs.append(name)
        found.append(replace(layer, inputs=inputs))
        (output,) = layer.outputs
        if readers[output] > 1:
            copies = [f"{output}.{i}" for i in range(readers[output])]
            found.append(Layer("Split", [output], copies, {}, []))
    return found
