# The image of every Ray node: the locked packages, not the code, which `yolox submit` sends or a shared folder holds.
#
# Build: docker build -f infra/images/train.Dockerfile -t yolox-train:1 .
# Needs: a context with requirements.txt (the project's root); about 7 GB.
FROM python:3.11-slim

RUN apt-get update && apt-get install --no-install-recommends --yes git rsync && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 1000 --create-home yolox
COPY requirements.txt /tmp/requirements.txt
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements.txt && rm /tmp/requirements.txt
ENV RAY_USAGE_STATS_ENABLED=0 MLFLOW_DISABLE_TELEMETRY=true DVC_NO_ANALYTICS=1 NO_ALBUMENTATIONS_UPDATE=1
USER 1000
WORKDIR /home/yolox
