# Everything a person does with this project, one line for each intention. `make` alone lists them.

# The first Python that is new enough; another one: make PYTHON=/path/to/python3.12 install
PYTHON ?= $(shell for each in python3 python3.13 python3.12 python3.11; do \
	$$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$each && break; done)

BIN := .venv/bin
INSTALLED := .venv/installed

.DEFAULT_GOAL := help
.PHONY: help install demo dev test check format docs screenshots bench clean clean-lake

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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

demo: $(INSTALLED) ## Convert a generated landing zone, end to end, and show what came out (below a minute)
	@$(BIN)/lake demo

dev: $(INSTALLED) ## Open the Dagster UI on a generated landing zone; Ctrl-C ends it
	@$(BIN)/lake dev

test: $(INSTALLED) ## Run all tests (one: .venv/bin/pytest -k part_of_its_name)
	@$(BIN)/pytest -q -n 2 --dist worksteal

check: $(INSTALLED) ## Formatting, lint, types, layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(INSTALLED) ## Format the code and fix what can be fixed
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: $(INSTALLED) ## Write docs/settings.md anew from the settings
	@$(BIN)/python -m lake_pipeline.settings.page > docs/settings.md

screenshots: $(INSTALLED) ## Make docs/images anew from a running UI (needs a Chromium)
	@$(BIN)/python docs/screenshots.py

bench: $(INSTALLED) ## Measure the conversion kernel against its peers on this machine
	@$(BIN)/python bench/convert.py

clean: ## Remove .venv and every cache (not the lake)
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The embedded PostgreSQL ends with the last command that uses it, so there is nothing to stop.
clean-lake: ## Remove the default lake and its ledger: ./lake and ./.lake (end `make dev` first)
	rm -rf lake .lake
