"""The Serve application: ``tenfold_serve.app:build``, one deployment per project.

Arguments (changing one restarts the replicas, so there are few)::

    {"project": "adult", "limits": {"max_rows": 1000, "max_body_bytes": 10485760,
     "key_columns": []}, "grpc_port": null, "gpu": null, "standalone": false}

Which models answer comes with ``user_config`` (see `tenfold_serve.arms`) and is swapped in place.
``standalone`` is for a Serve without a keeper (a RayService): the replica then starts with the
registry's champion, and answers nobody without a key: pods listen beyond loopback. ``gpu`` says
that each replica has a share of a GPU, ``{"asked": "auto", "model_bytes": 1000000000}`` (see
`tenfold_serve.seats`); the share itself is ``num_gpus`` of the deployment's options.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import ray

from tenfold.errors import UserError
from tenfold.registry import CHAMPION, Registry
from tenfold.settings import Settings
from tenfold_serve.access import Access, KeyReader
from tenfold_serve.aggregator import start_aggregator
from tenfold_serve.arms import ArmBoard, arm_config
from tenfold_serve.endpoint import Endpoint, EndpointLimits
from tenfold_serve.exposure import keys_required, listens_on
from tenfold_serve.flight import Flight, flights_folder
from tenfold_serve.grpc_server import GrpcPort
from tenfold_serve.haproxy import MAX_ONGOING
from tenfold_serve.http import Receive, Scope, Send
from tenfold_serve.ids import IdMaker, load_secret
from tenfold_serve.label_log import LabelLog
from tenfold_serve.lineups import DEPLOYMENT
from tenfold_serve.logs import log_as_json
from tenfold_serve.process import set_aside_what_stays
from tenfold_serve.ray_rim import import_serve
from tenfold_serve.recorder import Recorder
from tenfold_serve.scaling import BUSY, BusyMeter
from tenfold_serve.seats import seat_from
from tenfold_serve.shipping import Report
from tenfold_serve.shortcut import open_shortcut
from tenfold_serve.spool import new_app, spool_folder

serve = import_serve()

__all__ = ["build", "grpc_port_from", "limits_from"]

_AGGREGATOR_TIMEOUT_S: Final = 5.0
_MAX_QUEUED: Final = 512
"""Requests that wait in a replica; with more it answers 429. One HAProxy lets no more than
`MAX_ONGOING` through and answers 429 itself: this is for Serve's own proxy, and for several."""

log = logging.getLogger("tenfold.serve")


class AggregatorLink:
    """The aggregator as a replica sees it; looked up again after it was lost."""

    def __init__(self) -> None:
        self._handle: Any = None

    def send(self, report: Report) -> None:
        """Deliver a report; called from the recorder's thread."""
        try:
            ray.get(self._actor().take.remote(report), timeout=_AGGREGATOR_TIMEOUT_S)
        except Exception:
            self._handle = None
            raise

    async def metrics(self) -> bytes:
        """The exporter's text; called from the event loop."""
        actor = await asyncio.to_thread(self._actor)
        try:
            text: bytes = await asyncio.wait_for(actor.metrics.remote(), _AGGREGATOR_TIMEOUT_S)
        except Exception:
            self._handle = None
            raise
        return text

    def _actor(self) -> Any:
        if self._handle is None:
            self._handle = start_aggregator()
        return self._handle


class _BehindServe:
    """The endpoint where Serve adds the request's id to the answer itself."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._endpoint(scope, receive, send, echo_id=False)


@serve.deployment(
    name=DEPLOYMENT,
    max_ongoing_requests=MAX_ONGOING,
    max_queued_requests=_MAX_QUEUED,
    backpressure_config=serve.config.BackpressureConfig(status_code=429, retry_after_s=1),
    graceful_shutdown_timeout_s=10,
    # Three misses in a row: a replica that hangs is replaced within 15 s.
    health_check_period_s=2,
    health_check_timeout_s=4,
    max_surge_percent=100,
    # A line for each request is Serve's default; ours tells refusals and failures (`logs`).
    logging_config={"log_level": "WARNING", "enable_access_log": False},
    # Replicas reserve nothing: on a laptop the same cores retrain, and a replica must never wait
    # for them to be free.
    ray_actor_options={"num_cpus": 0},
)
@serve.ingress()
class EndpointReplica:
    """One replica. Serve calls it from its event loop."""

    def __init__(self, args: Mapping[str, Any]) -> None:
        log_as_json()
        settings = Settings.from_env()
        project = str(args["project"])
        context = serve.get_replica_context()
        replica = context.replica_id.unique_id
        app = new_app(replica)
        folder = spool_folder(settings.live, project)
        link = AggregatorLink()
        seat = seat_from(args.get("gpu"))
        self._board = ArmBoard(seat)
        if seat.device == "cuda":  # Serve asks who has such a method; others need none
            self.check_health = self._gpu_answers
        self._meter = BusyMeter()
        if args.get("standalone"):
            self._change(_champion_config(settings, project))
        recorder = Recorder(
            project=project,
            replica=replica,
            app=app,
            folder=folder,
            sink=link.send,
            # Without a keeper nobody guards canaries.
            flight=None
            if args.get("standalone")
            else Flight(flights_folder(settings.keeper, project) / app),
        )
        recorder.start()
        self._recorder = recorder
        self._labels = LabelLog(folder, app=app)
        self._access = Access(
            KeyReader(settings, project), required=bool(args.get("standalone")) or keys_required()
        )
        self._access.start()
        self._endpoint = Endpoint(
            project,
            board=self._board,
            ids=IdMaker(load_secret(settings.home), project=project),
            recorder=recorder,
            labels=self._labels,
            metrics=link.metrics,
            limits=limits_from(args.get("limits") or {}),
            access=self._access,
            grpc=grpc_port_from(args.get("grpc_port")),
        )
        open_shortcut(
            f"/{project}", self._endpoint, max_running=MAX_ONGOING, max_waiting=_MAX_QUEUED
        )

    def __serve_build_asgi_app__(self) -> Callable[..., Awaitable[None]]:
        """What Serve calls for the requests that come through its proxy, see `shortcut`."""
        return _BehindServe(self._endpoint)

    async def reconfigure(self, user_config: object) -> None:
        """Swap models in a thread, while requests go on. Never raises."""
        await asyncio.to_thread(self._change, user_config)

    async def _gpu_answers(self) -> None:
        """Three failures in a row, and Serve starts another replica."""
        await asyncio.to_thread(self._board.check)

    def record_autoscaling_stats(self) -> dict[str, float]:
        """What Serve asks for where the number of replicas follows the load."""
        return {BUSY: self._meter.read()}

    def _change(self, user_config: object) -> None:
        first = not self._board.lineup.arms
        lineup = self._board.change(user_config)
        if first and lineup.arms:  # what a model needs was imported with it
            set_aside_what_stays()

    def __del__(self) -> None:
        """Hand over what is still in memory."""
        if hasattr(self, "_recorder"):
            self._recorder.close()
        if hasattr(self, "_labels"):
            self._labels.close()
        if hasattr(self, "_access"):
            self._access.close()


def build(args: dict[str, Any]) -> Any:
    """The application of one project, for Serve's declarative config.

    Raises:
        UserError: no project is named, or what is said of a GPU has another form.
    """
    if not args.get("project"):
        raise UserError("the application needs the argument project: the name of a project")
    seat_from(args.get("gpu"))
    return EndpointReplica.bind(args)  # type: ignore[attr-defined]  # the decorator made it so


def limits_from(values: Mapping[str, Any]) -> EndpointLimits:
    """Limits from an application's arguments.

    >>> limits_from({"max_rows": 5}).max_rows
    5
    """
    known = EndpointLimits()
    return EndpointLimits(
        max_rows=int(values.get("max_rows", known.max_rows)),
        max_body_bytes=int(values.get("max_body_bytes", known.max_body_bytes)),
        key_columns=tuple(values.get("key_columns", ())),
        body_timeout_s=float(values.get("body_timeout_s", known.body_timeout_s)),
    )


def grpc_port_from(port: object) -> GrpcPort | None:
    """Where the gRPC door listens: as the endpoint does.

    >>> grpc_port_from(None), grpc_port_from(9001).port
    (None, 9001)
    """
    if port is None:
        return None
    return GrpcPort(int(str(port)), host=listens_on(), max_calls=MAX_ONGOING)


def _champion_config(settings: Settings, project: str) -> dict[str, Any]:
    champion = Registry(settings).resolve(project, CHAMPION)
    if champion is None:
        return {"arms": []}
    return {
        "arms": [
            arm_config(
                CHAMPION,
                version=champion.version,
                digest=champion.model_digest,
                path=champion.path,
                weight=1.0,
            )
        ]
    }
