"""What a model asks about a tensor: of its type, or a guard."""

import inspect

import pytest
import torch

import flexir
from flexir.calls.names import ABOUT, MEMORY, METADATA


def asks_contiguous(x):
    return x * 2 if x.is_contiguous() else x * 3


def asks_stride(x):
    return x.sum(0) if x.stride(0) > x.stride(1) else x.sum(1)


def asks_a_view(x):
    return x * 2 if x.t().is_contiguous() else x * 3


@pytest.mark.parametrize("model", [asks_contiguous, asks_stride, asks_a_view])
@pytest.mark.parametrize("turn", [False, True])
def test_a_branch_on_the_layout_is_a_guard(model, turn, tmp_path):
    x = torch.randn(4, 4)
    given, other = (x.t(), x) if turn else (x, x.t())
    graph = flexir.capture(model, (given,))
    guard = graph.guards[0]
    assert "test_questions.py" in str(guard.source)
    graph.save(tmp_path / "net")
    for one in (graph, flexir.load(tmp_path / "net")):
        assert torch.equal(one(given), model(given))
        with pytest.raises(flexir.Diverged, match="the answer taken by"):
            one(other)


def asks_grad(x):
    return x * 2 if x.requires_grad else x * 3


def asks_grad_of_a_result(x):
    y = x + 1
    y.mul_(2)
    return y * 2 if y.requires_grad else y * 3


def asks_grad_fn(x):
    y = x * 1
    return y * 2 if y.grad_fn is None else y * 3


def asks_leaf(x):
    y = x * 1
    return y * 2 if y.is_leaf else y * 3


@pytest.mark.parametrize("model", [asks_grad, asks_grad_of_a_result, asks_grad_fn, asks_leaf])
@pytest.mark.parametrize("needs", [False, True])
def test_a_branch_on_autograd_is_a_guard(model, needs):
    one = torch.randn(3).requires_grad_(needs)
    other = torch.randn(3).requires_grad_(not needs)
    graph = flexir.capture(model, (one,))
    assert len(graph.guards) == 1
    assert torch.equal(graph(one), model(one))
    with pytest.raises(flexir.Diverged):
        graph(other)
    with torch.no_grad():  # the graph replays under the switches it was recorded with
        assert torch.equal(graph(one), model(one) if not needs else graph(one))


def test_questions_about_the_models_own_tensors_need_no_guard():
    class Net(torch.nn.Linear):
        def forward(self, x):
            y = super().forward(x)
            return y if self.weight.requires_grad and self.weight.is_contiguous() else y * 2

    assert flexir.capture(Net(3, 3), (torch.randn(2, 3),)).guards == []


def test_a_question_asked_often_is_recorded_once():
    def model(x):
        return sum(x * i for i in range(5) if x.is_contiguous())

    assert len(flexir.capture(model, (torch.randn(3),)).guards) == 1


def test_other_layouts_replay_where_nobody_asked():
    graph = flexir.capture(lambda x: x * 2 + 1, (torch.randn(4, 4),))
    x = torch.randn(4, 4)
    assert torch.equal(graph(x.t()), x.t() * 2 + 1)


def test_memory_handed_out_through_its_storage_is_watched():
    def model(x):
        y = x * 1
        y.untyped_storage().copy_(torch.ones(3).untyped_storage())
        return y + 1

    x = torch.randn(3)
    graph = flexir.capture(model, (x,))
    assert {n.effects.escape for n in graph.escapes} == {"memory"}
    assert torch.equal(graph(x), model(x))
    with pytest.raises(flexir.Diverged, match="gave this tensor's memory"):
        graph(x + 1)


def _questions():
    """Everything that can be called on a tensor and answers without one."""
    for name in dir(torch.Tensor):
        attribute = inspect.getattr_static(torch.Tensor, name, None)
        if callable(attribute) and not isinstance(attribute, type):
            func, nothing = getattr(torch.Tensor, name), type(None)
            call = func
        elif hasattr(attribute, "__get__") and hasattr(attribute, "__set__"):
            func, call = attribute.__get__, lambda t, f=attribute: f.__get__(t)
            nothing = int
        else:
            continue
        if name in SKIPPED:
            continue
        try:
            with torch.no_grad():
                answer = call(torch.randn(2, 2))  # some of them change it
        except Exception:  # noqa: BLE001  it needs arguments, or another kind of tensor
            continue
        plain = isinstance(answer, (bool, int, str, type(None), tuple))
        if plain and not isinstance(answer, nothing if answer is None else ()):
            if not (isinstance(answer, tuple) and any(isinstance(a, torch.Tensor) for a in answer)):
                yield name, func


# Of the class or of Python, or they do something and return nothing.
SKIPPED = {
    "__class__", "__dict__", "__init__", "__init_subclass__", "__sizeof__", "__repr__", "__str__",
    "__setstate__", "__dir__", "__subclasshook__", "__new__", "__delattr__", "__format__",
    "_typed_storage", "__weakref__", "backward", "detach_", "requires_grad_", "__torch_dispatch__",
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
def test_every_question_is_decided():
    """Of a type, a guard, memory, or a value that leaves torch: nothing passes by undecided."""
    undecided = []
    for name, func in _questions():
        if func in METADATA or func in ABOUT or func in MEMORY:
            continue

        def model(x, name=name):
            asked = getattr(x, name)
            asked = asked() if callable(asked) else asked
            return x * 2 if asked else x * 3

        graph = flexir.capture(model, (torch.randn(2, 2),))
        if not graph.escapes and not graph.audit.problems:
            undecided.append(name)
    assert undecided == []


def test_a_report_names_answers_about_layout_and_strict_does_not_fail_on_them():
    from flexir import describe

    result = flexir.convert(asks_contiguous, (torch.randn(2, 2),), describe, strict=True)
    assert (
        "answers about layout or autograd, taken as recorded: 1; the first: is_contiguous() is True"
        in str(result.report)
    )
    assert result.report.omissions == []
