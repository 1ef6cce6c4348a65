"""Every error that has a sentence for a person; anything else that is raised is a bug.

ChatError
├── NotRememberedError
│   ├── StoreUnavailableError      the database cannot be used now
│   └── ScopeMovedError            the scope was reset or moved on while a reply was made
├── AdmissionError                 a message that is not taken in
│   ├── CoolingDownError
│   ├── QueueFullError
│   └── TooManyPendingError
├── EngineError
│   ├── ContextTooLongError        more tokens than the model's window
│   ├── EngineMemoryError          the device has no memory left for this request
│   ├── EngineBrokenError          the engine cannot be used again in this process
│   ├── EngineStuckError           the engine stood still, and is opened anew
│   ├── EngineClosedError
│   ├── DeadlineError
│   ├── WithdrawnError             somebody withdrew the request
│   └── NumericError               the model produced NaN or infinity
├── NoFitReplyError                the guards refused every candidate
├── BlockedTextError               words that are not said, in a text or in what it goes on with
├── InvalidSettingError            a value that is out of its bounds
├── UnknownChoiceError             an option's value that is none of its choices
├── UnknownCommandError            a line at the terminal that begins with a slash
├── NotAllowedError                the member lacks a permission
├── NotHereError                   a command that makes no sense in this place
├── NotOpenError                   a command that the operator's lists keep from a member
├── TooSoonError                   a command that one may use only once in a while
├── CommandChangedError            Discord still shows an older form of a command
├── NothingSaidError               a message that only mentions the bot
├── OnlyTextError                  a message with nothing in it that can be read
├── OwnFaultError                  a bug: the log holds what happened
└── StartError                     the bot cannot start; carries the exit code
    ├── WrongSettingsError         78
    │   └── SeveralWrongSettingsError  all mistakes of one start at once
    └── UnavailableError           69
        ├── ModelError             the model is missing, broken or refused
        └── DatabaseError          the database is missing, newer than the code, or has another key
"""

from collections.abc import Sequence
from typing import ClassVar

EXIT_UNAVAILABLE = 69
EXIT_RESTART = 75
EXIT_WRONG_SETTINGS = 78


class ChatError(Exception):
    """Something a person is told in one sentence.

    `sentence` is the English text with `{name}` places; `bot.texts` translates it.
    The keyword arguments fill the places.
    """

    sentence: str = "Something went wrong."

    def __init__(self, **values: object) -> None:
        super().__init__()
        self.values = values

    def __str__(self) -> str:
        return self.sentence.format(**self.values)


class NotRememberedError(ChatError):
    """A reply could not become a part of the history."""

    sentence = "I could not remember this."


class StoreUnavailableError(NotRememberedError):
    """The database cannot be used now: locked, full, read-only or away."""

    sentence = "I cannot reach my memory right now: please try again in a minute."


class ScopeMovedError(NotRememberedError):
    """The conversation was reset, or went on elsewhere, while the reply was made."""

    sentence = "This conversation has moved on."


class AdmissionError(ChatError):
    """A message that is not taken in."""

    sentence = "I cannot take this message right now."


class CoolingDownError(AdmissionError):
    """The member wrote again before the cooldown was over."""

    sentence = "One moment, please: I did not take that in. Please send it again in {seconds} s."


class QueueFullError(AdmissionError):
    """The queue has no place left."""

    sentence = (
        "Too many people are talking to me right now, and I did not take that in: please send it "
        "again in a minute."
    )


class TooManyPendingError(AdmissionError):
    """The member already waits for several replies."""

    sentence = (
        "I am still answering your earlier messages and did not take that in: please send it again "
        "when you have my replies."
    )


class EngineError(ChatError):
    """The model could not answer this request."""

    sentence = "I could not think of a reply: please try again."


class ContextTooLongError(EngineError):
    """Prompt and reply together are longer than the model's window."""

    sentence = "That is too long for me ({num_tokens} tokens; I can read {limit})."


class EngineMemoryError(EngineError):
    """The device has no memory left for this request."""

    sentence = "My memory is full: please try a shorter message or `/reset`."


class EngineBrokenError(EngineError):
    """The device, or the engine, has failed and cannot be used again in this process."""

    sentence = "My model has failed and I am restarting: please try again in a minute."


class EngineStuckError(EngineError):
    """The engine stood still or died while it made this reply; another one is being opened."""

    sentence = "My model got stuck and I am starting it again: please try again in a minute."


class EngineClosedError(EngineError):
    """The engine is closing or closed."""

    sentence = "I am shutting down: please try again in a minute."


class DeadlineError(EngineError):
    """The reply was not ready in time."""

    sentence = "That took me too long: please try again."


class WithdrawnError(EngineError):
    """Somebody withdrew the request."""

    sentence = "This reply was cancelled."


class NumericError(EngineError):
    """The model produced NaN or infinity for this request."""

    sentence = "My model stumbled over that: please say it in another way."


class NoFitReplyError(ChatError):
    """Every candidate was unfit: this sentence is said instead, and never remembered."""

    sentence = "Hm, I am at a loss for words. Could you put that another way?"


class BlockedTextError(ChatError):
    """A text, or what the model went on with, holds words that BLOCKED_WORDS keeps from us."""

    sentence = "There are words in it that I do not say: please try again, or begin another text."


class InvalidSettingError(ChatError):
    """A value that is not a number of the right kind or is out of its bounds."""

    sentence = "`{name}` must be between {low} and {high}; you gave {value}."


class UnknownChoiceError(ChatError):
    """A value that is none of an option's choices: Discord's clients offer no other."""

    sentence = "“{value}” is not a choice of `{name}`."


class UnknownCommandError(ChatError):
    """A line at the terminal that begins with a slash and is none of its commands."""

    sentence = "There is no such command: a line that begins with / is one of {commands}."


class NotAllowedError(ChatError):
    """The member lacks a permission."""

    sentence = "You need the permission “{permission}” for that."


class NotHereError(ChatError):
    """A command that makes no sense in this place."""

    sentence = "That works only in a server, not in a direct message."


class NotOpenError(ChatError):
    """The operator's lists keep a member, a role or a place from the bot."""

    sentence = (
        "The person who runs me has not opened me to you here: only `/help`, `/privacy` and "
        "`/mydata` work."
    )


class TooSoonError(ChatError):
    """A command that costs much, used again too soon."""

    sentence = "You have just done that: it works again in {seconds} s."


class CommandChangedError(ChatError):
    """Discord still shows an older form of a command, or one that is gone."""

    sentence = "This command has changed: please try again in a minute."


class NothingSaidError(ChatError):
    """A message that mentions the bot and says nothing."""

    sentence = "Hello! Write something in the message that mentions me, and I will answer."


class OnlyTextError(ChatError):
    """A message with nothing in it that can be read: a picture, a sticker, invisible characters."""

    sentence = "I can only read text: please say it in words."


class OwnFaultError(ChatError):
    """A bug: the log holds what happened."""

    sentence = "Something went wrong on my side: please try again."


class StartError(ChatError):
    """The bot cannot start; `exit_code` is for the supervisor.

    Each raise brings its own English sentence, which says what to do, with `{name}` places
    that the keyword arguments fill.
    """

    exit_code: ClassVar[int] = EXIT_UNAVAILABLE

    def __init__(self, sentence: str, **values: object) -> None:
        super().__init__(**values)
        self.sentence = sentence


class WrongSettingsError(StartError):
    """A setting is wrong: starting again without changing it would fail again."""

    exit_code = EXIT_WRONG_SETTINGS


class SeveralWrongSettingsError(WrongSettingsError):
    """More than one setting is wrong; `mistakes` holds a sentence for each."""

    def __init__(self, mistakes: Sequence[WrongSettingsError]) -> None:
        super().__init__("{mistakes}", mistakes="\n".join(map(str, mistakes)))
        self.mistakes = tuple(mistakes)


class UnavailableError(StartError):
    """Something that the bot needs is not there."""


class ModelError(UnavailableError):
    """The model is missing, broken or refused."""


class DatabaseError(UnavailableError):
    """The database is missing, newer than the code, or locked by another key."""
