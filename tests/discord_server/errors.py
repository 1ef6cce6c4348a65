"""Discord's refusals: status, code and body, as the real ones."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Refusal:
    """One error answer; `errors` is the tree of an invalid form."""

    status: int
    code: int
    text: str
    errors: dict[str, Any] | None = None

    def body(self) -> dict[str, Any]:
        """The JSON that goes out."""
        body: dict[str, Any] = {"message": self.text, "code": self.code}
        if self.errors is not None:
            body["errors"] = self.errors
        return body


class RefusedError(Exception):
    """Ends a request with a refusal."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.text)
        self.refusal = refusal


def invalid_form(field: str, code: str, text: str) -> Refusal:
    """400 / 50035 with one complaint about one field."""
    tree = {field: {"_errors": [{"code": code, "message": text}]}}
    return Refusal(400, 50035, "Invalid Form Body", tree)


UNAUTHORIZED = Refusal(401, 0, "401: Unauthorized")
NOT_FOUND = Refusal(404, 0, "404: Not Found")
SERVER_ERROR = Refusal(500, 0, "500: Internal Server Error")
BAD_GATEWAY = Refusal(502, 0, "502: Bad Gateway")
UNAVAILABLE = Refusal(503, 0, "503: Service Unavailable")

UNKNOWN_CHANNEL = Refusal(404, 10003, "Unknown Channel")
UNKNOWN_GUILD = Refusal(404, 10004, "Unknown Guild")
UNKNOWN_MEMBER = Refusal(404, 10007, "Unknown Member")
UNKNOWN_MESSAGE = Refusal(404, 10008, "Unknown Message")
UNKNOWN_USER = Refusal(404, 10013, "Unknown User")
UNKNOWN_WEBHOOK = Refusal(404, 10015, "Unknown Webhook")
UNKNOWN_INTERACTION = Refusal(404, 10062, "Unknown interaction")
ALREADY_ACKNOWLEDGED = Refusal(400, 40060, "Interaction has already been acknowledged.")
MISSING_ACCESS = Refusal(403, 50001, "Missing Access")
NOT_YOUR_MESSAGE = Refusal(403, 50005, "Cannot edit a message authored by another user")
EMPTY_MESSAGE = Refusal(400, 50006, "Cannot send an empty message")
NO_DMS_TO_USER = Refusal(403, 50007, "Cannot send messages to this user")
NOT_A_TEXT_CHANNEL = Refusal(400, 50008, "Cannot send messages in a non-text channel")
MISSING_PERMISSIONS = Refusal(403, 50013, "Missing Permissions")
INVALID_WEBHOOK_TOKEN = Refusal(401, 50027, "Invalid Webhook Token")
THREAD_ARCHIVED = Refusal(400, 50083, "Thread is archived")
ENTRY_POINT_MISSING = Refusal(
    400,
    50240,
    "You cannot remove this app's Entry Point command in a bulk update operation. Please include "
    "the Entry Point command in your update request or delete it separately.",
)
NO_MUTUAL_GUILD = Refusal(
    403, 50278, "Cannot send messages to this user due to having no mutual guilds"
)
OVERLOADED = Refusal(503, 130000, "API resource is currently overloaded. Try again a little later")
REPLY_WITHOUT_HISTORY = Refusal(
    400, 160002, "Cannot reply without permission to read message history"
)
THREAD_EXISTS = Refusal(400, 160004, "A thread has already been created for this message")
THREAD_LOCKED = Refusal(403, 160005, "Thread is locked")
AUTOMOD_BLOCKED = Refusal(400, 200000, "Message was blocked by automatic moderation")
HARMFUL_LINK = Refusal(400, 240000, "Message blocked by harmful links filter")

REPLY_TO_NOTHING = invalid_form("message_reference", "REPLIES_UNKNOWN_MESSAGE", "Unknown message")
REPLY_TO_SYSTEM = invalid_form(
    "message_reference",
    "REPLIES_CANNOT_REPLY_TO_SYSTEM_MESSAGE",
    "Cannot reply to a system message",
)
TOO_LONG = invalid_form("content", "BASE_TYPE_MAX_LENGTH", "Must be 2000 or fewer in length.")
