"""An operator's way into a running environment: first password, second factor, kubectl; and who stays outside."""

import json
import os
import shlex
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from kubernetes import client

from tests.local.conftest import OPERATOR, Environment
from tests.means.browser import Browser, first_login

pytestmark = pytest.mark.timeout(900)


def test_an_operator_gets_into_the_cluster_with_a_second_factor(
    environment: Environment, cluster: client.ApiClient, tmp_path: Path
) -> None:
    found = environment.endpoints()
    name = str(OPERATOR["name"])
    first = environment.refsys("first-password", name, environment.name).output.strip()
    (user,) = json.loads(Path(found["operators_kubeconfig"]).read_text())["users"]
    plugin = user["user"]["exec"]
    variables = os.environ | {entry["name"]: entry["value"] for entry in plugin["env"]} | {"HOME": str(tmp_path)}
    login = subprocess.Popen(
        [sys.executable, *plugin["args"]], env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    stop = threading.Timer(120, login.kill)
    stop.start()
    assert login.stderr and login.stdout
    address = login.stderr.readline().removeprefix("log in at ").strip()
    browser = Browser(found["ca_file"])
    browser.open(address)
    assert first_login(browser, name, first, "a-new-long-password"), "no second factor was asked for"
    credential = json.loads(login.stdout.read())
    stop.cancel()
    bearer = {"Authorization": f"Bearer {credential['status']['token']}"}
    trust = ssl.create_default_context(cafile=cluster.configuration.ssl_ca_cert)
    with httpx.Client(base_url=cluster.configuration.host, verify=trust) as api:
        assert api.get("/api/v1/namespaces/processing/pods", headers=bearer).status_code == 200
        assert api.get("/api/v1/namespaces/processing/secrets", headers=bearer).status_code == 403
    # The cluster's token is none for services.
    with httpx.Client(verify=ssl.create_default_context(cafile=found["ca_file"])) as outside:
        assert outside.get(f"{found['operations_url']}/operations/v1/x", headers=bearer).status_code == 401


@pytest.mark.usefixtures("cluster")
def test_an_operator_logs_in_on_each_node_with_the_declared_key_and_no_more(environment: Environment) -> None:
    name = str(OPERATOR["name"])
    inventory = environment.inventory()
    for group in inventory["all"]["children"]["kubernetes"]["children"].values():
        for values in group["hosts"].values():
            options = [*shlex.split(values["ansible_ssh_common_args"]), "-o", "BatchMode=yes"]
            login = ["ssh", "-i", str(environment.operator_key), *options, f"{name}@{values['ansible_host']}"]
            done = subprocess.run([*login, "id -un; sudo -n id -u"], capture_output=True, text=True, check=False)
            assert done.stdout.split() == [name], done.stderr


@pytest.mark.usefixtures("cluster")
def test_an_operator_reads_the_portal_in_a_browser(environment: Environment) -> None:
    found = environment.endpoints()
    browser = Browser(found["ca_file"])
    browser.open(found["portal_url"])
    assert browser.asks_for("password"), browser.page[:3000]
    browser.send(username=found["demo"]["username"], password=found["demo"]["password"])
    domain = httpx.URL(found["portal_url"]).host.removeprefix("operations.")
    assert f"<h1>{domain}</h1>" in browser.page
    browser.open(f"{found['portal_url']}/logout")
    assert "logged out" in browser.page
    browser.open(found["portal_url"])
    assert browser.asks_for("password")


def test_strangers_end_at_the_gateway(environment: Environment, cluster: client.ApiClient) -> None:
    found = environment.endpoints()
    with httpx.Client(verify=ssl.create_default_context(cafile=found["ca_file"])) as outside:
        folders = {"ondemand": "/ogc", "ingestor": "/ingestor/v1/uploads", "operations": "/operations/v1/x"}
        for name in ("prip", "auxip", "cadip", "stac", "ondemand", "metadata", "ingestor", "operations"):
            answer = outside.get(f"{found[f'{name}_url']}{folders.get(name, '/')}")
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "Gateway401"), name
