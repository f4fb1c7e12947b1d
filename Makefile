# Two commands matter: `make repro` and `make test`. Both set themselves up; all they need is Python 3.11 or newer
# and make, the tests git, too. Nothing is downloaded but the locked packages (and uv, where it is missing).
.DEFAULT_GOAL := help
.PHONY: help repro test test-fast test-all setup lint lock clean
SHELL := /bin/sh

PYTHON ?= python3
UV_VERSION := 0.13.9
# `cpu` installs PyTorch without CUDA. Remembered: after `make setup TORCH=cpu` the other commands leave it so.
TORCH ?= $(shell cat .venv/.torch 2>/dev/null || echo locked)
READY := .venv/.ready-$(TORCH)

# Nothing phones home.
export DVC_NO_ANALYTICS = 1
export ITERATIVE_DO_NOT_TRACK = 1
export MLFLOW_DISABLE_TELEMETRY = true
export DO_NOT_TRACK = true
export RAY_USAGE_STATS_ENABLED = 0
export NO_ALBUMENTATIONS_UPDATE = 1
export ORT_DISABLE_TELEMETRY = 1
# Where they are not set (cron, containers): uv, git and DVC ask for both. A user id may have no name, and no home.
ifndef USER
export USER := $(firstword $(shell id -un 2>/dev/null || id -u))
endif
ifndef HOME
export HOME := $(or $(shell getent passwd "$$(id -u)" 2>/dev/null | cut -d: -f6),/)
endif
# uv's cache, where the user's own cannot be written.
ifneq ($(shell test -w "$$HOME" && echo yes),yes)
export UV_CACHE_DIR ?= $(CURDIR)/.uv/cache
endif
# uv takes the Python that is here, it fetches none.
export UV_PYTHON_DOWNLOADS = never
export DATA
export SET
export PRESET

# At the start of a recipe: the project's own programs come first. Compiled files are kept although containers often say
# otherwise: PyTorch and MLflow compiled anew take 1.5 s each, in every process, and there are a hundred.
ACTIVE = export PATH="$$PWD/.venv/bin:$$PATH"; unset PYTHONDONTWRITEBYTECODE;
# At the start of a recipe: uv from PATH, else a private one.
FIND_UV = uv=$$(command -v uv) || uv=.uv/bin/uv;

help:  ## list the targets
	@echo 'make repro [DATA=path] [PRESET=few-images] [SET="model.depth=0.67 train.epochs=20"]'
	@echo '              set up, then run the whole pipeline'
	@echo 'make test-fast set up, then lint, check types and run the tests that start no Ray, server or training'
	@echo 'make test     the same, and the other tests'
	@echo 'make test-all the same, and those that take minutes each: faults, sweeps'
	@echo 'make setup [TORCH=cpu]   only set up (.venv); TORCH=cpu: PyTorch without CUDA'
	@echo 'make lint     set up, then lint and check types'
	@echo 'make lock     compile the requirement locks from pyproject.toml; FLAGS=--upgrade takes newer versions'
	@echo 'make clean    remove caches; data, runs, models and .venv stay'

# PRESET, DATA and SET go into params.yaml, where git shows them. `exec` makes the command make's own child: make does not
# pass on what ends it, so the command watches its parent.
repro: $(READY)  ## run the pipeline
	@$(ACTIVE) exec yolox repro --with-parent --preset="$$PRESET" --data="$$DATA" -- "$$SET"

# A process a core, four at most (tests/spread.py): each imports PyTorch and takes about a gigabyte.
TEST = python -m pytest --numprocesses=logical --maxprocesses=4 --no-loadscope-reorder

test-fast: lint  ## lint, check types, run what starts no Ray, no server and no training
	@$(ACTIVE) $(TEST) -m 'not ray and not server and not training and not long'

test: lint  ## the same, and the other tests
	@$(ACTIVE) $(TEST) -m 'not long'

test-all: lint  ## the same, and those that take minutes each: faults, sweeps
	@$(ACTIVE) $(TEST)

lint: $(READY)  ## lint and check types
	@$(ACTIVE) set -e; ruff check .; ruff format --check .; mypy

setup: $(READY)  ## only set up
	@echo 'set-up: ready in .venv'

# Installs exactly the lock, then the project itself (editable, built with the locked setuptools: nothing unlocked is
# fetched; by a link, since setuptools replaces `$$name` in paths). PyTorch's CPU wheels have hashes of their own, so with
# TORCH=cpu the lock's versions hold as constraints, without its hashes; uv knows where those wheels are.
export BUILD := from setuptools.build_meta import build_editable; import sys; build_editable(sys.argv[1])
$(READY): requirements-dev.txt pyproject.toml
	@case "$$PWD" in *[:%]*) \
	  echo "error: $$PWD: expected a folder without : (PATH cannot hold it) and % (MLflow reads it otherwise). Move the project." >&2; \
	  exit 2 ;; esac
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "error: $(PYTHON): expected Python 3.11 or newer, got $$($(PYTHON) --version 2>&1). Name another one: make PYTHON=python3.12 ..." >&2; exit 2; }
	@case '$(TORCH)' in locked|cpu) ;; *) echo "error: TORCH: expected cpu or locked, got '$(TORCH)'." >&2; exit 2 ;; esac
	@command -v uv >/dev/null || [ -x .uv/bin/uv ] || { \
	  echo 'set-up: installing uv into .uv'; \
	  { $(PYTHON) -m venv .uv && .uv/bin/python -m pip install --quiet uv==$(UV_VERSION); } || { rm -rf .uv; exit 2; }; }
	@set -e; $(FIND_UV) rm -f .venv/.ready-* .venv/.torch; \
	[ -x .venv/bin/python ] || "$$uv" venv --quiet --python "$$(command -v $(PYTHON))" .venv; \
	echo 'set-up: installing the locked packages into .venv'; \
	case '$(TORCH)' in \
	  locked) "$$uv" pip sync --quiet --python .venv/bin/python --require-hashes requirements-dev.txt ;; \
	  cpu) sed -n 's/^\([a-z0-9][^ ]*==[^\\]*\)\\$$/\1/p' requirements-dev.txt > .venv/constraints.txt; \
	    "$$uv" pip install --quiet --python .venv/bin/python --torch-backend cpu --extra dev \
	      --constraints .venv/constraints.txt -r pyproject.toml ;; \
	esac; \
	place=$$(mktemp -d); trap 'rm -rf "$$place"' EXIT; ln -s "$$PWD" "$$place/project"; \
	"$$place/project/.venv/bin/python" -P -c "$$BUILD" "$$place" >"$$place/log" 2>&1 || { cat "$$place/log" >&2; exit 2; }; \
	"$$uv" pip install --quiet --python .venv/bin/python --no-deps --reinstall "$$place"/*.whl; \
	echo '$(TORCH)' > .venv/.torch; touch $@

COMPILE = pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate $(FLAGS)

lock: $(READY)  ## compile the locks
	@set -e; $(FIND_UV) "$$uv" $(COMPILE) --extra all --extra s3 --extra sweep pyproject.toml -o requirements.txt; \
	"$$uv" $(COMPILE) --extra dev -c requirements.txt pyproject.toml -o requirements-dev.txt; \
	"$$uv" $(COMPILE) -c requirements.txt infra/images/mlflow-requirements.in -o infra/images/mlflow-requirements.txt; \
	for image in serve ray-serve; do \
	  "$$uv" $(COMPILE) --extra serve -c requirements.txt pyproject.toml infra/images/$$image-requirements.in \
	    -o infra/images/$$image-requirements.txt; \
	done

clean:  ## remove caches
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find yolox_core pipeline tests -name __pycache__ -type d -prune -exec rm -rf {} +
