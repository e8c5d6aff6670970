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
endif
OPTIONS = $(if $(PROFILE),--profile $(PROFILE)) $(if $(ONLY),--only '$(ONLY)') $(if $(JOBS),--jobs $(JOBS)) \
  $(if $(SCHEDULER),--scheduler $(SCHEDULER)) $(if $(BUDGET_MIN),--budget-min $(BUDGET_MIN)) $(if $(TRUST),--trust $(TRUST))
WHICH = $(if $(PROFILE),--profile $(PROFILE)) $(if $(ONLY),--only '$(ONLY)')
.PHONY: help setup reproduce test check smoke plan why diff verify retry-failed explore simulate train site lab new bench clean
help:          ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16
setup: $(READY)  ## make .venv from requirements.lock and the git filter that keeps outputs out
reproduce: $(READY)  ## run what is not yet reproduced: PROFILE= ONLY= JOBS= BUDGET_MIN= TRUST= SCHEDULER=tcp://…
	$(PY) -m lib.reproduce run $(OPTIONS)
smoke: $(READY)  ## all notebooks at their smallest, without a network
	$(PY) -m lib.reproduce run --profile smoke $(if $(ONLY),--only '$(ONLY)')
plan: $(READY)   ## what would run, its minutes and memory; PROFILE=paper: its price, with intervals
	$(PY) -m lib.reproduce plan $(OPTIONS)
why: $(READY)    ## which component of a key changed: ONLY=
	$(PY) -m lib.reproduce why $(WHICH)
diff: $(READY)   ## two runs side by side: A= B=
	$(PY) -m lib.reproduce diff $(A) $(B)
verify: $(READY) ## run the committed reports again and compare their data and verdicts
	$(PY) -m lib.reproduce verify $(OPTIONS)
retry-failed: $(READY) ## run again what failed last time
	$(PY) -m lib.reproduce retry-failed $(OPTIONS)
explore: $(READY) ## one notebook at several settings, compared on a page: ONLY= SET="mask_ratio=0.3,0.5,0.9" PROFILE=
	$(PY) -m lib.reproduce explore --set '$(SET)' $(WHICH) $(if $(JOBS),--jobs $(JOBS)) $(if $(SCHEDULER),--scheduler $(SCHEDULER))
simulate: $(READY) ## plan and schedule N made-up tasks on a simulated cluster, without kernels: N=10000
	$(PY) -m lib.reproduce simulate $(or $(N),10000)
train: $(READY)  ## train a notebook's models on many devices before it runs: ONLY= PROFILE= DEVICES= SHARD=1 (in shards)
	$(PY) -m lib.reproduce.many $(ONLY) --profile $(or $(PROFILE),paper) $(if $(DEVICES),--devices $(DEVICES)) $(if $(SHARD),--shard)
site: $(PEERS)   ## write reports/site, reports/README.md and the API reference again
	$(PY) -m lib.reproduce site
new: $(READY)    ## a notebook skeleton and its block: FAMILY= TITLE= PAPER=
	$(PY) -m lib.reproduce new --family "$(FAMILY)" --title "$(TITLE)" --paper "$(PAPER)"
lab: $(READY)    ## JupyterLab on notebooks/
	$(PY) -m lib.setup kernel && $(PY) -m jupyterlab --notebook-dir notebooks
bench: $(PEERS)  ## ours beside the peers in one run, into reports/bench: ONLY=
	$(PY) -m lib.bench $(if $(ONLY),--only '$(ONLY)')
test: $(PEERS)   ## the test suite; SLOW=1: its slow tests alone
	$(PY) -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(if $(SLOW),-m slow)
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
	@.venv/bin/python -c 'import dcor' && touch $@  # numba compiles it once: two processes that do it at a time crash
