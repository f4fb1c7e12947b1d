# The image of a Ray Serve service's nodes: what serve.Dockerfile has, and Ray, without PyTorch. About 0.95 GB.
#
# Build: pip wheel --no-deps --wheel-dir dist .
#        docker build -f infra/images/ray-serve.Dockerfile -t yolox-ray-serve:1 .
# Tried: with Docker 20.10 on Debian 12's own Python 3.11; it starts (infra/README.md)
# Needs: a context (the project's root) with infra/images/ray-serve-requirements.txt and one wheel in dist.
# Lock:  make lock
FROM python:3.11-slim

# wget: KubeRay asks a worker's Serve proxy with it whether it is ready
RUN apt-get update && apt-get install --no-install-recommends --yes wget && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 1000 --create-home yolox
COPY infra/images/ray-serve-requirements.txt /tmp/requirements.txt
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements.txt && rm /tmp/requirements.txt
COPY dist/yolox_pipeline-*.whl /tmp/
RUN pip install --no-cache-dir --no-deps /tmp/yolox_pipeline-*.whl
ENV RAY_USAGE_STATS_ENABLED=0 MLFLOW_DISABLE_TELEMETRY=true
USER 1000
WORKDIR /home/yolox
