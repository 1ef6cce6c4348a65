"""The routes about an application's commands, which Discord does not give back as it got them."""

from collections.abc import Sequence

from tests.discord_server.errors import ENTRY_POINT_MISSING, MISSING_ACCESS, RefusedError
from tests.discord_server.exchange import Answer, Call
from tests.discord_server.platform import Platform
from tests.discord_server.routes import Route
from tests.discord_server.state import Json

ENTRY_POINT = 4
_BOT_DM = 1
_OMITTED = ("required", "autocomplete", "choices", "channel_types", "options")  # where empty
_LOCALIZED = ("name_localizations", "description_localizations")


class CommandRoutes:
    """All commands of a place at once: an application's own, or those of one guild."""

    def __init__(self, platform: Platform) -> None:
        self._world = platform.world

    def routes(self) -> Sequence[Route]:
        """Method, path and function of each."""
        everywhere = "/applications/{application_id}/commands"
        in_guild = "/applications/{application_id}/guilds/{guild_id}/commands"
        return [
            Route("GET", everywhere, self.commands),
            Route("PUT", everywhere, self.set_commands),
            Route("GET", in_guild, self.commands),
            Route("PUT", in_guild, self.set_commands),
        ]

    def commands(self, call: Call) -> Answer:
        """GET the commands, global or of a guild; translations only where they are asked for."""
        translated = call.query.get("with_localizations") == "true"
        commands = self._world.commands.get(self._place_of(call), [])
        return Answer([_shown(one, translated=translated) for one in commands])

    def set_commands(self, call: Call) -> Answer:
        """PUT all application commands; one that keeps its name keeps its id."""
        guild_id = self._place_of(call)
        past = self._world.commands.get(guild_id, [])
        known = {(one["type"], one["name"]): one["id"] for one in past}
        commands = [self._registered(one, guild_id, known) for one in call.body]
        kept = {one["id"] for one in commands}
        if any(one["type"] == ENTRY_POINT and one["id"] not in kept for one in past):
            raise RefusedError(ENTRY_POINT_MISSING)
        self._world.commands[guild_id] = commands
        return Answer([_shown(one, translated=True) for one in commands])

    def _place_of(self, call: Call) -> int | None:
        if call.id("application_id") != self._world.application_id:
            raise RefusedError(MISSING_ACCESS)
        if "guild_id" not in call.variables:
            return None
        guild = self._world.guilds.get(call.id("guild_id"))
        if guild is None or guild.left:
            raise RefusedError(MISSING_ACCESS)
        return guild.id

    def _registered(
        self, asked: Json, guild_id: int | None, known: dict[tuple[int, str], str]
    ) -> Json:
        kind = asked.get("type") or 1
        needed = asked.get("default_member_permissions")
        made: Json = {
            "description": "",
            "dm_permission": True,
            "nsfw": False,
            **asked,
            "type": kind,
            "default_member_permissions": None if needed is None else str(needed),
            "id": known.get((kind, asked["name"])) or str(self._world.ids.next()),
            "application_id": str(self._world.application_id),
            "version": str(self._world.ids.next()),
        }
        if guild_id is None:
            return {**made, **_places(made)}
        made["guild_id"] = str(guild_id)
        return {**made, "contexts": None}


def _places(made: Json) -> Json:
    """Where a command of all servers can be used, as it is given back."""
    contexts = made.get("contexts")
    if contexts is None:
        return {"contexts": None, "integration_types": [0]}
    return {
        "contexts": sorted(contexts),
        "integration_types": sorted(made.get("integration_types") or [0]),
        "dm_permission": _BOT_DM in contexts,
    }


def _shown(node: Json, *, translated: bool) -> Json:
    """A command, an option or a choice as Discord gives it back."""
    shown: Json = {}
    for key, value in node.items():
        if key in _OMITTED and not value:
            continue
        if key in _LOCALIZED and not translated:
            continue
        nested = isinstance(value, list) and key in {"options", "choices"}
        shown[key] = [_shown(one, translated=translated) for one in value] if nested else value
    if translated:
        shown = {**dict.fromkeys(_LOCALIZED[:1] if "value" in node else _LOCALIZED), **shown}
    return shown
