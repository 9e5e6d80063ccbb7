"""Where tensors lie in memory, and what several runs have in one place."""

import collections
import types

import pytest
import torch
from torch import nn

from flexir.graph import geometry as g
from flexir.graph import tree
from flexir.graph.account import NOTHING
from flexir.graph.nodes import TensorType, Value
from flexir.recording import alike
from flexir.recording.changed import Changes, Inside, frozen, lies_in, ordered, path_of, word_for
from flexir.recording.holders import Sets
from flexir.recording.innards import holder_of
from flexir.recording.proof import equal


def at(size, stride, offset=0, dtype=torch.float32):
    return g.Geometry(dtype, size, stride, offset)


def test_the_bytes_that_a_tensor_spans():
    assert at((2, 3), (3, 1)).span() == (0, 24) and at((2, 3), (3, 1), 5).span() == (20, 44)
    assert at((2, 3), (10, 2), 1, torch.int64).span() == (8, 8 + 15 * 8)
    assert at((0, 3), (3, 1), 2).span() == (8, 8) and at((), ()).span() == (0, 4)


@pytest.mark.parametrize("size, stride, contiguous, overlaps", [
    ((2, 3), (3, 1), True, False), ((2, 3), (1, 2), False, False), ((2, 3), (4, 1), False, False),
    ((1, 3), (99, 1), True, False), ((2, 3), (0, 1), False, True), ((3, 2), (1, 1), False, True),
    ((2, 1, 3), (3, 7, 1), True, False), ((), (), True, False), ((2, 2), (2, 2), False, True),
    ((3, 3), (2, 1), False, True), ((3, 2), (2, 1), True, False), ((1, 1), (0, 0), True, False),
    ((2, 3), (3, 0), False, True), ((3, 4), (1, 3), False, False),
])  # fmt: skip
def test_order_and_overlap(size, stride, contiguous, overlaps):
    where = at(size, stride)
    assert where.is_contiguous() is contiguous and where.overlaps() is overlaps
    every = torch.arange(1000).as_strided(size, stride).flatten().tolist()
    assert overlaps is (len(set(every)) < len(every))


def test_flags_of_lazy_views():
    z = torch.ones(2, dtype=torch.complex64)
    assert g.geometry(z).flags == 0 and g.geometry(z.conj()).flags == 1
    assert g.geometry(z.conj().imag).flags == 2 and g.geometry(z.imag).flags == 0
    x = torch.arange(6.0).reshape(2, 3)[:, 1:]
    assert g.geometry(x) == at((2, 2), (3, 1), 1) and g.geometry(x, (4,)).size == (4,)
    assert g.tensor_type(x) == TensorType(torch.float32, (2, 2), torch.device("cpu"))


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors", "ignore:torch.quantize")
def test_sizes_and_elements_of_any_kind_of_tensor():
    nested = torch.nested.nested_tensor([torch.ones(2, 3), torch.ones(4, 3)])
    assert g.shape_of(nested) == (2, -1, 3) and g.dense(nested).shape == (18,)
    assert g.tensor_type(nested).shape == (2, -1, 3)
    sparse = torch.eye(3).to_sparse()
    assert torch.equal(g.dense(sparse), torch.eye(3)) and g.shape_of(sparse) == (3, 3)
    quantized = torch.quantize_per_tensor(torch.ones(2), 0.5, 0, torch.qint8)
    assert g.dense(quantized).tolist() == [1.0, 1.0]
    assert g.storage_of(sparse) is None and g.storage_of(torch.ones(1)) is not None
    assert g.where_of(nested) == g.Geometry(torch.float32, (), (), 0)
    assert g.where_of(torch.ones(2)) == at((2,), (1,))


def test_a_copy_lies_as_its_original():
    x = torch.arange(24.0).reshape(2, 3, 4)
    for view in (x.transpose(0, 2), x[:, ::2], x[..., 1:3]):
        made = g.copy_like(view)
        assert torch.equal(made, view) and made.stride() == view.stride()
        assert made.data_ptr() != view.data_ptr() and made.storage_offset() == 0
    wide = g.copy_like(torch.ones(3).expand(2, 3))
    assert wide.stride() == (3, 1), "elements that share memory do not stay so"
    assert g.copy_like(x[0], (1, 3)).stride() == (1, 3)
    assert g.copy_like(torch.eye(2).to_sparse()).is_sparse


def test_a_view_by_its_geometry():
    x = torch.arange(12.0).reshape(3, 4)
    stride = (4, 1)
    view = g.as_strided(x, (2, 2), (4, 2), 1, stride, torch.float32)
    assert view.tolist() == [[1, 3], [5, 7]] and view.data_ptr() == x.data_ptr() + 4
    for other in (
        x.t().contiguous().t(),
        torch.cat([x, x])[:3],
        torch.cat([x, x])[3:],
        (x + 0j).conj().real,
        -(x + 0j).imag + x,
    ):
        assert g.as_strided(other, (2, 2), (4, 2), 1, stride, torch.float32).tolist() == [
            [1, 3], [5, 7]]  # fmt: skip
    assert g.as_strided(torch._neg_view(-x), (4,), (1,), 0, stride, torch.float32).tolist() == [
        0, 1, 2, 3]  # fmt: skip
    bits = g.as_strided(x, (4,), (1,), 0, stride, torch.int32)
    assert bits.dtype is torch.int32 and torch.equal(bits, x[0].view(torch.int32))
    z = torch.tensor([1 + 2j])
    assert g.as_strided(z, (1,), (1,), 0, (1,), torch.complex64, 1).tolist() == [1 - 2j]
    assert g.as_strided(x, (4,), (1,), 0, stride, torch.float32, 2).tolist() == [0, -1, -2, -3]


def test_a_copy_whose_part_is_another():
    x = torch.zeros(2, 3)
    made = g.as_strided_scatter(x, torch.tensor([1.0, 2.0]), (2,), (3,), 1, (3, 1), torch.float32)
    assert made.tolist() == [[0, 1, 0], [0, 2, 0]] and x.sum() == 0
    z = torch.zeros(1, dtype=torch.complex64)
    src = torch.tensor([1 + 2j])
    flagged = g.as_strided_scatter(z, src, (1,), (1,), 0, (1,), torch.complex64, 1)
    assert flagged.tolist() == [1 - 2j]
    block = g.assemble(
        [torch.ones(2), torch.full((1,), 7, dtype=torch.uint8)],
        [(torch.float32, (2,), (1,), 1, 0), (torch.uint8, (1,), (1,), 1, 0)],
        16,
    )
    assert block.shape == (16,) and block.dtype is torch.uint8 and block[1] == 7 and block[0] == 0
    assert block[4:12].view(torch.float32).tolist() == [1.0, 1.0]
    kept = torch.zeros(3)
    assert g.setitem(kept, 1, 5.0).tolist() == [0, 5, 0] and kept.sum() == 0


def test_hashes_of_elements_and_of_memory():
    x = torch.arange(6.0)
    assert g.fingerprint(x) == g.fingerprint(x.clone()) != g.fingerprint(x + 1)
    assert g.fingerprint(x[1:3]) == g.fingerprint(torch.tensor([1.0, 2.0]))
    z = torch.tensor([1 + 2j])
    assert g.fingerprint(z.conj()) == g.fingerprint(torch.tensor([1 - 2j]))
    assert g.fingerprint(torch.empty(2, device="meta")) == "" == g.fingerprint(x.to_sparse())
    assert len(g.fingerprint(x)) == 32 and len(g.fingerprint(x[:0])) == 32
    assert g.digest(x[:2]) == g.digest(x), "all of the memory"
    a, b = x.view(torch.uint8), x.clone().view(torch.uint8)
    assert g.same_bytes(a, b) and not g.same_bytes(a, (x + 1).view(torch.uint8))
    assert g.hash_of(a) == g.hash_of(b) and g.same_bytes(a[:0], b[:0])


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_results_are_equal_bit_for_bit_with_nan_and_infinity():
    nan, inf, most = float("nan"), float("inf"), torch.finfo(torch.float32).max
    for one, other, same in (
        ([1.0, nan], [1.0, nan], True), ([1.0, nan], [1.0, 0.0], False),
        ([inf], [most], False), ([inf], [inf], True), ([inf], [-inf], False), ([1.0], [2.0], False),
        ([complex(nan, 1)], [0j], False), ([complex(nan, 1)], [complex(nan, 1)], True),
    ):  # fmt: skip
        assert equal(torch.tensor(one), torch.tensor(other)) is same, (one, other)
    x = torch.ones(2)
    assert not equal(x, x.double()) and not equal(x, torch.ones(3)) and equal([x, 3], [x, 3])
    assert not equal([x, 3], [x, 4]) and not equal([x], (x,)) and not equal([x], [x, x])
    assert equal(torch.eye(2).to_sparse(), torch.eye(2).to_sparse())
    assert not equal(torch.eye(2).to_sparse(), 2 * torch.eye(2).to_sparse())

    def nested(n):
        return torch.nested.nested_tensor([torch.ones(2), torch.full((3,), n)])

    assert equal(nested(1.0), nested(1.0)) and not equal(nested(1.0), nested(2.0))
    assert equal(torch.empty(2, device="meta"), torch.empty(2, device="meta"))
    assert equal(object(), object()), "what lies at another address is the same"


# --- what several runs have in one place


def zipped(*parts, **options):
    return alike.zipped(dict(enumerate(parts)), lambda values: ("leaf", values), **options)


def test_templates_of_several_runs_as_one():
    a, b = Value("a", None), Value("b", None)
    assert zipped([a, (1, {"k": b})], [b, (1, {"k": b})]) == [
        ("leaf", {0: a, 1: b}), (1, {"k": ("leaf", {0: b, 1: b})}),
    ]  # fmt: skip
    assert zipped(slice(1, a, None), slice(1, b, None)) == slice(1, ("leaf", {0: a, 1: b}), None)
    pair = collections.namedtuple("Pair", "x y")
    made = zipped(*(tree.template(pair(1, 2), lambda t: t) for _ in range(2)))
    assert isinstance(made, tree.Record) and made.items == [1, 2] and made.cls is pair
    one = tree.template(types.SimpleNamespace(a=[1]), lambda t: t, deep=True)
    first, second = zipped([one, one], [one, one])
    assert first is second, "one object stays one"
    thing = object()
    assert zipped(thing, object()) is thing


@pytest.mark.parametrize("one, other, words", [
    ([1], (1,), "of another kind"), ([1], [1, 2], "of another length"),
    ({"a": 1}, {"b": 1}, "other keys"),
    (1, 2, "that nothing explains: 1, 2"), (1, True, "of another kind"), ("a", "b", "'a', 'b'"),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}, "other keys"), (None, 1, "of another kind"),
])  # fmt: skip
def test_what_has_nothing_in_common_is_a_misfit(one, other, words):
    with pytest.raises(alike.Misfit, match=words):
        zipped(one, other)


def test_numbers_and_lists_may_be_explained():
    assert zipped(1, 2, literal=lambda parts: sum(parts.values())) == 3
    assert zipped(1, 1, literal=lambda parts: 99) == 1
    with pytest.raises(alike.Misfit):
        zipped("a", "b", literal=lambda parts: 99)
    assert zipped([1], [1, 2], listed=lambda parts: "list") == "list"
    assert zipped([1], [1], listed=lambda parts: None) == [1]
    pair, other = collections.namedtuple("Pair", "x"), collections.namedtuple("Other", "x")
    with pytest.raises(alike.Misfit, match="another class"):
        zipped(*(tree.template(cls(1), lambda t: t) for cls in (pair, other)))


def test_constants_of_several_runs():
    x = torch.ones(2)
    same = alike.same_constant
    assert same(x, x) and same(x, x.clone()) and not same(x, x + 1) and not same(x, x.double())
    assert not same(x, torch.ones(3)) and not same(x, torch.ones(2).to_sparse())
    meta = torch.empty(2, device="meta")
    assert same(meta, meta) and not same(meta, meta.clone())


# --- before and after


def change(make, act):
    thing = make()
    holder = holder_of(thing, "m")
    act(thing)
    found = Changes({id(thing): holder})
    found.contents(holder, holder.before, holder.read())
    return [(c.path, c.before, c.after) for c in found.changes], found.replaced


def plain_object(**parts):
    return types.SimpleNamespace(**parts)


class Thing:
    pass


@pytest.mark.parametrize("make, act, expected", [
    (lambda: {"a": 1}, lambda d: d.update(a=2), [("m.a", 1, 2)]),
    (lambda: {"a": 1}, lambda d: d.update(a=1.0), [("m.a", 1, 1.0)]),
    (lambda: {"a": float("nan")}, lambda d: d.update(a=float("inf") - float("inf")), []),
    (lambda: {"a": 1}, lambda d: d.update(b=2), [("m.b", NOTHING, 2)]),
    (lambda: {"a": 1}, lambda d: d.pop("a"), [("m.a", 1, NOTHING)]),
    (lambda: [1, 2], lambda x: x.append(3), [("m", [1, 2], [1, 2, 3])]),
    (lambda: [1, 2], lambda x: x.__setitem__(1, 5), [("m.1", 2, 5)]),
    (lambda: [(1, 2)], lambda x: x.__setitem__(0, (1, 3)), [("m.0.1", 2, 3)]),
    (lambda: [[1]], lambda x: x.__setitem__(0, [1]), []),
    (lambda: [[1]], lambda x: x.__setitem__(0, [2]), [("m.0.0", 1, 2)]),
    (lambda: [{"k": 1}], lambda x: x.__setitem__(0, {"k": 2}), [("m.0.k", 1, 2)]),
    (lambda: [{"k": 1}], lambda x: x.__setitem__(0, {"j": 1}), [("m.0", {"k": 1}, {"j": 1})]),
    (lambda: [1], lambda x: x.__setitem__(0, "a"), [("m.0", 1, "a")]),
])  # fmt: skip
def test_changes_have_their_place_and_both_values(make, act, expected):
    assert change(make, act)[0] == expected


def test_changes_that_are_told_by_words():
    def words(make, act):
        return [(path, str(a), str(b)) for path, a, b in change(make, act)[0]]

    assert words(lambda: {1, 2}, lambda s: s.add(3)) == [("m", "set of 2", "set of 3")]
    assert words(lambda: {"a": 1, "b": 2}, lambda d: d.update(a=d.pop("a"))) == [
        ("m", "in the order a, b", "in the order b, a")]  # fmt: skip
    assert words(lambda: [int], lambda x: x.__setitem__(0, str)) == [("m.0", "int", "str")]
    [(path, before, after)] = words(lambda: iter([1, 2]), next)
    assert (path, after) == ("m", "another") and before == "one state of a list_iterator"
    assert words(Thing, lambda t: setattr(t, "a", 1))[0][0] == "m.a"
    module = words(nn.ReLU, lambda m: setattr(m, "count", 1))
    assert module == [("m.count", str(NOTHING), "1")]


def test_tensors_that_stand_for_others_are_replaced():
    a, b = torch.ones(1), torch.ones(1)
    changes, [one] = change(lambda: {"t": a}, lambda d: d.update(t=b))
    assert not changes and one.path == "m.t" and one.before is a and one.after is b
    assert change(lambda: {"t": a}, lambda d: d.update(t=a)) == ([], [])


def test_functions_made_again_of_one_code_are_the_same():
    def make():
        return lambda: 1

    assert change(lambda: [make()], lambda x: x.__setitem__(0, make()))[0] == []
    assert len(change(lambda: [make()], lambda x: x.__setitem__(0, lambda: 2))[0]) == 1


def test_a_message_shows_literals_and_few_of_many():
    assert frozen([1, ("a", None)]) == [1, ("a", None)] and frozen({"a": 1}) == {"a": 1}
    assert str(frozen(list(range(9)))) == "list of 9" and frozen([1] * 8) == [1] * 8
    assert str(frozen({i: 1 for i in range(9)})) == "dict of 9"
    assert str(frozen(torch.ones(2))) == "f32[2]" and str(frozen(Thing())) == "a Thing"
    assert word_for(len) == "len" and word_for(3) == "a int"
    assert Inside(3).state == 3


def test_paths():
    holder = holder_of({}, "m")
    assert (
        path_of(holder, "a") == "m.a" and path_of(holder, "") == "m" and path_of(holder, 0) == "m.0"
    )
    assert path_of(holder_of({}, ""), 3) == "3"
    assert lies_in("a.b", ["a"]) and lies_in("a", ["x", "a"]) and not lies_in("ab", ["a"])
    assert not lies_in("a", []) and not lies_in("a", ["a.b"])
    assert ordered(holder, {"b": 1, "a": 2}) == ["b", "a"]
    assert ordered(holder_of(nn.ReLU(), ""), {"x": 1, "child": nn.ReLU()}) == ["child"]
    assert ordered(Sets({1}, ""), {1: 1}) == []


class Closed(torch.Tensor):
    """A tensor that takes no elements of others."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func is torch.Tensor.copy_ and not all(isinstance(one, cls) for one in args):
            raise TypeError("of another class")
        return super().__torch_function__(func, types, args, kwargs or {})


def test_a_tensor_of_a_class_of_its_own_is_copied_as_that_does_it():
    own = torch.ones(2, 3).as_subclass(Closed)
    made = g.copy_like(own)
    assert type(made) is Closed and torch.equal(made, own) and made.data_ptr() != own.data_ptr()
