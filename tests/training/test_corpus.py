from itertools import islice

import torch

from training.corpus import Batch, Corpus, Position
from training.forms import IGNORED, BotTurns
from training.smalltalk.grammar import Grammar
from training.sources import Invented
from training.trainer import Trainer
from training.vocabulary import END_ID


def corpus(grammar: Grammar, trained: Trainer, seed: str = "a") -> Corpus:
    return Corpus(Invented(grammar), trained.tokenizer, seed, 1024, BotTurns())


def same(one: Batch, other: Batch) -> bool:
    return torch.equal(one.ids, other.ids) and torch.equal(one.labels, other.labels)


def expected_labels(ids: list[int]) -> list[int]:
    labels, by_bot = [], False
    for token_id in ids:
        labels.append(token_id if by_bot else IGNORED)
        by_bot = by_bot != (token_id == END_ID)
    return labels


def test_only_the_bots_turns_are_labelled_with_their_end(
    grammar: Grammar, trained: Trainer
) -> None:
    for batch in corpus(grammar, trained).chunk(0)[:10]:
        for ids, labels in zip(batch.ids.tolist(), batch.labels.tolist(), strict=True):
            length = max(i for i, label in enumerate(labels) if label != IGNORED) + 1
            assert labels[:length] == expected_labels(ids[:length])
            assert labels[length - 1] == END_ID
            assert set(ids[length:]) <= {END_ID}


def test_every_row_is_one_dialogue_that_begins_with_the_member(
    grammar: Grammar, trained: Trainer
) -> None:
    for batch in corpus(grammar, trained).chunk(1)[:10]:
        assert (batch.labels[:, 0] == IGNORED).all()
        assert batch.ids.numel() <= 1024
        assert batch.ids.shape[1] % 8 == 0
        assert 0 < batch.num_tokens <= batch.ids.numel()


def test_little_is_padding(grammar: Grammar, trained: Trainer) -> None:
    batches = corpus(grammar, trained).chunk(0)
    assert sum(b.num_tokens for b in batches) > 0.9 * sum(b.ids.numel() for b in batches)


def test_the_same_seed_makes_the_same_batches(grammar: Grammar, trained: Trainer) -> None:
    one, other = (corpus(grammar, trained).chunk(2) for _ in range(2))
    assert all(same(a, b) for a, b in zip(one, other, strict=True))
    stranger = corpus(grammar, trained, seed="b").chunk(2)
    assert not same(one[0], stranger[0])


def test_reading_goes_on_where_it_stopped(grammar: Grammar, trained: Trainer) -> None:
    whole = list(islice(corpus(grammar, trained).read(Position()), 90))
    _, position = whole[70]
    assert position.chunk > 0
    rest = list(islice(corpus(grammar, trained).read(position), 19))
    assert all(same(a, b) for (a, _), (b, _) in zip(whole[71:], rest, strict=True))
