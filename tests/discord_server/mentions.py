"""Whom a message notifies, and who may read its text."""

import re
from dataclasses import dataclass
from typing import Any

_USER = re.compile(r"<@!?(\d+)>")
_ROLE = re.compile(r"<@&(\d+)>")
_EVERYONE = re.compile(r"@(?:everyone|here)\b")
ALL_KINDS = ("users", "roles", "everyone")


@dataclass(frozen=True, slots=True)
class Pings:
    """The users and roles that a message notifies."""

    users: frozenset[int] = frozenset()
    roles: frozenset[int] = frozenset()
    everyone: bool = False

    def __bool__(self) -> bool:
        return bool(self.users or self.roles or self.everyone)


NOBODY = Pings()


def pings(
    content: str,
    allowed: dict[str, Any] | None,
    *,
    replied_to: int | None = None,
    by_default: tuple[str, ...] = ALL_KINDS,
) -> Pings:
    """Whom `content` notifies under `allowed_mentions`; without one, every kind in `by_default`.

    The author's permission to mention everyone is taken for granted: a test wants to see
    the ping that only a missing permission would have stopped.
    """
    if allowed is None:
        allowed = {"parse": list(by_default), "replied_user": True}
    kinds = allowed.get("parse") or []
    users = {int(found) for found in _USER.findall(content)}
    roles = {int(found) for found in _ROLE.findall(content)}
    if "users" not in kinds:
        users &= {int(user_id) for user_id in allowed.get("users") or []}
    if "roles" not in kinds:
        roles &= {int(role_id) for role_id in allowed.get("roles") or []}
    if replied_to is not None and allowed.get("replied_user"):
        users.add(replied_to)
    everyone = "everyone" in kinds and _EVERYONE.search(content) is not None
    return Pings(frozenset(users), frozenset(roles), everyone)
