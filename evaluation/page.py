"""The report as one HTML page, readable in light and dark, with everything inside."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from evaluation.bootstrap import LEVEL, Interval
from evaluation.compare import Comparison, signed
from evaluation.item import Item
from evaluation.metric import Facts
from evaluation.published import COLUMN_FACTS, DIALOGPT_6K, target_of
from evaluation.reading import Row
from evaluation.suite import Scores

PEOPLE_HERE = "people here"
_TEMPLATE = Path(__file__).with_name("report.html")
Cells = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Page:
    """What the page shows. `pictures`: PNGs by metric and look; `figures`: by run."""

    title: str
    figures: Mapping[str, Scores]
    comparisons: Mapping[str, Sequence[Comparison]]
    pictures: Mapping[str, Mapping[str, bytes]]
    about: Mapping[str, Row]
    samples: Sequence[Sequence[tuple[Item, ...]]]


def render(page: Page) -> str:
    """The page's HTML; what was said is escaped."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    first = next(iter(page.figures.values()))
    num_alike = len(page.samples[0][0]) if page.samples else 0
    return template.render(
        title=page.title,
        subtitle=_subtitle(first),
        level=f"{LEVEL:.0%}",
        num_resamples=f"{first.num_resamples:,}",
        runs=list(page.figures),
        figures=_figures(page),
        compared=list(page.comparisons),
        comparisons=_comparisons(page.comparisons),
        plots=_plots(page),
        published_columns=[_titled(facts) for facts in COLUMN_FACTS],
        published=[_published(name, row) for name, row in DIALOGPT_6K.items()],
        made_names=list(page.about),
        sampled=list(page.about)[:num_alike],
        made=_made(page.about),
        samples=[[_exchange(row) for row in sample] for sample in page.samples],
    )


def _subtitle(first: Scores) -> str:
    fewest, most = first.num_references
    references = "no references" if not most else f"{fewest} or more references each"
    signature = f" · BLEU {first.signature}" if first.signature else ""
    return f"{first.num_items:,} replies in {first.num_groups:,} dialogues, {references}{signature}"


def _all_facts(page: Page) -> dict[str, Facts]:
    return {one.facts.name: one.facts for scores in page.figures.values() for one in scores.figures}


def _figures(page: Page) -> list[Cells]:
    first = next(iter(page.figures.values()))
    columns = [scores.by_name() for scores in page.figures.values()]
    rows: list[Cells] = []
    for name, facts in _all_facts(page).items():
        people, target = first.people_of(name), target_of(name)
        rows.append(
            {
                "title": _titled(facts),
                "cells": [
                    _cell(facts, column[name].interval) if name in column else _EMPTY
                    for column in columns
                ],
                "people": "" if people is None else _range(facts, *people),
                "target": "" if target is None else f"≤ {facts.show(target)}",
            }
        )
    return rows


_EMPTY: Cells = {"value": "–", "limits": ""}


def _cell(facts: Facts, interval: Interval) -> Cells:
    return {
        "value": facts.show(interval.value),
        "limits": f"{facts.show(interval.low)} – {facts.show(interval.high)}",
    }


def _comparisons(found: Mapping[str, Sequence[Comparison]]) -> list[Cells]:
    by_run = [{one.facts.name: one for one in column} for column in found.values()]
    facts = {one.facts.name: one.facts for column in found.values() for one in column}
    return [
        {
            "title": _titled(fact),
            "cells": [_difference(column.get(name)) for column in by_run],
        }
        for name, fact in facts.items()
    ]


def _difference(one: Comparison | None) -> Cells:
    if one is None:
        return {"value": "–", "limits": "", "verdict": ""}
    return {
        "value": signed(one.facts, one.difference.value),
        "limits": f"{signed(one.facts, one.difference.low)} – "
        f"{signed(one.facts, one.difference.high)}",
        "verdict": one.verdict.value,
    }


def _plots(page: Page) -> list[Cells]:
    facts = _all_facts(page)
    return [
        {
            **{look: b64encode(png).decode() for look, png in pictures.items()},
            "alt": f"{facts[name].title} of each run, as in the table",
        }
        for name, pictures in page.pictures.items()
    ]


def _published(name: str, row: Mapping[str, float]) -> Cells:
    return {"name": name, "cells": [facts.show(row[facts.name]) for facts in COLUMN_FACTS]}


def _made(about: Mapping[str, Row]) -> list[Cells]:
    flat = [_flat(row) for row in about.values()]
    keys = dict.fromkeys(key for row in flat for key in row if key != "name")
    return [{"name": key, "cells": [row.get(key, "–") for row in flat]} for key in keys]


def _flat(about: Row) -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in about.items():
        if isinstance(value, dict):
            flat |= {str(inner): str(one) for inner, one in value.items()}
        else:
            flat[key] = "all" if value is None else str(value)
    return flat


def _exchange(row: tuple[Item, ...]) -> Cells:
    return {
        "said": row[0].said or "",
        "cells": [{"text": item.completion, "is_fallback": item.is_fallback} for item in row],
        "person": " / ".join(row[0].references),
    }


def _titled(facts: Facts) -> str:
    return f"{facts.title} ({facts.unit})" if facts.unit else facts.title


def _range(facts: Facts, low: float, high: float) -> str:
    shown = facts.show(low), facts.show(high)
    return shown[0] if low == high else " – ".join(shown)
