# hlss: `make demo` and `make test` need only Python ≥ 3.11, git and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
EXTRAS := dev,lite0,minilm
STAMP  := $(VENV)/.installed
# What only tests need, so that a demo does not wait for it.
TEST_EXTRAS := anndata,cluster,studio,browser,language
TEST_STAMP  := $(VENV)/.installed-for-tests
AXE         := axe-core@4.14.1

define pip_install
@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[$(1)]"
@$(BIN)/python -m pip check
@touch $@
endef

.PHONY: help demo test test-all check format install install-for-tests benchmarks clean

help:
	@echo "make demo        install into $(VENV), pretrain and evaluate on drawn tissue (a few minutes)"
	@echo "make test        install, with Ray and AnnData, and run the tests (make test-all: the slow ones too)"
	@echo "make check       format, lint, types, import rules"
	@echo "make benchmarks  what is fast, side by side with the usual way"

install: $(STAMP)

install-for-tests: $(TEST_STAMP)

$(STAMP): pyproject.toml constraints.txt
	@echo "== installing hlss into $(VENV) (a minute or two, then not again)"
	@$(PYTHON) -c 'import sys; sys.exit("hlss needs Python 3.11 or newer: set PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(call pip_install,$(EXTRAS))

$(TEST_STAMP): $(STAMP)
	@echo "== installing what only tests need, Ray, AnnData, NiceGUI, Playwright and openai (half a minute, then not again)"
	@npm install --prefix $(VENV)/axe --no-audit --no-fund --silent --fetch-retries=1 --fetch-timeout=30000 $(AXE) >/dev/null 2>&1 \
		|| echo "== no npm, or it cannot get $(AXE): the accessibility tests will be skipped"
	$(call pip_install,$(TEST_EXTRAS))

demo: install
	@echo "== hlss demo: pretraining on drawn tissue, evaluation before and after"
	@$(BIN)/hlss demo

test: install-for-tests
	@echo "== tests (slow ones are left to make test-all)"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow"

test-all: install-for-tests
	@$(BIN)/python -m pytest

check: install
	@echo "== format"  && $(BIN)/ruff format --check .
	@echo "== lint"    && $(BIN)/ruff check .
	@echo "== types"   && $(BIN)/mypy
	@echo "== imports" && $(BIN)/lint-imports

format: install
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .

benchmarks: install
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV) runs build dist
