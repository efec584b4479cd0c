"""The checks can fail: each deliberate mistake in the product is caught by one seed.

``make simulate-mutations`` looks for them all anew.
"""

from __future__ import annotations

import pytest
from tests.simulation.hunt import caught
from tests.simulation.mutations import MUTATIONS, Mutation

QUICK = [each for each in MUTATIONS if each.seed is not None]


@pytest.mark.parametrize("mutation", QUICK, ids=lambda each: str(each.name))
def test_a_mistake_is_caught(mutation: Mutation) -> None:
    assert mutation.seed is not None
    assert caught(mutation, mutation.seed)
