"""Requests against Discord's OpenAPI document."""

from pathlib import Path

import discord
import pytest

from tests.discord_server.bare_client import BareClient
from tests.discord_server.schema import OPENAPI, RequestSchemas, request_schemas
from tests.discord_server.server import DiscordServer
from tests.discord_server.state import Channel

MESSAGES = "/channels/{channel_id}/messages"


@pytest.fixture
def schemas() -> RequestSchemas:
    found = request_schemas()
    if found is None:
        pytest.skip(f"requests are not checked: there is no {OPENAPI}")
    return found


async def test_malformed_body_is_refused_and_noted(
    schemas: RequestSchemas, server: DiscordServer, client: BareClient, general: Channel
) -> None:
    assert schemas.complaint("POST", MESSAGES, {"content": "hi"}) is None
    route = discord.http.Route("POST", MESSAGES, channel_id=general.id)
    with pytest.raises(discord.HTTPException) as caught:
        await client.http.request(route, json={"content": ["not", "a", "string"]})
    assert caught.value.code == 50035
    (violation,) = server.violations
    assert violation.startswith(f"POST {MESSAGES}: $.content: ")
    assert server.replies(general) == []
    server.violations.clear()


@pytest.mark.parametrize(
    "body",
    [
        {"content": "x", "nonce": "x" * 26},
        {"content": "x", "message_reference": {"channel_id": "1"}},
        {"content": "x", "allowed_mentions": {"parse": ["nobody"]}},
        {"content": "x", "components": [{"type": 1, "components": [{"type": 2}]}]},
        {"embeds": [{"title": "x" * 257}]},
    ],
)
def test_mistakes_are_found(schemas: RequestSchemas, body: dict[str, object]) -> None:
    assert schemas.complaint("POST", MESSAGES, body) is not None


def test_undocumented_route_has_no_complaints(schemas: RequestSchemas) -> None:
    assert schemas.complaint("POST", "/nowhere", {"x": 1}) is None


def test_absent_document_means_unchecked(tmp_path: Path) -> None:
    assert request_schemas(tmp_path / "absent.json") is None
