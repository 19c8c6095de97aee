"""What the newest prepared table says of itself, for ``/metrics``."""

from __future__ import annotations

from tenfold.data import Snapshot
from tenfold.errors import TenfoldError
from tenfold.settings import Settings

__all__ = ["NewestSnapshot"]


class NewestSnapshot:
    """Facts of a project's newest snapshot; its manifest is read again only when it changed.

    Args:
        settings: where snapshots lie.
        project: whose.
    """

    def __init__(self, settings: Settings, project: str) -> None:
        self._settings = settings
        self._project = project
        self._seen_ns = 0
        self._facts: dict[str, float] = {}
        self._causes: dict[str, int] = {}

    def facts(self) -> dict[str, float]:
        """``prepared`` of `tenfold.telemetry.ProjectView`; empty without a readable snapshot."""
        pointer = Snapshot.pointer(self._settings, self._project)
        try:
            changed_ns = pointer.stat().st_mtime_ns
            if changed_ns != self._seen_ns:
                snapshot = Snapshot.latest(self._settings, self._project)
                self._facts = _facts(snapshot, changed_ns)
                self._causes = dict(snapshot.manifest.get("quarantine_causes", {}))
                self._seen_ns = changed_ns
        except (OSError, TenfoldError):  # none yet, or one that is being replaced
            return self._facts
        return self._facts

    def causes(self) -> dict[str, int]:
        """``quarantined`` of `tenfold.telemetry.ProjectView`, as of the last `facts`."""
        return self._causes


def _facts(snapshot: Snapshot, changed_ns: int) -> dict[str, float]:
    records = max(1, int(snapshot.manifest["n_records"]))
    repeated = snapshot.n_duplicates + snapshot.n_equal
    return {
        "records": float(snapshot.manifest["n_records"]),
        "quarantined_records": float(snapshot.n_quarantined),
        "duplicate_records": float(repeated),
        "quarantined_files": float(snapshot.manifest.get("n_quarantined_files", 0)),
        "quarantine_ratio": float(snapshot.quarantine_rate),
        "duplicate_ratio": repeated / records,
        "timestamp_seconds": changed_ns / 1e9,
    }
