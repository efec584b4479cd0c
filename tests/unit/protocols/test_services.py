"""Every protocol's types can travel: converters are made late, so a wrong type shows late."""

from __future__ import annotations

from typing import Any

import pytest

from gantry.cli.devcluster.control import SUPERVISOR
from gantry.protocols.jobproc import JOB_PROCESS
from gantry.protocols.join import JOIN
from gantry.protocols.luxi import LUXI
from gantry.protocols.noded import NODED
from gantry.protocols.replication import LEADING, REPLICAS
from gantry.protocols.service import Service
from gantry.protocols.wconfd import WCONFD

SERVICES = (JOB_PROCESS, JOIN, LEADING, LUXI, NODED, REPLICAS, SUPERVISOR, WCONFD)


@pytest.mark.parametrize("service", SERVICES, ids=lambda each: each.name)
def test_all_arguments_and_results_have_converters(service: Service[Any]) -> None:
    for method in service.methods.values():
        method.prepare()
