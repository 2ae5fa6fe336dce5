#!/bin/sh
# Run a command for the file tree $1 with /proc, a minimal /dev and an empty /tmp in it.
# Called inside private mount and process namespaces, so that nothing of this outlives the command.
set -eu
root=$1
shift
mkdir -p "$root/proc" "$root/dev" "$root/tmp"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=0755,size=1m dev "$root/dev"
for device in null zero full random urandom; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs -o mode=1777 tmp "$root/tmp"
exec "$@"
