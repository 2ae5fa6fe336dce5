"""Start the command line."""

from refsys.infra.cli.app import main

main()
