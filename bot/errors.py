"""Every error that has a sentence for a person; anything else that is raised is a bug.

ChatError
├── RefusedError                   carries the sentence that it is raised with
│   ├── AdmissionError             a message that is not taken in
│   ├── WrongInputError            65: a text or a number of the caller's that cannot be used
│   └── StartError                 the bot cannot start; carries the exit code
│       ├── WrongSettingsError     78
│       │   └── SeveralWrongSettingsError  all mistakes of one start at once
│       └── UnavailableError       69
│           ├── ModelError         the model is missing, broken or refused
│           └── DatabaseError      the database is missing, newer than the code, or has another key
├── StoreUnavailableError          the database cannot be used now
├── ScopeMovedError                the scope was reset or moved on while a reply was made
├── EngineError
│   ├── ContextTooLongError        more tokens than the model's window
│   ├── EngineMemoryError          the device has no memory left for this request
│   ├── EngineBrokenError          the engine cannot be used again in this process
│   ├── EngineStuckError           the engine stood still, and is opened again
│   ├── EngineClosedError
│   ├── DeadlineError
│   ├── WithdrawnError             the request was withdrawn
│   └── NumericError               the model produced NaN or infinity
├── NoFitReplyError                the guards refused every candidate
├── InvalidSettingError            a value that is out of its bounds
└── OwnFaultError                  a bug: the log holds what happened
"""

from collections.abc import Sequence
from typing import ClassVar

EXIT_WRONG_INPUT = 65  # EX_DATAERR of sysexits.h
EXIT_UNAVAILABLE = 69
EXIT_RESTART = 75
EXIT_WRONG_SETTINGS = 78


class ChatError(Exception):
    """Something a person is told in one sentence.

    `sentence` is the English text with `{name}` places; `bot.texts` translates it.
    The keyword arguments fill the places.
    """

    sentence: str = "Something went wrong."
    exit_code: ClassVar[int] = EXIT_WRONG_INPUT  # where the error ends a command of the terminal

    def __init__(self, **values: object) -> None:
        super().__init__()
        self.values = values

    def __str__(self) -> str:
        return self.sentence.format(**self.values)


class RefusedError(ChatError):
    """What was asked for is not done; the sentence stands where the error is raised.

    It is English, says what to do where that helps, and has `{name}` places that the keyword
    arguments fill.
    """

    def __init__(self, sentence: str, **values: object) -> None:
        super().__init__(**values)
        self.sentence = sentence


class AdmissionError(RefusedError):
    """A message that is not taken in."""


class WrongInputError(RefusedError):
    """A text or a number of the caller's cannot be used: no setting has to be changed for it."""


class StartError(RefusedError):
    """The bot cannot start; `exit_code` is for the supervisor."""

    exit_code: ClassVar[int] = EXIT_UNAVAILABLE


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


class StoreUnavailableError(ChatError):
    """The database cannot be used now: locked, full, read-only or away."""

    sentence = "I can't reach my memory right now: please try again in a minute."


class ScopeMovedError(ChatError):
    """The conversation was reset, or went on elsewhere, while the reply was made."""

    sentence = "This conversation has moved on."


class EngineError(ChatError):
    """The model could not answer this request."""

    sentence = "I couldn't think of a reply: please try again."


class ContextTooLongError(EngineError):
    """Prompt and reply together are longer than the model's window."""

    sentence = "That's too long for me ({num_tokens} tokens; I can read {limit})."


class EngineMemoryError(EngineError):
    """The device has no memory left for this request."""

    sentence = "My memory is full: please try a shorter message or `/reset`."


class EngineBrokenError(EngineError):
    """The device, or the engine, has failed and cannot be used again in this process."""

    sentence = "My model has failed, and I'm restarting: please try again in a minute."


class EngineStuckError(EngineError):
    """The engine stood still or died while it made this reply; another one is being opened."""

    sentence = "My model got stuck, and I'm starting it again: please try again in a minute."


class EngineClosedError(EngineError):
    """The engine is closing or closed."""

    sentence = "I'm shutting down: please try again in a minute."


class DeadlineError(EngineError):
    """The reply was not ready in time."""

    sentence = "That took me too long: please try again."


class WithdrawnError(EngineError):
    """The request was withdrawn."""

    sentence = "This reply was cancelled."


class NumericError(EngineError):
    """The model produced NaN or infinity for this request."""

    sentence = "My model couldn't work that out: please say it another way."


class NoFitReplyError(ChatError):
    """Every candidate was unfit: this sentence is said instead, and never remembered."""

    sentence = "Hm, I don't know what to say. Could you put that another way?"


class InvalidSettingError(ChatError):
    """A value that is not a number of the right kind or is out of its bounds."""

    sentence = "`{name}` must be between {low} and {high}; you gave {value}."


class OwnFaultError(ChatError):
    """A bug: the log holds what happened."""

    sentence = "Something went wrong on my side: please try again."
