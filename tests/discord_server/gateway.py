"""The gateway: HELLO, IDENTIFY, RESUME, heartbeats, and everything that can go wrong there."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from aiohttp import WSMsgType, web

from tests.discord_server.intents import PRIVILEGED, Intent
from tests.discord_server.payloads import full_member_payload, guild_payload, user_payload
from tests.discord_server.platform import Platform
from tests.discord_server.sessions import GatewaySession
from tests.discord_server.wire import Connection, encoder_for

PATH = "/socket"
_HEARTBEAT, _IDENTIFY, _PRESENCE, _VOICE, _RESUME, _RECONNECT = 1, 2, 3, 4, 6, 7
_REQUEST_MEMBERS, _INVALID_SESSION, _HELLO, _ACK = 8, 9, 10, 11
_MAX_PAYLOAD_BYTES = 4096
_LEAVING = frozenset({1000, 1001})
_ENDING = frozenset({4004, 4007, 4009, 4010, 4011, 4012, 4013, 4014})


@dataclass(frozen=True, slots=True)
class Identify:
    """One IDENTIFY as it came."""

    intents: Intent
    shard_id: int
    at: float


class Gateway:
    """Serves websockets; a test steers it by the attributes and verbs."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self.url = ""
        self.heartbeat_interval_ms = 41_250
        self.accepts = True
        self.acknowledges = True
        self.refuses_identify_with: list[int] = []
        self.identifies: list[Identify] = []
        self.num_ready = 0
        self.num_heartbeats = 0
        self._open: set[Connection] = set()

    @property
    def sessions(self) -> list[GatewaySession]:
        """Every session so far, the ended ones too."""
        return self._platform.hub.sessions

    @property
    def num_open(self) -> int:
        """Connections that stand."""
        return len(self._open)

    def close(self, code: int) -> None:
        """Close every connection with a code; fatal ones end the session."""
        for connection in self._open:
            connection.close(code)
        if code in _ENDING:
            self.forget_sessions()

    def drop(self) -> None:
        """Cut every TCP connection; what was not sent yet waits for the resume."""
        for connection in self._open:
            connection.drop()

    def ask_to_reconnect(self) -> None:
        """Send RECONNECT: the client comes back and resumes."""
        for connection in self._open:
            connection.send(_RECONNECT)

    def invalidate(self, *, resumable: bool = False) -> None:
        """Send INVALID SESSION; unless resumable, the client has to identify again."""
        for one in self.sessions:
            one.ended = one.ended or not resumable
        for connection in self._open:
            connection.send(_INVALID_SESSION, resumable)

    def forget_sessions(self) -> None:
        """As after a long absence: nothing can be resumed."""
        for one in self.sessions:
            one.ended = True

    def ask_for_heartbeat(self) -> None:
        """Ask for a heartbeat out of turn."""
        for connection in self._open:
            connection.send(_HEARTBEAT)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One connection, from its handshake to its end."""
        if not self.accepts:
            return web.Response(status=503)
        websocket = web.WebSocketResponse(compress=False, timeout=1.0)
        connection = Connection(websocket, encoder_for(request.query.get("compress")))
        await connection.open(request)
        connection.send(_HELLO, {"heartbeat_interval": self.heartbeat_interval_ms, "_trace": []})
        self._open.add(connection)
        writer = asyncio.create_task(connection.write())
        try:
            async for frame in websocket:
                if frame.type is not WSMsgType.TEXT:
                    connection.close(4002)
                    continue
                self._received(connection, frame.data)
        finally:
            self._ended(connection, websocket.close_code)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        return websocket

    def _ended(self, connection: Connection, code: int | None) -> None:
        self._open.discard(connection)
        for one in self.sessions:
            if one.connection is connection:
                one.ended = one.ended or (not connection.closing and code in _LEAVING)
                one.detach(connection)
        self._platform.watch.changed()

    def _received(self, connection: Connection, text: str) -> None:
        if connection.closing:
            return
        if len(text.encode()) > _MAX_PAYLOAD_BYTES:
            connection.close(4002)
            return
        frame = json.loads(text)
        op, payload = frame["op"], frame.get("d")
        if op == _HEARTBEAT:
            self.num_heartbeats += 1
            if self.acknowledges:
                connection.send(_ACK)
        elif op == _IDENTIFY:
            self._identify(connection, payload)
        elif op == _RESUME:
            self._resume(connection, payload)
        elif not any(one.connection is connection for one in self.sessions):
            connection.close(4003)
        elif op == _REQUEST_MEMBERS:
            self._send_members(connection, payload)
        elif op == _VOICE:
            self._platform.violations.append("the bot asked for a voice connection")
        elif op != _PRESENCE:
            connection.close(4001)
        self._platform.watch.changed()

    def _identify(self, connection: Connection, payload: dict[str, Any]) -> None:
        intents = Intent(payload["intents"])
        shard_id, num_shards = payload.get("shard", (0, 1))
        self.identifies.append(Identify(intents, shard_id, self._platform.clock.now()))
        if self.refuses_identify_with:
            connection.close(self.refuses_identify_with.pop(0))
        elif payload["token"] != self._platform.token:
            connection.close(4004)
        elif intents & PRIVILEGED & ~self._platform.portal_intents:
            connection.close(4014)
        else:
            session = GatewaySession(intents, shard_id, num_shards, connection=connection)
            self.sessions.append(session)
            self._greet(session)

    def _greet(self, session: GatewaySession) -> None:
        world = self._platform.world
        guilds = [
            guild
            for guild in world.guilds.values()
            if not guild.left and session.wants(Intent.NONE, guild.id)
        ]
        ready = {
            "v": 10,
            "user": {**user_payload(world.bot), "verified": True, "mfa_enabled": True},
            "guilds": [{"id": str(guild.id), "unavailable": True} for guild in guilds],
            "session_id": session.id,
            "session_type": "normal",
            "resume_gateway_url": self.url,
            "shard": [session.shard_id, session.num_shards],
            "application": {"id": str(world.application_id), "flags": 0},
            "private_channels": [],
        }
        session.dispatch("READY", ready)
        if Intent.GUILDS in session.intents:
            for guild in guilds:
                session.dispatch("GUILD_CREATE", guild_payload(guild, world.bot))
        self.num_ready += 1

    def _resume(self, connection: Connection, payload: dict[str, Any]) -> None:
        if payload["token"] != self._platform.token:
            connection.close(4004)
            return
        session = self._platform.hub.find(payload["session_id"])
        if session is None:
            connection.send(_INVALID_SESSION, False)
            return
        if payload["seq"] > session.sequence:
            session.ended = True
            connection.close(4007)
            return
        session.num_resumes += 1
        session.replay(connection, payload["seq"])
        session.dispatch("RESUMED", {"_trace": []})

    def _send_members(self, connection: Connection, payload: dict[str, Any]) -> None:
        guild = self._platform.world.guilds[int(payload["guild_id"])]
        wanted = {int(user_id) for user_id in payload.get("user_ids") or []}
        start = payload.get("query", "")
        members = [
            full_member_payload(member)
            for member in guild.members.values()
            if (not wanted or member.user.id in wanted) and member.user.name.startswith(start)
        ]
        chunk = {"guild_id": str(guild.id), "members": members, "chunk_index": 0, "chunk_count": 1}
        if "nonce" in payload:
            chunk["nonce"] = payload["nonce"]
        for one in self.sessions:
            if one.connection is connection:
                one.dispatch("GUILD_MEMBERS_CHUNK", chunk)
