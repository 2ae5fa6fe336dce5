"""Start the command line."""

import gc

# What is imported stays; looking for cycles in it would take a quarter of the start.
gc.disable()

from refsys.infra.cli.app import main  # noqa: E402

gc.freeze()
gc.enable()
main()
