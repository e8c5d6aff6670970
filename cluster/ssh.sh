#!/usr/bin/env bash
# From the checkout, after `make setup` here and on every host (same path, same commit):
#   PROFILE=cpu cluster/ssh.sh node1 node1 node2        a host named twice runs two notebooks at once
set -euo pipefail
SCHEDULER="tcp://$(hostname -f):${PORT:-8786}"
.venv/bin/dask scheduler --port "${SCHEDULER##*:}" --no-dashboard &
trap 'kill $(jobs -p)' EXIT
for host in "$@"; do      # -tt: a worker ends with the connection that started it
    ssh -tt "$host" "cd '$PWD' && .venv/bin/dask worker '$SCHEDULER' --nthreads 1 --memory-limit 0 --resources CPU=1" </dev/null &
done
make reproduce PROFILE="${PROFILE:-cpu}" SCHEDULER="$SCHEDULER"
