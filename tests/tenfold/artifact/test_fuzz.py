from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.artifact import Manifest
from tenfold.errors import ArtifactError
from tenfold.inference.pack import draft_predictor
from tenfold.testing.artifacts import small_files
from tenfold.testing.fuzz import damaged

VALUE = json.loads(draft_predictor(*small_files("linear")).manifest.to_bytes())


@given(data=st.data())
@settings(max_examples=400, deadline=None)
def test_a_damaged_manifest_is_refused_or_says_the_same_of_the_model(data: st.DataObject) -> None:
    bad = data.draw(damaged(VALUE))
    try:
        manifest = Manifest.from_dict(bad)
    except ArtifactError as error:
        assert str(error)
    else:
        assert manifest.model_digest in ("", manifest.expected_digest())
        assert manifest.n_scores == len(manifest.classes) or not manifest.classes
