"""Dialogues for tests, in one line each."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from bot.dialogue.context import Context, ContextBudget, build_context
from bot.dialogue.prompt import Tokenizer
from bot.dialogue.turn import Role, Scope, Turn

SCOPE = Scope(channel_id=1)
EPOCH_START = datetime(2026, 1, 1, tzinfo=UTC)


def path(*texts: str, first_role: Role = Role.USER) -> list[Turn]:
    """A path of turns with the ids 1, 2, 3 …, the roles in turn."""
    roles = list(Role) if first_role is Role.USER else [Role.BOT, Role.USER]
    return [
        Turn(
            turn_id=i + 1,
            scope=SCOPE,
            parent_id=i or None,
            role=roles[i % 2],
            text=text,
            author_id=None,
            epoch=0,
            created_at=EPOCH_START + timedelta(minutes=i),
            context_start_id=1 if roles[i % 2] is Role.BOT else None,
        )
        for i, text in enumerate(texts)
    ]


def started_at(turns: Sequence[Turn], start_id: int | None) -> list[Turn]:
    """`turns` whose newest answer had a context that began with turn `start_id`."""
    return [*turns[:-1], replace(turns[-1], context_start_id=start_id)]


def talk(
    sentences: Sequence[str], budget: ContextBudget, tokenizer: Tokenizer, answer: str
) -> list[Context]:
    """The contexts of a conversation in which the bot always says `answer`."""
    turns: list[Turn] = []
    contexts: list[Context] = []
    for said in sentences:
        context = build_context(turns, said, budget, tokenizer)
        contexts.append(context)
        new_id = len(turns) + 1
        user, bot = path(said, answer)
        turns.append(replace(user, turn_id=new_id, parent_id=new_id - 1 or None))
        turns.append(
            replace(
                bot,
                turn_id=new_id + 1,
                parent_id=new_id,
                context_start_id=new_id if context.start_id is None else context.start_id,
            )
        )
    return contexts
