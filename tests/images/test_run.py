"""Every image does its work: the programs run on its file tree, as its user, without a cluster."""

# ruff: noqa: S108, S608 - shell scripts with paths and SQL of the tests

import base64
import json
import os
import re
import shlex
import socket
import subprocess
import tarfile
from pathlib import Path

import pytest

from refsys.monitoring.components.alertmanager_config import Alerting, alertmanager_config
from refsys.monitoring.components.log_store import CONFIG_DIRECTORY as CONFIG_OF_LOG_STORE
from refsys.monitoring.components.log_store_config import SERVER_PORT, opensearch_yml
from refsys.platform.images import build, image_names, optional_image_names
from refsys.platform.images.isolation import SCRIPT, run_on
from refsys.platform.images.recipe import load
from refsys.platform.images.store import Store
from refsys.security.components.openbao_config import (
    CONFIG_DIRECTORY,
    DATA_DIRECTORY,
    SEAL_DIRECTORY,
    SEAL_KEY,
    server_hcl,
)
from tests.images.conftest import Unpack

SHARED_MEMORY = "mkdir {root}/dev/shm; mount -t tmpfs -o mode=1777,size=64m shm {root}/dev/shm"
PREPARE = "ip link set lo up; " + SHARED_MEMORY


def start(root: Path, name: str, command: str) -> str:
    """Return a shell command that runs `command` in the tree as the image's user with its environment."""
    recipe = load(name)
    path = "HOME=/nonexistent PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    environment = shlex.join(f"{key}={value}" for key, value in recipe.env.items())
    user = f"--userspec={recipe.user}:{recipe.user}"
    return f"env -i {path} {environment} chroot {user} {root} {command}"


def shell(root: Path, script: str) -> str:
    return run_on(root, ["sh", "-euc", PREPARE.format(root=root) + "\n" + script])


VERSIONS = {
    "etcd": ("/usr/local/bin/etcd --version", "etcd Version: 3.6"),
    "kube-apiserver": ("/usr/local/bin/kube-apiserver --version", "Kubernetes v1.35.4"),
    "kube-controller-manager": ("/usr/local/bin/kube-controller-manager --version", "Kubernetes v1.35.4"),
    "kube-scheduler": ("/usr/local/bin/kube-scheduler --version", "Kubernetes v1.35.4"),
    "kube-proxy": ("/usr/local/bin/kube-proxy --version", "Kubernetes v1.35.4"),
    "coredns": ("/coredns -version", "CoreDNS-1.15.0"),
    "calico-cni": ("/opt/cni/bin/calico -v", "v3.28.5"),
    "calico-node": ("/bin/calico-node -v", "v3.28.5"),
    "calico-kube-controllers": ("/usr/bin/kube-controllers --version", "v3.28.5"),
    "object-store": ("/usr/bin/versitygw --version", "1.8.0"),
    "openbao": ("/usr/bin/bao version", "OpenBao v2.4.0"),
    "clamav": ("clamd --config-file=/etc/refsys/clamav/clamd.conf --version", "ClamAV 1.4"),
    "openldap": ("/usr/sbin/slapd -VV", "slapd 2.5"),
    "gateway": ("/usr/bin/envoy --version", "/1.40.0/"),
    "postgresql": ("/usr/lib/postgresql/15/bin/postgres --version", "PostgreSQL) 15."),
    "services": ("python3 -c 'import refsys.services, sys; print(sys.version)'", "3.11."),
    "level0": ("python3 -m refsys.services.processors.level0 --help", "Downlink session to level-0 products"),
    "opensearch": (
        "java -Dopensearch.path.home=/opt/opensearch -Dopensearch.path.conf=/opt/opensearch/config "
        "-cp '/opt/opensearch/lib/*' org.opensearch.bootstrap.OpenSearch --version",
        "Version: 2.19.6",
    ),
    "alertmanager": ("prometheus-alertmanager --version", "version 0.25"),
    "exporters": (
        "sh -c 'prometheus-blackbox-exporter --version; prometheus-postgres-exporter --version'",
        "postgres_exporter, version 0.11",
    ),
    "statsd-exporter": ("/usr/bin/statsd_exporter --version", "version 0.31.0"),
    "kube-state-metrics": ("/usr/bin/kube-state-metrics version", "version 2.15.0"),
    "prometheus": ("prometheus --version", "version 2.42"),
    "xeyes": ("Xtigervnc -version 2>&1", "Xvnc TigerVNC 1.12"),
    "thanos": ("/usr/bin/thanos --version", "version 0.42.4"),
    "kafka": ("java -cp '/opt/kafka/lib/*' kafka.tools.StorageTool version-mapping", "metadata.version"),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.long] if name in optional_image_names() else [])
        for name in sorted(VERSIONS)
    ],
)
def test_program_of_the_pinned_version_runs(tree: Unpack, name: str) -> None:
    command, expected = VERSIONS[name]
    root = tree(name)
    assert expected in shell(root, start(root, name, command) + " 2>&1")


@pytest.mark.parametrize("name", ["kube-proxy", "calico-node"])
def test_network_images_hold_the_network_programs(tree: Unpack, name: str) -> None:
    root = tree(name)
    for program in ("iptables", "ip6tables-restore", "nft", "ipset", "conntrack", "ip", "modprobe", "sysctl"):
        shell(root, f"chroot {root} sh -c 'command -v {program}'")
    shell(root, f"chroot {root} iptables -w -t nat -L -n")


def test_nothing_in_an_image_gives_privileges(tree: Unpack) -> None:
    servers = (*("postgresql", "kafka", "clamav", "openldap", "opensearch", "alertmanager", "prometheus", "exporters"),)
    for name in ("gateway", "services", *servers):
        assert name in image_names()
        root = tree(name)
        found = subprocess.run(
            ["find", root, "-xdev", "-type", "f", "-perm", "/6000"], capture_output=True, text=True, check=True
        )
        assert found.stdout == ""
        assert not list((root / "etc").glob("ssl/private/*.key"))


PRIVATE_KEY = re.compile(rb"^-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s+[A-Za-z0-9+/=-]{12,}", re.M)


def test_no_image_holds_a_private_key() -> None:
    """As a file; libraries have keys with which they test themselves. Images share layers: each is read once."""
    manifests = [json.loads(build(name).manifest_path.read_text()) for name in image_names()]
    found, read = [], 0
    for digest in {layer["digest"] for manifest in manifests for layer in manifest["layers"]}:
        unpacking = subprocess.Popen(["zstd", "-dcq", Store().blob(digest)], stdout=subprocess.PIPE)
        with unpacking, tarfile.open(fileobj=unpacking.stdout, mode="r|") as files:
            for member in files:
                file = files.extractfile(member) if member.isreg() else None
                content = file.read() if file else b""
                read += len(content)
                if b"\0" not in content[:8192] and PRIVATE_KEY.search(content):
                    found.append(f"{digest}: {member.name}")
    assert found == []
    assert read > 10**9


def test_pause_collects_orphans_and_ends(tree: Unpack) -> None:
    root = tree("pause")
    script = f"""
    chroot {root} /pause & pause=$!
    sleep 0.2; kill -TERM $pause; wait $pause
    # As the first process of its own namespace it gets the orphans.
    timeout 10 unshare --pid --fork --kill-child sh -c '
        (sleep 0.1; ( sleep 0.2 & ) ) & exec chroot {root} /pause' & sleep 1
    ! ps -eo stat= | grep -q Z
    """
    shell(root, script)


def test_services_import_all_their_libraries(tree: Unpack) -> None:
    root = tree("services")
    names = (
        "confluent_kafka psycopg shapely lxml.etree numpy obstore ldap3 fastapi sqlalchemy odata_query cryptography "
        "uvicorn"
    )
    script = f"import importlib; [importlib.import_module(n) for n in {names.split()!r}]"
    shell(root, start(root, "services", f"python3 -c {shlex.quote(script)}"))


def test_services_hold_the_program_that_runs_tasks_in_any_container(tree: Unpack) -> None:
    root = tree("services")
    program = root / "usr/libexec/refsys/run-tasks"
    assert subprocess.run([program], check=False).returncode == 2  # static: it needs nothing of the image


def test_gateway_accepts_a_configuration(tree: Unpack) -> None:
    root = tree("gateway")
    (root / "tmp").chmod(0o1777)
    (root / "etc/envoy.json").write_text(json.dumps({"static_resources": {"listeners": [], "clusters": []}}))
    out = shell(root, start(root, "gateway", "/usr/bin/envoy --mode validate -c /etc/envoy.json") + " 2>&1")
    assert "configuration '/etc/envoy.json' OK" in out


def certificate(root: Path, uid: int) -> None:
    folder = root / "etc/refsys/tls"
    folder.mkdir(parents=True)
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    request += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "1"]
    request += ["-keyout", str(folder / "tls.key"), "-out", str(folder / "tls.crt")]
    subprocess.run(request, check=True, capture_output=True)
    for name in ("tls.key", "tls.crt"):
        os.chown(folder / name, 0, uid)
        (folder / name).chmod(0o440)


def postgresql(root: Path) -> None:
    certificate(root, 999)
    (root / "etc/refsys/secrets").mkdir(parents=True)
    (root / "etc/refsys/secrets/postgresql-password").write_text("not-a-secret")
    (root / "etc/refsys/postgresql/10-size.conf").write_text("max_connections = 33\n")


READY = "for i in $(seq 60); do {check} && break; sleep 1; done; {check}"


def test_postgresql_makes_its_cluster_once_and_wants_tls(tree: Unpack) -> None:
    root = tree("postgresql")
    postgresql(root)
    server = start(root, "postgresql", "/usr/bin/postgresql-server")
    psql = start(root, "postgresql", "psql -At -U postgres")
    network = start(root, "postgresql", "env PGPASSWORD=not-a-secret psql -At -U postgres -h localhost")
    ready = READY.format(check=f'{psql} -c "select 1" >/dev/null 2>&1')
    out = shell(
        root,
        f"""
        {server} & server=$!
        {ready}
        {psql} -c 'create extension postgis' -c 'select postgis_lib_version()' -c 'show max_connections'
        {network} -c 'select version from pg_stat_ssl where pid = pg_backend_pid()'
        ! env PGSSLMODE=disable {network} -c 'select 1'
        {psql} -c 'create table kept as select 42 as answer'
        kill -INT $server; wait $server
        {server} & server=$!
        {ready}
        {psql} -c 'select answer from kept'
        kill $server; wait $server
        """,
    ).splitlines()
    assert {"33", "TLSv1.3", "42"} <= set(out)


def test_kafka_formats_its_storage_and_makes_a_topic(tree: Unpack) -> None:
    root = tree("kafka")
    (root / "etc/refsys/kafka").mkdir(parents=True)
    (root / "etc/refsys/kafka/server.properties").write_text(
        "process.roles=broker,controller\nnode.id=1\nlog.dirs=/var/lib/kafka/data\n"
        "listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\n"
        "controller.listener.names=CONTROLLER\ncontroller.quorum.bootstrap.servers=localhost:9093\n"
        "offsets.topic.replication.factor=1\n"
    )
    server = start(root, "kafka", "env KAFKA_CLUSTER_ID=4L6g3nShT-eMCtK--X86sw /usr/bin/kafka-server")
    topics = start(root, "kafka", "java -cp '/opt/kafka/lib/*' org.apache.kafka.tools.TopicCommand")
    make = f"{topics} --bootstrap-server localhost:9092 --create --if-not-exists --topic catalog-job 2>&1"
    out = shell(
        root,
        f"""
        {server} & server=$!
        {READY.format(check=make)}
        kill $server; wait $server || [ $? -eq 143 ]
        {server} & server=$!
        sleep 8
        {topics} --bootstrap-server localhost:9092 --list
        """,
    )
    assert "catalog-job" in out.splitlines()
    assert out.count("Formatting ") == 1


def test_keycloak_starts_without_a_build_on_postgresql(tree: Unpack) -> None:
    database, root = tree("postgresql"), tree("keycloak")
    postgresql(database)
    psql = start(database, "postgresql", "psql -At -U postgres")
    options = (
        "start --optimized --http-enabled=true --hostname=http://localhost:8080 --cache=local "
        "--db-url='jdbc:postgresql://localhost/postgres?sslmode=require' --db-username=postgres "
        "--db-password=not-a-secret"
    )
    server = start(root, "keycloak", f"/opt/keycloak/bin/kc.sh {options}")
    ready = "curl -fsS http://localhost:9000/health/ready"
    script = f"""
    {SHARED_MEMORY.format(root=database)}
    {start(database, "postgresql", "/usr/bin/postgresql-server")} &
    {READY.format(check=f'{psql} -c "select 1" >/dev/null 2>&1')}
    {server} &
    for i in $(seq 240); do {ready} 2>/dev/null && break; sleep 1; done
    {ready}
    curl -fsS http://localhost:8080/realms/master/.well-known/openid-configuration
    """
    out = run_on(database, [str(SCRIPT), str(root), "sh", "-euc", PREPARE.format(root=root) + "\n" + script])
    assert '"issuer":"http://localhost:8080/realms/master"' in out
    assert "Updating the configuration" not in out


def test_openbao_initialises_and_unseals_itself(tree: Unpack) -> None:
    root = tree("openbao")
    user = load("openbao").user
    certificate(root, user)
    for name, text in (
        ("/var/run/secrets/kubernetes.io/serviceaccount/ca.crt", (root / "etc/refsys/tls/tls.crt").read_text()),
        (f"{SEAL_DIRECTORY}/{SEAL_KEY}", base64.b64encode(b"k" * 32).decode()),
        (f"{CONFIG_DIRECTORY}/openbao.hcl", server_hcl()),
    ):
        file = root / name.lstrip("/")
        file.parent.mkdir(parents=True)
        file.write_text(text)
    server = start(root, "openbao", f"/usr/bin/bao server -config={CONFIG_DIRECTORY}/openbao.hcl")
    status = start(root, "openbao", "/usr/bin/bao status -address=https://127.0.0.1:8200 -tls-skip-verify")
    # As in its pod, its user can write nothing but the volume.
    volume = f"mount -t tmpfs -o mode=1777 volume {root}{DATA_DIRECTORY}"
    out = shell(
        root,
        f"""
        {volume}
        for time in first second; do
            {server} > /dev/shm/log & server=$!
            {READY.format(check=f"{status} > /dev/shm/status")}
            cat /dev/shm/status; grep -c '"operation":"update"' /dev/shm/log || true
            kill $server; wait $server || true
        done
        """,
    )
    assert out.count("Sealed") == 2 and not re.search(r"Sealed +true", out)
    assert "static" in out and "hvs." not in out


def test_opensearch_writes_nothing_but_its_volume_and_the_temporary_folder(tree: Unpack) -> None:
    root = tree("opensearch")
    config = root / CONFIG_OF_LOG_STORE.lstrip("/")
    config.mkdir(parents=True)
    (config / "opensearch.yml").write_text(opensearch_yml())
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost {socket.gethostname()}\n")  # as the kubelet writes it
    server = start(root, "opensearch", "/usr/bin/opensearch-server")
    # As in its pod, its user can write nothing but the volume and the temporary folder.
    url = f"http://127.0.0.1:{SERVER_PORT}"
    out = shell(
        root,
        f"""
        mount -t tmpfs -o mode=1777 temporary {root}/tmp
        mount -t tmpfs -o mode=1777 volume {root}/var/lib/opensearch
        {server} >/dev/shm/log 2>&1 & server=$!
        {READY.format(check=f"curl -fsS {url}/ 2>/dev/null")} || cat /dev/shm/log
        curl -fsS -XPUT '{url}/logs-test-2026.01.31/_doc/1?refresh=true' -H content-type:application/json -d '{{"a":1}}'
        curl -fsS '{url}/logs-*/_count'
        kill $server; wait $server || [ $? -eq 143 ]
        echo; echo said:; grep -E 'access denied|ERROR' /dev/shm/log || true
        """,
    )
    assert '{"count":1,' in out
    assert out.rpartition("said:\n")[2] == ""


def test_alertmanager_starts_with_the_configuration_of_an_environment(tree: Unpack) -> None:
    root = tree("alertmanager")
    (root / "etc/refsys").mkdir(parents=True, exist_ok=True)
    (root / "etc/refsys/alertmanager.yml").write_text(json.dumps(alertmanager_config(Alerting("https://a.example/"))))
    options = "--config.file=/etc/refsys/alertmanager.yml --storage.path=/var/lib/alertmanager"
    options += " --web.listen-address=127.0.0.1:9095 --cluster.listen-address="
    server = start(root, "alertmanager", f"/usr/bin/prometheus-alertmanager {options}")
    ready = "curl -fsS http://127.0.0.1:9095/-/ready"
    out = shell(root, f"{server} & server=$!\n{READY.format(check=f'{ready} 2>/dev/null')}\nkill $server; wait $server")
    assert "OK" in out


def test_clamd_starts_with_the_signature_of_the_image_and_scans(tree: Unpack) -> None:
    root = tree("clamav")
    server = start(root, "clamav", "/usr/bin/clamav-server")
    scan = (
        "import socket; c = socket.create_connection(('127.0.0.1', 3310)); "
        "e = b'X5O!P%@AP[4' + bytes([92]) + b'PZX54(P^)7CC)7}$' + b'EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*'; "
        "c.sendall(b'zINSTREAM' + bytes(4) + bytes([len(e)]) + e + bytes(4)); print(c.recv(100))"
    )
    (root / "tmp").chmod(0o1777)
    script = f"""{server} >{root}/clamd.log 2>&1 & daemon=$!
for _ in $(seq 100); do (exec 3<>/dev/tcp/127.0.0.1/3310) 2>/dev/null && break; sleep 0.2; done
python3 -c {shlex.quote(scan)}; kill $daemon; wait $daemon || true; cat {root}/clamd.log"""
    said = run_on(root, ["bash", "-uc", PREPARE.format(root=root) + "\n" + script])
    assert "stream: Eicar-Test-Signature.UNOFFICIAL FOUND" in said, said


def test_the_update_of_signatures_asks_the_mirror(tree: Unpack) -> None:
    root = tree("clamav")
    command = start(root, "clamav", "env CLAMAV_MIRROR=https://127.0.0.1:9/clamav timeout 20 /usr/bin/clamav-update")
    (root / "tmp").chmod(0o1777)
    said = shell(root, f"({command} 2>&1 || true)")
    assert "https://127.0.0.1:9/clamav" in said, said


@pytest.mark.long
def test_a_graphical_program_is_seen_through_a_websocket_by_who_is_named(tree: Unpack) -> None:
    root = tree("xeyes")
    server = start(root, "xeyes", "env HOME=/tmp python3 -m refsys.services.desktop")
    upgrade = (
        "curl -sS -i -N --http1.1 --max-time 8 http://127.0.0.1:8080/session -H 'Connection: Upgrade' "
        "-H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='"
    )
    # As in its pod, its user can write nothing but the temporary folder.
    out = shell(
        root,
        f"""
        mount -t tmpfs -o mode=1777 temporary {root}/tmp
        {server} & server=$!
        {READY.format(check="curl -fsS http://127.0.0.1:8080/health 2>/dev/null")}
        {upgrade} -o /dev/shm/nobody || true
        {upgrade} -H 'x-refsys-user: anna' -o /dev/shm/anna || true
        ps -eo args | grep -c '^xeye[s]'
        curl -fsS http://127.0.0.1:8080/metrics | grep '^refsys_desktop_sessions'
        curl -fsS http://127.0.0.1:8080/novnc/core/rfb.js | grep -c 'class RFB'
        kill $server; wait $server || [ $? -eq 143 ]
        echo left: $(ps -eo args | grep -c '^Xtigervn[c]')
        head -c 12 /dev/shm/nobody; echo; strings /dev/shm/anna
        """,
    )
    assert "HTTP/1.1 403" in out and "HTTP/1.1 101" in out and "RFB 003.008" in out
    assert "refsys_desktop_sessions 1.0" in out and "left: 0" in out
