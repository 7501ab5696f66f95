# Every target sets up what it needs: the first call builds .venv from requirements.lock, later calls start at once.
PYTHON ?= python3
PY := .venv/bin/python
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONPATH := $(CURDIR)/src
export DVC_NO_ANALYTICS := true
PRESET ?=
SET ?=
BASE ?= main
ARGS ?=
JOBS ?=
SEEDS ?= 0 1 2 3 4
SIDE_BY_SIDE = $(if $(strip $(JOBS)),--jobs $(JOBS))

.DEFAULT_GOAL := help
.PHONY: help setup demo repro presets claims coverage report review publish test lint format bench lock clean

help:  ## show this list
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' Makefile
	@echo
	@echo "  make repro PRESET=irt-cub200 SET='irt.lambda=0.3 irt.train.steps=500'"
	@echo "                overlay presets/irt-cub200.yaml and single values on params.yaml, then run"
	@echo "  make repro JOBS=1"
	@echo "                one stage after another; else two methods side by side without a GPU, one on each of several GPUs"

.venv/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else f"error: Python 3.11 to 3.13 is needed, this is {v[0]}.{v[1]}; name another with make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

setup: .venv/.installed  ## create .venv and install the locked dependencies

demo: setup  ## the whole way to a report in two minutes, in a copy: its numbers mean nothing
	@$(PY) src/stages/in_copy.py demo quick $(SET) $(SIDE_BY_SIDE)

repro: setup  ## run the whole pipeline (dvc repro), then open reports/index.html
	@$(if $(strip $(PRESET)$(SET)),$(PY) src/stages/preset.py $(PRESET) $(SET))
	@$(PY) src/stages/repro.py $(SIDE_BY_SIDE) $(ARGS)
	@echo "Done. Open reports/index.html in a browser."

presets: setup  ## list the presets: what each is, its data, disk and GPU hours
	@$(PY) src/stages/preset.py --list

claims: setup  ## the papers' claims over five seeds (SEEDS='5 6 7'), in a copy, to reports/claims.md
	@$(PY) src/stages/claims.py $(PRESET) $(SET) $(ARGS) $(SIDE_BY_SIDE) --seeds $(SEEDS)
	$(PY) src/stages/report.py --readme

coverage: setup  ## rewrite reports/coverage.md from papers/: what the papers describe, and how to ask for it
	@$(PY) src/stages/coverage.py

report: setup  ## rebuild the report alone, and the numbers in README.md
	.venv/bin/dvc repro --single-item report
	$(PY) src/stages/report.py --readme

review: setup  ## say what changed since BASE=main: verdicts, headline measures, parameters
	@$(PY) src/stages/review.py $(ARGS) -- '$(BASE)'

publish: setup  ## write the networks that params.yaml trains to data/pretrained (ARGS=backbones/vit: one)
	$(PY) src/stages/publish.py $(ARGS)

test: setup  ## run the tests (ARGS='-m slow' for the slow ones)
	$(PY) -m pytest $(ARGS)

lint: setup  ## check format, style and types
	.venv/bin/ruff format --check src tests
	.venv/bin/ruff check src tests
	.venv/bin/mypy

format: setup  ## format the code and apply safe fixes
	.venv/bin/ruff check --fix src tests
	.venv/bin/ruff format src tests

bench: setup  ## time the hot paths beside what they are measured against
	$(PY) -m fieldmark.benchmarks $(ARGS)

lock: setup  ## resolve the dependencies again and rewrite requirements.lock
	$(PY) -m pip install --quiet uv
	.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --group dev --output-file requirements.lock pyproject.toml

clean:  ## remove .venv, caches and interrupted runs (data, models and reports stay)
	rm -rf .venv .resume .pytest_cache .mypy_cache .ruff_cache
