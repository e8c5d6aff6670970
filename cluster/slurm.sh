#!/usr/bin/env bash
#SBATCH --job-name=blindspot
#SBATCH --ntasks=16               # workers: so many notebooks at once
#SBATCH --cpus-per-task=1
#SBATCH --mem-per-cpu=4G          # the largest figure under "memory" in `make plan`
#SBATCH --time=08:00:00
# From the checkout, after `make setup`:  sbatch cluster/slurm.sh [PROFILE]
set -euo pipefail
SCHEDULER="tcp://$(hostname):$((20000 + SLURM_JOB_ID % 20000))"
.venv/bin/dask scheduler --port "${SCHEDULER##*:}" --no-dashboard &
srun --overlap .venv/bin/dask worker "$SCHEDULER" --nthreads 1 --memory-limit 0 --resources CPU=1 &
trap 'kill $(jobs -p)' EXIT
make reproduce PROFILE="${1:-cpu}" SCHEDULER="$SCHEDULER"
