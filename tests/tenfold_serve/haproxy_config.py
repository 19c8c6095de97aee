"""``python haproxy_config.py FOLDER HOST BACKENDS``: Ray's own configuration for HAProxy as a file.

Serve reads its flags when it is imported, hence a process of its own. BACKENDS is JSON: addresses
of the replicas by name of the application.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any


def main(folder: Path, host: str, backends: dict[str, list[str]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from ray.serve._private import haproxy
        from ray.serve.config import HTTPOptions

    def server(name: str, address: str) -> Any:
        place, _, port = address.rpartition(":")
        return haproxy.ServerConfig(name=name, host=place, port=int(port))

    config = haproxy.HAProxyConfig(
        socket_path=str(folder / "a.sock"),
        server_state_base=str(folder),
        server_state_file=str(folder / "state"),
        metrics_socket_path=str(folder / "m.sock"),
        http_options=HTTPOptions(host=host, port=8000, keep_alive_timeout_s=7200),
        has_received_routes=True,
        has_received_servers=True,
        is_head=True,
    )
    found = {
        name: haproxy.BackendConfig(
            name=f"http-{name}",
            path_prefix=f"/{name}",
            app_name=name,
            servers=[server(f"{name}-{n}", address) for n, address in enumerate(addresses)],
            fallback_server=server(f"{name}-fallback", "127.0.0.1:30999"),
        )
        for name, addresses in backends.items()
    }
    api = haproxy.HAProxyApi(config, found, config_file_path=str(folder / "h.cfg"))
    api._generate_config_file_internal()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]))
