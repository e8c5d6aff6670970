"""How fast: what a user would take instead, measured beside ours in the same run.

`harness` times two callables that do the same job in interleaved rounds; `masks` holds the cases of masked image
modelling, `explain` and `judges` those of attribution; peers are libraries, or `published` and `plain_mae`: published
algorithms stated anew, never slower than they are.
``python -m lib.bench`` runs them and writes ``reports/bench/<name>.csv`` with its figure, `summary` all of them as one;
`readme` makes their page.
"""
