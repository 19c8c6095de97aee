"""The predictor: what every door calls, so that the same row gets the same answer through all."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tenfold.artifact import (
    CONFORMAL_FILE,
    GOLDEN_FILE,
    PREPROCESS_FILE,
    REFERENCE_FILE,
    Artifact,
    Manifest,
    read_artifact,
)
from tenfold.errors import ArtifactError
from tenfold.features import RowEncoder, encode_table
from tenfold.features.codes import Codes
from tenfold.features.joined import read_preprocessor
from tenfold.features.preprocessor import Prepares
from tenfold.inference.engines import HOST, Engine, Scores, Target, load_engine
from tenfold.inference.golden import check_golden
from tenfold.schema import MISSING_MARKERS, Column, Missing, Schema

if TYPE_CHECKING:
    import pyarrow as pa

    from tenfold.evaluation import Intervals, Sets
    from tenfold.inference.explainer import Explainer

__all__ = ["Prediction", "Predictor"]


@dataclass(frozen=True, slots=True)
class Prediction:
    """Answers for some rows.

    Attributes:
        scores: float64 (n_rows, n_scores): a probability per class in the order of the model's
            classes, a membership per cluster, or the predicted number.
        values: per row, the class, the cluster's name or the number (as a Python float).
    """

    scores: Scores
    values: list[str] | list[float]


_KEPT_FILES = (GOLDEN_FILE, REFERENCE_FILE, CONFORMAL_FILE)


class Predictor:
    """A model ready to answer. Immutable; any number of threads may call it.

    Use `load`; the constructor is for tests and for makers of artifacts.

    Measured (adult.csv, 14 columns, 200 trees, one core of a 2-core box): one JSON row in 17 us
    with ONNX (24 us from body to answer) and 296 us with the booster; a row of a large table in
    5 us with either, nearly all of it in the trees.

    Args:
        manifest: what the model is.
        preprocessor: codes to matrix.
        engine: matrix to scores.
        files: verified small files that stay at hand: golden rows, the monitor's reference, limits
            of intervals.
        folder: of the artifact, where what explains it is read when somebody asks.

    Raises:
        ArtifactError: the preprocessor was fitted for another schema.
    """

    def __init__(
        self,
        manifest: Manifest,
        *,
        preprocessor: Prepares,
        engine: Engine,
        files: Mapping[str, bytes] | None = None,
        folder: Path | None = None,
    ) -> None:
        if not preprocessor.schema.agrees(manifest.schema):
            raise ArtifactError(
                "preprocess.json and manifest.json have different schemas; publish the model again"
            )
        self.manifest = manifest
        self.preprocessor = preprocessor
        self.files: Mapping[str, bytes] = dict(files or {})
        self.folder = folder
        self._engine = engine
        positive = manifest.positive_class
        self._positive = None if positive is None else manifest.classes.index(positive)
        self._threshold = manifest.threshold
        self._explaining = threading.Lock()
        self._explainer: Explainer | None = None

    @classmethod
    def load(cls, folder: Path, *, digest: str | None = None) -> Predictor:
        """Verify an artifact and load it into this process.

        Run `tenfold.artifact.probe` first on a folder that this machine has not loaded before: an
        engine's native code can crash on what passes every check.

        Args:
            folder: of the artifact.
            digest: the artifact digest that it must have; by default what the folder's name says,
                if that is a digest.

        Raises:
            ArtifactError: the artifact is not what it claims to be, or does not fit together.
        """
        return cls.from_artifact(read_artifact(folder, digest=digest))

    @classmethod
    def from_artifact(cls, artifact: Artifact, *, target: Target = HOST) -> Predictor:
        """Load verified bytes. Nothing of the artifact is kept but what answers need.

        Args:
            artifact: verified.
            target: what its engine is loaded on.

        Raises:
            ArtifactError: it does not fit together, or cannot be loaded there.
        """
        manifest = artifact.manifest
        preprocessor = read_preprocessor(artifact.json(PREPROCESS_FILE))
        files = {name: artifact.files[name] for name in manifest.engine_files}
        engine = load_engine(
            manifest.engine, files=files, family=manifest.lineage.family, target=target
        )
        kept = {name: artifact.files[name] for name in _KEPT_FILES if name in artifact.files}
        return cls(
            manifest,
            preprocessor=preprocessor,
            engine=engine,
            files=kept,
            folder=artifact.path,
        )

    @cached_property
    def missing(self) -> Missing:
        """How texts that meant missing are told: as when the model was made, whatever its project
        file says today."""
        prepare: Mapping[str, Any] = self.manifest.project.get("prepare", {})
        markers = frozenset(prepare.get("missing_markers", MISSING_MARKERS))
        return Missing(markers, bool(prepare.get("trim", True)))

    @cached_property
    def schema(self) -> Schema:
        """Of the table that the model was made for; texts that meant missing there mean it in a
        request."""
        return self.manifest.schema.of_requests(self.missing)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the score columns; () for regression."""
        return self.manifest.classes

    @property
    def digest(self) -> str:
        """The model digest, which answers carry."""
        return self.manifest.model_digest

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns that a request must have."""
        return self.schema.features

    @cached_property
    def encoder(self) -> RowEncoder:
        """The strict reader of JSON rows."""
        return RowEncoder(self.schema)

    @cached_property
    def conformal(self) -> Intervals | Sets | None:
        """What intervals or sets are made of; None for clusterings and for models that were trained
        before there were any.

        Raises:
            ArtifactError: the file is broken.
        """
        if CONFORMAL_FILE not in self.files:
            return None
        from tenfold.evaluation import read_conformal

        return read_conformal(json.loads(self.files[CONFORMAL_FILE]))

    def sets(self, prediction: Prediction, level: float) -> npt.NDArray[np.bool_]:
        """Which classes each set holds, (n_rows, n_classes); the answered one is always in.

        Raises:
            ArtifactError: the model has no sets.
            ValueError: the level is none.
        """
        from tenfold.evaluation import Sets

        limits = self.conformal
        if not isinstance(limits, Sets):
            raise ArtifactError("this model has no sets: it was trained before, or answers numbers")
        inside = limits.members(prediction.scores, level)
        answered = np.array([self.classes.index(str(value)) for value in prediction.values])
        inside[np.arange(len(inside)), answered.astype(np.intp)] = True
        return inside

    @property
    def explainer(self) -> Explainer:
        """What tells contributions, loaded when it is asked for first; a booster after a probe in a
        child process.

        Raises:
            ArtifactError: the artifact's folder is gone or damaged, or has no golden rows.
        """
        from tenfold.inference.explainer import probed_explainer

        # Not cached_property: until Python 3.12 all models would wait for one that hangs.
        with self._explaining:
            if self._explainer is None:
                self._explainer = probed_explainer(self)
            return self._explainer

    def check_golden(self) -> int:
        """Replay the golden rows through both doors; the number of rows.

        Raises:
            ArtifactError: an answer differs, or there are no golden rows.
        """
        if GOLDEN_FILE not in self.files:
            raise ArtifactError(f"the model has no {GOLDEN_FILE}; publish the model again")
        return check_golden(self, self.files[GOLDEN_FILE])

    def score_codes(self, codes: Codes) -> Scores:
        """Scores only, float64 (n_rows, n_scores); see `predict_codes`.

        Raises:
            ArtifactError: the engine answers in another shape than the manifest says.
        """
        if not len(codes):  # engines differ on nothing, so none is asked
            return np.empty((0, self.manifest.n_scores))
        scores = self._engine.predict(self.preprocessor.transform_codes(codes))
        if scores.shape != (len(codes), self.manifest.n_scores):
            raise ArtifactError(
                f"the engine answered {scores.shape} for {len(codes)} rows and "
                f"{self.manifest.n_scores} scores; publish the model again"
            )
        return scores

    def predict_codes(self, codes: Codes) -> Prediction:
        """Answers for encoded rows.

        Args:
            codes: float64 (n_rows, n_features of the schema), see `tenfold.features.codes`.
        """
        scores = self.score_codes(codes)
        return Prediction(scores, self.values_of(scores))

    def predict_table(self, table: pa.Table) -> Prediction:
        """Answers for a cleaned table.

        Raises:
            DataError: a column is missing or of a wrong type.
        """
        return self.predict_codes(encode_table(self.schema, table))

    def predict_rows(self, rows: Sequence[Mapping[str, object]]) -> Prediction:
        """Answers for JSON rows.

        Raises:
            RequestError: a row breaks a law; ``items`` says which, where and why.
        """
        return self.predict_codes(self.encoder.encode_rows(rows))

    def values_of(self, scores: Scores) -> list[str] | list[float]:
        """What scores (n_rows, n_scores) mean: the number, the class at the threshold (binary), or
        the class or cluster of the largest score (the first of equals)."""
        classes = self.manifest.classes
        if not classes:
            numbers: list[float] = scores[:, 0].tolist()
            return numbers
        if self._positive is not None and self._threshold is not None:
            chosen = scores[:, self._positive] >= self._threshold
            positive, negative = classes[self._positive], classes[1 - self._positive]
            return [positive if yes else negative for yes in chosen.tolist()]
        return [classes[k] for k in np.argmax(scores, axis=1).tolist()]
