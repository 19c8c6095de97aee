"""A version's own recipe fitted on another snapshot: no search, no Ray."""

from __future__ import annotations

import time

from tenfold.canonical import read_json
from tenfold.data import Snapshot
from tenfold.progress import SILENT, Progress
from tenfold.project import Project
from tenfold.registry import Version
from tenfold.settings import Settings
from tenfold.training.answer import Answer
from tenfold.training.ensemble import recalibrated
from tenfold.training.finish import Finished, finish
from tenfold.training.making import Making, fit_stages
from tenfold.training.question import question_of
from tenfold.training.rows import SEARCH_ROWS, load_rows
from tenfold.training.search import Material
from tenfold_jobs.packing import Origin, Packed, pack

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
    """Fit a version's own recipe on another snapshot and publish it.

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
    lineage = manifest["lineage"]
    question = question_of(project, snapshot, positive=manifest["positive_class"])
    rows = load_rows(snapshot, question, max_rows=SEARCH_ROWS)
    profiles, training = snapshot.profiles(), rows.training
    with progress.step("refit"):
        stages = fit_stages(
            training,
            profiles=profiles,
            schema=snapshot.schema,
            question=question,
            making=Making(construct=project.train.construct_columns),
            threads=threads,
        )
        material = Material(training, profiles, snapshot.schema, question, threads, stages)
        answer = Answer.from_lineage(lineage["family"], lineage["params"])
        answer, oof = recalibrated(material, answer)
        finished = finish(
            material,
            rows.test,
            answer,
            oof=oof,
            block_rows=project.monitor.block_rows,
        )
        origin = Origin(snapshot, question, time.monotonic() - began, parent=parent.model_digest)
        packed = pack(project, settings, finished, origin)
    return packed.version, packed, finished
