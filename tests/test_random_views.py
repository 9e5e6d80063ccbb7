"""Random programs of views and writes: right or refused, with one example, two and three."""

from collections import Counter

import pytest

from bench.views import outcomes


@pytest.mark.parametrize("examples", [1, 2, 3])
def test_no_answer_is_wrong(examples):
    found = Counter()
    for seed in range(40):
        one = outcomes(seed, examples, fresh=6)
        assert not one["wrong"], seed
        found += one
    assert found["right"] > 40
