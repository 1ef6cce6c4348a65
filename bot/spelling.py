"""Gives a prediction, which is ids and numbers, its words; for the thread of a tokenizer."""

from bot.dialogue.continuation import Attention, Continuation, Likely, Step
from bot.dialogue.prompt import Tokenizer
from bot.engine.request import LayerAttention, PredictedStep, Prediction, Prospect


def continuation_of(prediction: Prediction, tokenizer: Tokenizer) -> Continuation:
    """The prediction with texts."""
    ids, num_text_tokens = prediction.ids, prediction.num_text_tokens
    text, given = tokenizer.decode(ids), tokenizer.decode(ids[:num_text_tokens])
    is_prefix = text.startswith(given)  # not so where decoding tidies up what it joins
    added = text[len(given) :] if is_prefix else tokenizer.decode(ids[num_text_tokens:])
    return Continuation(
        text=text,
        added=added,
        ids=ids,
        num_text_tokens=num_text_tokens,
        steps=tuple(_step(step, tokenizer) for step in prediction.steps),
        ended=prediction.ended,
        seed=prediction.seed,
    )


def attention_of(
    shown: LayerAttention, continuation: Continuation, tokenizer: Tokenizer
) -> Attention:
    """What a layer looks at, with the texts of the tokens."""
    return Attention(
        layer=shown.layer,
        num_layers=shown.num_layers,
        num_text_tokens=continuation.num_text_tokens,
        tokens=tuple(map(tokenizer.token_text, continuation.ids)),
        weights=shown.weights,
    )


def _step(step: PredictedStep, tokenizer: Tokenizer) -> Step:
    def likely(prospect: Prospect) -> Likely:
        return Likely(
            token_id=prospect.token_id,
            text=tokenizer.token_text(prospect.token_id),
            probability=prospect.probability,
            allowed=prospect.allowed,
        )

    return Step(likely(step.drawn), tuple(map(likely, step.likeliest)), step.survivors)
