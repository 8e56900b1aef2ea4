"""`python -m workers` is the `avivro` command."""

from workers.cli import main

main()
