# On a machine with Python 3.11 or newer, pip and make: `make demo` and `make test` build what they need in .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint clean

demo: .venv/.demo
	$(BIN)/chiasm demo

# Two processes of one thread each: small models on threads that compete are many times slower.
test: .venv/.test
	@$(MAKE) --no-print-directory -j 2 lint .venv/.compiled
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
# For the tests pip compiles nothing: the second core does while mypy reads on the first.
.venv/.demo .venv/.test: .venv/.%: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(NO_COMPILE_$*) -c constraints.txt -e '.[$*]'
	touch $@

NO_COMPILE_test := --no-compile

# Some packages hold examples of what is no Python: they are not compiled, as pip would not.
.venv/.compiled: .venv/.test
	@$(BIN)/python -m compileall -qq .venv/lib || true
	@touch $@
