"""What an engineer did not mean: each error is one sentence with the mend."""

EXIT_WRONG_INPUT = 65  # EX_DATAERR of sysexits.h


class InputError(Exception):
    """A file, a line or an option that cannot be used; the sentence says where and what to do."""


class MissingExtraError(InputError):
    """A library of the extra `evaluation` is not installed."""

    def __init__(self, what: str, library: str) -> None:
        super().__init__(f"{what} needs {library}: run pip install -e '.[evaluation]'.")
