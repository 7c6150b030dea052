"""A node and its data plane over TLS, with passwords, nkeys and JWT credentials; what is missing is refused by name."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nats
import nkeys
import pytest
from tests.support.feed import Message, Session, at, await_committed, reading
from tests.support.nodes import configuration, running, wait_until

from iotpm.broker import server_binary
from iotpm.config import Config
from iotpm.errors import BrokerError
from iotpm.node.nodefile import NodeFile
from iotpm.node.service import Node

OPENSSL = shutil.which("openssl")
PASSWORD = "canary-7f3a"
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="openssl makes the certificates")


@contextmanager
def server(directory: Path, config: str) -> Iterator[str]:
    """A nats-server of the test's own configuration; its address."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    path = directory / "server.conf"
    path.write_text(
        f"listen: 127.0.0.1:{port}\njetstream {{ store_dir: {json.dumps(str(directory / 'js'))} }}\n{config}"
    )
    with (directory / "server.log").open("wb") as log:
        process = subprocess.Popen([str(server_binary()), "--config", str(path)], stdout=log, stderr=log)
    try:
        wait_until(lambda: _listens(port) or process.poll() is not None, "the server")
        assert process.poll() is None, (directory / "server.log").read_text()
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as link:
        return link.connect_ex(("127.0.0.1", port)) == 0


def works(config: Config, **client: Any) -> Node:
    """Run a node, send it readings as `client`, and look that they are stored."""

    async def publish() -> int:
        connection = await nats.connect(**client)
        try:
            js = connection.jetstream()
            messages = [Message("iotpm.raw.plant.pump.temp", reading(n, float(n))) for n in range(20)]
            return [(await js.publish(m.subject, m.payload)).seq for m in messages][-1]
        finally:
            await connection.close()

    node = Node(config)
    with running(node):
        await_committed(node, asyncio.run(publish()))
        known = NodeFile.of_running_node(config.data_dir)
        assert known is not None
        assert node.status()["problems"] == {}
    assert Session(config, []).readings() == [("plant/pump/temp", at(n), float(n)) for n in range(20)]
    return node


def refused(config: Config, match: str) -> None:
    node = Node(config)
    with pytest.raises(BrokerError, match=match) as error:
        node.start()
    assert PASSWORD not in str(error.value)


def certificates(directory: Path) -> None:
    """A CA of its own, and certificates of it for the server and a client."""

    def openssl(*arguments: str) -> None:
        subprocess.run([OPENSSL or "", *arguments], cwd=directory, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=plant CA")
    (directory / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    for name in ("server", "node"):
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names"]
        openssl("x509", "-req", "-in", f"{name}.csr", *signed, "-out", f"{name}.pem")


@needs_openssl
def test_a_node_speaks_mutual_tls_and_trusts_its_ca_only(tmp_path: Path) -> None:
    certificates(tmp_path)
    files = {name: str(tmp_path / name) for name in ("ca.pem", "node.pem", "node.key", "server.pem", "server.key")}
    tls = f'cert_file: "{files["server.pem"]}", key_file: "{files["server.key"]}", ca_file: "{files["ca.pem"]}"'
    with server(tmp_path, f"tls {{ {tls}, verify: true }}") as address:
        nats_keys = {"tls_ca": files["ca.pem"], "tls_cert": files["node.pem"], "tls_key": files["node.key"]}
        base = configuration(tmp_path / "data", f"tls://{address}")

        def with_keys(**keys: str) -> Config:
            return configuration(tmp_path / "data", "", nats={"url": base.nats.url, **keys})

        refused(with_keys(), "certificate verify failed")
        config = with_keys(**nats_keys)
        context = ssl.create_default_context(cafile=files["ca.pem"])
        context.load_cert_chain(files["node.pem"], files["node.key"])
        works(config, servers=f"tls://{address}", tls=context)


def test_a_password_in_the_url_works_and_is_shown_nowhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with server(tmp_path, f'authorization {{ user: "node", password: "{PASSWORD}" }}') as address:
        url = f"nats://node:{PASSWORD}@{address}"
        refused(configuration(tmp_path / "other", f"nats://{address}"), "Authorization Violation")
        refused(configuration(tmp_path / "other", f"nats://node:wrong@{address}"), "Authorization Violation")
        config = configuration(tmp_path / "data", url)
        node = Node(config)
        with running(node):
            assert PASSWORD not in json.dumps(node.status(), default=str)
            assert (NodeFile.path(config.data_dir).stat().st_mode & 0o077) == 0
        works(config, servers=url)
    shown = capsys.readouterr()
    assert PASSWORD not in shown.out + shown.err


def seeded() -> tuple[str, str]:
    """Seed and public key of a new user."""
    seed = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    return seed.decode(), nkeys.from_seed(seed).public_key.decode()


def test_an_nkey_file_works_and_a_foreign_one_does_not(tmp_path: Path) -> None:
    (seed, public), (foreign, _) = seeded(), seeded()
    for name, text in (("own.nk", seed), ("foreign.nk", foreign)):
        (tmp_path / name).write_text(text)
    with server(tmp_path, f"authorization {{ users: [ {{ nkey: {public} }} ] }}") as address:
        url = f"nats://{address}"

        def with_seed(name: str) -> Config:
            return configuration(tmp_path / "data", "", nats={"url": url, "nkey_file": str(tmp_path / name)})

        refused(with_seed("foreign.nk"), "Authorization Violation")
        works(with_seed("own.nk"), servers=url, nkeys_seed=str(tmp_path / "own.nk"))


class Signer:
    """An identity of NATS' JWT scheme."""

    def __init__(self, kind: int) -> None:
        self.seed = nkeys.encode_seed(os.urandom(32), kind)
        self.pair = nkeys.from_seed(self.seed)
        self.public = self.pair.public_key.decode()

    def sign(self, subject: Signer, claims: dict[str, Any]) -> str:
        """A JWT of NATS for `subject`."""
        head = {"typ": "JWT", "alg": "ed25519-nkey"}
        body = {"jti": "t", "iat": int(time.time()), "iss": self.public, "sub": subject.public, "name": "t"}
        text = ".".join(map(_segment, (head, {**body, "nats": {"version": 2, **claims}})))
        signature = base64.urlsafe_b64encode(self.pair.sign(text.encode())).rstrip(b"=").decode()
        return f"{text}.{signature}"


def _segment(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_a_credentials_file_works(tmp_path: Path) -> None:
    operator, user = Signer(nkeys.PREFIX_BYTE_OPERATOR), Signer(nkeys.PREFIX_BYTE_USER)
    account, system = Signer(nkeys.PREFIX_BYTE_ACCOUNT), Signer(nkeys.PREFIX_BYTE_ACCOUNT)
    unlimited = dict.fromkeys(("subs", "conn", "leaf", "imports", "exports", "data", "payload"), -1)
    stored = dict.fromkeys(("mem_storage", "disk_storage", "streams", "consumer"), -1)
    limits = unlimited | stored | {"wildcards": True}
    account_jwt = operator.sign(account, {"type": "account", "limits": limits})
    system_jwt = operator.sign(system, {"type": "account", "limits": unlimited | {"wildcards": True}})
    user_jwt = account.sign(user, {"type": "user", "subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {}})
    credentials = tmp_path / "plant.creds"
    credentials.write_text(
        f"-----BEGIN NATS USER JWT-----\n{user_jwt}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed.decode()}\n------END USER NKEY SEED------\n"
    )
    operator_jwt = operator.sign(operator, {"type": "operator"})
    accounts = f"{account.public}: {account_jwt}, {system.public}: {system_jwt}"
    resolver = f"resolver: MEMORY\nresolver_preload: {{ {accounts} }}\nsystem_account: {system.public}"
    with server(tmp_path, f"operator: {operator_jwt}\n{resolver}") as address:
        url = f"nats://{address}"
        refused(configuration(tmp_path / "other", url), "Authorization Violation")
        config = configuration(tmp_path / "data", "", nats={"url": url, "credentials_file": str(credentials)})
        works(config, servers=url, user_credentials=str(credentials))
