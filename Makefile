# Everything here needs Python >= 3.11 with venv, and make; the rest is set up in .venv, and again
# only when pyproject.toml or constraints.txt changes.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
PYTEST := $(BIN)/python -m pytest

# make proofs ONLY=main-job    one proof, or several with commas; the same for bench
# make test ARGS="-k codec"    handed to pytest as they stand; -n0 keeps it in one process
# make test PYTHON=python3.12  the interpreter that .venv is made with
ONLY ?=
ARGS ?=
PYTHON ?=

.DEFAULT_GOAL := help
.PHONY: help demo test test-all proofs bench lint clean
.DELETE_ON_ERROR:

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.user ## runs fly out to the rehearsed cloud and come home, one interrupted on the way
	$(BIN)/flyback rehearse examples/spectral.yaml --smoke
	$(BIN)/flyback rehearse examples/interrupted.yaml --fault interrupt:at=50s,times=1

test: $(VENV)/.developer ## the tests that need nothing but the package index
	$(PYTEST) -n 2 --dist loadfile $(ARGS)

test-all: test lint .tools/awscli/bin/aws .tools/ministack/bin/ministack $(VENV)/.torch ## also lint, the extended tests, and a tenth of every proof's sweep
	$(PYTEST) -m "extended or (proof and not unsettled)" -q -s $(ARGS)

proofs: $(VENV)/.developer .tools/ministack/bin/ministack ## what was promised, measured now, one PROOF line each; ONLY=name
	FLYBACK_SWEEP=all $(PYTEST) -m proof -q -s --no-header --only="$(ONLY)" $(ARGS)

bench: $(VENV)/.peers $(VENV)/.torch ## figures of speed, one BENCH line each, kept in benchmarks/; ONLY=name
	$(PYTEST) -m bench -q -s --no-header --only="$(ONLY)" --record=benchmarks/records $(ARGS); \
	  code=$$?; $(BIN)/python benchmarks/results.py && exit $$code

lint: $(VENV)/.developer ## ruff, mypy and the walls between the rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache # a stale cache finds what is not there

clean: ## remove .venv and everything that tools have left here
	rm -rf $(VENV) .tools build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# What a user installs, and what a developer installs.
$(VENV)/.user: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing flyback[all] into $(VENV) (a minute or two, once)"
	@$(PIP) -e '.[all]'
	@touch $@

$(VENV)/.developer: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing flyback[all,dev] into $(VENV) (a minute or two, once)"
	@$(PIP) -e '.[all,dev]'
	@touch $(VENV)/.user $@

# What figures of speed are compared with.
$(VENV)/.peers: $(VENV)/.developer
	@echo "installing flyback[peers] into $(VENV)"
	@$(PIP) -e '.[all,dev,peers]'
	@touch $@

# What only the extended tests need: workloads of neural networks, on the CPU, and the compiler of
# kernels, which needs no GPU.
$(VENV)/.torch: constraints.txt | $(VENV)/.developer
	@echo "installing torch and the compiler of CUDA kernels into $(VENV) (once)"
	@$(PIP) torch cuda-core cuda-bindings nvidia-cuda-nvrtc nvidia-ml-py
	@touch $@

# Judges from outside, each in an environment of its own: they pin what we pin otherwise.
.tools/awscli/bin/aws: | $(BIN)/python
	@echo "installing the AWS CLI into .tools/awscli"
	@$(BIN)/python -m venv .tools/awscli
	@.tools/awscli/bin/python -m pip install --quiet --disable-pip-version-check awscli==1.46.3

.tools/ministack/bin/ministack: | $(BIN)/python
	@echo "installing ministack, another emulator of AWS, into .tools/ministack"
	@$(BIN)/python -m venv .tools/ministack
	@.tools/ministack/bin/python -m pip install --quiet --disable-pip-version-check ministack==1.5.33

# The first interpreter that is new enough and can make environments. Debian ships venv apart.
$(BIN)/python:
	@found=; \
	for candidate in $(or $(PYTHON),python3.13 python3.12 python3.11 python3 python); do \
	  "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	  found=$$candidate; \
	  "$$candidate" -c 'import ensurepip, venv' 2>/dev/null || continue; \
	  exec "$$candidate" -m venv $(VENV); \
	done; \
	if [ -n "$$found" ]; then \
	  echo "$$found cannot make a virtual environment: ensurepip is missing."; \
	  echo "  → On Debian or Ubuntu: apt-get install python3-venv"; \
	else \
	  echo "flyback needs Python 3.11 or newer, and found none."; \
	  echo "  → Install one, or name it: make PYTHON=/path/to/python3.11"; \
	fi >&2; \
	exit 1
