# The image of every Ray node: the locked packages and the project's wheel. What `yolox submit` sends comes before it.
#
# Build: pip wheel --no-deps --wheel-dir dist .
#        docker build -f infra/images/train.Dockerfile -t yolox-train:1 .
# Tried: with Docker 20.10 on Debian 12's own Python 3.11; `dvc repro` in it came to a registered version (infra/README.md)
# Needs: a context (the project's root) with requirements.txt and one wheel in dist; about 7.6 GB.
# Lock:  make lock
FROM python:3.11-slim

# git: projects and DVC; wget: KubeRay asks with it whether a node lives; rsync: Ray's launcher
RUN apt-get update && apt-get install --no-install-recommends --yes git rsync wget && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 1000 --create-home yolox
COPY requirements.txt /tmp/requirements.txt
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements.txt && rm /tmp/requirements.txt
COPY dist/yolox_pipeline-*.whl /tmp/
RUN pip install --no-cache-dir --no-deps /tmp/yolox_pipeline-*.whl
ENV RAY_USAGE_STATS_ENABLED=0 MLFLOW_DISABLE_TELEMETRY=true DVC_NO_ANALYTICS=1 NO_ALBUMENTATIONS_UPDATE=1
USER 1000
WORKDIR /home/yolox
