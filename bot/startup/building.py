"""Builds what answers on an opened foundation; opens nothing."""

from datetime import timedelta

from bot.answering.conversation import Conversation
from bot.answering.ports import HistoryStore, SamplingStore
from bot.answering.reply_maker import ReplyMaker
from bot.answering.text_completion import TextCompleter
from bot.startup.foundation import Foundation


def build_conversation(
    foundation: Foundation, history: HistoryStore, sampling: SamplingStore
) -> Conversation:
    """The conversation that is remembered in `history`."""
    settings, profile = foundation.settings, foundation.profile
    budget = settings.budget(profile)
    reply_maker = ReplyMaker(
        engine=foundation.engine,
        tokenizer=foundation.tokenizer,
        budget=budget,
        deadline_seconds=settings.reply_seconds,
        is_blocked=foundation.is_blocked,
        reverse=foundation.reverse,
    )
    return Conversation(
        reply_maker=reply_maker,
        erasures=foundation.erasures,
        history=history,
        sampling=sampling,
        defaults=settings.defaults(profile),
        num_turns=budget.num_turns,
        idle=timedelta(minutes=settings.idle_minutes) if settings.idle_minutes else None,
    )


def build_text_completer(foundation: Foundation) -> TextCompleter:
    """What goes on with texts, on the same engine."""
    settings = foundation.settings
    return TextCompleter(
        engine=foundation.engine,
        tokenizer=foundation.tokenizer,
        deadline_seconds=settings.reply_seconds,
        is_blocked=foundation.is_blocked,
    )
