"""Contributions of the columns that a request holds to its answer.

Whatever the method, the contributions of a row add up to ``raw - base``. Where the model is a sum
before its last curve (trees, one layer, see `tenfold.models.additive`) they are exact, and ``raw``
is that sum; for any other they are estimated by walks from golden rows (`evaluation.shapley`), and
``raw`` is the score itself. Of classes one is explained: the positive one of two, else the answered
one.

The native model is read from the artifact's folder when somebody asks first, with its digests, and
a booster only after a child process has explained the golden rows with it: whoever does not ask
pays nothing (XGBoost is 100 MB in a process), and native code that crashes takes nobody along.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from tenfold.artifact import GOLDEN_FILE, probe, read_artifact
from tenfold.errors import ArtifactError
from tenfold.evaluation.shapley import N_BACKGROUND, n_evaluations, walked
from tenfold.features import encode_table
from tenfold.features.codes import Codes
from tenfold.features.sources import code_groups, feature_shares

if TYPE_CHECKING:
    from tenfold.inference.predictor import Prediction, Predictor
    from tenfold.models import Model
    from tenfold.models.additive import Additive

__all__ = [
    "MAX_EXPLAINED",
    "Explainer",
    "Explanation",
    "check_explainer",
    "load_explainer",
    "max_explained",
    "probed_explainer",
]

Floats = npt.NDArray[np.float64]

MAX_EXPLAINED: Final = 100
"""Rows explained at once: 200 trees of depth 6 take some two milliseconds each."""
MAX_EVALUATIONS: Final = 50_000
"""Answers that explanations of one request may cost where they are estimated: a quarter of a second
at 5 us."""
TOLERANCE: Final = 1e-4
"""Between a sum of contributions, float32 in XGBoost, and the score that it must give."""
_NATIVE: Final = "boosting"
"""The family whose files are parsed by native code."""
_SUMS: Final = frozenset({_NATIVE, "linear", "dummy"})
"""Families whose models are a sum before the last curve."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Of some rows.

    Attributes:
        columns: names, in the order of the schema.
        contributions: (n_rows, n_columns), in ``unit``; a row adds up to ``raw - base``.
        base: (n_rows,), what is answered of no row in particular.
        raw: (n_rows,), what is answered of the row, before the last curve.
        of: per row, the class that is explained; None for numbers.
        unit: of all numbers, in words.
        method: ``tree paths``, ``coefficients`` or ``walks``.
    """

    columns: tuple[str, ...]
    contributions: Floats
    base: Floats
    raw: Floats
    of: Sequence[str] | None
    unit: str
    method: str


class Explainer:
    """Explains the answers of one predictor. Used from one thread at a time.

    Args:
        predictor: whose.
        background: codes of known rows (n, code_width).
        additive: how its model adds up; None for walks.
    """

    def __init__(
        self, predictor: Predictor, *, background: Codes, additive: Additive | None
    ) -> None:
        self._predictor = predictor
        self._background = background[:N_BACKGROUND]
        self._additive = additive
        self._shares = None if additive is None else feature_shares(predictor.preprocessor)
        self._groups = code_groups(predictor.schema)
        self._columns = tuple(column.name for column in predictor.columns)

    @property
    def method(self) -> str:
        """See `Explanation`."""
        return "walks" if self._additive is None else self._additive.method

    def explain(self, codes: Codes, prediction: Prediction) -> Explanation:
        """Contributions to answers.

        Args:
            codes: of the rows (n_rows, code_width).
            prediction: what was answered; as many rows.
        """
        explained = self.explained(prediction)
        if self._additive is None:
            parts, mean = walked(self._predictor.score_codes, codes, self._background, self._groups)
            rows = np.arange(len(codes))
            contributions, base = parts[rows, :, explained], mean[explained]
        else:
            contributions, base = self._sum(codes, explained)
        classes = self._predictor.classes
        return Explanation(
            columns=self._columns,
            contributions=contributions,
            base=base,
            raw=base + contributions.sum(axis=1),
            of=[classes[k] for k in explained.tolist()] if classes else None,
            unit=self._unit(),
            method=self.method,
        )

    def scores(self, codes: Codes) -> Floats | None:
        """The scores that sums of contributions give, (n_rows, k); None for walks."""
        if self._additive is None:
            return None
        matrix = self._predictor.preprocessor.transform_codes(codes)
        return self._additive.link(self._additive.parts(matrix).sum(axis=2))

    def _sum(self, codes: Codes, explained: npt.NDArray[np.intp]) -> tuple[Floats, Floats]:
        assert self._additive is not None and self._shares is not None  # noqa: S101
        parts = self._additive.parts(self._predictor.preprocessor.transform_codes(codes))
        if parts.shape[1] == 1:  # the margin of the second of two classes, or of the number
            own = parts[:, 0]
            flipped = len(self._predictor.classes) == 2
            own = own * np.where(explained == 0, -1.0, 1.0)[:, None] if flipped else own
        else:
            own = parts[np.arange(len(parts)), explained]
        return own[:, :-1] @ self._shares, own[:, -1]

    def explained(self, prediction: Prediction) -> npt.NDArray[np.intp]:
        """Number of the score column that is explained, per row."""
        manifest = self._predictor.manifest
        n_rows = len(prediction.scores)
        if manifest.positive_class is not None:
            place = manifest.classes.index(manifest.positive_class)
            return np.full(n_rows, place, dtype=np.intp)
        return np.asarray(prediction.scores.argmax(axis=1), dtype=np.intp)

    def _unit(self) -> str:
        if self._additive is not None:
            return self._additive.unit
        return "probability" if self._predictor.classes else "the target's own"


def load_explainer(predictor: Predictor) -> Explainer:
    """The explainer of a loaded model.

    Raises:
        ArtifactError: the model has no golden rows, or its folder is gone or damaged.
    """
    background = golden_codes(predictor)[:N_BACKGROUND]
    model = _native(predictor)
    additive = None
    if model is not None:
        from tenfold.models.additive import additive_of

        additive = additive_of(model, predictor.preprocessor.transform_codes(background))
    return Explainer(predictor, background=background, additive=additive)


def probed_explainer(predictor: Predictor) -> Explainer:
    """`load_explainer`, after a child process tried it where native code is in play.

    Raises:
        ArtifactError: the child failed, and why; or as `load_explainer`.
    """
    if predictor.folder is not None and _is_sum(predictor) and _family(predictor) == _NATIVE:
        probe(predictor.folder, explain=True).require()
    return load_explainer(predictor)


def golden_codes(predictor: Predictor) -> Codes:
    """Codes of the golden rows, those of the snapshot first.

    Raises:
        ArtifactError: there are none.
    """
    import pyarrow as pa

    if GOLDEN_FILE not in predictor.files:
        raise ArtifactError(f"explanations need {GOLDEN_FILE}; publish the model again")
    with pa.ipc.open_file(io.BytesIO(predictor.files[GOLDEN_FILE])) as file:
        return encode_table(predictor.schema, file.read_all())


def max_explained(predictor: Predictor) -> int:
    """Most rows of one request that are explained; nothing is loaded to know it."""
    if _is_sum(predictor):
        return MAX_EXPLAINED
    n_columns = len(predictor.columns)
    return max(1, min(MAX_EXPLAINED, MAX_EVALUATIONS // n_evaluations(n_columns)))


def _native(predictor: Predictor) -> Model | None:
    """The model itself, where it is a sum."""
    if not _is_sum(predictor):
        return None
    from tenfold.models import load_model

    folder = predictor.folder
    if folder is None:
        raise ArtifactError("explanations need the artifact's folder; load the model from one")
    files = read_artifact(folder, digest=predictor.manifest.digest).files
    return load_model(predictor.manifest.lineage.family, files)


def _is_sum(predictor: Predictor) -> bool:
    """Whether the model is one of a family of sums, with no curve behind it but a temperature."""
    params = predictor.manifest.lineage.params
    curve = params.get("calibration", {}).get("knots", ())
    return _family(predictor) in _SUMS and not curve


def _family(predictor: Predictor) -> str:
    """Of a single model, alone or as a blend with a calibration; ``blend`` for more."""
    lineage = predictor.manifest.lineage
    parts = lineage.params.get("parts") if lineage.family == "blend" else None
    if isinstance(parts, list) and len(parts) == 1 and parts[0].get("seeds") == 1:
        return str(parts[0].get("family"))
    return lineage.family


def check_explainer(explainer: Explainer, predictor: Predictor) -> int:
    """Explain golden rows of its predictor, the made-up ones among them; how many.

    Raises:
        ArtifactError: a contribution is not finite, or they do not add up to the scores.
    """
    codes = golden_codes(predictor)[-max_explained(predictor) :]
    prediction = predictor.predict_codes(codes)
    explanation = explainer.explain(codes, prediction)
    scores = explainer.scores(codes)
    if scores is None:
        rows = np.arange(len(codes))
        scores = explanation.raw
        expected = prediction.scores[rows, explainer.explained(prediction)]
    else:
        expected = prediction.scores
    good = np.isfinite(explanation.contributions).all() and np.allclose(
        scores, expected, rtol=TOLERANCE, atol=TOLERANCE
    )
    if not good:
        raise ArtifactError(
            "contributions to golden rows must add up to their scores and do not; "
            "publish the model again"
        )
    return len(codes)
