"""Request bodies against Discord's own OpenAPI document, where it lies beside the checkout."""

import functools
import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

OPENAPI = Path(__file__).resolve().parents[3] / "shared" / "discord-openapi.json"
_URI = "urn:discord"


class RequestSchemas:
    """Validators by method and route, each made when it is first needed."""

    def __init__(self, document: dict[str, Any]) -> None:
        # The document calls ids strings; Discord takes numbers too, and discord.py sends them.
        document["components"]["schemas"]["SnowflakeType"]["type"] = ["string", "integer"]
        resource = Resource.from_contents(document, default_specification=DRAFT202012)
        self._paths: dict[str, Any] = document["paths"]
        self._registry: Registry[Any] = Registry().with_resource(_URI, resource)
        self._validators: dict[tuple[str, str], Draft202012Validator | None] = {}

    def complaint(self, method: str, route: str, body: object) -> str | None:
        """What is wrong with a request body; None where nothing is, or nothing is documented."""
        validator = self._validator(method, route)
        if validator is None:
            return None
        error = best_match(validator.iter_errors(body))
        if error is None:
            return None
        return f"{method} {route}: {error.json_path}: {error.message}"[:500]

    def _validator(self, method: str, route: str) -> Draft202012Validator | None:
        key = (method, route)
        if key not in self._validators:
            self._validators[key] = self._made(method.lower(), route)
        return self._validators[key]

    def _made(self, method: str, route: str) -> Draft202012Validator | None:
        operation = self._paths.get(route, {}).get(method, {})
        if "requestBody" not in operation:
            return None
        escaped = route.replace("/", "~1")
        pointer = f"/paths/{escaped}/{method}/requestBody/content/application~1json/schema"
        return Draft202012Validator({"$ref": f"{_URI}#{pointer}"}, registry=self._registry)


@functools.cache
def request_schemas(path: Path = OPENAPI) -> RequestSchemas | None:
    """The schemas of the document at `path`, read once; None where it does not exist."""
    if not path.is_file():
        return None
    return RequestSchemas(json.loads(path.read_bytes()))
