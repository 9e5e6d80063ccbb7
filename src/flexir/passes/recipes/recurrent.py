"""LSTM and GRU, step by step; formulas of the documentation of torch.nn.LSTM, GRU and RNN."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from .shapes import pick
from .table import only_if, recipe


def _layers(
    input: Tensor,
    state: Sequence[Tensor],
    params: Sequence[Tensor],
    bidirectional: bool,
    num_layers: int,
    has_biases: bool,
    batch_first: bool,
    step: Callable[..., tuple[Tensor, ...]],
) -> Any:
    only_if(input.ndim == 3)
    steps = [pick(input, 1 if batch_first else 0, t)
             for t in range(input.shape[1 if batch_first else 0])]  # fmt: skip
    size, directions = 4 if has_biases else 2, 2 if bidirectional else 1
    finals: list[tuple[Tensor, ...]] = []
    for layer in range(num_layers):
        sides = []
        for direction in range(directions):
            place = layer * directions + direction
            weights = list(params[place * size : (place + 1) * size])
            carried = tuple(pick(s, 0, place) for s in state)
            made = []
            for x in steps if direction == 0 else steps[::-1]:
                carried = step(x, carried, *weights)
                made.append(carried[0])
            finals.append(carried)
            sides.append(made if direction == 0 else made[::-1])
        steps = [torch.cat(pair, -1) for pair in zip(*sides)] if directions == 2 else sides[0]
    output = torch.stack(steps, 1 if batch_first else 0)
    return (output, *(torch.stack(list(parts), 0) for parts in zip(*finals)))


def _lstm_step(x: Tensor, carried: Any, wi: Tensor, wh: Tensor, bi: Any = None, bh: Any = None):  # type: ignore[no-untyped-def]
    h, c = carried
    i, f, g, o = (linear(x, wi, bi) + linear(h, wh, bh)).chunk(4, -1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def _gru_step(x: Tensor, carried: Any, wi: Tensor, wh: Tensor, bi: Any = None, bh: Any = None):  # type: ignore[no-untyped-def]
    (h,) = carried
    (ir, iz, inn), (hr, hz, hn) = linear(x, wi, bi).chunk(3, -1), linear(h, wh, bh).chunk(3, -1)
    update = torch.sigmoid(iz + hz)
    fresh = torch.tanh(inn + torch.sigmoid(ir + hr) * hn)
    return (fresh + update * (h - fresh),)


@recipe("lstm")
def lstm(
    input: Tensor, hx: Any, params: Any, has_biases: bool, num_layers: int, dropout: float,
    train: bool, bidirectional: bool, batch_first: bool,
) -> Any:  # fmt: skip
    """torch.nn.LSTM: its formulas, step by step."""
    only_if(not (train and dropout))
    return _layers(
        input, hx, params, bidirectional, num_layers, has_biases, batch_first, _lstm_step
    )


@recipe("gru")
def gru(
    input: Tensor, hx: Any, params: Any, has_biases: bool, num_layers: int, dropout: float,
    train: bool, bidirectional: bool, batch_first: bool,
) -> Any:  # fmt: skip
    """torch.nn.GRU: its formulas, step by step."""
    only_if(not (train and dropout))
    return _layers(
        input, [hx], params, bidirectional, num_layers, has_biases, batch_first, _gru_step
    )


@recipe("lstm_cell")
def lstm_cell(
    input: Tensor, hx: Any, w_ih: Tensor, w_hh: Tensor, b_ih: Any = None, b_hh: Any = None
) -> Any:
    """torch.nn.LSTMCell: its formulas."""
    return _lstm_step(input, hx, w_ih, w_hh, b_ih, b_hh)


@recipe("gru_cell")
def gru_cell(
    input: Tensor, hx: Any, w_ih: Tensor, w_hh: Tensor, b_ih: Any = None, b_hh: Any = None
) -> Any:
    """torch.nn.GRUCell: its formulas."""
    return _gru_step(input, [hx], w_ih, w_hh, b_ih, b_hh)[0]


@recipe("rnn_tanh_cell")
def rnn_tanh_cell(
    input: Tensor, hx: Any, w_ih: Tensor, w_hh: Tensor, b_ih: Any = None, b_hh: Any = None
) -> Any:
    """torch.nn.RNNCell: its formula."""
    return torch.tanh(linear(input, w_ih, b_ih) + linear(hx, w_hh, b_hh))


@recipe("rnn_relu_cell")
def rnn_relu_cell(
    input: Tensor, hx: Any, w_ih: Tensor, w_hh: Tensor, b_ih: Any = None, b_hh: Any = None
) -> Any:
    """torch.nn.RNNCell with ``nonlinearity="relu"``: its formula."""
    return torch.relu(linear(input, w_ih, b_ih) + linear(hx, w_hh, b_hh))
