"""From a finished model to a registered version: latency, gates, card, probe."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import tenfold
from tenfold.artifact import CONFORMAL_FILE, Lineage, ManifestDraft, probe
from tenfold.canonical import canonical_json, store_error
from tenfold.evaluation import (
    CardFacts,
    Estimate,
    GateResult,
    card_html,
    card_markdown,
    evaluate_gates,
)
from tenfold.inference import Predictor, pack_artifact
from tenfold.inference.pack import draft_predictor
from tenfold.project import Project
from tenfold.registry import Registry, Version
from tenfold.settings import Settings
from tenfold.training.board import Tried
from tenfold.training.finish import Finished
from tenfold.training.question import Question
from tenfold_jobs.provenance import provenance
from tenfold_jobs.run_page import answer_section, front_section, run_html

if TYPE_CHECKING:
    import pyarrow as pa

    from tenfold.data import Snapshot

__all__ = ["Origin", "Packed", "pack", "staging_folder"]

LATENCY_ROWS = 400
"""Single rows timed: the 99th percentile then rests on four rows."""
WARM_UP_ROWS = 50
RUN_FILE = "run.html"


@dataclass(frozen=True, slots=True)
class Packed:
    """A published version with what was measured of it."""

    version: Version
    metrics: dict[str, Estimate]
    gates: tuple[GateResult, ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a model came from, for manifest and card."""

    snapshot: Snapshot
    question: Question
    seconds: float
    tried: Sequence[Tried] = ()
    parent: str | None = None
    notes: Sequence[str] = ()
    sections: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)


def pack(project: Project, settings: Settings, finished: Finished, origin: Origin) -> Packed:
    """Measure, write, probe and publish.

    Raises:
        ArtifactError: the probe does not reproduce the golden rows.
        StoreError: the store cannot be written; nothing half-written stays.
    """
    table = next(iter(origin.snapshot.blocks()))
    files = _files(finished)
    draft = _draft(project, finished, origin)
    metrics = dict(finished.metrics)
    metrics |= _latency(draft_predictor(files, draft), table)
    gates = evaluate_gates(project.problem.gates, {k: v.value for k, v in metrics.items()})
    facts = _card(project, finished, origin, metrics=metrics, gates=gates)
    files |= {"card.html": card_html(facts).encode(), "card.md": card_markdown(facts).encode()}
    if origin.tried:
        files[RUN_FILE] = run_html(project.name, finished, origin).encode()
    report = settings.reports / project.name / "report.html"
    if report.is_file():
        files["report.html"] = report.read_bytes()
    draft = _draft(project, finished, origin, metrics=metrics, gates=gates)
    staged = settings.artifacts / project.name / f".staged-{uuid.uuid4().hex[:12]}"
    try:
        pack_artifact(staged, files=files, manifest=draft, table=table)
        probe(staged).require()
        version = Registry(settings).publish(project.name, staged)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return Packed(version, metrics, gates)


def _files(finished: Finished) -> dict[str, bytes]:
    conformed = finished.conformed
    limits = {} if conformed is None else {CONFORMAL_FILE: conformed.table.to_dict()}
    return {
        **{name: canonical_json(value) for name, value in limits.items()},
        **finished.engine.files,
        "preprocess.json": canonical_json(finished.preprocessor.to_dict()),
        "profile.bin": finished.profile.to_bytes(),
        "reference.json": finished.reference,
    }


def _draft(
    project: Project,
    finished: Finished,
    origin: Origin,
    *,
    metrics: Mapping[str, Estimate] | None = None,
    gates: Sequence[GateResult] = (),
) -> ManifestDraft:
    return ManifestDraft(
        project=project.to_dict(),
        task=origin.question.task.value,
        schema=finished.preprocessor.schema,
        engine=finished.engine.name,
        classes=finished.classes,
        threshold=finished.threshold,
        metrics={name: e.to_dict() for name, e in (metrics or {}).items()},
        gates=[gate.to_dict() for gate in gates],
        lineage=Lineage(
            snapshot=origin.snapshot.digest,
            folds=origin.snapshot.folds_digest,
            code=tenfold.__version__,
            seed=origin.question.seed,
            params=finished.params,
            family=finished.family,
            parent=origin.parent,
            extra={
                "n_tried": len(origin.tried),
                "engine": finished.engine.reason,
                **provenance(),
            },
        ),
    )


def _latency(predictor: Predictor, table: pa.Table) -> dict[str, Estimate]:
    """Milliseconds of one JSON row through the predictor, in this process."""
    names = [column.name for column in predictor.columns]
    rows = [
        {k: v.isoformat() if isinstance(v, datetime) else v for k, v in row.items()}
        for row in table.select(names).slice(0, LATENCY_ROWS).to_pylist()
    ]
    for row in rows[:WARM_UP_ROWS]:
        predictor.predict_rows([row])
    spent = []
    for index in range(LATENCY_ROWS):
        began = time.perf_counter()
        predictor.predict_rows([rows[index % len(rows)]])
        spent.append((time.perf_counter() - began) * 1e3)
    nan = float("nan")
    return {
        f"latency_p{q}_ms": Estimate(float(np.percentile(spent, q)), nan, nan) for q in (50, 99)
    }


def _card(
    project: Project,
    finished: Finished,
    origin: Origin,
    *,
    metrics: Mapping[str, Estimate],
    gates: Sequence[GateResult],
) -> CardFacts:
    snapshot = origin.snapshot
    return CardFacts(
        project=project.name,
        task=origin.question.task.value,
        target=project.target,
        family=finished.family,
        engine=finished.engine.name,
        params=finished.answer.facts,
        metrics=metrics,
        cross_validation=finished.cross_validation,
        baseline=finished.baseline,
        gates=gates,
        rows={
            "training": finished.n_training,
            "sealed test": finished.n_test,
            "in quarantine": snapshot.n_quarantined,
            "equal to an earlier row, dropped": snapshot.n_duplicates,
            "equal to an earlier row, kept": snapshot.n_equal,
        },
        lineage={
            "snapshot": snapshot.digest,
            "folds": snapshot.folds_digest,
            "code": f"tenfold {tenfold.__version__}",
            **provenance(),
            "seed": str(origin.question.seed),
            "parent": origin.parent or "none",
            "engine": finished.engine.reason,
            "seconds": f"{origin.seconds:.0f}",
        },
        classes=finished.classes,
        threshold=finished.threshold,
        calibration=finished.calibration,
        tried=_tried(origin),
        notes=_notes(finished, origin),
        sections={
            **_answers(finished, origin),
            **origin.sections,
            **({"Intervals": finished.conformed.facts()} if finished.conformed else {}),
            **_segments(finished),
            **_columns(finished),
        },
        links=[("What was tried, and the front", RUN_FILE)] if origin.tried else [],
    )


def _answers(finished: Finished, origin: Origin) -> dict[str, list[tuple[str, str]]]:
    """Who answers and what else could have; nothing where there was no choice."""
    answer = answer_section(origin.question, finished.chosen)
    front = front_section(finished.chosen)
    return {"Answer": answer, "Front": front} if answer else {}


def _notes(finished: Finished, origin: Origin) -> list[str]:
    """The run's own notes, and what there is to say against reading segments as kinds of rows."""
    notes = list(origin.notes)
    if finished.segments is not None and not finished.segments.structure.found:
        notes.insert(0, _sentence(finished.segments.structure.told()))
    return notes


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _segments(finished: Finished) -> dict[str, list[tuple[str, str]]]:
    """Whether there is structure, and a portrait of each segment."""
    if finished.segments is None:
        return {}
    found = finished.segments.structure
    verdict = [("structure", "found" if found.found else "not found"), ("why", found.told())]
    portraits = {portrait.title(): portrait.pairs() for portrait in finished.segments.portraits}
    return {"Segments": verdict, **portraits}


def _columns(finished: Finished) -> dict[str, list[tuple[str, str]]]:
    """What the card says about constructed and dropped columns; nothing where nothing was tried."""
    stage = finished.stage
    if not stage.facts:
        return {}
    pairs = [*stage.facts, ("asked for", str(len(stage.schema.features)))]
    if stage.dropped:
        pairs.append(("not asked for", ", ".join(stage.dropped)))
    return {"Columns": pairs}


def _tried(origin: Origin) -> list[tuple[str, int, float]]:
    families: dict[str, list[float]] = {}
    for tried in origin.tried:
        families.setdefault(tried.config.family, []).append(tried.outcome.score)
    best = max if origin.question.maximize else min
    return [
        (name, len(scores), best((s for s in scores if s == s), default=float("nan")))
        for name, scores in families.items()
    ]


def staging_folder(settings: Settings, name: str) -> Path:
    """A folder for files of one run under the store, reachable wherever the store is.

    Raises:
        StoreError: it cannot be made.
    """
    folder = settings.artifacts.parent / "work" / f"{name}-{uuid.uuid4().hex[:12]}"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise store_error(folder, error) from error
    return folder
