"""Random programs that write parts in rounds and branches: right or refused."""

from collections import Counter

import pytest

from bench.ways import Ways
from bench.written import Writer, outcomes


@pytest.mark.parametrize("examples", [2, 3])
@pytest.mark.parametrize("writer", [Writer, Ways])
def test_no_answer_is_wrong(writer, examples):
    found = Counter()
    for seed in range(16):
        one = outcomes(writer(seed), seed, examples, fresh=6)
        assert not one["wrong"], writer(seed).program()
        found += one
    assert found["right"] > 40 and found["merged"] > 5
