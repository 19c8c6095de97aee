"""``tenfold prepare``: collect, clean, split, profile, snapshot, report."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

from tenfold.data import Driver, Snapshot, choose_driver, prepare
from tenfold.profile.report import write_report
from tenfold.progress import SILENT, Progress
from tenfold.project import Project
from tenfold.settings import Settings
from tenfold_jobs.quarantine import cells_by_reason, first_cells

__all__ = ["Drivers", "PrepareRecord", "run_prepare"]


@dataclass(frozen=True, slots=True)
class PrepareRecord:
    """What preparing gave; `to_dict` is the JSON document of ``tenfold prepare --json``.

    Attributes:
        project: its name.
        snapshot: digest of the rows and their schema.
        folds_digest: digest of who is judged on what.
        path: the snapshot's folder.
        rows: rows kept.
        quarantined: rows that could not be mended.
        quarantine_rate: their share of all records of the source, 0 to 1.
        duplicates: rows equal to an earlier one that were not kept.
        equal: rows kept though equal to an earlier one; equal rows are in one part of the split.
        replaced: older rows of a key of which a newer one was kept.
        near_duplicates: rows nearly equal to another; None where it was not asked.
        folds: rows by fold label; ``-1`` is the sealed test set.
        ordered: whether folds are time slices.
        driver: ``in-process`` or ``ray-data``.
        report: the exploration report.
        findings: what the report warns of, gravest first.
        lineage: where the rows came from, one entry a source, a stack and a join.
    """

    project: str
    snapshot: str
    folds_digest: str
    path: str
    rows: int
    quarantined: int
    quarantine_rate: float
    duplicates: int
    equal: int
    replaced: int
    near_duplicates: int | None
    folds: dict[str, int]
    ordered: bool
    driver: str
    report: str
    findings: list[dict[str, Any]]
    lineage: list[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON values."""
        return asdict(self)


def run_prepare(
    project: Project,
    settings: Settings,
    *,
    progress: Progress = SILENT,
    quiet: bool = True,
) -> PrepareRecord:
    """Make the snapshot and the report of a project.

    Ray is started (or joined) only if a source is larger than ``settings.local_bytes``.

    Raises:
        DataError: what the source breaks; nothing is left behind.
        StoreError: the disk refuses; a later run goes on where this one stopped.
        ClusterError: Ray is needed and does not answer.
    """
    with ExitStack() as stack:
        drivers = Drivers(settings, stack, quiet=quiet)
        snapshot = prepare(project, settings=settings, drivers=drivers, progress=progress)
    with progress.step("write report"):
        numbers = _report(project, settings, snapshot)
    return PrepareRecord(
        project=project.name,
        snapshot=snapshot.digest,
        folds_digest=snapshot.folds_digest,
        path=str(snapshot.path),
        rows=snapshot.n_rows,
        quarantined=snapshot.n_quarantined,
        quarantine_rate=snapshot.quarantine_rate,
        duplicates=snapshot.n_duplicates,
        equal=snapshot.n_equal,
        replaced=snapshot.manifest.get("n_replaced", 0),
        near_duplicates=(snapshot.manifest.get("near_duplicates") or {}).get("n_rows"),
        folds=snapshot.manifest["fold_rows"],
        ordered=snapshot.ordered,
        driver=drivers.last,
        report=str(settings.reports / project.name / "report.html"),
        findings=numbers["findings"],
        lineage=snapshot.manifest["lineage"],
    )


class Drivers:
    """Chooses by size; starts or joins Ray when the first large source asks for it.

    Attributes:
        last: name of the driver chosen last, which is the table's.
    """

    def __init__(self, settings: Settings, stack: ExitStack, *, quiet: bool) -> None:
        self.last = ""
        self._settings = settings
        self._stack = stack
        self._quiet = quiet
        self._started = False

    def __call__(self, size_bytes: int) -> Driver:
        """The driver for a source of so many bytes."""
        driver = choose_driver(size_bytes, local_bytes=self._settings.local_bytes)
        if driver.name == "ray-data" and not self._started:
            from tenfold_jobs.ray_rim import start_ray

            self._stack.enter_context(start_ray(self._settings, quiet=self._quiet))
            self._started = True
        self.last = driver.name
        return driver


def _report(project: Project, settings: Settings, snapshot: Snapshot) -> dict[str, Any]:
    quarantine = snapshot.quarantine()
    return write_report(
        settings.reports / project.name / "report.html",
        project=project.name,
        task=project.problem.task.value,
        schema=snapshot.schema,
        profiles=snapshot.profiles(),
        quarantine=cells_by_reason(quarantine),
        quarantined=first_cells(quarantine),
        snapshot={
            "digest": snapshot.digest,
            "n_records": snapshot.manifest["n_records"],
            "n_rows": snapshot.n_rows,
            "n_quarantined": snapshot.n_quarantined,
            "n_duplicates": snapshot.n_duplicates,
            "n_equal": snapshot.n_equal,
            "drop_duplicates": project.prepare.drop_duplicates,
            "near_duplicates": snapshot.manifest["near_duplicates"],
            "ordered": snapshot.ordered,
        },
        positive_class=project.problem.positive_class,
        survey=snapshot.survey(),
        cleaning=snapshot.manifest["cleaning"],
    )
