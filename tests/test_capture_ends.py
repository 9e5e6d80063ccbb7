"""Programs whose capture once raised; it ends with a graph that is right or refuses."""

import pytest
import torch

import flexir
from tests.rows import bits_or_refused


def writes_parts_one_of_which_is_empty(x):
    o, k = x.clone(), int((x > 0).sum())
    first, second = o.split([k, len(x) - k])
    first *= 2
    second -= 1
    return o


def leaves_some_for_the_next(x):
    left, outs = None, []
    for chunk in x.split(2):
        if left is not None:
            chunk = torch.cat([left, chunk])
        n = chunk.shape[0] // 3
        left = chunk[n * 3 :]
        if n:
            outs.append(chunk[: n * 3].view(n, 3).cumsum(1))
    if left.numel() > 0:
        outs.append(torch.nn.functional.pad(left, (0, 3 - left.shape[0]))[None])
    return torch.cat(outs), len(outs)


def leaves_out_some(x):
    mean, n, spread = 0.0, 0, 0.0
    for row in x:
        v = row.item()
        if v < -1:
            continue
        n += 1
        d = v - mean
        mean += d / n
        spread += d * (v - mean)
    return mean, n, spread / (n - 1) if n > 1 else 0.0


@pytest.mark.parametrize(
    "model, shown",
    [
        (writes_parts_one_of_which_is_empty, [[1, 1, 1], [1, 1], [-1]]),
        (leaves_some_for_the_next, [[1], [1, 2], [1, 2, 3, 4, 5, 6]]),
        (leaves_out_some, [[0.5], [0.6, 0.4, 1.5]]),
    ],
)
def test_it_is_right_or_refuses(model, shown):
    class Model(torch.nn.Module):
        def forward(self, x):
            return model(x)

    first, *also = (torch.tensor(one, dtype=torch.float) for one in shown)
    graph = flexir.capture(Model(), first, also=also)
    fresh = [torch.randn(n) for n in (1, 2, 3, 5, 6, 9)]
    assert bits_or_refused(graph, model, [first, *also, *fresh]) >= len(shown)
