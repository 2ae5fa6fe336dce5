"""The collector of logs, while nobody takes them: role log_collector."""

import pytest
from testinfra.host import Host

FOLDER = "/var/spool/rsyslog"


def test_it_runs_and_its_configuration_is_right(host: Host) -> None:
    assert host.service("rsyslog").is_running
    assert host.service("rsyslog").is_enabled
    assert host.run("rsyslogd -N1 -f /etc/rsyslog.conf").rc == 0


@pytest.mark.parametrize("mistake", ["s/action(/acton(/", "s/call send/call sned/", "s/omkafka/omkafak/"])
def test_a_wrong_pipeline_would_not_be_written(host: Host, mistake: str) -> None:
    """The role has the same command judge the file before it replaces the one that is there."""
    wrong = host.check_output("mktemp")
    host.check_output(f"sed '{mistake}' /etc/rsyslog.conf >{wrong}")
    assert host.run(f"cmp --silent {wrong} /etc/rsyslog.conf").rc == 1
    assert host.run(f"rsyslogd -N1 -f {wrong}").rc != 0
    host.check_output(f"rm {wrong}")


@pytest.mark.parametrize("name", ["tls.key", "tls.crt", "ca.crt"])
def test_its_key_is_for_root_alone(host: Host, name: str) -> None:
    file = host.file(f"/etc/refsys/log-collector/{name}")
    assert (file.user, file.mode) == ("root", 0o600)


def test_it_takes_nothing_from_the_network(host: Host) -> None:
    assert "rsyslog" not in host.check_output("ss --listening --processes --tcp --udp --no-header")


def test_records_that_nobody_takes_outlive_a_restart(host: Host) -> None:
    host.check_output("logger --tag sshd kept-for-later")
    host.check_output("sleep 2; systemctl restart rsyslog")
    assert host.run(f"grep --recursive --quiet kept-for-later {FOLDER}").rc == 0
