"""A version's own recipe fitted on another snapshot, with no search unless a gate is missed.

Fits run in this process and need no Ray, unless a plan puts them elsewhere (see
`tenfold_jobs.placing`). The search starts from the version's own configurations. Its answer takes
the place of the refit's where it is better on out-of-fold rows; the sealed rows choose nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

from tenfold.canonical import read_json
from tenfold.cluster import Placement
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
from tenfold.training.placed import call_placed, fit_placed
from tenfold.training.portfolio import Entry
from tenfold.training.question import Question, question_of, traits_of
from tenfold.training.rows import SEARCH_ROWS, TrainingRows, load_rows
from tenfold.training.search import Limits, Material, search, search_inline
from tenfold_jobs.packing import Origin, Packed, pack
from tenfold_jobs.placing import HERE, Where
from tenfold_jobs.searching import (
    MAX_LAST_SHARE,
    MIN_LAST_SHARE,
    N_LAST_FITS,
    search_folder,
    search_key,
)

__all__ = ["refit_artifact"]


def refit_artifact(
    project: Project,
    snapshot: Snapshot,
    *,
    settings: Settings,
    parent: Version,
    threads: int = 1,
    where: Where = HERE,
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
        where: fits run; anything but this process needs a connected Ray.
        progress: is told of steps.

    Raises:
        StoreError: the snapshot is damaged, or the store cannot be written.
        ClusterError: a fit's process died each time that Ray tried.
        ArtifactError: the probe does not reproduce the golden rows.
    """
    began = time.monotonic()
    snapshot.verify()
    manifest = read_json(parent.path / "manifest.json")
    question = question_of(project, snapshot, positive=manifest["positive_class"])
    rows = load_rows(snapshot, question, max_rows=SEARCH_ROWS)
    given = Answer.from_lineage(manifest["lineage"]["family"], manifest["lineage"]["params"])
    with progress.step("refit"):
        material = _material(
            project, snapshot, question, rows.training, threads=threads, placement=where.placement
        )
        answer, oof = recalibrated(material, given)
        finished = finish(
            material,
            rows.test,
            answer,
            oof=oof,
            block_rows=project.monitor.block_rows,
            fitter=_fitter(material),
        )
    tried: Sequence[Tried] = ()
    notes: list[str] = [*where.notes]
    missed = _missed(project, finished)
    if missed and project.retrain.search_budget_s > 0:
        with progress.step("search"):
            limits = _limits(project, material, given, sessions=where.sessions)
            with _storage(project, snapshot, material, settings) as storage:
                tried, other = _search(project, material, rows.test, limits, storage=storage)
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
    placement: Placement,
) -> Material:
    profiles = snapshot.profiles()
    fit = partial(
        fit_stages,
        profiles=profiles,
        schema=snapshot.schema,
        question=question,
        making=Making(construct=project.train.construct_columns),
        threads=threads,
    )
    on_cpu = replace(placement, gpus=0.0)
    stages = call_placed(fit, training, placement=on_cpu, what="the choice of columns")
    return Material(training, profiles, snapshot.schema, question, threads, stages, placement)


def _fitter(material: Material) -> Fitter:
    """Last fits where the material's placement wants them."""
    return Fitter(material, last_fit=lambda plan, rows: fit_placed(plan, rows, material.placement))


def _missed(project: Project, finished: Finished) -> list[str]:
    """The gates of quality that the model misses; what a row takes no search can mend."""
    gates = [gate for gate in project.problem.gates if not gate.metric.startswith("latency")]
    values = {name: estimate.value for name, estimate in finished.metrics.items()}
    return [result.text for result in evaluate_gates(gates, values) if not result.holds]


def _limits(project: Project, material: Material, given: Answer, *, sessions: int) -> Limits:
    """Of a search from the given configurations."""
    budget = project.retrain.search_budget_s
    return Limits(
        trials=project.train.trials,
        seconds=budget,
        sessions=sessions,
        cpus=material.placement.cpus,
        last_fits=LastFits(
            material.last_fit_share(*material.question.families),
            N_LAST_FITS,
            MAX_LAST_SHARE * budget,
            MIN_LAST_SHARE * budget,
        ),
        warm=tuple(
            Entry(part.family, dict(part.params), first=True)
            for part in given.parts
            if part.family != "dummy"
        ),
    )


def _storage(
    project: Project, snapshot: Snapshot, material: Material, settings: Settings
) -> AbstractContextManager[Path | None]:
    """The folder of a search in sessions, apart from those of trainings; None where the search
    stays in this process."""
    if not material.placement.is_asked_for:
        return nullcontext()
    key = search_key(project, snapshot, material, timed=True)
    return search_folder(settings, f"{project.name}.refit", key)


def _search(
    project: Project,
    material: Material,
    test: TrainingRows,
    limits: Limits,
    *,
    storage: Path | None,
) -> tuple[Sequence[Tried], Finished]:
    """What a search finds, and the model of its answer: in sessions on Ray with a storage, else in
    this process."""
    end = time.monotonic() + project.retrain.search_budget_s
    traits = traits_of(material.schema, material.profiles)
    material = replace(material, question=replace(material.question, traits=traits))
    if storage is None:
        found = search_inline(material, limits)
    else:
        found = search(material, limits, storage=storage)
    fitter = _fitter(material)
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
    return found.tried, finished


def _is_better(question: Question, one: Finished, other: Finished) -> bool:
    """Whether a model is better than another on out-of-fold rows."""
    nan = float("nan")
    values = (made.cross_validation.get(question.metric, nan) for made in (one, other))
    return question.better(*values)
