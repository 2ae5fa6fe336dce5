"""What an account of the real object store may do once it was let into one bucket: nothing else."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import HttpUrl
from tests.means.certificates import Authority
from tests.means.object_store import object_store

from refsys.services.common import buckets
from refsys.services.common.application_buckets import remove_others
from refsys.services.common.bucket_policy import let_in
from refsys.services.common.settings import S3Settings, load
from refsys.services.common.store import ObjectStore, StoreUnavailableError

SECRET_KEY = "key-of-an-account"


@pytest.fixture
def stores(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[ObjectStore, ObjectStore]]:
    """The root's, with the bucket as the process `buckets` makes it; and the account's."""
    with object_store(tmp_path / "s3", authority, {"metrics": SECRET_KEY}) as s3:
        access, secret = tmp_path / "account", tmp_path / "account-key"
        access.write_text("metrics")
        secret.write_text(SECRET_KEY)
        settings = S3Settings(
            endpoint=HttpUrl(s3.endpoint),
            ca_file=s3.ca_file,
            access_key_file=s3.access_key_file,
            secret_key_file=s3.secret_key_file,
        )
        given = {
            "S3_ENDPOINT": s3.endpoint,
            "S3_CA_FILE": s3.ca_file,
            "S3_ACCESS_KEY_FILE": s3.access_key_file,
            "S3_SECRET_KEY_FILE": s3.secret_key_file,
            "METRICS_BUCKET": "rs-metrics",
            "METRICS_ACCOUNT": "metrics",
        }
        for name, value in given.items():
            monkeypatch.setenv(f"REFSYS_{name}", str(value))
        buckets.main()
        buckets.main()  # again: nothing is different
        account = settings.model_copy(update={"access_key_file": access, "secret_key_file": secret})
        with pytest.raises(StoreUnavailableError, match="cannot let nobody into bucket rs-metrics"):
            let_in(settings, "rs-metrics", "nobody")
        with pytest.raises(StoreUnavailableError, match="403"):
            let_in(account, "rs-metrics", "metrics")
        yield ObjectStore(settings), ObjectStore(account)


def test_an_account_uses_its_bucket_and_nothing_else(stores: tuple[ObjectStore, ObjectStore]) -> None:
    root, account = stores
    account.put("rs-metrics", "a/b", [b"x" * 20_000_000], None)
    assert [each.key for each in account.list("rs-metrics")] == ["a/b"]
    assert b"".join(account.read("rs-metrics", "a/b")) == b"x" * 20_000_000
    account.delete("rs-metrics", "a/b")
    assert list(account.list("rs-metrics")) == []
    root.put("rs-backups", "secret", [b"y"], 1)
    for forbidden in (
        lambda: list(account.list("rs-backups")),
        lambda: account.read("rs-backups", "secret").__next__(),
        lambda: account.put("rs-backups", "mine", [b"z"], 1),
        lambda: account.delete("rs-backups", "secret"),
        lambda: account.make_bucket("rs-other"),
    ):
        with pytest.raises(StoreUnavailableError):
            forbidden()
    assert b"".join(root.read("rs-backups", "secret")) == b"y"


def test_a_bucket_of_an_application_goes_with_it(
    stores: tuple[ObjectStore, ObjectStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, _ = stores
    monkeypatch.setenv("REFSYS_APPLICATIONS_BUCKETS", '["app-notes", "app-other"]')
    with pytest.raises(StoreUnavailableError, match="cannot let app-notes into"):
        buckets.main()  # the store has no such account
    root.make_bucket("app-other")
    for name in ("app-notes", "app-other"):
        root.put(name, "a/b", [b"x"], 1)
    settings = load(S3Settings)
    assert remove_others(settings, root, ["app-other"]) == ["app-notes"]
    assert remove_others(settings, root, ["app-other"]) == []
    assert [each.key for each in root.list("app-other")] == ["a/b"]
    with pytest.raises(StoreUnavailableError):
        root.put("app-notes", "a/b", [b"x"], 1)
