"""What Python makes of several conditions, or decides in C, where inputs decide otherwise."""

import dis
import itertools

import pytest
import torch

import flexir
from flexir.recording.proof import equal
from flexir.recording.sources import loops_at


def is_up(x, k):
    return x[k].sum() > 0


def filtered(x):
    ks = [k for k in range(4) if is_up(x, k)]
    return x[0] + sum(ks)


def gone_over(x):
    y = x[0]
    for k in [k for k in range(4) if is_up(x, k)]:
        y = y * 2 + x[k]
    return y


def sorted_by(x):
    order = sorted(range(4), key=lambda k: float(x[k].sum()))
    return x[order[0]] - x[order[-1]]


def matched(x):
    match (bool(is_up(x, 0)), bool(is_up(x, 1))):
        case (True, True):
            return x[0]
        case (True, False):
            return x[1] * 2
        case _:
            return x[2] * 3


def looked_up(x):
    both = (bool(is_up(x, 0)), bool(is_up(x, 1)))
    return x[2] * {(True, True): 1, (True, False): 2, (False, True): 3, (False, False): 4}[both]


def counted(x):
    return x[0] * len({bool(is_up(x, 0)), bool(is_up(x, 1))})


def asked_by_a_loop(x):
    while (bool(is_up(x, 0)), bool(is_up(x, 1))) == (True, False):
        return x[0] * 2
    return x[1]


def signs(*up):
    x = torch.rand(6, 3) + 0.1
    for k, one in enumerate(up):
        x[k] *= 1 if one else -1
    return x


MODELS = (filtered, gone_over, sorted_by, matched, looked_up, counted, asked_by_a_loop)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_right_or_refused(model):
    ways = list(itertools.product((0, 1), repeat=4))
    for seed in range(8):
        torch.manual_seed(seed)
        first, *others = [signs(*ways[(5 * seed + 7 * k) % 16]) for k in range(2 + seed % 3)]
        graph = flexir.capture(model, first, also=others)
        for up in ways:
            x = signs(*up)
            try:
                made = graph(x)
            except flexir.Diverged:
                continue
            assert equal(made, model(x)), (seed, up)


def test_what_asks_in_a_filter_stands_in_its_loop():
    code = filtered.__code__
    inside = [one for one in code.co_consts if getattr(one, "co_name", "") == "<listcomp>"]
    code = inside[0] if inside else code  # Python 3.12 has no function of its own for it
    loops = {len(loops_at(code, at)) for at in range(0, len(code.co_code), 2)}
    asks = [at for at in range(0, len(code.co_code), 2)
            if "POP_JUMP" in dis.opname[code.co_code[at]]]  # fmt: skip
    assert loops == {0, 1} and all(len(loops_at(code, at)) == 1 for at in asks)
