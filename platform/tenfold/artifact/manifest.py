"""The manifest: what an artifact holds, what it answers, and where it came from."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from tenfold.artifact.layout import (
    CONFORMAL_FILE,
    ENGINE_FILES,
    FORMAT_VERSION,
    MANIFEST_FILE,
    PREPROCESS_FILE,
    TASKS,
    FileEntry,
    Lineage,
    check_fields,
    check_name,
    check_types,
    check_version,
    read_entry,
    read_lineage,
)
from tenfold.canonical import canonical_json, sha256_hex
from tenfold.errors import ArtifactError
from tenfold.schema import Schema

__all__ = ["Manifest", "ManifestDraft"]


@dataclass(frozen=True, kw_only=True)
class ManifestDraft:
    """What the maker of a model knows; `write_artifact` adds files and digests.

    Attributes:
        project: the whole project file, `Project.to_dict`.
        task: ``binary``, ``multiclass``, ``regression`` or ``clustering``.
        schema: columns asked for in a request and the target.
        classes: the classes (or clusters) in the order of the score columns; () for regression.
        engine: key of `ENGINE_FILES`; the one that answers everywhere.
        lineage: where it came from.
        metrics: quality on the held-out rows, JSON values.
        gates: the gates and whether they hold, JSON values.
        threshold: for a binary task, the least probability of ``positive_class`` that is answered
            with it; None means .5.
        positive_class: one of ``classes``; None means the last of a binary task.
        created: ISO 8601, UTC; now if None.
    """

    project: dict[str, Any]
    task: str
    schema: Schema
    engine: str
    lineage: Lineage
    classes: Sequence[str] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    gates: Sequence[Mapping[str, Any]] = ()
    threshold: float | None = None
    positive_class: str | None = None
    created: str | None = None

    def sealed(self, files: Mapping[str, FileEntry]) -> Manifest:
        """The manifest of these files.

        Raises:
            ArtifactError: a value breaks a law of the manifest.
        """
        if self.engine not in ENGINE_FILES:
            raise ArtifactError(
                f"a scoring engine is one of {', '.join(ENGINE_FILES)}, not {self.engine!r}"
            )
        positive = self.positive_class
        if positive is None and self.task == "binary" and self.classes:
            positive = self.classes[-1]
        threshold = self.threshold
        if self.task == "binary" and threshold is None:
            threshold = 0.5
        manifest = Manifest(
            project=self.project,
            task=self.task,
            schema=self.schema,
            classes=tuple(self.classes),
            engine=self.engine,
            lineage=self.lineage,
            metrics=dict(self.metrics),
            gates=tuple(dict(gate) for gate in self.gates),
            threshold=threshold,
            positive_class=positive,
            created=self.created or datetime.now(UTC).isoformat(timespec="seconds"),
            files=dict(sorted(files.items())),
            model_digest="",
        )
        missing = [n for n in (PREPROCESS_FILE, *manifest.engine_files) if n not in files]
        if missing:
            raise ArtifactError(
                f"an artifact with the engine {self.engine!r} needs {', '.join(missing)}; "
                "add the files, or name another engine"
            )
        manifest = Manifest(**{**_shallow(manifest), "model_digest": manifest.expected_digest()})
        try:
            # Through JSON, so that what is kept is what will be read (enums become texts).
            return Manifest.from_dict(json.loads(manifest.to_bytes()))
        except (ValueError, TypeError) as error:
            raise ArtifactError(f"a manifest holds finite JSON values: {error}") from error


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A sealed manifest. See `ManifestDraft` for the shared fields.

    Attributes:
        files: every other file of the folder.
        model_digest: what decides an answer, and so what answers carry: schema, preprocessing,
            scorer, classes, threshold, intervals. Two trainings that end the same have the same.
        format_version: of the folder.
    """

    project: dict[str, Any]
    task: str
    schema: Schema
    classes: tuple[str, ...]
    engine: str
    lineage: Lineage
    metrics: dict[str, Any]
    gates: tuple[dict[str, Any], ...]
    threshold: float | None
    positive_class: str | None
    created: str
    files: dict[str, FileEntry]
    model_digest: str
    format_version: int = FORMAT_VERSION

    @property
    def project_name(self) -> str:
        """Name of the project."""
        return str(self.project["name"])

    @property
    def engine_files(self) -> tuple[str, ...]:
        """Names of the files that the scoring engine reads."""
        return ENGINE_FILES[self.engine]

    @property
    def n_scores(self) -> int:
        """Columns of a score matrix: one per class, else one."""
        return len(self.classes) or 1

    @cached_property
    def digest(self) -> str:
        """The artifact digest: SHA-256 of the manifest's bytes."""
        return sha256_hex(self.to_bytes())

    def expected_digest(self) -> str:
        """The model digest that the other fields give."""
        parts = [PREPROCESS_FILE, *self.engine_files]
        if CONFORMAL_FILE in self.files:  # what was trained before keeps its digest
            parts.append(CONFORMAL_FILE)
        return sha256_hex(
            canonical_json(
                {
                    "schema": self.schema.digest(),
                    "files": {name: self.files[name].sha256 for name in parts},
                    "engine": self.engine,
                    "task": self.task,
                    "classes": self.classes,
                    "positive_class": self.positive_class,
                    "threshold": self.threshold,
                }
            )
        )

    def to_dict(self) -> dict[str, Any]:
        """The manifest as JSON values."""
        return _shallow(self) | {
            "schema": self.schema.to_dict(),
            "classes": list(self.classes),
            "lineage": asdict(self.lineage),
            "gates": list(self.gates),
            "files": {name: asdict(entry) for name, entry in self.files.items()},
        }

    def to_bytes(self) -> bytes:
        """The bytes of ``manifest.json``: canonical JSON."""
        return canonical_json(self.to_dict())

    @classmethod
    def from_dict(cls, value: Any) -> Manifest:
        """Read a manifest that nobody should trust.

        Raises:
            ArtifactError: a future format, unknown or missing fields, wrong types, a file name that
                leaves the folder, or a model digest that does not follow from the rest.
        """
        check_version(value)
        check_fields(value, cls, "manifest.json")
        check_types(value)
        try:
            manifest = cls(
                **value
                | {
                    "schema": Schema.from_dict(value["schema"]),
                    "classes": tuple(value["classes"]),
                    "gates": tuple(value["gates"]),
                    "lineage": read_lineage(value["lineage"]),
                    "files": {check_name(k): read_entry(v) for k, v in value["files"].items()},
                }
            )
            fault = _fault(manifest)
            manifest.to_bytes()  # JSON reads infinity from 1e999 anywhere, and writes none
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise ArtifactError(
                f"manifest.json is broken ({error!r}); publish the model again"
            ) from error
        if fault is not None:
            raise ArtifactError(f"manifest.json: {fault}; publish the model again")
        return manifest


def _fault(manifest: Manifest) -> str | None:
    """The first law that a well-formed manifest breaks."""
    classes, task = manifest.classes, manifest.task
    if task not in TASKS:
        return f"task is one of {', '.join(TASKS)}, not {task!r}"
    if manifest.engine not in ENGINE_FILES:
        return f"engine is one of {', '.join(ENGINE_FILES)}, not {manifest.engine!r}"
    if not all(isinstance(text, str) for text in classes) or len(set(classes)) != len(classes):
        return f"classes are texts, none twice: {classes}"
    least = {"binary": 2, "multiclass": 2, "clustering": 1, "regression": 0}[task]
    if len(classes) < least or (task in ("binary", "regression") and len(classes) != least):
        return f"a {task} model has {len(classes)} classes"
    if task == "binary":
        if manifest.positive_class not in classes:
            return f"positive_class is one of {classes}, not {manifest.positive_class!r}"
        if not _is_number(manifest.threshold):
            return f"threshold is a number for a binary task, not {manifest.threshold!r}"
    missing = [n for n in (PREPROCESS_FILE, *manifest.engine_files) if n not in manifest.files]
    if missing:
        return f"the files lack {', '.join(missing)}"
    if MANIFEST_FILE in manifest.files:
        return "the manifest does not list itself"
    expected = manifest.expected_digest()
    if manifest.model_digest not in ("", expected):
        return f"model_digest is {expected} by the other fields, not {manifest.model_digest!r}"
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _shallow(manifest: Manifest) -> dict[str, Any]:
    return {f.name: getattr(manifest, f.name) for f in fields(manifest)}
