"""How it all runs: plan, key, execute, receipt, schedule, pages (see ``python -m lib.reproduce --help``)."""
