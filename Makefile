# Transformers, from Tokens to Fine-Tuning: every command of the project. `make help` lists them.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PORT ?= 8000
VERSIONS ?= colab
TORCH := 2.13.0
TORCH_INDEX ?=# where pip finds torch; empty: where it finds everything else
PYTHON := $(firstword $(foreach p,$(or $(BASE_PYTHON),python3 python3.13 python3.12 python3.11),\
            $(shell command -v $(p) >/dev/null 2>&1 && $(p) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(p))))
V := .venv/bin
export PYTHONUNBUFFERED := 1
export GOMP_SPINCOUNT := 20000
export PIP_DISABLE_PIP_VERSION_CHECK := 1

OWN ?= my-notebooks
LAB = $(V)/python -m book.lab --own "$(OWN)" $(if $(SOURCE),--source) $(LAB_OPTIONS)

# $(call step,what it does,command): says what runs and how long it took
step = @printf '== %s\n' "$(1)"; SECONDS=0; { $(2); } && printf '   done in %d s\n' $$SECONDS

.PHONY: help book test test-gpu test-colab lab notebooks wheels notebooks-branch publish-notebooks \
  report-versions check site pdf handouts serve data execute chromium lock bench bench-view clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-17s %s\n", $$1, $$2 }'

book: site  ## install, execute, build, and serve the book on 127.0.0.1 (PORT=8000)
	@$(V)/python -m book.serve --port $(PORT)

test: check site chromium  ## everything that proves the course
	$(call step,Killing training runs and running them on two processes,$(V)/python -m pytest tests/processes)
	$(call step,Testing the executed chapters and the site in Chromium,$(V)/python -m pytest tests/chapters tests/site)
	$(call step,Executing four chapters as Colab does,$(V)/python -m pytest tests/editions)
	$(call step,Testing the print edition,$(V)/python -m pytest tests/print)

test-gpu: .venv/installed  ## the chapters on a CUDA GPU, into build/gpu; without the Hub: make test-gpu COURSE_WEIGHTS=packaged
	@COURSE_PROFILE=gpu $(V)/python -c 'import book.execute, sys; sys.exit(book.execute.bring_encoder())'
	@$(MAKE) data
	$(call step,Executing chapters on the GPU,COURSE_PROFILE=gpu $(V)/python -m book.execute)
	$(call step,Testing what the GPU computed,COURSE_PROFILE=gpu $(V)/python -m pytest tests/gpu)

test-colab: notebooks  ## every chapter alone with Colab's versions; VERSIONS=lowest or newest: within the bounds
	$(call step,Executing chapters with other versions: $(VERSIONS),PYTHONPATH=. $(V)/python tests/editions/run.py $(VERSIONS) $(CHAPTERS))

check: .venv/installed data  ## lint, types, unit tests, notebooks clean
	$(call step,Checking style and types,$(V)/ruff check . && $(V)/ruff format --check . && $(V)/mypy)
	$(call step,Checking the workflows,$(V)/actionlint && $(V)/zizmor --offline --quiet --no-progress .github/workflows)
	$(call step,Testing helpers and the book's tools,$(V)/python -m pytest tests/helpers tests/project)

site: execute  ## build the site into build/site without serving it
	$(call step,Building the site,$(V)/python -m book.site)

pdf: site chromium  ## the whole book as one PDF into build/print; one chapter's handouts: make pdf CHAPTER=02_tokenization
	$(call step,Printing the book,$(V)/python -m book.print $(if $(CHAPTER),--chapter $(CHAPTER)))

handouts: site chromium  ## each chapter as a PDF of its own, with and without solutions, into build/print/handouts
	$(call step,Printing the handouts,$(V)/python -m book.print --handouts)

execute: .venv/installed data  ## execute the chapters whose code, helpers or lock changed
	$(call step,Executing chapters,$(V)/python -m book.execute)

data: .venv/installed  ## verify the weights, fetch and verify the reviews
	$(call step,Verifying weights and reviews,$(V)/python -m book.materials)

notebooks: site  ## the learner's notebooks, into build/notebooks (the site's build makes them)
	@echo "The notebooks are in build/notebooks"

notebooks-branch:  ## what Colab and Binder open, into build/branch (after make notebooks)
	@$(PYTHON) -m book.branch

publish-notebooks:  ## publish it as the branch notebooks of the clone's origin
	@$(PYTHON) -m book.branch --push

report-versions:  ## open an issue on the host about what failed in build/editions (needs gh)
	@$(PYTHON) -m book.issue

serve: .venv/installed  ## serve the site that was built last
	@$(V)/python -m book.serve --port $(PORT)

lab: .venv/installed data  ## JupyterLab on your own copy of the notebooks; SOURCE=1: on chapters/, for authors
	@$(LAB) || { status=$$?; [ $$status = 3 ] || exit $$status; \
	  echo "The notebooks quote what was measured: the chapters are executed once (about 20 minutes)."; \
	  $(MAKE) notebooks && $(LAB); }

wheels: .venv/installed  ## what the set-up cell needs in a room without internet, into build/wheels (COURSE_WHEELS)
	@rm -rf build/lib && mkdir -p build/wheels
	@$(V)/uv pip compile --quiet --extra weights --no-header --no-annotate -c requirements.txt -o build/wheels/requirements.txt pyproject.toml
	$(call step,Gathering wheels (about 600 MB),$(V)/pip wheel --quiet --no-deps --wheel-dir build/wheels -r build/wheels/requirements.txt .)
	$(call step,Fetching the reviews,cp "$$($(V)/python -c 'from helpers.materials.reviews import fetch_reviews; print(fetch_reviews())')" build/wheels)

.venv/installed: requirements.txt pyproject.toml Makefile
	@if [ -z "$(PYTHON)" ]; then echo "Python 3.11 or newer is needed; found: $$(python3 --version 2>&1). Install it, or name it: make BASE_PYTHON=/path/to/python3.11"; exit 2; fi
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) lacks the venv module. On Debian or Ubuntu: apt install python3-venv"; exit 2; }
	$(call step,Making .venv with $(PYTHON),$(PYTHON) -m venv .venv)
	$(call step,Installing the locked packages and the weights (about 350 MB),$(V)/pip install --quiet --no-warn-conflicts --require-hashes --no-deps -r requirements.txt)
	$(call step,Installing torch $(TORCH),$(V)/pip install --quiet --no-warn-conflicts torch==$(TORCH) $(addprefix --index-url ,$(TORCH_INDEX)))
	$(call step,Installing helpers,$(V)/pip install --quiet --no-warn-conflicts --no-deps --no-build-isolation --editable .)
	@touch $@

chromium:
	@if command -v chromium >/dev/null || [ -n "$${COURSE_CHROMIUM:-}" ]; then exit 0; fi; \
	echo '== Bringing Chromium for the browser tests'; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq chromium >/dev/null; then exit 0; fi; \
	$(V)/playwright install chromium || { echo 'The browser tests need Chromium: install it (Debian: apt install chromium), or set COURSE_CHROMIUM to its program.'; exit 2; }

RESOLVE = $(V)/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
  --no-annotate --no-header --extra lab --extra torch --extra weights
lock: .venv/installed  ## resolve requirements.txt anew from pyproject.toml, and Binder's part of it
	$(call step,Resolving the lock,$(RESOLVE) --extra book --upgrade -o requirements.txt pyproject.toml)
	$(call step,Taking out what Binder needs,rm -f binder/lock.txt && $(RESOLVE) -c requirements.txt -o binder/lock.txt pyproject.toml)

bench: .venv/installed data  ## fine-tuning three ways in one run: speed, accuracy, memory (about 30 minutes)
	@$(V)/python -m helpers.training.benchmark

bench-view: .venv/installed chromium  ## measure the attention view beside bertviz: size, drawing, hover
	@$(V)/python tests/site/bench_view.py

clean:  ## remove what was built (the downloaded reviews and trained models too), keep .venv
	rm -rf build
