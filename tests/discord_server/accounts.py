"""The routes about who is who: users, the application, the gateway's address, guilds."""

from collections.abc import Sequence

from tests.discord_server.errors import (
    MISSING_ACCESS,
    UNKNOWN_GUILD,
    UNKNOWN_MEMBER,
    UNKNOWN_USER,
    RefusedError,
)
from tests.discord_server.events import leave
from tests.discord_server.exchange import NO_CONTENT, Answer, Call
from tests.discord_server.gateway import Gateway
from tests.discord_server.intents import Intent
from tests.discord_server.payloads import (
    channel_payload,
    full_member_payload,
    guild_payload,
    role_payload,
    user_payload,
)
from tests.discord_server.platform import Platform
from tests.discord_server.routes import Route
from tests.discord_server.state import Guild

_LIMITED_FLAGS = {
    Intent.GUILD_PRESENCES: 1 << 13,
    Intent.GUILD_MEMBERS: 1 << 15,
    Intent.MESSAGE_CONTENT: 1 << 19,
}


class AccountRoutes:
    """What a bot may ask about itself and others."""

    def __init__(self, platform: Platform, gateway: Gateway) -> None:
        self._platform = platform
        self._world = platform.world
        self._gateway = gateway

    def routes(self) -> Sequence[Route]:
        """Method, path and function of each."""
        guild = "/guilds/{guild_id}"
        return [
            Route("GET", "/gateway", self.gateway),
            Route("GET", "/gateway/bot", self.gateway),
            Route("GET", "/users/@me", self.me),
            Route("GET", "/users/@me/guilds", self.my_guilds),
            Route("DELETE", "/users/@me/guilds/{guild_id}", self.leave),
            Route("POST", "/users/@me/channels", self.open_direct_channel),
            Route("GET", "/users/{user_id}", self.user),
            Route("GET", "/applications/@me", self.application),
            Route("GET", "/oauth2/applications/@me", self.application),
            Route("GET", guild, self.guild),
            Route("GET", guild + "/channels", self.channels),
            Route("GET", guild + "/roles", self.roles),
            Route("GET", guild + "/members/{user_id}", self.member),
        ]

    def gateway(self, call: Call) -> Answer:
        """GET the gateway's address; for a bot with the identifies that are left."""
        if call.route == "/gateway":
            return Answer({"url": self._gateway.url})
        limit = {
            "total": 1000,
            "remaining": 1000 - len(self._gateway.identifies),
            "reset_after": 86_400_000,
            "max_concurrency": 1,
        }
        return Answer({"url": self._gateway.url, "shards": 1, "session_start_limit": limit})

    def me(self, call: Call) -> Answer:
        """GET the bot's own account."""
        assert call.authorization is not None
        return Answer({**user_payload(self._world.bot), "verified": True, "mfa_enabled": True})

    def user(self, call: Call) -> Answer:
        """GET somebody's account."""
        user = self._world.users.get(call.id("user_id"))
        if user is None:
            raise RefusedError(UNKNOWN_USER)
        return Answer(user_payload(user))

    def application(self, call: Call) -> Answer:
        """GET the bot's application."""
        assert call.authorization is not None
        bot = self._world.bot
        return Answer(
            {
                "id": str(self._world.application_id),
                "name": bot.name,
                "icon": None,
                "description": "",
                "bot_public": True,
                "bot_require_code_grant": False,
                "bot": user_payload(bot),
                "owner": user_payload(self._world.owner),
                "team": None,
                "verify_key": "0" * 64,
                "flags": _flags(self._platform.portal_intents),
                "approximate_guild_count": len(self._world.guilds),
                "integration_types_config": {"0": {}},
                **self._platform.portal_fields,
            }
        )

    def my_guilds(self, call: Call) -> Answer:
        """GET the guilds that the bot is in."""
        assert call.authorization is not None
        return Answer(
            [
                {"id": str(one.id), "name": one.name, "owner": False, "permissions": "0"}
                for one in self._world.guilds.values()
                if not one.left
            ]
        )

    def leave(self, call: Call) -> Answer:
        """DELETE the bot's own membership."""
        leave(self._platform, self._guild(call))
        return NO_CONTENT

    def open_direct_channel(self, call: Call) -> Answer:
        """POST a direct channel."""
        user = self._world.users.get(int(call.fields["recipient_id"]))
        if user is None:
            raise RefusedError(UNKNOWN_USER)
        return Answer(channel_payload(self._world.direct_channel(user), self._world.bot))

    def guild(self, call: Call) -> Answer:
        """GET a guild."""
        return Answer(guild_payload(self._guild(call), self._world.bot))

    def channels(self, call: Call) -> Answer:
        """GET a guild's channels."""
        channels = self._guild(call).channels.values()
        return Answer(
            [
                channel_payload(one, self._world.bot)
                for one in channels
                if not one.is_thread and self._platform.sees(one)
            ]
        )

    def roles(self, call: Call) -> Answer:
        """GET a guild's roles."""
        return Answer([role_payload(role) for role in self._guild(call).roles.values()])

    def member(self, call: Call) -> Answer:
        """GET a member of a guild."""
        member = self._guild(call).members.get(call.id("user_id"))
        if member is None:
            raise RefusedError(UNKNOWN_MEMBER)
        return Answer(full_member_payload(member))

    def _guild(self, call: Call) -> Guild:
        guild = self._world.guilds.get(call.id("guild_id"))
        if guild is None:
            raise RefusedError(UNKNOWN_GUILD)
        if guild.left:
            raise RefusedError(MISSING_ACCESS)
        return guild


def _flags(portal_intents: Intent) -> int:
    """How an application in few servers shows which privileged intents it was allowed."""
    return sum(flag for intent, flag in _LIMITED_FLAGS.items() if intent in portal_intents)
