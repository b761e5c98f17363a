# On a machine with Python 3.11 or newer, pip and make: `make demo` and `make test` build what they need in .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint clean

demo: .venv/.demo
	$(BIN)/chiasm demo

# Two processes of one thread each: small models on threads that compete are many times slower.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

lint: .venv/.test
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf chiasm-demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("chiasm needs Python 3.11 or newer: make PYTHON=python3.12 ..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv

# One stamp for each set of packages: nothing is installed again until what asks for it changes.
# Python compiles what is imported: compiling all that is installed would double the time of the installation.
.venv/.demo .venv/.test: .venv/.%: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e '.[$*]'
	touch $@
