"""The `local` cloud: systemd-nspawn nodes on this machine."""
