# Every recipe is one call of `python -m lib.…`; without make, call it yourself (python -m lib.reproduce --help).
# ENV=active uses the environment that is active; otherwise .venv is made from requirements.lock.
# -P: an egg-info in this folder does not count as an environment that holds the package.
ENV ?= auto
HELD := $(shell python -P -c "import importlib.metadata as m; m.distribution('blindspot')" 2>/dev/null && echo yes)
ifeq ($(filter active,$(ENV))$(HELD),)
PY := .venv/bin/python
READY := .venv/.ready
PEERS := .venv/.peers
else
PY := python
READY :=
PEERS :=
endif
OPTIONS = $(if $(PROFILE),--profile $(PROFILE)) $(if $(ONLY),--only '$(ONLY)') $(if $(JOBS),--jobs $(JOBS)) \
  $(if $(SCHEDULER),--scheduler $(SCHEDULER)) $(if $(BUDGET_MIN),--budget-min $(BUDGET_MIN)) $(if $(TRUST),--trust $(TRUST))
WHICH = $(if $(PROFILE),--profile $(PROFILE)) $(if $(ONLY),--only '$(ONLY)')

.DEFAULT_GOAL := help
.PHONY: help setup reproduce test check smoke plan why diff verify retry-failed site lab new bench clean
help:          ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16
setup: $(READY)  ## make .venv from requirements.lock and the git filter that keeps outputs out
reproduce: $(READY)  ## run what is not yet reproduced: PROFILE= ONLY= JOBS= SCHEDULER= BUDGET_MIN= TRUST=
	$(PY) -m lib.reproduce run $(OPTIONS)
smoke: $(READY)  ## all notebooks at their smallest, without a network
	$(PY) -m lib.reproduce run --profile smoke $(if $(ONLY),--only '$(ONLY)')
plan: $(READY)   ## what would run, its minutes and memory
	$(PY) -m lib.reproduce plan $(OPTIONS)
why: $(READY)    ## which component of a key changed: ONLY=
	$(PY) -m lib.reproduce why $(WHICH)
diff: $(READY)   ## two runs side by side: A= B=
	$(PY) -m lib.reproduce diff $(A) $(B)
verify: $(READY) ## run the committed reports again and compare their data and verdicts
	$(PY) -m lib.reproduce verify $(OPTIONS)
retry-failed: $(READY) ## run again what failed last time
	$(PY) -m lib.reproduce retry-failed $(OPTIONS)
site: $(READY)   ## write reports/site and reports/README.md again
	$(PY) -m lib.reproduce site
new: $(READY)    ## a notebook skeleton and its block: FAMILY= TITLE= PAPER=
	$(PY) -m lib.reproduce new --family "$(FAMILY)" --title "$(TITLE)" --paper "$(PAPER)"
lab: $(READY)    ## JupyterLab on notebooks/
	$(PY) -m jupyterlab --notebook-dir notebooks
bench: $(PEERS)  ## ours beside the peers in one run, into reports/bench: ONLY=
	$(PY) -m lib.bench $(if $(ONLY),--only '$(ONLY)')
test: $(PEERS)   ## the whole test suite
	$(PY) -m pytest -n 2 --dist loadfile
check: $(READY)  ## lint and types
	$(PY) -m ruff check . && $(PY) -m ruff format --check . && $(PY) -m mypy
clean: $(READY)  ## remove what receipts list; never data
	$(PY) -m lib.reproduce clean

.venv/.ready: requirements.lock pyproject.toml
	python3 -m venv .venv && .venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e . && .venv/bin/python -m lib.setup
	@touch $@
.venv/.peers: requirements-peers.txt .venv/.ready
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-peers.txt
	@touch $@
