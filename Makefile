# Everything that is done with this repository from a shell. `make` lists it.

VENV := .venv
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.complete
PYTEST := $(PYTHON) -m pytest
FAST_TESTS := tests/unit tests/property
REAL_TESTS := tests/chaos tests/crash tests/cluster tests/guest tests/interop

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- set-up ------------------------------------------------------------------------------------

.PHONY: venv
venv: $(READY) ## make .venv with everything in it (Python 3.11)

$(READY): pyproject.toml .ci/constraints.txt
	@.ci/make-venv $(VENV)
	@touch $@

.PHONY: apt
apt: ## install the Debian packages for guests; without root: say which are missing
	@.ci/system-packages

.PHONY: constraints
constraints: ## pin what is installed in .venv now
	@{ head -n 1 .ci/constraints.txt; $(PYTHON) -m pip freeze --exclude-editable; } >.ci/constraints.new
	@mv .ci/constraints.new .ci/constraints.txt

# --- checks ------------------------------------------------------------------------------------

.PHONY: check
check: $(READY) ## format, lint, types, layers and fast tests, in under a minute
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target check-types check-fast check-lint check-layers

.PHONY: check-types
check-types: $(READY)
	@$(PYTHON) -m mypy

.PHONY: check-lint
check-lint: $(READY)
	@$(VENV)/bin/ruff format --check --quiet && $(VENV)/bin/ruff check --quiet && echo "ruff: fine"

.PHONY: check-layers
check-layers: $(READY)
	@text=$$($(VENV)/bin/lint-imports --no-logo 2>&1) && echo "layers: kept" || { echo "$$text"; exit 1; }

.PHONY: check-fast
check-fast: $(READY)
	@$(PYTEST) -q -n 2 --dist worksteal -m "not slow" $(FAST_TESTS)

.PHONY: check-static
check-static: $(READY)
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target check-types check-lint check-layers

.PHONY: test
test: apt $(READY) check-static ## set everything up and run everything; says its time budget
	@$(PYTEST) -q -n 2 $(FAST_TESTS) tests/hostile tests/simulation
	@$(PYTEST) -n 2 --dist loadfile --time-budget $(REAL_TESTS)

.PHONY: simulate
simulate: $(READY) ## break clusters in memory: SEEDS=100 from FIRST_SEED=1, each MINUTES=10, JOBS=2 at once
	@$(PYTHON) -m tests.simulation --seeds $(or $(SEEDS),100) --minutes $(or $(MINUTES),10) \
		--first-seed $(or $(FIRST_SEED),1) $(if $(JOBS),--jobs $(JOBS))

.PHONY: simulate-mutations
simulate-mutations: $(READY) ## see how soon deliberate mistakes in the product are found, in at most SEEDS=200
	@$(PYTHON) -m tests.simulation.hunt $(if $(SEEDS),--seeds $(SEEDS)) $(if $(JOBS),--jobs $(JOBS))

.PHONY: simulate-points
simulate-points: $(READY) ## crash at new points of steps and journals, or at all with ANEW=1
	@$(PYTHON) -m tests.simulation.crashes $(if $(SEEDS),--seeds $(SEEDS)) $(if $(ANEW),--anew)

.PHONY: fuzz
fuzz: $(READY) ## look for hostile input at every door, or at DOOR=name, for MINUTES=10
	@$(PYTHON) -c "import atheris" 2>/dev/null || $(PYTHON) -m pip install --quiet \
		--disable-pip-version-check --constraint .ci/constraints.txt --editable '.[fuzz]'
	@nice -n 19 $(PYTHON) -m tests.hostile --minutes $(or $(MINUTES),10) $(addprefix --door ,$(DOOR))

.PHONY: chaos
chaos: apt $(READY) ## break a real cluster for MINUTES=30, with the disasters of SEED=1, HYPERVISOR=kvm or fake
	@$(PYTEST) -q -s tests/chaos -o faulthandler_timeout=$$(( $(or $(MINUTES),30) * 60 + 900 )) \
		--chaos-minutes $(or $(MINUTES),30) --chaos-seed $(or $(SEED),1) \
		--chaos-hypervisor $(or $(HYPERVISOR),fake)

.PHONY: format
format: $(READY) ## format the code and mend what ruff can mend
	@$(VENV)/bin/ruff check --quiet --fix-only && $(VENV)/bin/ruff format

# --- to see it run -----------------------------------------------------------------------------

.PHONY: demo
demo: apt $(READY) ## three nodes, a guest, a live migration; the cluster stays up
	@$(PYTHON) -m gantry.cli.demo up

.PHONY: demo-down
demo-down: $(READY) ## end the demo's cluster and remove its files
	@$(PYTHON) -m gantry.cli.demo down

.PHONY: bench
bench: $(READY) ## measure; the figures go to bench/results
	@$(PYTHON) -m bench

.PHONY: docs
docs: $(READY) ## write the generated tables of doc/design anew
	@$(PYTHON) -m doc.generate
