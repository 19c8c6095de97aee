# The image of every node: head, workers, jobs and endpoint. Non-root; nothing is fetched at run time.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml constraints.lock README.md LICENSE CHANGELOG.md ./
COPY platform platform
COPY jobs jobs
COPY serve serve
RUN python -m venv /opt/tenfold \
 && /opt/tenfold/bin/pip install --no-cache-dir --constraint constraints.lock '.[iceberg,postgres]'
# docker build --build-arg GPU=1: for replicas on a GPU. Both packages install the same files, so one
# goes before the other comes.
ARG GPU=0
RUN if [ "$GPU" = 1 ]; then \
      /opt/tenfold/bin/pip uninstall --yes onnxruntime \
   && /opt/tenfold/bin/pip install --no-cache-dir 'onnxruntime-gpu[cuda,cudnn]>=1.31'; fi

# What stands in HAProxy's place and changes the configuration that Ray writes, as on a laptop.
RUN /opt/tenfold/bin/python -m tenfold_serve.haproxy /opt/tenfold/bin/tenfold-haproxy

FROM python:3.11-slim-bookworm
# KubeRay probes the workers of a RayService with wget, which the slim image lacks.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends wget \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --create-home tenfold
COPY --from=build /opt/tenfold /opt/tenfold
ENV PATH=/opt/tenfold/bin:$PATH \
    TENFOLD_HOME=/home/tenfold/.tenfold \
    RAY_AUTH_MODE=token \
    RAY_SERVE_ENABLE_HA_PROXY=1 \
    RAY_SERVE_THROUGHPUT_OPTIMIZED=1 \
    RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S=2 \
    RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=tenfold_serve.shortcut:middlewares \
    RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS=1 \
    RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S=1 \
    RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S=60 \
    RAY_SERVE_HAPROXY_TIMEOUT_SERVER_S=60 \
    RAY_SERVE_HAPROXY_TCP_NODELAY=0 \
    RAY_SERVE_HAPROXY_BINARY_PATH=/opt/tenfold/bin/tenfold-haproxy \
    PYTHONUNBUFFERED=1
USER 10001
WORKDIR /home/tenfold
ENTRYPOINT ["tenfold"]
