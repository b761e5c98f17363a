# On a machine with Python 3.11 or newer, pip and make: `make demo` and `make test` build what they need in .venv.
PYTHON ?= python3
BIN := .venv/bin
# What is imported is compiled once, whatever the shell says: the tests start many processes.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test tests docs services nightly test-changed test-newest lint lock lock-elsewhere kinds clean

demo: .venv/.demo
	$(BIN)/chiasm demo

# Ruff and mypy beside the tests: mypy takes one core for a minute or two, and the tests the rest of both. The tests are
# two processes of one thread each (small models on threads that compete are many times slower), forked from one that has
# imported and collected them. pytest leaves asserts as they are written, since to rewrite those of a fresh checkout takes
# it twenty seconds; what fails is run once more with them rewritten, and so says which values it had.
test: .venv/.test
	@$(MAKE) --no-print-directory -j 2 lint tests

tests: .venv/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --forks 2 --assert plain -m 'not nightly' \
	|| { OMP_NUM_THREADS=1 $(BIN)/python -m pytest --lf --lfnf none -m 'not nightly'; exit 1; }

# The site, in site/: a dead link or a page that no menu names stops it. `make test` builds it too, in a test.
docs: .venv/.test
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet

# The site with the pages of its gallery in full, which are made anew: some three minutes of a processor.
.PHONY: gallery
gallery: .venv/.test
	OMP_NUM_THREADS=1 $(BIN)/python website/gallery.py
	@$(MAKE) --no-print-directory docs

# What Lighthouse says of every kind of page, on a phone and on a desk: some ten minutes. It is of npm, in .services (a
# hundred megabytes, which `make services` leaves out), and drives the browser that `make services` brings.
.PHONY: lighthouse
LIGHTHOUSE := lighthouse@13.5.0
lighthouse: docs .services/node_modules/lighthouse
	$(BIN)/python website/lighthouse.py

.services/node_modules/lighthouse: | .services/npm
	npm install --silent --no-audit --no-fund --prefix .services $(LIGHTHOUSE)

# What the tests use that is no Python package: as file=package of Debian, missing ones are installed; and a FHIR server of
# npm, in .services. A server or a browser that a test needs is installed here, and started by the test.
SERVICES := /bin/bash=bash /usr/bin/git=git /usr/bin/chromium=chromium /usr/sbin/Orthanc=orthanc \
	/usr/share/orthanc/plugins/libOrthancDicomWeb.so=orthanc-dicomweb /usr/bin/node=nodejs /usr/bin/npm=npm
FHIR := $(foreach part,fhir-router core definitions,@medplum/$(part)@5.2.13)
services: .services/node_modules/@medplum/fhir-router
	@missing=$$(for one in $(SERVICES); do test -e "$${one%=*}" || echo "$${one#*=}"; done); \
	if [ -z "$$missing" ]; then exit 0; fi; \
	command -v apt-get >/dev/null || { echo "install: $$missing"; exit 1; }; \
	apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $$missing >/dev/null \
	|| exit 1; for one in $(SERVICES); do test -e "$${one%=*}" || { echo "$${one#*=} is installed, and $${one%=*} is not there"; exit 1; }; done

.services/node_modules/@medplum/fhir-router: | .services/npm
	npm install --silent --no-audit --no-fund --prefix .services $(FHIR)

.services/npm:
	@command -v npm >/dev/null || { apt-get -qq update && apt-get -qq install -y --no-install-recommends nodejs npm >/dev/null; }
	@mkdir -p .services && touch $@

# Every law on every recipe, seed and kill, in a random order, within what `make test` and a recipe may cost: it took
# 1,880 s of a processor. Here the property tests of the day draw all their examples, and so cost more than by day.
SEED ?= $(shell date +%Y%m%d)
BUDGETS := --cpu-budget 2000 --recipe-budget 3
nightly: lint
	ALL_EXAMPLES=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest --forks 2 --random-order $(SEED) $(BUDGETS)

# What a change touches: the tests of the files that differ from BASE, those of what imports them, and the laws of the house.
BASE ?= main
test-changed: .venv/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --forks 2 -m 'not nightly' $$($(BIN)/python tests/changed.py $(BASE))

# The same tests with the newest versions that pyproject.toml allows, in an environment of its own. Only torch stays: it is
# the build that lies at hand. Where a test fails, what differs from the lock is printed: one of these broke it.
test-newest:
	rm -rf .venv-newest && $(PYTHON) -m venv .venv-newest
	grep '^torch==' constraints.txt > .venv-newest/torch.txt
	.venv-newest/bin/python -m pip install --quiet --disable-pip-version-check -c .venv-newest/torch.txt -e '.[test,demo]'
	@.venv-newest/bin/python -m pip freeze --exclude-editable | $(PINS) > .venv-newest/newest.txt
	@OMP_NUM_THREADS=1 .venv-newest/bin/python -m pytest --forks 2 || { \
		echo 'Newer than the lock:'; grep -v '^#' constraints.txt | LC_ALL=C comm -13 - .venv-newest/newest.txt; exit 1; }

# The lock anew: what is newest today, in a temporary environment. Run `make test` afterwards.
lock:
	place=$$(mktemp -d) && trap 'rm -rf "$$place"' EXIT && $(PYTHON) -m venv "$$place/venv" \
	&& grep '^torch==' constraints.txt > "$$place/torch.txt" \
	&& "$$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check -c "$$place/torch.txt" -e '.[test,demo]' \
	&& grep '^#' constraints.txt > "$$place/lock.txt" \
	&& "$$place/venv/bin/python" -m pip freeze --exclude-editable | $(PINS) >> "$$place/lock.txt" \
	&& cp "$$place/lock.txt" constraints.txt

# Whether the lock has a build of every package for other Pythons and for arm64: builds are looked for, and nothing is run.
# Those of SOURCE come as source alone for some of these, and are compiled where they are installed.
SOURCE := autograd-gamma|ecos|scikit-survival
GLIBC := $(foreach minor,17 24 26 27 28 31 34 35 39,--platform manylinux_2_$(minor)_MACHINE) --platform manylinux2014_MACHINE
lock-elsewhere: $(BIN)/python
	@place=$$(mktemp -d) && trap 'rm -rf "$$place"' EXIT && for python in 3.11 3.12 3.13; do for machine in x86_64 aarch64; do \
	grep -vE "^#|^($(SOURCE))==" constraints.txt \
	> "$$place/pins.txt" && $(BIN)/python -m pip install --quiet --dry-run --no-deps --disable-pip-version-check \
	--only-binary :all: --implementation cp --python-version $$python $(subst MACHINE,$$machine,$(GLIBC)) \
	--target "$$place/none" -r "$$place/pins.txt" && echo "Python $$python on $$machine: every package has a build" || exit 1; \
	done; done

# Names and versions alone: no build of torch, and no pip, which every environment has.
PINS := grep -E '^[A-Za-z0-9._-]+==' | grep -v '^pip==' | sed 's/+cpu$$//' | LC_ALL=C sort

lint: .venv/.test
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# What a release hands out, in dist/: the source and the wheel, each installed in an empty environment of every Python of
# PYTHONS that is here or that pyenv holds, where it runs the demo; and what the lock names, as CycloneDX. Nothing is uploaded.
.PHONY: release sbom
PYTHONS ?= python3.11 python3.12 python3.13
PACK := .venv-release/bin
release: sbom
	rm -f dist/chiasm-*.whl dist/chiasm-*.tar.gz
	$(PACK)/hatchling build -d dist
	$(PACK)/python deploy/try_release.py --pythons $(PYTHONS) -- dist/chiasm-*.whl dist/chiasm-*.tar.gz

sbom: .venv-release/.packs
	$(PACK)/python deploy/sbom.py dist/chiasm.cdx.json

.venv-release/.packs:
	$(PYTHON) -m venv .venv-release
	$(PACK)/python -m pip install --quiet --disable-pip-version-check hatchling cyclonedx-bom
	touch $@

clean:
	rm -rf chiasm-demo build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("chiasm needs Python 3.11 or newer: make PYTHON=python3.12 ..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv

# One stamp for each set of packages: nothing is installed again until what asks for it changes. pip takes torch, since it
# alone finds a build that lies at hand, and uv the rest, in a third of the time; where uv does not reach what pip does
# (another index, a proxy), pip does it all. For the tests nothing is compiled but what they import.
UV := uv==0.13.9
.venv/.demo .venv/.test: .venv/.%: pyproject.toml constraints.txt requirements-nodeps.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_$*) -c constraints.txt torch $(UV)
	$(BIN)/uv pip install --quiet --python $(BIN)/python $(UV_$*) -c constraints.txt -e '.[$*]' \
	|| $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_$*) -c constraints.txt -e '.[$*]'
	$(if $(filter test,$*),$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-nodeps.txt)
	touch $@

PIP_test := --no-compile
UV_demo := --compile-bytecode

# Which module holds each stored kind: src/chiasm/artifact/places.py, from the decorators in the source.
kinds: .venv/.test
	PYTHONPATH=src:tests $(BIN)/python tests/storable_kinds.py
	PYTHONPATH=src:tests $(BIN)/python tests/recipe_options.py
	PYTHONPATH=src:tests $(BIN)/python tests/systems/catalogue_page.py
