"""The child of `tenfold.artifact.probe`: load, replay, say so in one JSON line.

Started as ``python -m tenfold.inference.probe_child FOLDER [--explain]``. Before it reads a byte of
the model it takes its own rights away: memory, time, writing, unpickling, starting programs, the
network.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

__all__ = ["EXPLAIN", "main"]

EXPLAIN = "--explain"

MAX_MEMORY_BYTES = 8 * 1024**3
"""Address space, not use: an engine maps 1-2 GB of libraries and arenas."""
MAX_CPU_S = 60
MAX_OPEN_FILES = 256

_FORBIDDEN = (
    "pickle.find_class",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "subprocess.Popen",
    "socket.connect",
    "socket.bind",
)


_NEEDLESS = ("pandas", "sklearn")
"""Arrow and XGBoost import them where they are and need neither here: half of the child's time."""


class _Without:
    """Finds no package that is needless."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """As the import system calls it."""
        if name in _NEEDLESS:
            raise ModuleNotFoundError(f"a probe does without {name}", name=name)


def main(arguments: list[str]) -> int:
    """Probe the folder that the first argument names, its explainer with ``--explain`` as the
    second; 0 if it is good."""
    _limit()
    sys.meta_path.insert(0, _Without())
    try:
        n_rows, reason = _probe(Path(arguments[0]), explain=EXPLAIN in arguments[1:]), ""
    except Exception as error:  # noqa: BLE001  (whatever it is, it is the answer)
        n_rows, reason = 0, f"{type(error).__name__}: {error}"
    said = {"ok": not reason, "reason": reason, "n_rows": n_rows, "peak_bytes": _peak_bytes()}
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()
    return 0 if not reason else 1


def _limit() -> None:
    for what, value in (
        (resource.RLIMIT_AS, MAX_MEMORY_BYTES),
        (resource.RLIMIT_CPU, MAX_CPU_S),
        (resource.RLIMIT_NOFILE, MAX_OPEN_FILES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        least = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (least, least))


def _peak_bytes() -> int:
    """From /proc: getrusage counts what the parent held when it forked."""
    lines = Path("/proc/self/status").read_text().splitlines()
    found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(found[0]) * 1024 if found else 0


def _probe(folder: Path, *, explain: bool) -> int:
    from tenfold.artifact import GOLDEN_FILE, read_artifact
    from tenfold.inference import Predictor, check_golden
    from tenfold.inference.explainer import check_explainer, load_explainer
    from tenfold.inference.pace import check_pace
    from tenfold.models.rebuilt import check_graph

    artifact = read_artifact(folder)
    engine, family = artifact.manifest.engine, artifact.manifest.lineage.family
    _import_engine(engine)
    if explain:
        _import_engine("xgboost")
    sys.addaudithook(_refuse)
    predictor = Predictor.from_artifact(artifact)
    n_rows = check_golden(predictor, artifact.files[GOLDEN_FILE])
    if engine == "onnx":
        check_graph(family, artifact.files)
    check_pace(predictor)
    predictor.conformal  # noqa: B018  (it is read, so it is whole)
    if explain:
        check_explainer(load_explainer(predictor), predictor)
    return n_rows


def _import_engine(engine: str) -> None:
    """Libraries may do at import what a model may not do at load."""
    import pyarrow as pa  # noqa: F401
    import safetensors.numpy  # noqa: F401

    import tenfold.models  # noqa: F401

    if engine == "onnx":
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    if engine == "xgboost":
        import xgboost  # noqa: F401


def _refuse(event: str, _arguments: object) -> None:
    if event in _FORBIDDEN:
        raise RuntimeError(f"loading a model may not do {event}")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
