"""The recorded cluster: RapiD's parts put together by hand over a LuxiD that answers from it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import trio
from attrs import define, field
from tests.unit.runtime.canned_luxid import CannedLuxid, CannedNetwork, Failure
from typing_extensions import override

from gantry.daemons.rapid.access import Users
from gantry.daemons.rapid.api import Api
from gantry.runtime.environment import Clock, Environment
from gantry.runtime.http.messages import Request, Response, Target
from gantry.runtime.luxi_client import LuxiClient
from gantry.runtime.real import real_environment
from gantry.runtime.testing.files import MemoryFiles
from gantry.security.rapi_users import ha1

Recorded = dict[str, Any]

FACTS = Path(__file__).parents[3] / "facts" / "samples"
SAMPLES: list[Recorded] = json.loads((FACTS / "rapi.json").read_text())
BY_NAME: dict[str, Recorded] = {each["name"]: each for each in SAMPLES}

USERS = f"""# users of the test
admin secret write
reader {{cleartext}}look read
hashed {{HA1}}{ha1("hashed", "digest")} write
nobody nothing
"""

NOW = 1_700_000_000.5
NOW_NS = 1_700_000_000_500_000_000


@define
class FixedClock(Clock):
    """Always the same time."""

    @override
    def now(self) -> float:
        return NOW


def basic(name: str, password: str) -> tuple[str, str]:
    encoded = base64.b64encode(f"{name}:{password}".encode()).decode()
    return "authorization", f"Basic {encoded}"


ADMIN = basic("admin", "secret")


def _objects(path: str) -> list[Recorded]:
    found: list[Recorded] = BY_NAME[f"get {path}?bulk=1"]["json"]
    if path == "/2/instances":
        console = BY_NAME["get /2/instances/inst2.gnt.test/console"]["json"]
        return [{**each, "console": console} for each in found]
    return found


def _table(path: str) -> Callable[..., object]:
    """Answer an older query from a recorded bulk list; short names find theirs."""

    def query(names: list[str] | None, fields: list[str], lock: bool = False) -> object:
        if lock:
            raise Failure(["OpPrereqError", ["Sync queries are not allowed", "wrong_input"]])
        return [
            [each.get(name) for name in fields]
            for each in _objects(path)
            if not names or _called(each) & set(names)
        ]

    return query


def _called(each: Recorded) -> set[str]:
    name = str(each.get("name", each.get("uuid")))
    return {name, name.partition(".")[0]}


def _jobs(ids: list[int] | None, fields: list[str]) -> object:
    jobs = {job["id"]: job for job in _objects("/2/jobs")}
    wanted = list(jobs) if ids is None else ids
    return [[jobs.get(job, {"id": job}).get(name) for name in fields] for job in wanted]


def _tags(kind: str, name: str) -> object:
    paths = {"cluster": "", "instance": "instances/", "node": "nodes/", "nodegroup": "groups/"}
    path = f"/2/{paths.get(kind, 'networks/')}{name}{'/' if name else ''}tags"
    sample = BY_NAME[f"get {path}"]
    if sample["status"] != 200:
        raise Failure(["OpPrereqError", [f"Instance name {name} not found", "unknown_entity"]])
    return sample["json"]


def _query(what: str, fields: list[str], condition: object) -> object:
    path = f"/2/query/{what}?fields={','.join(fields)}"
    sample = BY_NAME["query put"] if condition is not None else BY_NAME[f"get {path}"]
    return _told(sample)


def _query_fields(what: str, fields: list[str] | None) -> object:
    path = f"/2/query/{what}/fields" + (f"?fields={','.join(fields)}" if fields else "")
    return _told(BY_NAME[f"get {path}"])


def _told(sample: Recorded) -> object:
    """Return what LuxiD must have said for this to come out."""
    message = str(sample["json"].get("message", "")).replace("&#x27;", "'").replace("&quot;", '"')
    if sample["status"] == 502:
        raise Failure(message)
    if sample["status"] == 500:
        raise Failure(["GenericError", [message]])
    return sample["json"]


def _wait(job: int, fields: list[str], *_: object) -> object:
    if job < 300:
        raise Failure(["JobLost", ["Can't load job file"]])
    known = {"status": "success", "opresult": [[["noop", []]]]}
    return [[known[name] for name in fields], []]


def answers() -> dict[str, object]:
    """Return LuxiD's answers by method."""
    info = dict(BY_NAME["get /2/info"]["json"])
    for alias in ("vg_name", "drbd_helper"):
        del info[alias]
    return {
        "QueryClusterInfo": info,
        "QueryInstances": _table("/2/instances"),
        "QueryNodes": _table("/2/nodes"),
        "QueryGroups": _table("/2/groups"),
        "QueryNetworks": _table("/2/networks"),
        "QueryFilters": _table("/2/filters"),
        "QueryJobs": _jobs,
        "QueryTags": _tags,
        "Query": _query,
        "QueryFields": _query_fields,
        "CancelJob": lambda job, _kill: [False, f"Job {job} not found in queue"],
        "WaitForJobChange": _wait,
        "SubmitJob": 1234,
        "ReplaceFilter": lambda uuid, *_: uuid or "3a216a10-aa10-4871-91b7-7a89de4d2e08",
        "DeleteFilter": None,
    }


def environment(root: Path, files: MemoryFiles) -> Environment:
    env = real_environment({"GANTRY_ROOT": str(root)})
    files.put(env.paths.data / "rapi/users", USERS.encode())
    return attrs.evolve(env, files=files, clock=FixedClock())


@define(eq=False)
class World:
    """An :class:`Api`, and the LuxiD behind it."""

    api: Api
    luxid: CannedLuxid
    network: CannedNetwork
    files: MemoryFiles
    env: Environment
    answers: dict[str, object] = field(factory=dict)

    @classmethod
    async def made(cls, nursery: trio.Nursery, root: Path) -> World:
        files = MemoryFiles()
        env = environment(root, files)
        table = answers()
        luxid = CannedLuxid(nursery, table)
        network = CannedNetwork(luxid)
        users = Users(env)
        await users.reload()
        client = LuxiClient(network, Path("/run/query"))
        return cls(Api(client.luxi, users, env.clock), luxid, network, files, env, table)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        user: tuple[str, str] | None = ADMIN,
    ) -> Response:
        """Ask as the server would: the head first, then everything."""
        sent = {name.lower(): value for name, value in (headers or {}).items()}
        data = body.encode() if isinstance(body, str) else b""
        if body is not None and not isinstance(body, str):
            data = json.dumps(body).encode()
            sent.setdefault("content-type", "application/json")
        listed = tuple(sent.items()) + ((user,) if user else ())
        head = Request(method, Target.of(path), listed)
        return self.api.check_head(head) or await self.api.handle(attrs.evolve(head, body=data))

    def submitted(self) -> list[Recorded]:
        """Return the opcodes of the only job that was submitted."""
        ((ops,),) = self.luxid.calls("SubmitJob")
        assert isinstance(ops, list)
        return ops


def loaded(response: Response) -> Any:  # noqa: ANN401 - whatever the body holds
    assert isinstance(response.body, bytes)
    assert response.body.endswith(b"\n")
    return json.loads(response.body)
