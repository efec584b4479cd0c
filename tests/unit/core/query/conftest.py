"""A real cluster's configuration, and what Ganeti's LuxiD answered about it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gantry.core.query.view import View
from gantry.protocols.objects.configuration import Configuration, load_configuration

FACTS = Path(__file__).parents[3] / "facts"


@pytest.fixture(scope="session")
def stored() -> dict[str, Any]:
    """The configuration as JSON; a test that changes it copies it first."""
    loaded: dict[str, Any] = json.loads((FACTS / "samples" / "config.data").read_text())
    return loaded


@pytest.fixture(scope="session")
def configuration(stored: dict[str, Any]) -> Configuration:
    return load_configuration(stored)


@pytest.fixture
def view(configuration: Configuration) -> View:
    return View(configuration)


@pytest.fixture(scope="session")
def recorded() -> Mapping[str, Any]:
    """Requests with Ganeti's responses, by name."""
    pairs = json.loads((FACTS / "samples" / "luxi.json").read_text())
    return {pair["name"]: pair for pair in pairs}


@pytest.fixture(scope="session")
def resources() -> Mapping[str, Any]:
    """The fields that Ganeti has."""
    loaded: dict[str, Any] = json.loads((FACTS / "query.json").read_text())["resources"]
    return loaded
