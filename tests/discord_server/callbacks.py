"""The routes of interactions: the callback, within three seconds, and what follows it."""

from collections.abc import Sequence

from tests.discord_server.drafts import Draft, apply_edit, read_draft
from tests.discord_server.errors import (
    ALREADY_ACKNOWLEDGED,
    INVALID_WEBHOOK_TOKEN,
    UNKNOWN_INTERACTION,
    UNKNOWN_MESSAGE,
    UNKNOWN_WEBHOOK,
    RefusedError,
)
from tests.discord_server.events import erase
from tests.discord_server.exchange import NO_CONTENT, Answer, Call, Upload
from tests.discord_server.interactions import (
    ACKNOWLEDGE_WITHIN_SECONDS,
    TOKEN_LASTS_SECONDS,
    CallbackKind,
    Interaction,
)
from tests.discord_server.mentions import pings
from tests.discord_server.platform import Platform
from tests.discord_server.routes import Route
from tests.discord_server.state import Json, Message, MessageFlag, MessageType

_INHERITED = int(MessageFlag.EPHEMERAL)
_THINKING = Draft("", (), (), (), int(MessageFlag.LOADING), None)


class CallbackRoutes:
    """What a bot may do with an interaction's token."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._interactions: dict[str, Interaction] = {}

    def routes(self) -> Sequence[Route]:
        """Method, path and function of each."""
        callback = "/interactions/{interaction_id}/{interaction_token}/callback"
        webhook = "/webhooks/{webhook_id}/{webhook_token}"
        original = webhook + "/messages/@original"
        message = webhook + "/messages/{message_id}"
        return [
            Route("POST", callback, self.acknowledge),
            Route("POST", webhook, self.follow_up),
            Route("GET", original, self.fetch),
            Route("PATCH", original, self.edit),
            Route("DELETE", original, self.delete),
            Route("GET", message, self.fetch),
            Route("PATCH", message, self.edit),
            Route("DELETE", message, self.delete),
        ]

    def add(self, interaction: Interaction) -> None:
        """Expect a callback with this interaction's token."""
        self._interactions[interaction.token] = interaction

    def acknowledge(self, call: Call) -> Answer:
        """POST the callback: 10062 when it is late, 40060 when it is the second."""
        interaction = self._interactions.get(call.variables["interaction_token"])
        if interaction is None or interaction.id != call.id("interaction_id"):
            raise RefusedError(UNKNOWN_INTERACTION)
        if self._platform.clock.now() - interaction.at > ACKNOWLEDGE_WITHIN_SECONDS:
            interaction.was_late = True
            raise RefusedError(UNKNOWN_INTERACTION)
        if interaction.callback is not None:
            raise RefusedError(ALREADY_ACKNOWLEDGED)
        kind = CallbackKind(call.fields["type"])
        self._apply(interaction, kind, call.fields.get("data") or {}, call.uploads)
        interaction.callback = kind
        if call.query.get("with_response") not in {"1", "true"}:
            return NO_CONTENT
        return Answer(self._callback_response(interaction))

    def _apply(
        self,
        interaction: Interaction,
        kind: CallbackKind,
        fields: Json,
        uploads: Sequence[Upload],
    ) -> None:
        if kind is CallbackKind.MESSAGE:
            draft = read_draft(self._platform, interaction.channel, fields, uploads)
            interaction.original = self._post(interaction, draft, draft.flags)
        elif kind is CallbackKind.DEFERRED_MESSAGE:
            flags = (fields.get("flags") or 0) | _THINKING.flags
            interaction.original = self._post(interaction, _THINKING, flags)
        elif kind is CallbackKind.UPDATE:
            assert interaction.original is not None
            self._change(interaction.original, fields, uploads)
        elif kind is CallbackKind.CHOICES:
            interaction.choices = fields["choices"]
        elif kind is CallbackKind.FORM:
            interaction.form = fields

    def _post(
        self,
        interaction: Interaction,
        draft: Draft,
        flags: int,
        *,
        as_followup: bool = False,
    ) -> Message:
        world = self._platform.world
        kind = (
            MessageType.CONTEXT_MENU_COMMAND
            if interaction.is_menu
            else MessageType.CHAT_INPUT_COMMAND
        )
        message = Message(
            id=world.ids.next(),
            channel=interaction.channel,
            author=world.bot,
            content=draft.content,
            created_at=world.clock.moment(),
            type=MessageType.DEFAULT if as_followup else kind,
            pinged=pings(draft.content, draft.allowed_mentions, by_default=("users",)),
            allowed_mentions=draft.allowed_mentions,
            attachments=draft.attachments,
            embeds=draft.embeds,
            components=draft.components,
            flags=flags,
            webhook_id=world.application_id,
        )
        self._platform.post(message)
        return message

    def _callback_response(self, interaction: Interaction) -> Json:
        about: Json = {"id": str(interaction.id), "type": int(interaction.kind)}
        assert interaction.callback is not None
        response: Json = {"interaction": about}
        original = interaction.original
        if original is None or interaction.callback is CallbackKind.DEFERRED_UPDATE:
            return response
        about["response_message_id"] = str(original.id)
        about["response_message_loading"] = original.loading
        about["response_message_ephemeral"] = original.ephemeral
        response["resource"] = {
            "type": int(interaction.callback),
            "message": self._platform.shown(original),
        }
        return response

    def follow_up(self, call: Call) -> Answer:
        """POST a follow-up; the first after a deferral takes the place of "is thinking"."""
        interaction = self._of(call)
        draft = read_draft(self._platform, interaction.channel, call.fields, call.uploads)
        original = interaction.original
        if original is not None and original.loading:
            self._change(original, call.fields, call.uploads)
            message = original
        else:
            message = self._post(interaction, draft, draft.flags, as_followup=True)
            interaction.followups.append(message)
        return Answer(self._platform.shown(message))

    def fetch(self, call: Call) -> Answer:
        """GET a message made with the token."""
        return Answer(self._platform.shown(self._message(call)))

    def edit(self, call: Call) -> Answer:
        """PATCH a message made with the token."""
        message = self._message(call)
        self._change(message, call.fields, call.uploads)
        return Answer(self._platform.shown(message))

    def delete(self, call: Call) -> Answer:
        """DELETE a message made with the token."""
        erase(self._platform, [self._message(call)])
        return NO_CONTENT

    def _change(self, message: Message, fields: Json, uploads: Sequence[Upload]) -> None:
        apply_edit(self._platform, message, fields, uploads)
        message.flags &= ~_THINKING.flags
        message.allowed_mentions = fields.get("allowed_mentions", message.allowed_mentions)
        if not message.ephemeral:
            self._platform.announce(message, "MESSAGE_UPDATE")
        self._platform.watch.changed()

    def _of(self, call: Call) -> Interaction:
        interaction = self._interactions.get(call.variables["webhook_token"])
        if interaction is None:
            raise RefusedError(INVALID_WEBHOOK_TOKEN)
        if self._platform.clock.now() - interaction.at > TOKEN_LASTS_SECONDS:
            raise RefusedError(INVALID_WEBHOOK_TOKEN)
        if interaction.callback is None:
            raise RefusedError(UNKNOWN_WEBHOOK)
        return interaction

    def _message(self, call: Call) -> Message:
        interaction = self._of(call)
        made = [interaction.original, *interaction.followups]
        wanted = call.variables.get("message_id")
        for message in made if wanted is not None else made[:1]:
            if message is None or message.deleted:
                continue
            if wanted is None or str(message.id) == wanted:
                return message
        raise RefusedError(UNKNOWN_MESSAGE)
