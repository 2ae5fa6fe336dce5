"""`python -m refsys.services.desktop`: serves the program of the settings until it is told to end."""

import sys

from aiohttp import web

from refsys.services.desktop.server import application
from refsys.services.desktop.settings import DesktopSettings, SettingsError, read_settings


def main() -> int:
    """Serve; 2 means a wrong setting."""
    try:
        settings: DesktopSettings = read_settings()
    except SettingsError as error:
        sys.stderr.write(f"desktop: {error}\n")
        return 2
    # The pod's own address; only the sidecar and Prometheus come here.
    web.run_app(application(settings), host="0.0.0.0", port=settings.port, access_log=None, print=None)  # noqa: S104
    return 0


if __name__ == "__main__":
    sys.exit(main())
