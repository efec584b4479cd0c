"""What is asked of the cluster as a whole, compared with what Ganeti's LuxiD answered."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from gantry.core.query.cluster import QueueState, Release, cluster_info, config_values, tags
from gantry.core.query.view import View
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.luxi import TagKind

RELEASE = Release("3.0.2", "(ganeti) version 3.0.2-3", ("64bits", "x86_64"))


def test_cluster_info_is_ganetis(view: View, recorded: Mapping[str, Any]) -> None:
    ours = orjson.loads(orjson.dumps(cluster_info(view, RELEASE)))
    theirs = dict(recorded["cluster_info"]["response"]["result"])
    assert ours.keys() == theirs.keys()
    del ours["mtime"], theirs["mtime"]  # the configuration was recorded later
    assert ours == theirs


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("config_values_known", QueueState(drained=False, watcher_pause=None)),
        ("config_values_bad", QueueState(drained=False, watcher_pause=None)),
        ("config_drain", QueueState(drained=True, watcher_pause=None)),
        ("config_watcher", QueueState(drained=False, watcher_pause=1795250687)),
    ],
)
def test_config_values_are_ganetis(
    name: str, state: QueueState, view: View, recorded: Mapping[str, Any]
) -> None:
    (fields,) = recorded[name]["request"]["args"]
    assert config_values(fields, view, state) == recorded[name]["response"]["result"]


@pytest.mark.parametrize(
    "name",
    ["tags_cluster_", "tags_instance_inst2.gnt.test", "tags_node_node2.gnt.test",
     "tags_nodegroup_default", "tags_network_net1"],
)  # fmt: skip
def test_tags_are_ganetis(name: str, view: View, recorded: Mapping[str, Any]) -> None:
    kind, subject = recorded[name]["request"]["args"]
    assert tags(kind, subject, view) == recorded[name]["response"]["result"]


@pytest.mark.parametrize("kind", ["instance", "node", "nodegroup", "network"])
def test_tags_of_nobody(kind: TagKind, view: View) -> None:
    with pytest.raises(OpPrereqError, match=f"{kind} nosuch is not known") as caught:
        tags(kind, "nosuch", view)
    assert caught.value.args[1] == "unknown_entity"
