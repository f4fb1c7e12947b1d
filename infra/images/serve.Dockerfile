# The image of a service's nodes: that of training with this project in it, since nobody sends code to a service.
#
# Build: pip wheel --no-deps --wheel-dir dist .
#        docker build -f infra/images/serve.Dockerfile -t yolox-serve:1 dist
# Needs: yolox-train:1 of infra/images/train.Dockerfile; no other version's wheel in dist.
FROM yolox-train:1

COPY yolox_pipeline-*.whl /tmp/
RUN pip install --no-cache-dir --no-deps /tmp/yolox_pipeline-*.whl
