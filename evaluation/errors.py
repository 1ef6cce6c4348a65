"""What an engineer did not mean: each error is one sentence with the mend."""

EXIT_WRONG_INPUT = 65  # EX_DATAERR of sysexits.h


class InputError(Exception):
    """A file, a line or an option that cannot be used; the sentence says where and what to do."""


class MissingExtraError(InputError):
    """A library of one of the extras is not installed."""

    def __init__(self, what: str, library: str, extra: str = "evaluation") -> None:
        super().__init__(f"{what} needs {library}: run pip install -e '.[{extra}]'.")
