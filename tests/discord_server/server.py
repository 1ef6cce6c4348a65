"""DiscordServer: everything put together on one loopback port."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from fnmatch import fnmatchcase
from typing import TypeVar

from aiohttp import web

from tests.discord_server.accounts import AccountRoutes
from tests.discord_server.callbacks import CallbackRoutes
from tests.discord_server.command_routes import CommandRoutes
from tests.discord_server.encounters import InteractionVerbs
from tests.discord_server.exchange import API, Call
from tests.discord_server.faults import Faults
from tests.discord_server.gateway import PATH, Gateway
from tests.discord_server.intents import Intent
from tests.discord_server.limits import Limits
from tests.discord_server.members import MemberVerbs
from tests.discord_server.messages import MessageRoutes
from tests.discord_server.platform import Platform
from tests.discord_server.rest import Rest
from tests.discord_server.schema import request_schemas
from tests.discord_server.state import Channel, Message

T = TypeVar("T")

_INVALID = frozenset({401, 403, 429})


class DiscordServer(MemberVerbs, InteractionVerbs):
    """A Discord for one test: verbs of members, faults, and a record of what the bot did."""

    def __init__(self) -> None:
        platform = Platform()
        callbacks = CallbackRoutes(platform)
        MemberVerbs.__init__(self, platform)
        InteractionVerbs.__init__(self, platform, callbacks)
        self.gateway = Gateway(platform)
        routes = [
            *AccountRoutes(platform, self.gateway).routes(),
            *MessageRoutes(platform).routes(),
            *callbacks.routes(),
            *CommandRoutes(platform).routes(),
        ]
        self._rest = Rest(platform, routes, request_schemas())
        self._runner: web.AppRunner | None = None
        self.token = platform.token
        self.clock = platform.clock
        self.bot = platform.world.bot
        self.violations = platform.violations
        self.sent = platform.sent

    @property
    def url(self) -> str:
        """Where the server listens, without a path."""
        return self.platform.base_url

    @property
    def faults(self) -> Faults:
        """What is to go wrong."""
        return self._rest.faults

    @property
    def limits(self) -> Limits:
        """Rate limits to enforce."""
        return self._rest.limits

    @property
    def requests(self) -> list[Call]:
        """Every REST request, in order of arrival."""
        return self._rest.requests

    async def start(self) -> None:
        """Listen on a free port of the loopback."""
        app = self._rest.application()
        app.on_response_prepare.append(self._tell_time)
        app.router.add_get(PATH, self.gateway.serve)
        app.router.add_get("/attachments/{channel_id}/{attachment_id}/{name}", self._file)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        port = self._runner.addresses[0][1]
        self.platform.base_url = f"http://127.0.0.1:{port}"
        self.gateway.url = f"ws://127.0.0.1:{port}{PATH}"

    async def stop(self) -> None:
        """Release what is held, cut what is open, stop listening."""
        self.faults.clear()
        self.gateway.drop()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def api_url(self) -> str:
        """What takes the place of https://discord.com/api/v10."""
        return self.url + API

    def enable_in_portal(self, intents: Intent) -> None:
        """Enable privileged intents, as an operator does in the developer portal."""
        self.platform.portal_intents = intents

    def set_in_portal(self, **fields: object) -> None:
        """Change the application, as an operator does in the developer portal."""
        self.platform.portal_fields.update(fields)

    def forget_nonces(self) -> None:
        """As if a few minutes had passed since the last message."""
        self.platform.forget_nonces()

    def requests_to(self, method: str, path: str) -> list[Call]:
        """The requests to a path (`*` matches anything), in order."""
        return [
            one for one in self.requests if one.method == method and fnmatchcase(one.path, path)
        ]

    def invalid_requests(self) -> list[Call]:
        """Those that count towards the ban after 10,000 in ten minutes."""
        return [one for one in self.requests if one.status in _INVALID and not one.shared_limit]

    def replies(self, channel: Channel) -> list[Message]:
        """What the bot has sent into a channel, deleted messages too, answers to commands not."""
        return [one for one in self.sent if one.channel is channel]

    async def wait_for(
        self, found: Callable[[], T | None], *, timeout: float = 10.0, what: str = "a condition"
    ) -> T:
        """The first true value of `found()`, looked at after every change."""
        last = [f"{one.method} {one.path} {one.status}" for one in self.requests[-8:]]
        what = f"{what}; requests before the wait: {last}"
        return await self.platform.watch.until(found, timeout=timeout, what=what)

    async def wait_replies(
        self, channel: Channel, number: int = 1, *, timeout: float = 10.0
    ) -> list[Message]:
        """The bot's messages in a channel, once there are at least `number`."""

        def enough() -> list[Message] | None:
            sent = self.replies(channel)
            return sent if len(sent) >= number else None

        return await self.wait_for(
            enough, timeout=timeout, what=f"{number} replies in {channel.name}"
        )

    async def wait_ready(self, number: int = 1, *, timeout: float = 10.0) -> None:
        """Until the `number`-th READY is out, with its guilds: what is said from now on arrives."""
        await self.wait_for(
            lambda: self.gateway.num_ready >= number, timeout=timeout, what=f"{number} x READY"
        )

    async def _tell_time(self, _request: web.Request, response: web.StreamResponse) -> None:
        """Every answer tells the time by this server's clock, to the second."""
        response.headers["Date"] = formatdate(int(self.clock.now()), usegmt=True)

    async def _file(self, request: web.Request) -> web.Response:
        attachment = self.platform.attachments.get(int(request.match_info["attachment_id"]))
        if attachment is None:
            return web.Response(status=404)
        return web.Response(body=attachment.content, content_type=attachment.content_type)


@asynccontextmanager
async def serving() -> AsyncIterator[DiscordServer]:
    """A running server; at the end it asserts that every request was one Discord documents."""
    server = DiscordServer()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
    assert server.violations == []
