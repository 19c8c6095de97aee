"""A version's own recipe fitted on another snapshot: no Ray, and no search unless a gate is missed.

The search, in this process, starts from the version's own configurations. Its answer takes the
place of the refit's where it is better on out-of-fold rows; the sealed rows choose nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from tenfold.canonical import read_json
from tenfold.data import Snapshot
from tenfold.evaluation import evaluate_gates
from tenfold.progress import SILENT, Progress
from tenfold.project import Project
from tenfold.registry import Version
from tenfold.settings import Settings
from tenfold.training.answer import Answer
from tenfold.training.board import LastFits, Tried
from tenfold.training.ensemble import PREFERENCES, choose_answer, recalibrated
from tenfold.training.finish import Finished, finish
from tenfold.training.fitter import Fitter
from tenfold.training.making import Making, fit_stages
from tenfold.training.portfolio import Entry
from tenfold.training.question import Question, question_of, traits_of
from tenfold.training.rows import SEARCH_ROWS, TrainingRows, load_rows
from tenfold.training.search import Limits, Material, SearchResult, search_inline
from tenfold_jobs.packing import Origin, Packed, pack
from tenfold_jobs.searching import MAX_LAST_SHARE, N_LAST_FITS

__all__ = ["refit_artifact"]


def refit_artifact(
    project: Project,
    snapshot: Snapshot,
    *,
    settings: Settings,
    parent: Version,
    threads: int = 1,
    progress: Progress = SILENT,
) -> tuple[Version, Packed, Finished]:
    """Fit a version's own recipe on another snapshot and publish it; if that misses a gate of
    quality, what a search from it finds within the project's ``retrain.search_budget``, if better.

    The threshold is chosen anew on out-of-fold rows of the new snapshot, and so are constructed
    columns, where the project wants them. Columns that the parent does not ask for are ignored
    in its schema already; no more are dropped. Nothing is promoted: the policy decides.

    Args:
        project: gates and costs.
        snapshot: of the newer rows, with the parent's schema.
        settings: where things live.
        parent: the version whose recipe is used: its parts, weights and seeds; the calibration
            is chosen anew.
        threads: of the fit; one by default, because a refit runs beside replicas that answer, and
            on two cores one thread leaves them theirs.
        progress: is told of steps.

    Raises:
        StoreError: the snapshot is damaged, or the store cannot be written.
        ArtifactError: the probe does not reproduce the golden rows.
    """
    began = time.monotonic()
    snapshot.verify()
    manifest = read_json(parent.path / "manifest.json")
    question = question_of(project, snapshot, positive=manifest["positive_class"])
    rows = load_rows(snapshot, question, max_rows=SEARCH_ROWS)
    given = Answer.from_lineage(manifest["lineage"]["family"], manifest["lineage"]["params"])
    with progress.step("refit"):
        material = _material(project, snapshot, question, rows.training, threads=threads)
        answer, oof = recalibrated(material, given)
        block_rows = project.monitor.block_rows
        finished = finish(material, rows.test, answer, oof=oof, block_rows=block_rows)
    tried: Sequence[Tried] = ()
    notes: list[str] = []
    missed = _missed(project, finished)
    if missed and project.retrain.search_budget_s > 0:
        with progress.step("search"):
            found, other = _search(project, material, rows.test, given)
        tried = found.tried
        taken = _is_better(question, other, finished)
        finished = other if taken else finished
        notes.append(
            f"The recipe of the model before missed {', '.join(missed)} on newer rows; "
            f"a search from it tried {len(tried)} configurations and "
            f"{'found a better answer' if taken else 'found none better'}."
        )
    spent = time.monotonic() - began
    origin = Origin(snapshot, question, spent, tried, parent=parent.model_digest, notes=notes)
    with progress.step("artifact"):
        packed = pack(project, settings, finished, origin)
    return packed.version, packed, finished


def _material(
    project: Project,
    snapshot: Snapshot,
    question: Question,
    training: TrainingRows,
    *,
    threads: int,
) -> Material:
    profiles = snapshot.profiles()
    stages = fit_stages(
        training,
        profiles=profiles,
        schema=snapshot.schema,
        question=question,
        making=Making(construct=project.train.construct_columns),
        threads=threads,
    )
    return Material(training, profiles, snapshot.schema, question, threads, stages)


def _missed(project: Project, finished: Finished) -> list[str]:
    """The gates of quality that the model misses; what a row takes no search can mend."""
    gates = [gate for gate in project.problem.gates if not gate.metric.startswith("latency")]
    values = {name: estimate.value for name, estimate in finished.metrics.items()}
    return [result.text for result in evaluate_gates(gates, values) if not result.holds]


def _search(
    project: Project, material: Material, test: TrainingRows, given: Answer
) -> tuple[SearchResult, Finished]:
    """What a search from the given configurations finds, and the model of its answer."""
    budget = project.retrain.search_budget_s
    end = time.monotonic() + budget
    traits = traits_of(material.schema, material.profiles)
    material = replace(material, question=replace(material.question, traits=traits))
    limits = Limits(
        trials=project.train.trials,
        seconds=budget,
        last_fits=LastFits(material.last_fit_share, N_LAST_FITS, MAX_LAST_SHARE * budget),
        warm=tuple(
            Entry(part.family, dict(part.params), first=True)
            for part in given.parts
            if part.family != "dummy"
        ),
    )
    found = search_inline(material, limits)
    fitter = Fitter(material)
    chosen = choose_answer(
        material,
        found.best,
        found.tried,
        found.oof_of,
        fitter=fitter,
        left_s=lambda: end - time.monotonic(),
        prefer=PREFERENCES[project.train.prefer],
    )
    finished = finish(
        material,
        test,
        chosen.answer,
        oof=chosen.oof,
        block_rows=project.monitor.block_rows,
        fitter=fitter,
        chosen=chosen,
    )
    return found, finished


def _is_better(question: Question, one: Finished, other: Finished) -> bool:
    """Whether a model is better than another on out-of-fold rows."""
    nan = float("nan")
    values = (made.cross_validation.get(question.metric, nan) for made in (one, other))
    return question.better(*values)
