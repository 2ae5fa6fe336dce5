"""Start the plugin: `python -m refsys.infra.plugins.openstack [ENGINE_ADDRESS]`."""

import sys

from refsys.infra.plugins.common.serving import serve
from refsys.infra.plugins.openstack.server import Provider

# Most of what these do is waiting for the cloud: a whole environment's servers are made at once.
WORKERS = 32

serve(Provider(engine_address=sys.argv[1] if len(sys.argv) > 1 else None), workers=WORKERS)
