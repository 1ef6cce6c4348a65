"""What a bot asks to be said, checked as Discord checks it."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.discord_server.errors import EMPTY_MESSAGE, TOO_LONG, RefusedError
from tests.discord_server.exchange import Upload
from tests.discord_server.platform import Platform
from tests.discord_server.state import Attachment, Channel, Json, Message

MAX_CONTENT = 2000
# Control, format, space and separator characters, and letters that draw nothing.
_INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
_BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0\u2800")


@dataclass(frozen=True, slots=True)
class Draft:
    """A message before it has an id."""

    content: str
    embeds: Sequence[Json]
    components: Sequence[Json]
    attachments: Sequence[Attachment]
    flags: int
    allowed_mentions: Json | None


def is_invisible(text: str) -> bool:
    """Whether nothing of a text can be seen."""
    return all(
        letter in _BLANK_LETTERS or unicodedata.category(letter) in _INVISIBLE_CATEGORIES
        for letter in text
    )


def checked_content(fields: dict[str, Any]) -> str:
    """The content as Discord stores it: at most 2000 code points, no space at its ends."""
    content: str = fields.get("content") or ""
    if len(content) > MAX_CONTENT:
        raise RefusedError(TOO_LONG)
    return content.strip()


def read_draft(
    platform: Platform, channel: Channel, fields: dict[str, Any], uploads: Sequence[Upload]
) -> Draft:
    """The draft in a request's fields; RefusedError where Discord would refuse."""
    draft = Draft(
        content=checked_content(fields),
        embeds=fields.get("embeds") or [],
        components=fields.get("components") or [],
        attachments=store_uploads(platform, channel, uploads),
        flags=fields.get("flags") or 0,
        allowed_mentions=fields.get("allowed_mentions"),
    )
    if not (draft.embeds or draft.components or draft.attachments or fields.get("poll")):
        refuse_invisible(draft.content)
    return draft


def refuse_invisible(content: str) -> None:
    """50006 where nothing would be seen."""
    if is_invisible(content):
        raise RefusedError(EMPTY_MESSAGE)


def apply_edit(
    platform: Platform, message: Message, fields: dict[str, Any], uploads: Sequence[Upload]
) -> None:
    """Change what the fields name, and nothing if Discord would refuse."""
    content = checked_content(fields) if "content" in fields else message.content
    embeds = fields.get("embeds", message.embeds) or []
    components = fields.get("components", message.components) or []
    attachments = message.attachments
    if "attachments" in fields or uploads:
        kept = {int(one["id"]) for one in fields.get("attachments") or []}
        old = [one for one in attachments if one.id in kept]
        attachments = [*old, *store_uploads(platform, message.channel, uploads)]
    if not (embeds or components or attachments):
        refuse_invisible(content)
    message.content, message.embeds = content, embeds
    message.components, message.attachments = components, attachments
    message.edited_at = platform.clock.moment()


def store_uploads(
    platform: Platform, channel: Channel, uploads: Sequence[Upload]
) -> list[Attachment]:
    """Files with their ids and the address under which this server hands them out."""
    stored = []
    for upload in uploads:
        attachment_id = platform.world.ids.next()
        path = f"/attachments/{channel.id}/{attachment_id}/{upload.filename}"
        attachment = Attachment(
            attachment_id,
            upload.filename,
            upload.content,
            upload.content_type,
            platform.base_url + path,
        )
        platform.attachments[attachment_id] = attachment
        stored.append(attachment)
    return stored
