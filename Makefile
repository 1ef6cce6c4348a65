# Two commands matter: `make run` and `make test`. Both set up .venv by themselves, and again only
# when pyproject.toml or constraints.txt changed.

VENV    := .venv
BIN     := $(VENV)/bin
SOURCES := pyproject.toml constraints.txt

.PHONY: help run test check soak bench locales settings tree structure clean

help:
	@echo "make run      set up, then run the bot (python -m bot)"
	@echo "make test     the tests, on two cores"
	@echo "make check    ruff, mypy, and the rules of the project"
	@echo "make soak     many random crashes of a real bot: takes long"
	@echo "make bench    the benchmarks"
	@echo "make locales  collect the sentences and compile the catalogues"
	@echo "make settings write docs/settings.md anew"
	@echo "make tree     every Python file and what it is for"
	@echo "make structure  how large the parts are, and whether they go round in a circle"
	@echo "make clean    remove what was built; .env and data/ stay"

run: $(VENV)/run.stamp
	@$(BIN)/python -m bot

test: $(VENV)/dev.stamp
	$(BIN)/pytest -n 2 --dist worksteal -m "not soak"

check: $(VENV)/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest tests/project

soak: $(VENV)/dev.stamp
	$(BIN)/pytest -m soak

bench: $(VENV)/dev.stamp
	@for file in benchmarks/[a-z]*.py; do \
	    name=$$(basename $$file .py); echo "== $$name"; $(BIN)/python -m benchmarks.$$name || exit; \
	done

locales: $(VENV)/dev.stamp
	$(BIN)/python -m locales.collect

settings: $(VENV)/run.stamp
	@$(BIN)/python -m handbook.settings_page

tree: | $(BIN)/python
	@$(BIN)/python -m handbook.tree

structure: | $(BIN)/python
	@$(BIN)/python -m handbook.structure

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What running needs, and what developing needs; the second holds the first.
$(VENV)/run.stamp: $(SOURCES) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[playground]' --constraint constraints.txt
	@touch $@

$(VENV)/dev.stamp: $(SOURCES) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[dev,playground,plots,evaluation]' --constraint constraints.txt
	@touch $(VENV)/run.stamp $@

# The first Python that is new enough: the names that systems give it, newest knowledge first.
$(BIN)/python:
	@for python in $(PYTHON) python3.11 python3 python3.12 python3.13 python3.14; do \
	    if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        echo "Setting up $(VENV) with $$($$python --version): this takes a few minutes, once."; \
	        $$python -m venv $(VENV) && exit 0; \
	        echo "$$python cannot make a virtual environment: on Debian and Ubuntu install python3-venv." >&2; \
	        rm -rf $(VENV); exit 1; \
	    fi; \
	done; \
	echo "Banter needs Python 3.11 or newer; none was found. Install it, or name it: make run PYTHON=/path/to/python3.11" >&2; \
	exit 1
