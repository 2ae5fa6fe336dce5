"""The directory as data: where its entries are, how slapd is set up, and who may read what."""

from refsys.platform.components.names import LDAPS_PORT

FIRST_ID = 20_000
IDS = 40_000
"""Numbers of users and groups on nodes: above those of packages, below those of user namespaces."""

TLS_DIRECTORY = "/etc/refsys/tls"
SECRETS_DIRECTORY = "/etc/refsys/secrets"
DATA_DIRECTORY = "/var/lib/openldap"
IMAGE_DIRECTORY = "/usr/share/refsys/openldap"
CA = "ca.crt"

DECLARED = "declared in the environment's configuration"
"""Description of the entries that are kept as the configuration says, and removed with it."""

PASSWORD_MIN_LENGTH = 12
WRONG_PASSWORDS = 10
LOCK_SECONDS = 900


def base_of(domain: str) -> str:
    """Return the entry that everything of `domain` is below (RFC 2247)."""
    return ",".join(f"dc={part}" for part in domain.split("."))


def administrator(domain: str) -> str:
    """Return who may do everything; only the job that keeps declared users has its password."""
    return f"cn=administrator,{base_of(domain)}"


def account(name: str, domain: str) -> str:
    """Return the entry of a program's account."""
    return f"cn={name},ou=services,{base_of(domain)}"


def people(domain: str) -> str:
    """Return where users are."""
    return f"ou=people,{base_of(domain)}"


def groups(domain: str) -> str:
    """Return where groups are."""
    return f"ou=groups,{base_of(domain)}"


def policy(name: str, domain: str) -> str:
    """Return the entry of a password policy: `default` for users, `programs` for their accounts."""
    return f"cn={name},ou=policies,{base_of(domain)}"


def slapd_conf(domain: str) -> str:
    """Return `slapd.conf` without its secret, the administrator's password.

    Nobody is known without a password. A user reads himself and sets his own password; Keycloak and sssd read
    users and groups, and Keycloak, where users change passwords, may also replace one, but reads none.
    """
    base, keycloak, sssd = base_of(domain), account("keycloak", domain), account("sssd", domain)
    return f"""\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include {IMAGE_DIRECTORY}/posix.schema

modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
moduleload refint
moduleload ppolicy
moduleload argon2

TLSCertificateFile {TLS_DIRECTORY}/tls.crt
TLSCertificateKeyFile {TLS_DIRECTORY}/tls.key
TLSCACertificateFile {TLS_DIRECTORY}/{CA}
TLSProtocolMin 3.3
TLSCipherSuite SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-SHA1
TLSVerifyClient never

disallow bind_anon
require bind LDAPv3
password-hash {{ARGON2}}
sizelimit 1000
timelimit 30
idletimeout 600
conn_max_pending 50
sockbuf_max_incoming 65536
loglevel stats

database mdb
suffix "{base}"
directory {DATA_DIRECTORY}
maxsize 268435456
rootdn "{administrator(domain)}"
include {SECRETS_DIRECTORY}/administrator.conf
index objectClass,uid,uidNumber,gidNumber,member,mail eq
index entryUUID,entryCSN eq

access to attrs=userPassword
  by self =xw
  by dn.exact="{keycloak}" =w
  by anonymous auth
access to attrs=pwdHistory
  by * none
access to dn.subtree="{groups(domain)}"
  by dn.exact="{keycloak}" read
  by dn.exact="{sssd}" read
access to dn.subtree="{people(domain)}"
  by self read
  by dn.exact="{keycloak}" read
  by dn.exact="{sssd}" read
access to *
  by * none

overlay memberof
memberof-refint TRUE
overlay refint
refint_attributes member
overlay ppolicy
ppolicy_default "{policy("default", domain)}"
ppolicy_hash_cleartext
"""


def listeners() -> str:
    """Return where slapd listens: TLS from the first byte, nothing else."""
    return f"ldaps://:{LDAPS_PORT}/"
