.DEFAULT_GOAL := help
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
WORKERS ?= 2

.PHONY: help setup test test-deps check grammar clean

help: ## show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

# torch first and pinned, so that nothing pulls another build of it
$(VENV)/.done: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	@touch $@

setup: $(VENV)/.done ## make .venv with everything pinned

test-deps: ## system packages that only tests need (none so far)
	@true

test: setup ## every test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) -q

check: setup ## lint, format and types
	$(BIN)/ruff check .

grammar: setup ## regenerate the parse tables after a change of grammar/recipe.lark
	$(BIN)/python -c "from recipelang.syntax.grammar import main; main()"

clean: ## remove the virtual environment and build output
	rm -rf $(VENV) build dist
