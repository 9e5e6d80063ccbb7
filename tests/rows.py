"""Examples of programs that go over rows, and whether what they became is ever wrong."""

import torch

import flexir
from flexir.recording.proof import equal


def rows_of(seed, count=1, most=5):
    torch.manual_seed(seed)
    return [(torch.rand(int(torch.randint(1, most + 1, ())), 3) * 1.2,) for _ in range(count)]


def of_examples(model, count=6, seed=0):
    first, *also = rows_of(seed, count)
    return flexir.capture(model, first, also=also)


def never_wrong(graph, model, seed=1):
    """How many of fresh inputs are right; the others are refused by name."""
    return bits_or_refused(graph, model, (x for (x,) in rows_of(seed, 30, 9)))


def bits_or_refused(graph, model, fresh):
    """How many of these are right, bit for bit, whatever is returned; the others are refused."""
    right = 0
    for x in fresh:
        try:
            made = graph(x.clone())
        except flexir.Diverged:
            continue
        assert equal(made, model(x.clone())), f"{len(x)} rows: {x.tolist()}"
        right += 1
    return right


def right_or_refused(graph, function, fresh):
    """How many of these a graph of one input gives what a program gives; it refuses the others."""
    right = 0
    for x in fresh:
        try:
            made = graph(x)
        except flexir.Diverged:
            continue
        want = function(x)
        same = torch.equal(made, want) if isinstance(want, torch.Tensor) else made == want
        assert same, f"{x.tolist()}: {made} is not {want}"
        right += 1
    return right
