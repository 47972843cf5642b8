"""The remedy never cuts the operator's own way in: one who comes through a tunnel on the host is told to come another way."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable

import yaml

from medsec.lab import Lab, LabHost
from medsec.resources import root

ROLE = root() / "roles/remote_control"
# A tunnel as frpc is one: it takes connections elsewhere and passes them on to sshd from this host itself.
TUNNEL = """cp "$(readlink -f /usr/bin/python3)" /usr/local/bin/frpc
cat > /tmp/relay.py <<'END'
import socket, threading
server = socket.create_server(("0.0.0.0", 2222))
def pump(source, target):
    while data := source.recv(65536):
        target.sendall(data)
while True:
    client, _ = server.accept()
    inner = socket.create_connection(("127.0.0.1", 22))
    for ends in ((client, inner), (inner, client)):
        threading.Thread(target=pump, args=ends, daemon=True).start()
END
setsid /usr/local/bin/frpc /tmp/relay.py > /dev/null 2>&1 < /dev/null &
sleep 2
"""


def plan(lab: Lab, host: LabHost, port: str) -> subprocess.CompletedProcess[str]:
    """Run the remedy's own search over an SSH connection to `port`."""
    written = yaml.safe_load((ROLE / "files/products.yml").read_text(encoding="utf-8"))
    kinds = ("package", "unit", "image", "file", "path", "signature", "trace")
    lines = [
        f"{kind}\t{name}" for product in written["products"] for kind in kinds for name in product[f"{kind}s"]
    ]
    lines += [f"word\t{word}" for word in written["also_words"]]
    lines += [f"suffix\t{suffix}" for suffix in written["runnable_suffixes"]]
    lines += ["root\t/usr/local", "depth\t4", "quarantine\t/var/lib/medsec/quarantine"]
    script = (ROLE / "files/evict.sh").read_text(encoding="utf-8")
    options = ["-o", "BatchMode=yes", "-o", f"HostKeyAlias={host.address}", "-p", port]
    return subprocess.run(
        [
            "ssh",
            "-F",
            str(lab.ssh_config_path),
            *options,
            host.name,
            f"sudo -n sh -c {shlex.quote(script)} evict.sh plan",
        ],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_who_comes_through_a_tunnel_is_not_cut_off(lab: Lab, fresh_host: Callable[..., LabHost]) -> None:
    host = fresh_host("terminal")
    host.run_as_root(TUNNEL).check_returncode()
    direct = plan(lab, host, "22")
    assert direct.returncode == 0, direct.stderr
    assert "process\t" in direct.stdout and "/usr/local/bin/frpc" in direct.stdout
    relayed = plan(lab, host, "2222")
    assert relayed.returncode == 3
    assert "is relayed by a tunnel on this host" in relayed.stderr
    assert host.ssh("pgrep -c frpc").stdout.strip() == "1"
