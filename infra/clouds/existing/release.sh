# Runs as root on a machine that was a node: release.sh ENVIRONMENT
# Removes Kubernetes and what the distribution put there; Debian packages stay. Safe to run again.
set -u
before=/var/lib/refsys-before.tar
if [ "$(cat /etc/refsys-environment 2>/dev/null)" != "$1" ]; then
  echo "not a node of environment $1"
  exit 0
fi

units="kubelet containerd docker-registry suricata samhain policy-watch refsys-firewall prometheus-node-exporter
  approve-kubelets.timer approve-kubelets aide-check.timer aide-database"
for unit in $units $(systemctl list-units --all --plain --no-legend 'node-metrics@*' | cut -d' ' -f1); do
  systemctl disable --now "$unit" >/dev/null 2>&1
done
command -v kubeadm >/dev/null && kubeadm reset --force --cri-socket=unix:///run/containerd/containerd.sock >/dev/null 2>&1
# Containers outlive the service that started them.
pkill -KILL -f 'containerd-shim.* -namespace k8s.io ' 2>/dev/null
sleep 1
grep -E ' /(var/lib/kubelet|var/lib/containerd|run/containerd|run/netns)' /proc/mounts | cut -d' ' -f2 | sort -r |
  while read -r place; do umount --lazy "$place" 2>/dev/null; done

for link in $(ip -o link show | sed -n 's/^[0-9]*: \(cali[^:@]*\|vxlan\.calico\|wireguard\.cali\|kube-ipvs0\).*/\1/p'); do
  ip link delete "$link" 2>/dev/null
done
for table in refsys_host kube-proxy calico; do
  for family in inet ip ip6; do nft delete table "$family" "$table" 2>/dev/null; done
done
for tables in iptables ip6tables; do
  command -v "$tables-save" >/dev/null || continue
  "$tables-save" 2>/dev/null | grep -Ev 'KUBE-|cali[-:]' | "$tables-restore" 2>/dev/null
done

rm -rf /etc/kubernetes /var/lib/kubelet /var/lib/etcd /etc/cni /opt/cni /var/lib/cni /var/lib/calico /run/calico \
  /var/lib/containerd /run/containerd /etc/containerd /var/lib/docker-registry /etc/docker/registry \
  /var/log/pods /var/log/containers /var/log/kubernetes /var/log/calico /var/lib/refsys /etc/refsys \
  /etc/samhain /etc/suricata/refsys.rules /etc/suricata/suricata.yaml /etc/logrotate.d/suricata
rm -f /usr/local/bin/kubeadm /usr/local/bin/kubelet /usr/local/bin/kubectl \
  /usr/local/sbin/approve-kubelets /usr/local/sbin/node-metrics /usr/local/sbin/refsys-* \
  /usr/local/share/ca-certificates/refsys.crt /etc/apt/preferences.d/refsys-backports \
  /etc/apt/sources.list.d/refsys-backports.sources /etc/modules-load.d/60-kubernetes.conf \
  /etc/sysctl.d/60-refsys.conf /etc/sysctl.d/70-kubernetes.conf /etc/sudoers.d/refsys /etc/sudoers.d/directory \
  /etc/sssd/directory.pem /etc/sssd/sssd.conf /var/lib/clamav/refsys.ndb
for unit in kubelet approve-kubelets policy-watch refsys-firewall samhain suricata node-metrics@; do
  rm -f "/etc/systemd/system/$unit.service" "/etc/systemd/system/$unit.timer"
done
rm -rf /etc/systemd/system/node-metrics@*.timer /etc/systemd/system/*.service.d/refsys.conf
update-ca-certificates --fresh >/dev/null 2>&1

# The way in as it was: of the SSH server's settings nothing of ours may stay.
rm -rf /etc/ssh/sshd_config.d
[ -e "$before" ] && tar --extract --file="$before" --directory=/ --preserve-permissions
mkdir -p /etc/ssh/sshd_config.d
hostname "$(cat /etc/hostname)"
systemctl daemon-reload
systemctl reload ssh 2>/dev/null
userdel --remove breakglass >/dev/null 2>&1
sed -i "/ refsys-$1\$/d" /root/.ssh/authorized_keys
rm -f "$before" /etc/refsys-environment
echo released
