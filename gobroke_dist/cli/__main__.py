"""``python -m gobroke_dist.cli``: how a supervisor starts its children, whatever is on the PATH."""

from gobroke_dist.cli import main

main()
