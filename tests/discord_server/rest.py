"""REST v10: every request is recorded, checked, let fail where asked, and answered."""

from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from tests.discord_server.errors import NOT_FOUND, UNAUTHORIZED, Refusal, RefusedError
from tests.discord_server.exchange import API, Answer, Call, json_response, read_call
from tests.discord_server.faults import Cut, Fail, Fault, Faults, Hold, TooMany, When
from tests.discord_server.limits import Limits, too_many
from tests.discord_server.platform import Platform
from tests.discord_server.routes import Route
from tests.discord_server.schema import RequestSchemas
from tests.discord_server.wire import cut

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]
_MAX_BODY_BYTES = 25 * 1024 * 1024
# discord.py takes a 429 without it for a ban by the proxy in front of Discord.
_VIA = {"Via": "1.1 google"}
# The token stands in the path of these, and there is no other.
_OWN_TOKEN = ("/interactions/", "/webhooks/", "/gateway")


class _ConnectionCutError(Exception):
    """The answer of this request is not to arrive."""

    def __init__(self, fault: Cut) -> None:
        super().__init__()
        self.fault = fault


class _LimitedError(Exception):
    """This request came too early."""

    def __init__(self, refusal: TooMany) -> None:
        super().__init__()
        self.refusal = refusal


class Rest:
    """The way of one request through the server."""

    def __init__(
        self, platform: Platform, routes: Sequence[Route], schemas: RequestSchemas | None
    ) -> None:
        self.faults = Faults(platform.watch.changed)
        self.limits = Limits()
        self.requests: list[Call] = []
        self._platform = platform
        self._schemas = schemas
        self._routes = routes

    def application(self) -> web.Application:
        """The aiohttp application with all routes."""
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        for route in self._routes:
            app.router.add_route(route.method, API + route.path, self._answering(route))
        app.router.add_route("*", API + "/{rest:.*}", self._answering(None))
        return app

    def _answering(self, route: Route | None) -> Answering:
        async def answer(request: web.Request) -> web.StreamResponse:
            call = await read_call(request, at=self._platform.clock.now())
            self.requests.append(call)
            try:
                return await self._respond(call, route)
            except _ConnectionCutError as end:
                call.status = 0
                cut(request.transport, reset=end.fault.reset)
                return web.Response(status=500)
            except Exception as error:
                self._platform.violations.append(f"{call.method} {call.path}: {error!r}")
                raise
            finally:
                self._platform.watch.changed()

        return answer

    async def _respond(self, call: Call, route: Route | None) -> web.Response:
        headers, early = self.limits.admit(call)
        via = _VIA
        fault = self.faults.take(call)
        try:
            _refuse_early(early)
            await _go_wrong(fault, When.BEFORE)
            answer = self._answer(call, route)
            await _go_wrong(fault, When.AFTER)
        except RefusedError as refused:
            answer = _refusal_answer(refused.refusal)
        except _LimitedError as limited:
            answer, more = too_many(limited.refusal)
            call.shared_limit = limited.refusal.scope == "shared"
            headers = {**headers, **more}
            via = _VIA if limited.refusal.via else {}
        call.status = answer.status
        return json_response(answer, {**via, **headers})

    def _answer(self, call: Call, route: Route | None) -> Answer:
        if route is None:
            self._platform.violations.append(f"{call.method} {call.path}: no such route here")
            raise RefusedError(NOT_FOUND)
        if not call.path.startswith(_OWN_TOKEN) and not self._authorized(call):
            raise RefusedError(UNAUTHORIZED)
        self._check(call)
        return route.answer(call)

    def _authorized(self, call: Call) -> bool:
        return call.authorization == f"Bot {self._platform.token}"

    def _check(self, call: Call) -> None:
        if self._schemas is None or call.body is None:
            return
        complaint = self._schemas.complaint(call.method, call.route, call.body)
        if complaint is None:
            return
        self._platform.violations.append(complaint)
        raise RefusedError(Refusal(400, 50035, "Invalid Form Body", {"_errors": [complaint]}))


def _refuse_early(early: TooMany | None) -> None:
    if early is not None:
        raise _LimitedError(early)


async def _go_wrong(fault: Fault | None, when: When) -> None:
    if fault is None:
        return
    if isinstance(fault.kind, TooMany):
        raise _LimitedError(fault.kind)
    if fault.kind.when is not when:
        return
    if isinstance(fault.kind, Hold):
        await fault.hold()
    elif isinstance(fault.kind, Cut):
        raise _ConnectionCutError(fault.kind)
    elif isinstance(fault.kind, Fail):
        raise RefusedError(fault.kind.refusal)


def _refusal_answer(refusal: Refusal) -> Answer:
    return Answer(refusal.body(), refusal.status)
