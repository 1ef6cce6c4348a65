"""Dialogues without end: scenes strung together, with questions about what was told."""

import hashlib
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from training.smalltalk.noise import Manner, draw_manner, type_out
from training.smalltalk.scenes import Book, Recall, Scene, load_book
from training.smalltalk.template import Sequence as Template
from training.smalltalk.template import Slot, expand, slot_keys
from training.smalltalk.words import Split, Vocabulary, Word, draw, load_words

Dialogue = tuple[str, ...]  # turns, the member first, then by turns

_KOREAN_SHARE = 0.13
_GREETED_SHARE = 0.3
_FACT_SHARE = 0.45  # of the scenes that follow one another
_ASKED_SHARE = 0.65  # of the told facts that are asked for at once
_ASKED_LATER_SHARE = 0.5
_UNTOLD_SHARE = 0.05
_ANSWERED_SHARE = 0.65  # of the bot's questions that the grammar knows answers to
_REACTION_SHARE = 0.2
_OUT_OF_PLACE_SHARE = 0.12  # a greeting in the middle, a goodbye at the start
_CLOSED_SHARE = 0.08
_WHOLE_SHARE = 0.75  # of the scenes that are played to their end
_LENGTHS = (2, 2, 4, 4, 6, 6, 8, 8, 10, 12)
_MAX_TURNS = 14


@dataclass(slots=True)
class _Cast:
    """The words of one scene, drawn when they are first asked for."""

    draw_word: Callable[[str], Word]
    row: dict[str, str] = field(default_factory=dict)
    words: dict[str, Word] = field(default_factory=dict)

    def look_up(self, key: str, *, by_bot: bool) -> str:
        if key in self.row:
            return self.row[key]
        if key not in self.words:
            slot = key.partition(".")[0]
            taken = {word.answered for other, word in self.words.items() if other[:-2] == slot}
            taken |= {word.answered for other, word in self.words.items() if other == slot}
            word = self.draw_word(slot)
            for _ in range(8):  # a second food differs from the first
                if word.answered not in taken:
                    break
                word = self.draw_word(slot)
            self.words[key] = word
        word = self.words[key]
        return word.answered if by_bot else word.told


@dataclass(slots=True)
class _Course:
    """A dialogue in the making."""

    rng: random.Random
    split: Split
    language: str
    manner: Manner
    turns: list[str] = field(default_factory=list)
    told: dict[str, _Cast] = field(default_factory=dict)
    played: set[str] = field(default_factory=set)


class Grammar:
    """Makes dialogues from the project's scenes and words; the same random state, the same one."""

    def __init__(self, book: Book, words: dict[str, Vocabulary]) -> None:
        self._words = words
        self._recalls = {recall.fact: recall for recall in book.recalls}
        self._scenes: dict[tuple[str, str], list[Scene]] = {}
        for scene in book.scenes:
            self._scenes.setdefault((_kind(scene), scene.language), []).append(scene)
        self._answering = _by_question(book.scenes)
        self.book = book

    def dialogue(self, rng: random.Random, split: Split = Split.SEEN) -> Dialogue:
        """One dialogue of 2 to 14 turns."""
        language = "ko" if rng.random() < _KOREAN_SHARE else "en"
        course = _Course(rng, split, language, draw_manner(rng))
        length = rng.choice(_LENGTHS)
        if rng.random() < _GREETED_SHARE:
            self._play(course, self._draw_scene(course, "opening"))
        while len(course.turns) < length:
            self._continue(course)
        if course.told and rng.random() < _ASKED_LATER_SHARE:
            self._ask(course, rng.choice(list(course.told)))
        if rng.random() < _CLOSED_SHARE:
            self._play(course, self._draw_scene(course, "closing"))
        return tuple(course.turns[:_MAX_TURNS])

    def fact_scenes(self, split: Split) -> list[Scene]:
        """The scenes that tell one fact; for held-out words those that hold some out."""
        scenes = [scene for scene in self.book.scenes if _kind(scene) == "fact"]
        if split is Split.SEEN:
            return scenes
        return [s for s in scenes if self._words[fact_slot(self._recalls[s.facts[0]])].held_out]

    def recall_dialogue(
        self, rng: random.Random, split: Split, fact_scene: Scene, *, num_between: int
    ) -> tuple[Dialogue, str]:
        """A dialogue that ends with a question about the fact told in it, and the word asked for.

        `num_between` exchanges lie between telling and asking.
        """
        course = _Course(rng, split, fact_scene.language, draw_manner(rng))
        fact = fact_scene.facts[0]
        recall = self._recalls[fact]
        num_telling = _telling_exchange(fact_scene, fact_slot(recall))
        self._play(course, fact_scene, whole=False, num_exchanges=num_telling)
        for _ in range(num_between):
            self._play(course, self._draw_scene(course, "topic"), whole=False, num_exchanges=1)
        cast = course.told[fact]
        course.turns.append(self._say(course, recall.questions, cast, by_bot=False))
        return tuple(course.turns), cast.look_up(fact_slot(recall), by_bot=True)

    def _continue(self, course: _Course) -> None:
        """One more scene, reaction or question."""
        roll = course.rng.random()
        answering = self._scenes_after(course)
        if answering and course.rng.random() < _ANSWERED_SHARE:
            self._play(course, _pick(course, answering))
        elif course.turns and roll < _REACTION_SHARE:
            self._play(course, self._draw_scene(course, "reaction"))
        elif roll > 1 - _UNTOLD_SHARE:
            self._ask_untold(course)
        elif roll > 1 - _UNTOLD_SHARE - _OUT_OF_PLACE_SHARE:
            kinds = ("opening", "opening", "closing", "reaction")
            self._play(course, self._draw_scene(course, course.rng.choice(kinds)))
        elif course.rng.random() < _FACT_SHARE:
            scene = self._draw_scene(course, "fact")
            if course.told.keys() & set(scene.facts):
                return
            self._play(course, scene)
            if course.rng.random() < _ASKED_SHARE:
                self._ask(course, course.rng.choice(scene.facts))
        else:
            self._play(course, self._draw_scene(course, "topic"))
            if course.told and course.rng.random() < _ASKED_LATER_SHARE:
                self._ask(course, course.rng.choice(list(course.told)))

    def _scenes_after(self, course: _Course) -> list[Scene]:
        """The scenes that answer the question at the end of what the bot said last."""
        if not course.turns:
            return []
        last = course.turns[-1]
        sentences = re.split(r"(?<=[.!?]) ", last)[-1:]
        scenes = [s for end in (last, *sentences) for s in self._answering.get(end, ())]
        return [s for s in dict.fromkeys(scenes) if not course.told.keys() & set(s.facts)]

    def _draw_scene(self, course: _Course, kind: str) -> Scene:
        return _pick(course, self._scenes[kind, course.language])

    def _play(
        self, course: _Course, scene: Scene, *, whole: bool = True, num_exchanges: int = 1
    ) -> None:
        rng = course.rng
        course.played.add(scene.title)
        known = "known" in scene.tags
        cast = _Cast(lambda slot: self._draw_word(course, slot, known=known))
        if scene.rows:
            row = rng.choice(scene.rows)
            cast.row = {
                str(i): expand(cell, rng, lambda key: cast.look_up(key, by_bot=True))
                for i, cell in enumerate(row, 1)
            }
        lines = [*scene.trunk, *(rng.choice(scene.branches) if scene.branches else ())]
        kept = len(lines)
        if not whole:
            kept = 2 * num_exchanges
        elif not scene.facts and rng.random() > _WHOLE_SHARE:
            kept = 2 * rng.randint(1, len(lines) // 2)
        for line in lines[:kept]:
            course.turns.append(self._say(course, line.options, cast, by_bot=line.by_bot))
        course.told.update(dict.fromkeys(scene.facts, cast))

    def _say(
        self, course: _Course, options: Sequence[Template], cast: _Cast, *, by_bot: bool
    ) -> str:
        text = expand(
            course.rng.choice(options), course.rng, lambda key: cast.look_up(key, by_bot=by_bot)
        )
        if by_bot:
            return _capitalised(text.strip(), cast)
        kept = [word.told for word in cast.words.values()]
        return type_out(text, course.manner, course.rng, kept)

    def _draw_word(self, course: _Course, slot: str, *, known: bool = False) -> Word:
        vocabulary = self._words[slot]
        if known:
            vocabulary = replace(vocabulary, made_up=0.0)
        return draw(vocabulary, course.rng, course.split, lower=course.manner.lower)

    def _ask(self, course: _Course, fact: str) -> None:
        recall, cast = self._recalls[fact], course.told[fact]
        if f"asked {fact}" in course.played and course.rng.random() < 0.8:
            return
        course.played.add(f"asked {fact}")
        course.turns.append(self._say(course, recall.questions, cast, by_bot=False))
        course.turns.append(self._say(course, recall.answers, cast, by_bot=True))

    def _ask_untold(self, course: _Course) -> None:
        """A question about what was never told, and often the answer to the bot's own question."""
        recalls = [
            recall
            for recall in self._recalls.values()
            if recall.language == course.language and recall.fact not in course.told
        ]
        recall = course.rng.choice(recalls)
        cast = _Cast(lambda slot: self._draw_word(course, slot))
        course.turns.append(self._say(course, recall.questions, cast, by_bot=False))
        course.turns.append(self._say(course, recall.untold, cast, by_bot=True))
        scenes = [s for s in self._scenes["answer", course.language] if recall.fact in s.facts]
        if scenes and course.rng.random() < 0.6:
            self._play(course, _pick(course, scenes))
            if course.rng.random() < _ASKED_SHARE:
                self._ask(course, recall.fact)


def _capitalised(text: str, cast: _Cast) -> str:
    """`text` with a capital, unless it begins with a word that the bot can only repeat."""
    repeated = [word.answered for word in cast.words.values() if not word.known]
    if any(word[:1].islower() and text.startswith(word) for word in repeated):
        return text
    return text[:1].upper() + text[1:]


def _pick(course: _Course, scenes: Sequence[Scene]) -> Scene:
    """A scene by its weight, one that was not played yet if there is one at hand."""
    weights = [scene.weight for scene in scenes]
    for _ in range(8):
        scene = course.rng.choices(scenes, weights)[0]
        if scene.title not in course.played:
            break
    return scene


def _by_question(scenes: Sequence[Scene]) -> dict[str, list[Scene]]:
    by_question: dict[str, list[Scene]] = {}
    for scene in scenes:
        for question in scene.questions:
            by_question.setdefault(question, []).append(scene)
    return by_question


def _kind(scene: Scene) -> str:
    for kind in ("opening", "closing", "reaction", "answer", "after"):
        if kind in scene.tags:
            return kind
    return "fact" if scene.facts else "topic"


def fact_slot(recall: Recall) -> str:
    """The slot whose word answers the questions of `recall`: the first of its first answer."""
    return next(part.key for part in recall.answers[0] if isinstance(part, Slot))


def _telling_exchange(scene: Scene, slot: str) -> int:
    """How many exchanges of `scene` are played until its fact is told and answered."""
    for i in range(0, len(scene.trunk), 2):
        if any(slot in slot_keys(option) for option in scene.trunk[i].options):
            return i // 2 + 1
    raise ValueError(f"the scene {scene.title!r} never tells {slot!r}")


def load_grammar() -> Grammar:
    """The grammar of the scenes and words beside this module."""
    return Grammar(load_book(), load_words())


def fingerprint(grammar: Grammar) -> str:
    """The start of a hash of a thousand dialogues: another grammar has another one."""
    rng = random.Random("fingerprint")
    dialogues = [grammar.dialogue(rng) for _ in range(1000)]
    return hashlib.sha256(repr(dialogues).encode()).hexdigest()[:12]
