"""The configuration of the cloud's services, and how a fresh root becomes that of a node."""

import hashlib
import re
import secrets
import uuid
from pathlib import Path
from string import Template

from refsys.infra import shell
from refsys.infra.clouds.local import network

ADDRESS = "10.77.0.50"  # endpoints and tables hold it
CIDR = "10.77.0.0/24"
HOST = "os1"

FILES = Path(__file__).parent / "files"
PASSWORD = "root/password"

# What each service tells Keystone of itself, below its user name.
_SERVICE_USER = f"""\
auth_url = http://{ADDRESS}:5000
www_authenticate_uri = http://{ADDRESS}:5000
auth_type = password
project_name = service
project_domain_name = Default
user_domain_name = Default
region_name = RegionOne
password = $password"""

# The packages' defaults are for machines with many cores. Services on eventlet hang with more than one thread: a green
# lock that one thread holds never wakes another's ("cannot switch to a different thread").
_ON_EVENTLET = {"nova": 3, "neutron": 3, "cinder": 2}
_PLUGINS = r"(?<=python3),apparmor$"
_NO_APPARMOR = r"^apparmor-profile.*\n"


def digest() -> str:
    """Identity of everything that makes the configured cloud of the packages."""
    own = Path(__file__).parent
    files = sorted(path for path in own.rglob("*") if path.is_file() and path.suffix != ".pyc")
    content = b"\0".join(str(path.relative_to(own)).encode() + b"\0" + path.read_bytes() for path in files)
    return hashlib.sha256(content).hexdigest()[:12]


def password(root: Path) -> str:
    """The one password of the cloud: of its administrator, its users, services and databases."""
    return (root / PASSWORD).read_text().strip()


def write(root: Path, public_key: str) -> None:
    """Write name, network, key and all services' configuration into a root."""
    word = secrets.token_hex(16)
    (root / PASSWORD).write_text(word + "\n")
    (root / PASSWORD).chmod(0o600)
    values = {
        "address": ADDRESS,
        "database": f"mysql+pymysql://openstack:{word}@127.0.0.1",
        "messages": f"rabbit://openstack:{word}@127.0.0.1:5672/",
        "password": word,
        "service_user": Template(_SERVICE_USER).substitute(password=word),
    }
    for source in (path for path in FILES.rglob("*") if path.is_file()):
        target = root / source.relative_to(FILES)
        target.parent.mkdir(parents=True, exist_ok=True)
        owner = target.stat() if target.exists() else target.parent.stat()
        target.write_text(Template(source.read_text()).substitute(values))
        shell.run("chown", f"{owner.st_uid}:{owner.st_gid}", target)
        target.chmod(source.stat().st_mode & 0o777)
    for file in root.glob("etc/*/*-uwsgi.ini"):
        text = re.sub(_NO_APPARMOR, "", file.read_text(), flags=re.MULTILINE)
        text = re.sub(_PLUGINS, "", text, flags=re.MULTILINE)
        processes = _ON_EVENTLET.get(file.parent.name)
        for name, value in {"processes": processes or 1, "threads": 1 if processes else 8}.items():
            text = re.sub(rf"^{name} = .*", f"{name} = {value}", text, flags=re.MULTILINE)
        # It closes connections after the answer; told so, clients do not send the next request into one.
        file.write_text(f"{text.rstrip()}\nadd-header = Connection: close\n")
    _identity(root, public_key)


def _identity(root: Path, public_key: str) -> None:
    (root / "etc/machine-id").write_text(uuid.uuid4().hex + "\n")
    (root / "etc/hostname").write_text(HOST + "\n")
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n{ADDRESS} {HOST}\n")
    (root / "etc/systemd/network/10-host0.network").write_text(
        f"[Match]\nName=host0\n[Network]\nAddress={ADDRESS}/24\nGateway={network.gateway(CIDR)}\nLinkLocalAddressing=no\n"
    )
    ssh = root / "root/.ssh"
    ssh.mkdir(mode=0o700, exist_ok=True)
    (ssh / "authorized_keys").write_text(public_key.strip() + "\n")
    shell.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", root / "etc/ssh/ssh_host_ed25519_key")
