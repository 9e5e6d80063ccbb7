"""Tensors as NumPy arrays: the same bits, over the same memory wherever that can be."""

import pytest
import torch

from flexir.conversion.dtypes import array
from flexir.errors import Unsupported

numpy = pytest.importorskip("numpy")


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.int64, torch.bool, torch.complex64], ids=str
)
def test_an_array_is_over_the_memory_of_its_tensor(dtype):
    tensor = torch.ones(2, 3).to(dtype)
    made = array(tensor)
    tensor[0, 1] = 0
    assert made[0, 1] == 0 and made.shape == (2, 3) and made[1, 1] == 1


def test_what_is_conjugated_lazily_is_written_out():
    tensor = torch.tensor([1 + 2j, 3j]).conj()
    assert array(tensor).tolist() == [1 - 2j, -3j]
    assert array(torch.tensor([1 + 2j]).conj().imag).tolist() == [-2.0]


def test_a_weight_with_a_gradient_is_an_array():
    assert array(torch.nn.Parameter(torch.ones(2))).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_dtypes_that_numpy_lacks_keep_their_numbers(name):
    pytest.importorskip("ml_dtypes")
    tensor = torch.tensor([[1.0, -2.5], [0.25, 0.0]]).to(getattr(torch, name))
    made = array(tensor)
    assert made.dtype.name == name and made.shape == (2, 2)
    assert made.astype("float32").tolist() == tensor.float().tolist()


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn"])
@pytest.mark.parametrize(
    "tensor", [torch.tensor(1.5), torch.ones(3), torch.arange(6.0).reshape(2, 3).T],
    ids=["no dimension", "odd size", "columns"],
)  # fmt: skip
def test_dtypes_that_numpy_lacks_keep_their_shapes(name, tensor):
    pytest.importorskip("ml_dtypes")
    assert array(tensor.to(getattr(torch, name))).astype("float32").tolist() == tensor.tolist()


@pytest.mark.parametrize(
    "tensor", [torch.ones(2, device="meta"), torch.eye(2).to_sparse()], ids=["meta", "sparse"]
)
def test_a_tensor_without_rows_of_elements_is_no_array(tensor):
    with pytest.raises(Unsupported):
        array(tensor)
