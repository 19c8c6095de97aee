"""The gRPC server of one replica, beside Serve's HTTP: started and stopped with the application.

Serve 2.60 has a gRPC ingress (``gRPCOptions``, HAProxy in front), and it works; it is not used. Its
options have no host: in the version looked at, the replica's gRPC port and that of the proxy behind
HAProxy listen on every interface (``[::]``; tried: HAProxy's own port alone was on loopback), and
Ray's token does not guard them. With several projects it also picks the application by a metadata
that clients of the protocol do not send. A server of our own listens where the endpoint does, calls
the same scoring with one hop less, costs 2 MB in a replica, and nothing where no port is asked for
(Serve's took 30 MB in all).

One port a project: a connection reaches one of its replicas, which share the port in the kernel
(``SO_REUSEPORT``), so a replica that is replaced hands over without a gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tenfold.errors import ClusterError, UserError
from tenfold.project import Project

if TYPE_CHECKING:
    from tenfold_serve.doors.grpc_door import GrpcDoor

__all__ = ["GrpcPort", "GrpcServer", "grpc_ports"]

_GRACE_S: Final = 5.0
_IDLE_MS: Final = 300_000
_STREAMS: Final = 64
_METADATA_BYTES: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class GrpcPort:
    """Where to listen.

    Attributes:
        port: TCP port; 0 for any free one.
        host: IPv4 address.
        max_calls: calls at a time; more are told RESOURCE_EXHAUSTED at once.
    """

    port: int
    host: str = "127.0.0.1"
    max_calls: int = 64


def grpc_ports(projects: Sequence[Project], *, taken: int) -> list[int]:
    """The ports that some projects ask for.

    Args:
        projects: served together.
        taken: the endpoint's own port.

    Raises:
        UserError: two ask for one, or one for the endpoint's.
    """
    ports: dict[int, str] = {taken: "the endpoint"}
    for project in projects:
        port = project.serve.grpc_port
        if port is None:
            continue
        if port in ports:
            raise UserError(
                f"serve.grpc_port {port} of {project.name!r} is that of {ports[port]}; each "
                "project has a port of its own"
            )
        ports[port] = project.name
    return [port for port in ports if port != taken]


class GrpcServer:
    """Listens from `start` to `stop`. Both are called from the event loop that answers.

    Args:
        door: answers.
        where: to listen.
        max_body_bytes: most bytes of a message, before and after its decompression.
    """

    def __init__(self, door: GrpcDoor, where: GrpcPort, *, max_body_bytes: int) -> None:
        self._door = door
        self._where = where
        self._max_body_bytes = max_body_bytes
        self._server: Any = None

    async def start(self) -> int:
        """Listen; the port.

        Raises:
            ClusterError: the port is somebody else's.
        """
        import grpc.aio

        server = grpc.aio.server(
            options=[
                ("grpc.so_reuseport", 1),
                ("grpc.max_receive_message_length", self._max_body_bytes),
                ("grpc.max_metadata_size", _METADATA_BYTES),
                ("grpc.max_concurrent_streams", _STREAMS),
                ("grpc.max_connection_idle_ms", _IDLE_MS),
            ],
            maximum_concurrent_rpcs=self._where.max_calls,
        )
        server.add_generic_rpc_handlers((self._door.handlers(),))
        address = f"{self._where.host}:{self._where.port}"
        try:
            port: int = server.add_insecure_port(address)
        except RuntimeError as error:
            raise ClusterError(
                f"the gRPC door needs {address} and it is taken; free it, or change serve.grpc_port"
            ) from error
        await server.start()
        self._server = server
        return port

    async def stop(self) -> None:
        """Take no more calls, and finish those that run within some seconds."""
        if self._server is not None:
            await self._server.stop(_GRACE_S)
            self._server = None
