"""One HTTP request as it came, and what a route answers."""

import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import BodyPartReader, web

API = "/api/v10"


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of a multipart request."""

    filename: str
    content: bytes
    content_type: str


@dataclass(slots=True, eq=False)
class Call:
    """A recorded request; `status` is 0 until answered, and stays 0 where the answer was lost."""

    method: str
    path: str
    route: str
    at: float
    variables: dict[str, str]
    query: dict[str, str]
    authorization: str | None
    body: Any = None
    uploads: list[Upload] = field(default_factory=list)
    status: int = 0
    shared_limit: bool = False

    def id(self, name: str) -> int:
        """A snowflake out of the path; 0 where it is none, which nothing has."""
        text = self.variables[name]
        return int(text) if text.isdigit() else 0

    @property
    def fields(self) -> dict[str, Any]:
        """The body as an object, empty where there is none."""
        return self.body if isinstance(self.body, dict) else {}


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: a body (None: no content) and its status."""

    body: Any = None
    status: int = 200


NO_CONTENT = Answer(status=204)


def json_response(answer: Answer, headers: dict[str, str]) -> web.Response:
    """The answer in bytes, its type exactly `application/json`, as Discord's is."""
    if answer.status == 204:
        return web.Response(status=204, headers=headers)
    return web.Response(
        status=answer.status,
        body=json.dumps(answer.body).encode(),
        headers={**headers, "Content-Type": "application/json"},
    )


async def read_call(request: web.Request, *, at: float) -> Call:
    """The request with its body read: JSON, or multipart with `payload_json` and files."""
    resource = request.match_info.route.resource
    call = Call(
        method=request.method,
        path=request.path.removeprefix(API),
        route=resource.canonical.removeprefix(API) if resource is not None else "",
        at=at,
        variables=dict(request.match_info),
        query=dict(request.query),
        authorization=request.headers.get("Authorization"),
    )
    if request.content_type == "multipart/form-data":
        await _read_parts(request, call)
    elif text := await request.text():
        call.body = json.loads(text)
    return call


async def _read_parts(request: web.Request, call: Call) -> None:
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            continue
        if part.name == "payload_json":
            call.body = json.loads(await part.text())
            continue
        kind = part.headers.get("Content-Type", "application/octet-stream")
        content = bytes(await part.read(decode=True))
        call.uploads.append(Upload(part.filename or "", content, kind))
