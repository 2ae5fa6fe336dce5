"""What a node promises after playbooks/nodes.yml."""

from testinfra.host import Host

REGISTRY = "registry.molecule.test:5000"


def test_the_environments_names_resolve(host: Host) -> None:
    assert host.addr("registry.molecule.test").is_resolvable
    assert host.addr("api.molecule.test").is_resolvable


def test_the_environments_authority_is_trusted(host: Host) -> None:
    assert host.file("/etc/ssl/certs/refsys.pem").exists


def test_ssh_takes_only_keys(host: Host) -> None:
    settings = host.check_output("sshd -T")
    assert "passwordauthentication no" in settings
    assert "permitrootlogin no" in settings


def test_the_operator_may_become_root(host: Host) -> None:
    assert host.user("operator").exists
    assert "NOPASSWD: ALL" in host.check_output("sudo -l -U operator")
    assert host.file("/home/operator/.ssh/authorized_keys").mode == 0o600


def test_only_network_keys_of_the_shared_kernel_are_set(host: Host) -> None:
    keys = host.file("/etc/sysctl.d/60-refsys.conf").content_string.splitlines()
    assert keys
    assert all(key.startswith("net.") for key in keys)
    assert host.sysctl("net.ipv4.conf.all.accept_redirects") == 0


def test_volumes_belong_to_their_user(host: Host) -> None:
    folder = host.file("/var/lib/refsys/volumes/postgresql")
    assert (folder.is_directory, folder.uid, folder.mode) == (True, 999, 0o2770)


def test_containerd_runs_with_the_networks_plugins(host: Host) -> None:
    assert host.service("containerd").is_running
    assert host.service("containerd").is_enabled
    assert host.file("/opt/cni/bin/portmap").is_file


def test_the_registrys_password_is_for_root_only(host: Host) -> None:
    assert host.file(f"/etc/containerd/certs.d/{REGISTRY}/hosts.toml").mode == 0o600


def test_the_registry_is_reached_by_its_name_and_asks_for_a_password(host: Host) -> None:
    status = host.check_output(f"curl -s -o /dev/null -w '%{{http_code}}' https://{REGISTRY}/v2/")
    assert status == "401"
