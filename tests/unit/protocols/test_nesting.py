"""How deeply containers may stand in each other; what is short needs no look."""

from __future__ import annotations

import pytest

from gantry.protocols.codec import NESTING_MAX, Malformed, from_bytes


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_the_bound_is_exact(opening: str, closing: str) -> None:
    deepest = opening * (NESTING_MAX - 1) + "[]" + closing * (NESTING_MAX - 1)
    assert from_bytes(deepest) == from_bytes(deepest.encode())
    for data in (one_more := opening + deepest + closing, one_more.encode()):
        with pytest.raises(Malformed, match="nested at most"):
            from_bytes(data)


def test_many_containers_beside_each_other_are_not_deep() -> None:
    assert from_bytes(f"[{','.join(['[]'] * 2 * NESTING_MAX)}]") == [[]] * 2 * NESTING_MAX
