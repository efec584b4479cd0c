"""An object that travels often is made and rendered once; what is equal to it stays equal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from gantry.protocols.codec import OURS, Json
from gantry.protocols.objects.cluster import Cluster

SAMPLE: Final = Path(__file__).parents[3] / "facts/samples/config.data"


def _sent() -> dict[str, Json]:
    cluster: dict[str, Json] = json.loads(SAMPLE.read_text())["cluster"]
    return cluster


def test_an_equal_value_is_the_same_object() -> None:
    assert OURS.structure(_sent(), Cluster) is OURS.structure(_sent(), Cluster)


def test_another_value_is_another_object() -> None:
    first, second = _sent(), {**_sent(), "cluster_name": "other.gnt.test"}
    before = OURS.structure(first, Cluster)
    after = OURS.structure(second, Cluster)
    assert (before.cluster_name, after.cluster_name) == (first["cluster_name"], "other.gnt.test")
    assert OURS.structure(first, Cluster) == before


def test_whoever_changes_a_rendered_form_changes_it_for_nobody_else() -> None:
    cluster = OURS.structure(_sent(), Cluster)
    rendered = OURS.unstructure(cluster)
    rendered["cluster_name"] = "changed"
    assert OURS.unstructure(cluster)["cluster_name"] == cluster.cluster_name
