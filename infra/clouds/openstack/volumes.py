"""How a node takes its data volume into use, whenever the cloud attaches it."""

from typing import Any

from refsys.infra.clouds.common.cloud_init import DATA_FOLDER, DATA_LABEL

ID_DIGITS = 20
"""As many of a volume's id are in the name of a virtio disk."""
UNIT = "refsys-data.service"
PROGRAM = "/usr/local/sbin/refsys-data"


def mounted(volume_id: str) -> dict[str, Any]:
    """Parts of a cloud-init configuration: a unit that waits for the volume, makes its file system once, mounts it.

    The cloud attaches the volume to a server that runs already, so that cloud-init's own mounts come too early.
    """
    program = f"""\
#!/bin/sh
set -eu
mountpoint -q {DATA_FOLDER} && exit 0
while :; do
  for disk in /dev/disk/by-id/virtio-{volume_id[:ID_DIGITS]} /dev/disk/by-id/scsi-*{volume_id}; do
    [ -b "$disk" ] && break 2
  done
  sleep 1
done
blkid "$disk" >/dev/null || mkfs.ext4 -q -L {DATA_LABEL} "$disk"
mkdir -p {DATA_FOLDER}
mount -o nodev,nosuid "$disk" {DATA_FOLDER}
# The volume may have grown.
resize2fs "$disk" >/dev/null 2>&1 || true
"""
    unit = f"""\
[Unit]
Description=Data volume of the node
Before=containerd.service kubelet.service
[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec=10min
ExecStart={PROGRAM}
[Install]
WantedBy=multi-user.target
"""
    return {
        "write_files": [
            {"path": PROGRAM, "permissions": "0700", "content": program},
            {"path": f"/etc/systemd/system/{UNIT}", "permissions": "0644", "content": unit},
        ],
        "runcmd": [["systemctl", "enable", "--now", "--no-block", UNIT]],
    }
