"""NaN, infinities and zeros through the engines: what torch makes of them, not nearly."""

import importlib
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

pytest.importorskip("numpy", reason="targets need it")

inf, nan = math.inf, math.nan
ODD = torch.tensor([nan, -inf, inf, -1.0, 1.0, 0.0, -0.0, 3.0, 0.5, -0.5, 1e30, -1e30, 2.5, -80.0])
PAIR = ODD.repeat(2, 1), torch.stack([ODD.flip(0), torch.linspace(-3, 3, len(ODD))])
ROWS = torch.tensor([[1, 2, 3, 4], [nan, 1, 2, 3], [-inf] * 4, [inf, 1, 2, inf],
                     [-inf, 1, 0, 2], [1, nan, 0, nan]])  # fmt: skip

ELEMENTS = {
    **{name: getattr(F, name) for name in (
        "relu", "relu6", "hardtanh", "leaky_relu", "elu", "selu", "celu", "silu", "mish",
        "hardsigmoid", "hardswish", "softplus", "softsign", "logsigmoid", "tanhshrink")},
    **{name: getattr(torch, name) for name in (
        "exp", "sign", "sigmoid", "tanh", "erf", "sqrt", "abs", "floor", "ceil", "round", "isnan",
        "isinf", "isfinite", "square", "reciprocal", "atan", "log", "nan_to_num", "angle")},
    "at least": lambda x: x.clamp(min=0.5), "at most": lambda x: x.clamp(max=0.5),
    "within": lambda x: x.clamp(-1, 1), "threshold": lambda x: F.threshold(x, 0.1, 2.0),
    "gt": lambda x: x > 0, "ge": lambda x: x >= 0, "le": lambda x: x <= 0, "lt": lambda x: x < 0,
    "ne": lambda x: x != x, "where": lambda x: torch.where(x > 0, x, 0.0),
    "power": lambda x: x**3, "bool": lambda x: x.bool(),
}  # fmt: skip
PAIRS = {name: getattr(torch, name) for name in (
    "maximum", "minimum", "div", "gt", "ge", "lt", "le", "eq", "ne", "mul", "sub")}  # fmt: skip
ALONG = {
    **{name: (lambda x, name=name: getattr(x, name)(1)) for name in (
        "softmax", "log_softmax", "amax", "amin", "max", "min", "argmax", "argmin", "sum", "mean",
        "prod", "logsumexp", "var", "any", "all", "cumsum")},
    "max of all": lambda x: x.max(), "layer_norm": lambda x: F.layer_norm(x, (4,)),
    "normalize": lambda x: F.normalize(x, dim=1), "product": lambda x: x @ x.T,
    "average": lambda x: F.avg_pool2d(x[None, None], 2),
}  # fmt: skip
CASES = {
    **{name: (function, (ODD,)) for name, function in ELEMENTS.items()},
    **{f"{name} of two": (function, PAIR) for name, function in PAIRS.items()},
    **{f"{name}, rows": (function, (ROWS,)) for name, function in ALONG.items()},
}


@pytest.fixture(params=["onnx", "openvino", "jax"])
def target(request):
    engine = {"onnx": "onnxruntime"}.get(request.param, request.param)
    pytest.importorskip(engine, reason=f"the extra {request.param!r} is not installed")
    return importlib.import_module(f"flexir.targets.{request.param}")


def same(target, function, *args):
    """Whether the engine takes the function; then its results must be torch's."""
    result = target.convert(function, args)
    if result.report.entries:
        return False
    made = target.run(result.output, *args)
    torch.testing.assert_close(made, function(*args), rtol=1e-4, atol=1e-5, equal_nan=True)
    return True


@pytest.mark.parametrize("name", CASES)
def test_special_values_come_out_as_torch_has_them(target, name):
    function, args = CASES[name]
    if not same(target, function, *args):
        pytest.skip(f"{target.target.name} refuses it")


@pytest.mark.parametrize("kind", ["bools", "numbers"])
def test_a_row_of_attention_that_sees_nothing_is_zero(target, kind):
    mask = torch.tensor([[True, False, True], [False, False, False], [True, True, True]])
    mask = mask if kind == "bools" else torch.zeros(3, 3).masked_fill(~mask, -inf)
    query = torch.randn(1, 2, 3, 4)
    assert same(target, lambda q, m: F.scaled_dot_product_attention(q, q, q, m), query, mask)


def test_rows_that_are_lost_stay_lost_through_layers(target):
    """A wrong mask makes all of it NaN; a relu behind it must not make numbers of that again."""
    layer = nn.Sequential(nn.Softmax(-1), nn.Linear(4, 8), nn.ReLU(),
                                nn.Linear(8, 2))  # fmt: skip
    with torch.no_grad():
        assert same(target, layer, ROWS)
        assert layer(ROWS)[2].isnan().all()


LAYERS = {
    "conv": lambda: nn.Conv2d(8, 8, 3, padding=1),
    "depthwise": lambda: nn.Conv2d(8, 8, 3, padding=1, groups=8),
    "norm": lambda: nn.Sequential(nn.Conv2d(8, 16, 1), nn.BatchNorm2d(16)),
    "transposed": lambda: nn.ConvTranspose2d(8, 8, 2, 2),
    "linear": lambda: nn.Linear(5, 7),
}


@pytest.mark.parametrize("activation", [F.relu, F.relu6, F.hardtanh], ids=lambda f: f.__name__)
@pytest.mark.parametrize("layer", LAYERS)
def test_an_engine_that_fuses_an_activation_keeps_nan(target, layer, activation):
    model = LAYERS[layer]().eval()
    x = torch.randn(1, 8, 5, 5)
    x[0, 4, 2, 2] = nan
    with torch.no_grad():
        assert same(target, lambda x: activation(model(x)) + 1, x)
