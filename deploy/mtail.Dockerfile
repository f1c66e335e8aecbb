# syntax=docker/dockerfile:1
# Counts the proxy's requests from its log, for Prometheus.
ARG DEBIAN_TAG=bookworm-slim
FROM debian:${DEBIAN_TAG}
# Debian stable changes a version for security fixes only, which are wanted.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends mtail && rm -rf /var/lib/apt/lists/*
COPY --chmod=0444 deploy/prometheus/proxy.mtail /etc/mtail/proxy.mtail
USER 65534:65534
EXPOSE 3903
ENTRYPOINT ["/usr/bin/mtail", "--progs", "/etc/mtail", "--logs", "udp://127.0.0.1:5140", \
    "--address", "0.0.0.0", "--port", "3903", "--logtostderr", "--emit_prog_label=false"]
