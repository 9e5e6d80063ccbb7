"""Long calls of torch are made once for the same arguments, while several examples are captured."""

import pytest
import torch
from torch import nn

import flexir
from flexir.recording import remembered
from flexir.recording.proof import equal
from flexir.recording.remembered import Remembered, current, remembering


@pytest.fixture(autouse=True)
def all_is_long(monkeypatch):
    monkeypatch.setattr(remembered, "_LONG", 0.0)
    monkeypatch.setattr(remembered, "_CALLS", 1 << 40)


def made_twice(function, *args):
    """What a call gives the first time, and in another run, by the memory."""
    with Remembered.opened():
        with remembering():
            function(*args)  # the first long call of a function says that it is long
            first = function(*args)
        with remembering():
            again = function(*args)
        return first, again, current()


def test_the_same_call_gives_the_same_in_memory_of_its_own():
    x, w = torch.rand(4, 8), torch.rand(16, 8)
    first, again, memory = made_twice(nn.functional.linear, x, w)
    assert torch.equal(first, again) and first.data_ptr() != again.data_ptr()
    (known,) = (one for answers in memory._known.values() for one in answers)
    assert known.result is first
    assert memory.recall(nn.functional.linear, (x.clone(), w), {}) is first
    assert memory.recall(nn.functional.linear, (x + 1, w), {}) is not first
    assert (
        memory.recall(nn.functional.linear, (x.clone(), w), {"bias": torch.rand(16)}) is not first
    )
    assert memory.saved > 0


def test_what_is_recalled_is_never_what_was_given():
    x = torch.rand(3)
    first, _, memory = made_twice(torch.mul, x, 1)
    again = memory.recall(torch.mul, (first, 1), {})
    assert torch.equal(again, first) and again is not first


def test_zeros_of_another_sign_are_other_arguments():
    x = torch.zeros(3)
    with Remembered.opened(), remembering():
        torch.reciprocal(x)
        torch.reciprocal(x)
        assert current().recall(torch.reciprocal, (-x,), {})[0] == -torch.inf


def test_what_was_written_since_is_not_recalled():
    x, w = torch.rand(4, 8), torch.rand(16, 8)
    first, _, memory = made_twice(nn.functional.linear, x, w)
    first.add_(1)
    assert torch.equal(memory.recall(nn.functional.linear, (x, w), {}), nn.functional.linear(x, w))
    x.mul_(2)
    assert torch.equal(memory.recall(nn.functional.linear, (x, w), {}), nn.functional.linear(x, w))


def test_a_generator_or_a_function_among_the_arguments_is_asked_each_time():
    generator = torch.Generator().manual_seed(0)

    def draw(many):
        return torch.rand(many, generator=generator)

    *_, memory = made_twice(draw, 3)
    assert not memory._known
    assert not torch.equal(draw(3), draw(3))
    *_, memory = made_twice(torch.vmap(lambda x: x * 2), torch.rand(3))
    assert not any("vmap" in str(key[0]) for key in memory._known)


def test_random_numbers_gradients_and_views_are_not_remembered():
    x = torch.rand(8, requires_grad=True)
    for function, given in ((torch.rand_like, x.detach()), (torch.relu, x),
                            (torch.Tensor.view_as, x.detach())):  # fmt: skip
        args = (given, given) if function is torch.Tensor.view_as else (given,)
        *_, memory = made_twice(function, *args)
        assert not memory._known


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["conj", "nested", "sparse", "complex", "int", "inference"])
def test_tensors_of_all_kinds_pass(kind):
    x = torch.rand(3, 3)
    given = {
        "conj": lambda: torch.rand(3, 3, dtype=torch.complex64).conj(),
        "nested": lambda: torch.nested.nested_tensor([x, x[:2]]),
        "sparse": x.to_sparse,
        "complex": lambda: torch.rand(3, 3, dtype=torch.complex128),
        "int": lambda: torch.arange(9).view(3, 3),
        "inference": lambda: torch.inference_mode()(torch.rand)(3, 3),
    }[kind]()
    function = torch.abs if kind != "nested" else torch.relu
    first, again, memory = made_twice(function, given)
    assert equal(first, again)
    assert bool(memory._known) == (kind in ("complex", "int"))


class WritesUntold(nn.Module):
    """A weight that is written so that its counter does not say it."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.rand(5, 5), requires_grad=False)

    def forward(self, x):
        first = nn.functional.linear(x, self.w)
        self.w.data.mul_(2)
        second = nn.functional.linear(x, self.w)
        self.w.data.div_(2)
        return first, second


def test_who_reaches_behind_a_tensor_ends_it():
    model, x = WritesUntold(), torch.rand(3, 5)
    graph = flexir.capture(model, (x,), also=[(torch.rand(4, 5),), (torch.rand(4, 5),)])
    fresh = torch.rand(7, 5)
    assert equal(graph(fresh), model(fresh))
    with Remembered.opened(), remembering():
        memory = current()
        x.data  # noqa: B018
        assert memory._idle and current() is None


def test_a_call_that_gives_something_else_in_one_run_ends_it():
    x, w = torch.rand(3, 5), torch.rand(5, 5)
    alias = w.detach()
    other = torch.from_dlpack(alias) if hasattr(torch, "from_dlpack") else alias
    with Remembered.opened():
        memory = current()
        with remembering():
            nn.functional.linear(x, w)
            nn.functional.linear(x, w)
            with torch._C.DisableTorchFunction():
                other.mul_(2)
            made = nn.functional.linear(x, w)
            assert torch.equal(made, nn.functional.linear(x, w))
        assert w._version == 0 and memory._idle


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.norm = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8)

    def forward(self, x):
        y = torch.relu_(self.norm(self.a(x)))
        if y.mean() > 0.5:
            y = self.b(y)
        return y.softmax(1), nn.functional.dropout(y, 0.5, self.training)


@pytest.mark.parametrize("training", [True, False])
def test_a_graph_is_the_same_with_and_without_it(training, monkeypatch):
    torch.manual_seed(0)
    model = Net().train(training).requires_grad_(False)
    examples = [(torch.randn(n, 3, s, s) * k,) for n, s, k in ((2, 8, 1), (3, 9, 40), (2, 7, 1))]
    state = {name: part.clone() for name, part in model.state_dict().items()}
    graphs = []
    for memory in (True, False):
        torch.manual_seed(1)
        model.load_state_dict(state)
        if not memory:
            monkeypatch.setattr(remembered.Remembered, "_keep", lambda *_: None)
        graph = flexir.capture(model, examples[0], also=examples[1:])
        graphs.append(str(graph) + str(graph.frozen))
    assert graphs[0] == graphs[1]
    fresh = torch.randn(5, 3, 12, 12)
    model.load_state_dict(state)
    assert flexir.verify(graph, model, fresh).verdict == "exact"


def attending(x):
    """In eager mode it is compiled by torch itself, which reads every mode that is on."""
    from torch.nn.attention.flex_attention import flex_attention

    return flex_attention(x, x, x) * 2


@pytest.mark.filterwarnings("ignore:flex_attention called without")
def test_what_is_compiled_inside_a_model_of_several_examples_runs_as_it_is_recorded():
    shown = [torch.rand(n, 1, 16, 8) for n in (1, 2)]
    graph = flexir.capture(attending, shown[0], also=shown[1:])
    assert not graph.variants
    x = torch.rand(3, 1, 16, 8)
    torch.testing.assert_close(graph(x), attending(x))
