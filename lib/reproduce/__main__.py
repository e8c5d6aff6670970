"""``python -m lib.reproduce``: the command line behind the Makefile."""

from lib.reproduce.cli import main

if __name__ == "__main__":
    main()
