"""Start the plugin: `python -m refsys.infra.plugins.kubernetes [ENGINE_ADDRESS]`."""

import sys

from refsys.infra.plugins.common.serving import serve
from refsys.infra.plugins.kubernetes.server import Provider

serve(Provider(engine_address=sys.argv[1] if len(sys.argv) > 1 else None))
