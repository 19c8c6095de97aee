"""What a training says of itself on its page, ``run.html`` beside the model card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tenfold.evaluation.card import parameter
from tenfold.evaluation.run_page import Candidate, Curve, RunPage, Trial, render_run
from tenfold.training.board import Tried
from tenfold.training.ensemble import Chosen
from tenfold.training.finish import Finished
from tenfold.training.front import Point
from tenfold.training.importance import importances
from tenfold.training.question import Question

if TYPE_CHECKING:
    from tenfold_jobs.packing import Origin

__all__ = ["answer_section", "front_section", "run_html"]


def run_html(project: str, finished: Finished, origin: Origin) -> str:
    """The page.

    Args:
        project: its name.
        finished: the model and why it was chosen.
        origin: what was tried, and for how long.
    """
    question, chosen = origin.question, finished.chosen
    ranked = _ranked(question, origin.tried)
    return render_run(
        RunPage(
            project=project,
            metric=question.metric,
            maximize=question.maximize,
            answer=finished.answer.words,
            reason="it was given" if chosen is None else chosen.reason,
            seconds=origin.seconds,
            facts=[*answer_section(question, chosen), *_params(finished)],
            front=[] if chosen is None else [_candidate(chosen, point) for point in chosen.front],
            trials=[_trial(tried) for tried in origin.tried],
            curves=[
                Curve(t.config.number, t.config.family, t.outcome.curve)
                for t in ranked
                if len(t.outcome.curve) > 1
            ],
            importance=importances(question, origin.tried),
        )
    )


def answer_section(question: Question, chosen: Chosen | None) -> list[tuple[str, str]]:
    """Who answers and why, as pairs; nothing where there was no choice."""
    if chosen is None or chosen.pick is None:
        return []
    pairs = [
        ("answers", chosen.answer.words),
        ("why", chosen.reason),
        (f"{question.metric} of the best configuration, out of fold", f"{chosen.single:.5g}"),
        (f"{question.metric} of the answer, out of fold", f"{chosen.pick.mix.score:.5g}"),
    ]
    if chosen.nested == chosen.nested:
        pairs.append(
            (f"{question.metric} with weights that have not seen the fold", f"{chosen.nested:.5g}")
        )
    return [*pairs, ("calibration", chosen.answer.calibration.words)]


def front_section(chosen: Chosen | None) -> list[tuple[str, str]]:
    """The candidates, the fastest first, as pairs for the card."""
    if chosen is None:
        return []
    return [
        (
            _words(chosen, point),
            f"{point.mix.score:.5g}, {point.behind:.1f} standard errors behind the best, "
            + (
                f"{point.micros:.0f} us a row, {point.size_bytes / 1e6:.2f} MB"
                if point.is_timed
                else "not fitted: no time"
            )
            + (" (answers)" if point is chosen.pick else ""),
        )
        for point in chosen.front
    ]


def _words(chosen: Chosen, point: Point) -> str:
    names = [
        f"{chosen.families[number]} {number}" + (f" ({weight:.2f})" if weight < 1.0 else "")
        for number, weight in point.mix.weights
    ]
    return " + ".join(names) + (f", {point.seeds} seeds" if point.seeds > 1 else "")


def _candidate(chosen: Chosen, point: Point) -> Candidate:
    return Candidate(
        words=_words(chosen, point),
        score=point.mix.score,
        behind=point.behind,
        micros=point.micros if point.is_timed else None,
        size_bytes=point.size_bytes if point.is_timed else None,
        is_picked=point is chosen.pick,
    )


def _params(finished: Finished) -> list[tuple[str, str]]:
    facts = finished.answer.facts
    return [(name, parameter(value)) for name, value in facts.items() if name != "calibration"]


def _ranked(question: Question, tried: Sequence[Tried]) -> list[Tried]:
    scored = [t for t in tried if t.outcome.score == t.outcome.score]
    sign = -1.0 if question.maximize else 1.0
    return sorted(scored, key=lambda t: (sign * t.outcome.score, t.config.number))


def _trial(tried: Tried) -> Trial:
    config, outcome = tried.config, tried.outcome
    return Trial(
        number=config.number,
        family=config.family,
        score=outcome.score,
        seconds=outcome.seconds,
        fate=outcome.fate.value,
        params=", ".join(f"{name} {_short(value)}" for name, value in config.params.items()),
        reason=outcome.error or "",
    )


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
