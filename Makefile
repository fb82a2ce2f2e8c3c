# Needs python3 and make; everything else is installed into .venv*/ from here.

PYTHON ?= python3
ARGS ?=
# Most of the time goes into tracing, which uses one core. Files stay together:
# they share what they compile, and come in the order of tests/conftest.py.
PARALLEL ?= --numprocesses=2 --dist=loadfile --no-loadscope-reorder
TF_CPP_MIN_LOG_LEVEL ?= 2
export TF_CPP_MIN_LOG_LEVEL
# The theme's advertisement of its successor.
export NO_MKDOCS_2_WARNING := 1
# A core for each worker: more threads only wait for each other.
ONE_THREAD := TF_NUM_INTRAOP_THREADS=1
# The rest is the same in both Kerases; the marks are told in pyproject.toml.
BOTH := -m "builds_keras or not (keras_free or one_keras)"

BIN := .venv/bin
DEMO := .venv-quickstart/bin

.NOTPARALLEL:
.PHONY: help quickstart test lint format test-keras3 test-tf-keras \
	mutants docs docs-serve wheel wheel-check clean

help:  ## Show this list.
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' Makefile | expand -t 16

quickstart: .venv-quickstart/stamp  ## Run the quickstart; flags in ARGS="...".
	$(DEMO)/python examples/quickstart.py $(ARGS)

test: lint test-keras3 test-tf-keras  ## Check everything under both Kerases.

lint: .venv/stamp  ## Check format, style and types.
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy tfrobust

format: .venv/stamp  ## Format the code and mend what can be mended.
	$(BIN)/ruff check --fix --exit-zero --quiet
	$(BIN)/ruff format

test-keras3: .venv/stamp  ## Run the tests under Keras 3; flags in ARGS="...".
	TF_USE_LEGACY_KERAS=0 $(ONE_THREAD) $(BIN)/python -m pytest $(PARALLEL) $(ARGS)

test-tf-keras: .venv/stamp  ## Run those that differ by Keras under tf_keras.
	TF_USE_LEGACY_KERAS=1 $(ONE_THREAD) $(BIN)/python -m pytest $(BOTH) \
		$(PARALLEL) $(ARGS)

mutants: .venv/stamp  ## Break the code on purpose and see a test fail, each time.
	$(ONE_THREAD) $(BIN)/python tests/mutate.py $(ARGS)

docs: .venv-docs/stamp  ## Build the documentation into site/.
	.venv-docs/bin/mkdocs build --strict

docs-serve: .venv-docs/stamp  ## Show the documentation while it is written.
	.venv-docs/bin/mkdocs serve

wheel: .venv/stamp  ## Build dist/tfrobust-*.whl.
	rm -rf build dist
	$(BIN)/python -m build --wheel --no-isolation

wheel-check: wheel  ## Run the quickstart and the command on the wheel alone.
	room=$$(mktemp -d) && trap 'rm -rf "$$room"' EXIT && \
	$(PYTHON) -m venv "$$room/venv" && \
	"$$room/venv/bin/pip" install -qq "$$(ls dist/*.whl)[examples]" && \
	cp -r examples "$$room" && cd "$$room" && \
	venv/bin/python examples/quickstart.py $(ARGS) && \
	venv/bin/tfrobust evaluate --help

clean:  ## Remove everything that make made.
	rm -rf .venv .venv-quickstart .venv-docs site build dist *.egg-info
	rm -rf .mypy_cache .pytest_cache .ruff_cache
	find tfrobust tests examples -name __pycache__ -prune -exec rm -rf {} +

.venv/stamp: EXTRAS := dev,tfmot,examples,notebooks,serving,litert,onnx
.venv-quickstart/stamp: EXTRAS := examples

# The requirements of the extra alone: the sources are read, not imported.
.venv-docs/stamp: pyproject.toml
	@$(PYTHON) -m venv $(@D)
	@sed -n '/^docs = \[/,/^\]/s/^ *"\(.*\)",$$/\1/p' pyproject.toml \
		> $(@D)/requirements.txt
	@$(@D)/bin/python -m pip install -qq -r $(@D)/requirements.txt
	@touch $@

# Editable, so that the second call runs the code as it is now.
.venv/stamp .venv-quickstart/stamp: pyproject.toml
	@$(PYTHON) -c "import ensurepip, sys, venv; \
	sys.exit(sys.version_info < (3, 10))" 2> /dev/null || { \
	echo "tfrobust needs Python 3.10 or newer with the venv module:" \
	"install it, or name one with make PYTHON=/path/to/python3." >&2; exit 1; }
	@echo "Installing into $(@D), once; this may take a few minutes."
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install -qq --upgrade pip
	@$(@D)/bin/python -m pip install -qq --no-compile --editable ".[$(EXTRAS)]"
	@touch $@
