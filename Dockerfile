# The service of docs/serving.md: runs as nobody, writes nothing but below /data.
#   docker build -t raise-planner .
#   docker run --read-only --tmpfs /tmp -p 127.0.0.1:8000:8000 raise-planner upstream.base_url=URL
FROM python:3.12-slim AS build
WORKDIR /build
COPY . .
RUN python -m venv /opt/raise && /opt/raise/bin/pip install --no-cache-dir '.[serve]'

FROM python:3.12-slim
COPY --from=build /opt/raise /opt/raise
RUN mkdir /data && chown 65534:65534 /data
USER 65534:65534
WORKDIR /data
ENV PATH=/opt/raise/bin:$PATH HOME=/data PYTHONDONTWRITEBYTECODE=1 NUMBA_CACHE_DIR=/tmp
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
# Inside a container the service listens to all; who reaches it is what the port is published to.
ENTRYPOINT ["raise-planner", "serve", "host=0.0.0.0"]
