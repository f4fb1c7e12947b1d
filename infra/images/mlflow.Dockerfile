# The image of the MLflow server, with users, PostgreSQL and S3.
#
# Build: docker build -f infra/images/mlflow.Dockerfile -t yolox-mlflow:1 .
# Tried: with Docker 20.10 on Debian 12's own Python 3.11; it starts (infra/README.md)
# Needs: a context with infra/images/mlflow-requirements.txt (the project's root); about 1 GB.
# Lock:  make lock
FROM python:3.11-slim

RUN useradd --uid 1000 --create-home mlflow
COPY infra/images/mlflow-requirements.txt /tmp/requirements.txt
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements.txt && rm /tmp/requirements.txt
USER 1000
WORKDIR /home/mlflow
EXPOSE 5000
