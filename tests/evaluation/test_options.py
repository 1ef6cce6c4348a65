"""Numbers that mean nothing are refused in a sentence, before anything is opened."""

import pytest

from evaluation.__main__ import main

GENERATE = ("generate", "embedded", "talk.jsonl", "--out", "out.jsonl")


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ((*GENERATE, "--limit=-1"), "--limit: -1 is no whole number from 0 on"),
        ((*GENERATE, "--parallel=0"), "--parallel: 0 is no whole number from 1 on"),
        ((*GENERATE, "--beams=0"), "--beams: 0 is no whole number from 1 on"),
        (("tune", "embedded", "a.jsonl", "--questions=-3"), "--questions: -3 is no whole number"),
        (("score", "a.jsonl", "--resamples=-1"), "--resamples: -1 is no whole number from 0 on"),
        (("score", "a.jsonl", "--seed=-1"), "--seed: -1 is no whole number from 0 on"),
        (("probe", "recall", "embedded", "--limit=many"), "--limit: many is no whole number"),
    ],
)
def test_a_number_that_means_nothing_is_refused(
    words: tuple[str, ...], option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert f"error: argument {option}" in capsys.readouterr().err
