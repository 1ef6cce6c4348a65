"""Events of the gateway as Discord's OpenAPI document describes their objects, and odd ones.

An odd event is a whole one from which one field was left out. The document describes no event of
the gateway itself: what is around the objects stands here.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.discord_server.state import Json

WORD = "canaries"  # every text; it is base64, too, as some have to be
MOMENT = "2026-03-01T12:00:00+00:00"
_DEPTH = 3  # objects in objects; below it only what is required
_KINDS: Mapping[str, Any] = {"string": WORD, "integer": 1, "number": 1.0, "boolean": True}
# Of the objects in the document, by the event that carries one as it is.
_OBJECTS = {
    "MESSAGE_CREATE": "MessageResponse",
    "MESSAGE_UPDATE": "MessageResponse",
    "CHANNEL_CREATE": "GuildChannelResponse",
    "CHANNEL_UPDATE": "GuildChannelResponse",
    "CHANNEL_DELETE": "GuildChannelResponse",
    "THREAD_CREATE": "ThreadResponse",
    "THREAD_UPDATE": "ThreadResponse",
    "THREAD_DELETE": "ThreadResponse",
    "GUILD_UPDATE": "GuildResponse",
    "GUILD_MEMBER_ADD": "GuildMemberResponse",
    "GUILD_MEMBER_UPDATE": "GuildMemberResponse",
    "USER_UPDATE": "UserPIIResponse",
    "STAGE_INSTANCE_CREATE": "StageInstanceResponse",
    "AUTO_MODERATION_RULE_CREATE": "KeywordRuleResponse",
    "ENTITLEMENT_CREATE": "EntitlementResponse",
    "GUILD_AUDIT_LOG_ENTRY_CREATE": "AuditLogEntryResponse",
    "GUILD_SOUNDBOARD_SOUND_CREATE": "SoundboardSoundResponse",
    "INTEGRATION_CREATE": "DiscordIntegrationResponse",
}


class EventSamples:
    """Whole events about the things whose ids are `ids` (by the name of a field)."""

    def __init__(self, document: Json, ids: Mapping[str, int]) -> None:
        self._schemas: Json = document["components"]["schemas"]
        self._ids = ids

    def events(self) -> dict[str, Json]:
        """A whole payload of each event."""
        place = {"guild_id": self._id("guild_id")}
        events = {
            name: {**self._of(schema, self._own_id(name)), **place}
            for name, schema in _OBJECTS.items()
        }
        for name in ("CHANNEL_CREATE", "CHANNEL_UPDATE", "CHANNEL_DELETE"):
            events[name]["type"] = 0  # of a text channel; the document begins with another
        return events | self._small(place) | self._large(place)

    def _small(self, place: Json) -> dict[str, Json]:
        message = {"channel_id": self._id("channel_id"), **place}
        reaction = {
            **message,
            "message_id": self._id("message_id"),
            "user_id": self._id("user_id"),
            "emoji": {"id": None, "name": "x"},
        }
        role = self._of("GuildRoleResponse", self._id("role_id"))
        return {
            "MESSAGE_DELETE": {"id": self._id("message_id"), **message},
            "MESSAGE_DELETE_BULK": {"ids": [self._id("message_id")], **message},
            "MESSAGE_REACTION_ADD": {**reaction, "type": 0, "burst": False},
            "MESSAGE_REACTION_REMOVE": {**reaction, "type": 0, "burst": False},
            "MESSAGE_REACTION_REMOVE_ALL": {**message, "message_id": self._id("message_id")},
            "TYPING_START": {**message, "user_id": self._id("user_id"), "timestamp": 1},
            "CHANNEL_PINS_UPDATE": {**message, "last_pin_timestamp": MOMENT},
            "GUILD_ROLE_CREATE": {**place, "role": role},
            "GUILD_ROLE_UPDATE": {**place, "role": role},
            "GUILD_ROLE_DELETE": {**place, "role_id": self._id("role_id")},
            "GUILD_MEMBER_REMOVE": {**place, "user": self._of("UserResponse", None)},
            "GUILD_BAN_ADD": {**place, "user": self._of("UserResponse", None)},
        }

    def _large(self, place: Json) -> dict[str, Json]:
        thread = self._of("ThreadResponse", self._id("thread_id"))
        member = self._of("GuildMemberResponse", None)
        guild = {
            **self._of("GuildResponse", self._id("guild_id")),
            "channels": [{**self._of("GuildChannelResponse", self._id("channel_id")), "type": 0}],
            "threads": [thread],
            "members": [member],
            "voice_states": [self._of("VoiceStateResponse", None)],
            "unavailable": False,
            "joined_at": MOMENT,
        }
        command = {"id": self._id("id"), "name": "status", "type": 1, "options": []}
        interaction = {
            "id": self._id("id"),
            "application_id": self._id("application_id"),
            "type": 2,
            "token": "x",
            "version": 1,
            "data": command,
            "channel_id": self._id("channel_id"),
            "channel": {"id": self._id("channel_id"), "type": 0, "permissions": "0"},
            "member": {**member, "permissions": "0"},
            "locale": "en-US",
            "app_permissions": "0",
            "attachment_size_limit": 1,
            "entitlements": [],
            "authorizing_integration_owners": {"0": self._id("guild_id")},
            "context": 0,
        }
        synced = {**place, "threads": [thread], "members": [self._of("ThreadMemberResponse", None)]}
        return {
            "GUILD_CREATE": guild,
            "THREAD_LIST_SYNC": synced,
            "INTERACTION_CREATE": {**interaction, **place},
            "GUILD_DELETE": {"id": self._id("guild_id"), "unavailable": True},
        }

    def _own_id(self, event: str) -> str:
        kind = event.partition("_")[0].lower()
        if kind == "user":  # only of the bot itself
            return self._id("application_id")
        return self._id(f"{kind}_id")

    def _id(self, name: str) -> str:
        return str(self._ids.get(name, self._ids["id"]))

    def _of(self, name: str, own_id: str | None) -> Json:
        """An object of the document, with this id of its own."""
        made: Json = self._sample(self._schemas[name], "", 0)
        return made if own_id is None else {**made, "id": own_id}

    def _sample(self, schema: Json, name: str, depth: int) -> Any:
        if "$ref" in schema:
            target = schema["$ref"].rpartition("/")[2]
            if target == "SnowflakeType":
                return self._id("user_id" if name == "id" else name)
            return self._sample(self._schemas[target], name, depth)
        for several in ("oneOf", "anyOf", "allOf"):
            kinds = [one for one in schema.get(several, ()) if one.get("type") != "null"]
            if kinds and "properties" not in schema:
                return self._sample(kinds[0], name, depth)
        if "const" in schema or "enum" in schema:
            return schema["const"] if "const" in schema else schema["enum"][0]
        return self._plain(schema, name, depth)

    def _plain(self, schema: Json, name: str, depth: int) -> Any:
        kind = schema.get("type", "object")
        if isinstance(kind, list):
            kind = next(one for one in kind if one != "null")
        if kind == "null":
            return None
        if kind == "object":
            required = schema.get("required", ())
            return {
                key: self._sample(inner, key, depth + 1)
                for key, inner in schema.get("properties", {}).items()
                if depth < _DEPTH or key in required
            }
        if kind == "array":
            return [self._sample(schema["items"], name, depth + 1)] if depth < _DEPTH else []
        if schema.get("format") == "date-time":
            return MOMENT
        return "0" if "permission" in name or name in {"allow", "deny"} else _KINDS[kind]


def odd(payload: Json, depth: int = 2) -> Iterator[Json]:
    """The payload without one field, for each field; also of the objects in it."""
    for key, value in payload.items():
        yield {name: kept for name, kept in payload.items() if name != key}
        inner = value[0] if isinstance(value, list) and value else value
        if depth > 1 and isinstance(inner, dict):
            for less in odd(inner, depth - 1):
                yield {**payload, key: [less] if isinstance(value, list) else less}
