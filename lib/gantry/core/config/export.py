"""The configuration as Ganeti would have it: without what is ours alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from gantry.protocols.codec import Json
from gantry.protocols.config_records import SOURCE_KEY, load_source
from gantry.protocols.objects.configuration import GANTRY_KEY


def exported(value: Mapping[str, Json]) -> dict[str, Json]:
    """Return the JSON value of a ``config.data`` that Ganeti of the source's version loads.

    Nodes whose certificates were replaced when the cluster was taken over have their old ones.

    Raises:
        gantry.protocols.codec.Malformed: what stands under our own key is not ours.
    """
    result = {name: each for name, each in value.items() if name != GANTRY_KEY}
    ours = value.get(GANTRY_KEY)
    source = load_source(ours.get(SOURCE_KEY)) if isinstance(ours, dict) else None
    if source is not None:
        cluster = cast("Mapping[str, Json]", value["cluster"])
        listed = cast("Mapping[str, Json]", cluster["candidate_certs"])
        old = cast("Mapping[str, Json]", source.candidate_certs)
        certificates = {uuid: old.get(uuid, digest) for uuid, digest in listed.items()}
        result["cluster"] = {**cluster, "candidate_certs": certificates}
    return result
