# The image of the service on one machine: uvicorn and ONNX Runtime, without PyTorch and Ray. About 0.65 GB.
#
# Build: pip wheel --no-deps --wheel-dir dist .
#        docker build -f infra/images/serve.Dockerfile -t yolox-serve:1 .
# Run:   docker run -p 8000:8000 -e YOLOX_SERVE_TOKEN -e MLFLOW_TRACKING_URI yolox-serve:1 \
#          --model models:/yolox-detector@champion
#        or with a released folder: -v "$PWD/models/released:/model:ro" yolox-serve:1 --model /model
# Tried: with Docker 20.10 on Debian 12's own Python 3.11; its service answered with a model of the train image (infra/README.md)
# Needs: a context (the project's root) with infra/images/serve-requirements.txt and one wheel in dist; for models:/ the
#        http address of an MLflow server, since a database's drivers are not in it.
# Lock:  make lock
FROM python:3.11-slim

RUN useradd --uid 1000 --create-home yolox
COPY infra/images/serve-requirements.txt /tmp/requirements.txt
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements.txt && rm /tmp/requirements.txt
COPY dist/yolox_pipeline-*.whl /tmp/
RUN pip install --no-cache-dir --no-deps /tmp/yolox_pipeline-*.whl
ENV MLFLOW_DISABLE_TELEMETRY=true
USER 1000
WORKDIR /home/yolox
EXPOSE 8000
ENTRYPOINT ["yolox", "serve", "--host", "0.0.0.0"]
