"""The MariaDB servers that run on a host: settings in force and after a restart, accounts, and what they do with what is tried."""

from __future__ import annotations

import ipaddress
import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.probes import handshakes
from medsec.text import says

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Privileges by which an account makes itself any other: GRANT OPTION, SUPER, CREATE USER (bits of mysql.global_priv).
_RULES = 1 << 10 | 1 << 15 | 1 << 25
# INSERT and UPDATE in every database, that of the grants among them.
_WRITES = 1 << 1 | 1 << 2


@dataclass(frozen=True)
class Account:
    """An account that can log in, or could. `ways` are its methods: the plugin, and `set`, `empty` or `invalid` for the password."""

    user: str
    host: str
    locked: bool
    # Whether it may do anything: by its own privileges, by a role's, or by its name.
    rules: bool
    # Whether it may write the tables of grants, by which it gives itself any right.
    writes_grants: bool
    ways: tuple[tuple[str, str], ...]
    # Days until its password must be changed: None where the server's own rule holds, 0 for never.
    lifetime: int | None
    # Whether it is let in by TLS only (REQUIRE SSL, X509 or more).
    tls: bool = False

    @property
    def name(self) -> str:
        """Return how SQL calls it, `user@host`."""
        return f"{self.user}@{self.host or '%'}"

    @property
    def by_password(self) -> bool:
        """Return whether a password (or none at all) lets it in, an unusable one left aside."""
        return any(plugin not in ("unix_socket", "gssapi") and state != "invalid" for plugin, state in self.ways)

    def network(self) -> Network | None:
        """Return the addresses that its host part means, or None for a name or a pattern that is no network."""
        host = re.sub(r"\.?%$", "", self.host) if re.fullmatch(r"(\d+\.){1,3}%", self.host) else self.host
        if host != self.host:
            parts = host.split(".")
            return _network(f"{'.'.join(parts + ['0'] * (4 - len(parts)))}/{8 * len(parts)}")
        if host in ("%", ""):
            return _network("0.0.0.0/0")
        return _network("127.0.0.0/8" if host == "localhost" else host)


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


@dataclass(frozen=True)
class Server:
    """One running server. `rows` holds what it answered, by kind of row."""

    pid: int
    socket: str
    data: str
    # How its administrator is reached: the client and its options, as a shell reads them.
    client: str
    # What it would be started with again, names in lower case with `_`; of several the last, as the server takes it.
    options: Mapping[str, str]
    rows: Mapping[str, Sequence[Sequence[str]]]

    @property
    def name(self) -> str:
        """Return how messages call it: its socket."""
        return f"MariaDB ({self.socket})"

    def value(self, variable: str) -> str | None:
        """Return a global variable's value, or None where the server does not know it (its plugin is not loaded)."""
        found = [row[1] for row in self.rows.get("variable", ()) if row[0].lower() == variable]
        return found[0] if found else None

    def load_option(self, plugin: str) -> str | None:
        """Return how an active plugin is loaded (ON, FORCE, FORCE_PLUS_PERMANENT), or None."""
        found = [row for row in self.rows.get("plugin", ()) if row[0].lower() == plugin and row[1] == "ACTIVE"]
        return found[0][2] if found else None

    def loads(self, library: str) -> bool:
        """Return whether a plugin's library is loaded at the next start, by an option or by INSTALL SONAME."""
        named = [
            *self.options.get("plugin_load", "").split(";"),
            *(row[0] for row in self.rows.get("installed", ())),
        ]
        return library in (name.rpartition("=")[2].strip().removesuffix(".so") for name in named)

    @property
    def accounts(self) -> list[Account]:
        """Return its accounts without its roles."""
        privileges = {(row[0], row[1]): json.loads(row[2]) for row in self.rows.get("account", ())}
        granted: dict[tuple[str, str], set[str]] = {}
        for user, host, role in self.rows.get("role", ()):
            granted.setdefault((user, host), set()).add(role)

        writers = {(user, host) for user, host in self.rows.get("writer", ())}

        def writes(who: tuple[str, str], seen: frozenset[str] = frozenset()) -> bool:
            own = who in writers or int(privileges.get(who, {}).get("access", 0)) & _WRITES
            return bool(own) or any(writes((role, ""), seen | {role}) for role in granted.get(who, set()) - seen)

        def rules(who: tuple[str, str], seen: frozenset[str] = frozenset()) -> bool:
            own = int(privileges.get(who, {}).get("access", 0)) & _RULES
            return bool(own) or any(rules((role, ""), seen | {role}) for role in granted.get(who, set()) - seen)

        return [
            Account(
                *who,
                locked=bool(found.get("account_locked")),
                rules=who[0] == "root" or rules(who) or rules(("PUBLIC", "")),
                writes_grants=writes(who) or writes(("PUBLIC", "")),
                ways=tuple(_ways(found)),
                lifetime=found.get("password_lifetime") if found.get("password_lifetime", -1) != -1 else None,
                tls=bool(found.get("ssl_type")),
            )
            for who, found in privileges.items()
            if not found.get("is_role")
        ]

    def listening(self) -> list[tuple[str, int]]:
        """Return the addresses and ports at which it takes TCP connections; a wildcard is `*`, `0.0.0.0` or `::`."""
        return [_address(row[2]) for row in self.rows.get("socket", ()) if row[:2] == ["tcp", "LISTEN"]]

    def peers(self) -> list[tuple[str, int]]:
        """Return from where it is connected to now, and at which of its ports; its own connections to itself left aside."""
        ports = {port for _, port in self.listening()}
        found = set()
        for kind, state, local, *peer in self.rows.get("socket", ()):
            address, port = _address(local) if kind == "tcp" else ("", 0)
            if state == "ESTAB" and port in ports and (other := _address(f"{peer[0]}:0")[0]) != address:
                found.add((other, port))
        return sorted(found)


def _ways(found: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for way in found.get("auth_or") or [{}]:
        own = way or found
        secret = own.get("authentication_string", "")
        state = secret if secret in ("set", "invalid") else "set" if secret else "empty"
        yield own.get("plugin") or "mysql_native_password", state


def _address(text: str) -> tuple[str, int]:
    """Return address and port of what `ss` prints, brackets, scopes and mapped addresses undone."""
    address, _, port = text.rpartition(":")
    address = address.strip("[]").partition("%")[0].removeprefix("::ffff:")
    return address, int(port) if port.isdigit() else 0


# One question for all controls that speak of MariaDB. Hashes of passwords never leave the server.
_QUESTION = (
    "export LC_ALL=C"
    + handshakes.ASK
    + r"""for link in /proc/[0-9]*/exe; do
  program=$(readlink "$link" 2> /dev/null) || continue
  program=${program% (deleted)}
  case $program in */mariadbd | */mysqld) ;; *) continue ;; esac
  pid=${link#/proc/}; pid=${pid%/exe}
  grep -q medsec-drill- "/proc/$pid/cgroup" && continue
  data=$(readlink "/proc/$pid/cwd")
  sockets=$(ss -Hantxp | awk -v of="pid=$pid," 'index($0, of) && /^tcp|LISTEN/ { if (/ESTAB/) sub(/:[0-9]+$/, "", $6); print "socket\t" $1 "\t" $2 "\t" $5 "\t" $6 }' | sort -u)
  socket=$(printf '%s\n' "$sockets" | awk '/u_str/ { print $4; exit }')
  case $socket in /*) ;; ?*) socket=$data/$socket ;; *) echo "process $pid has no local socket here: does the server run in a container?" >&2; exit 93 ;; esac
  client=$(command -v mariadb || command -v mysql) || { echo 'missing: mariadb' >&2; exit 91; }
  client="env -i PATH=$PATH HOME=/root $client"
  ask="$client --no-defaults -uroot"
  echo 'DO 1' | $ask -S "$socket" 2> /dev/null || ask="$client --defaults-file=/root/.my.cnf"
  printf 'server\t%s\t%s\t%s\t%s\n' "$pid" "$socket" "$data" "$ask"
  unit=$(ps -o unit= -p "$pid")
  case $unit in *.service) ;; *) unit= ;; esac
  upcoming=$(systemctl show-environment; [ -z "$unit" ] || systemctl show -p ExecStart -p Environment -- "$unit")
  upcoming=$(printf '%s\n' "$upcoming" | grep -oE -e '--[^ ;"]+|(MYSQL_)?HOME=[^ ;"]+')
  options=$({ tr '\0' '\n' < "/proc/$pid/cmdline"; printf '%s\n' "$upcoming" | grep ^--; } | awk 'NR > 1 { if (/^--(no-)?defaults/) { name = $0; sub(/=.*/, "", name); first[name] = $0 } else rest = rest "\n" $0 }
    END { for (name in first) print first[name]; print "--print-defaults" rest }' |
    tr '\n' '\0' | xargs -0 env -i $({ tr '\0' '\n' < "/proc/$pid/environ"; printf '%s\n' "$upcoming"; } | grep -E '^(MYSQL_)?HOME=') "$program" 2>&1)
  printf '%s\n' "$options" | sed 's/^/options\t/'
  first=$(printf '%s\n' "$options" | sed -n 's/.*--init[-_]file=\([^ ]*\).*/\1/p')
  [ -z "$first" ] || sed 's/^/init\t/' "$first"
  printf '%s\n' "$sockets"
  offers -starttls mysql -unix "$socket"
  echo 'SELECT @@ssl_key' | $ask -S "$socket" -NBr 2> /dev/null | while IFS= read -r key; do
    case $key in '' | NULL) continue ;; /*) ;; *) key=$data/$key ;; esac
    guards "$key" 2> /dev/null
  done
  $ask -S "$socket" -NB --default-character-set=utf8mb4 << 'SQL' || exit 94
SELECT 'variable','version',VERSION();
SET SESSION sql_mode='', max_statement_time=20;
SELECT 'variable',VARIABLE_NAME,IFNULL(GLOBAL_VALUE,'') FROM information_schema.SYSTEM_VARIABLES WHERE VARIABLE_NAME RLIKE '^(server_audit|simple_pass|strict_pass|max_pass|default_pass|local_i|require_secure|tls_v)';
SELECT 'plugin',PLUGIN_NAME,PLUGIN_STATUS,LOAD_OPTION FROM information_schema.PLUGINS;
SELECT 'account',User,Host,REGEXP_REPLACE(Priv,'("authentication_string" *: *")[^"]{8,}','\\1set') FROM mysql.global_priv;
SELECT 'role',User,Host,Role FROM mysql.roles_mapping;
SELECT 'installed',dl FROM mysql.plugin;
SELECT 'schema',SCHEMA_NAME FROM information_schema.SCHEMATA;
SELECT 'anybody',User,Host,Db FROM mysql.db WHERE User IN('','PUBLIC');
SELECT 'writer',User,Host FROM mysql.db WHERE 'mysql' LIKE Db AND 'Y' IN(Insert_priv,Update_priv);
SELECT 'me',CURRENT_USER();
SELECT 'end';
SQL
done
"""
)


def servers(host: Host) -> list[Server]:
    """Return every MariaDB server that runs on `host`, each having been asked.

    Raises ProbeError when one cannot be asked: no client, no local socket, no administrator, MySQL instead of MariaDB.
    """
    answer = host.run(_QUESTION)
    found = parse(answer.stdout, answer.stderr)
    if answer.rc != 0:
        raise _not_asked(answer.stderr)
    return found


def _not_asked(complaint: str) -> ProbeError:
    said = complaint.strip()[-500:] or "no answer"
    return ProbeError(
        says(
            en=f"MariaDB cannot be asked; root must get in by its local socket (unix_socket, or /root/.my.cnf): {said}",
            zh=f"无法查询 MariaDB（root 须能通过本地套接字登录：unix_socket 或 /root/.my.cnf）：{said}",
        )
    )


def parse(output: str, complaint: str = "") -> list[Server]:
    """Return the servers that the question's answer tells of. Raises ProbeError where one is no MariaDB or broke off."""
    found: list[Server] = []
    for block in re.split(r"^server\t", output, flags=re.MULTILINE)[1:]:
        first, *lines = block.removesuffix("\n").split("\n")
        pid, socket, data, client = first.split("\t")
        rows: dict[str, list[list[str]]] = {}
        for line in lines:
            kind, *fields = line.split("\t")
            rows.setdefault(kind, []).append([_SIGN.sub(_unescaped, field) for field in fields])
        options = _options(" ".join(row[0] for row in rows.pop("options", []) if row))
        server = Server(int(pid), socket, data, f"{client} -S {shlex.quote(socket)}", options, rows)
        version = server.value("version")
        if version is not None and "mariadb" not in version.lower():
            raise ProbeError(
                says(
                    en=f"the server on {socket} is not MariaDB but {version}: MySQL is not supported; "
                    "examine it by hand, or leave the control out of the host's `medsec_controls`",
                    zh=f"{socket} 上的服务不是 MariaDB（版本 {version}）：暂不支持 MySQL，"
                    "请人工核查，或在该主机的 `medsec_controls` 中排除本控制项",
                )
            )
        if "end" not in rows:
            raise _not_asked(f"{server.name}: {complaint}")
        found.append(server)
    return found


# What the client writes for a tab, a line's end, a zero byte and a backslash.
_SIGN = re.compile(r"\\(.)")


def _unescaped(found: re.Match[str]) -> str:
    return {"t": "\t", "n": "\n", "0": "\0"}.get(found[1], found[1])


def _options(printed: str) -> dict[str, str]:
    """Return the options that `--print-defaults` printed: later ones overrule earlier ones."""
    found = {}
    for word in re.split(r"\s+(?=--)", printed[printed.find(" --") :] if " --" in printed else ""):
        name, equals, value = word.strip().removeprefix("--").partition("=")
        name = name.lower().replace("-", "_").removeprefix("loose_")
        found[name] = value.strip() if equals else "ON"
        # Plugins add up, but for a list that begins anew.
        if name == "plugin_load_add":
            found["plugin_load"] = f"{found.get('plugin_load', '')};{value.strip()}"
        if name.startswith("skip_") and not equals:
            found[name.removeprefix("skip_")] = "OFF"
    return found


@dataclass(frozen=True)
class Written:
    """What became of a statement made for the purpose: who made it on which connection, and the lines of the log that tell of it."""

    user: str
    connection: str
    lines: tuple[str, ...]


# The word is made here, so that it is on no command line, whose record must not be taken for the server's. The password is for an
# account that does not exist: nothing is changed, and its statement is logged.
_CANARY = r"""
export LC_ALL=C
canary=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
[ "${#canary}" = 32 ] || exit 95
began=$(date +%s)
log=@LOG@
[ ! -d "$log" ] || log=$log/server_audit.log
echo "SET sql_log_bin=0, sql_mode='';SELECT SUBSTRING_INDEX(USER(),'@',1),CONNECTION_ID();SELECT User FROM mysql.db WHERE Db='@$canary';
ALTER USER IF EXISTS 'medsec-$canary'@localhost IDENTIFIED BY 'Secret-$canary';" | @ASK@ -NBf 2> /dev/null | head -n 1
look() {
  if [ -n "$log" ]; then
    tail -c 8388608 -- "$log" | grep -aF "$canary"
  else
    journalctl -q -o short-iso --since "@$began" | grep -aF "$canary"
    find /var/log -xdev -type f -mmin -5 ! -path '*/journal/*' ! -name wtmp ! -name lastlog 2> /dev/null | while IFS= read -r name; do
      tail -c 8388608 -- "$name" | grep -aF "$canary"
    done
  fi
}
for _ in 1 2 3 4 5 6; do
  sleep 0.5
  found=$(look 2> /dev/null | grep ,QUERY,) && break
done
printf '%s\n' "$found" | cut -c1-1500 | sed "s/$canary/<canary>/g"
"""


def port(server: Server) -> int:
    """Return the port that the server is started with."""
    value = server.options.get("port", "")
    return int(value) if value.isdigit() else 3306


def audit_file(server: Server) -> str:
    """Return the file, or the folder, of the audit's own log, or "" where it writes to the system's."""
    if (server.value("server_audit_output_type") or "").lower() != "file":
        return ""
    log = server.value("server_audit_file_path") or "server_audit.log"
    return log if log.startswith("/") else f"{server.data.rstrip('/')}/{log}"


def audited(host: Host, server: Server) -> Written:
    """Make statements on `server` and return what its audit log says of them, in the file or the system log it writes to.

    Raises ProbeError when the statements cannot be made.
    """
    script = _CANARY.replace("@ASK@", server.client).replace("@LOG@", shlex.quote(audit_file(server)))
    answer = host.run(script, once=True)
    first, *lines = answer.stdout.splitlines() or [""]
    fields = first.split("\t")
    if answer.rc != 0 or len(fields) != 2:
        raise _not_asked(f"{server.name}: {answer.stderr or 'the statements were not made'}")
    return Written(fields[0], fields[1], tuple(line for line in lines if line))


# For each try: the word that names it, and the password, made of $r (random digits and small letters), $l (small letters) and $u.
_PASSWORDS = {
    "short": "$(printf 'A-1a%s' $r | cut -c1-@SHORT@)",
    "digits": "A-$l",
    "capitals": "a-1$r",
    "small": "A-1$u",
    "signs": "A1a$r",
    "good": "A-1a$r$r$r",
}
_TRIES = r"""
export LC_ALL=C
r=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
[ "${#r}" = 32 ] || exit 95
l=$(printf %s "$r" | tr 0-9 g-p)
u=$(printf %s "$l" | tr a-p A-P)
who="'medsec-$r'@localhost"
{
  echo 'SET sql_log_bin=0;'
  for word in @WORDS@; do echo "CREATE USER $who IDENTIFIED BY '$word' ACCOUNT LOCK;DROP USER IF EXISTS $who;"; done
  echo "CREATE USER $who IDENTIFIED BY PASSWORD '*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19' ACCOUNT LOCK;DROP USER IF EXISTS $who;"
} | @ASK@ -NBf 2>&1 | sed "s/$r/random/g"
echo end
"""
# Not good enough (1819); no hash where rules look at passwords (1290, strict_password_validation).
_REFUSED = {"1819", "1290"}


def accepted(host: Host, server: Server, min_length: int) -> list[str]:
    """Return which of several bad passwords `server` took for an account that is made locked and dropped at once.

    One is too short, one each lacks digits, capitals, small letters or signs, and one is a `hash`, which no rule can look into.
    Raises ProbeError where even a good one is refused: nothing can be said then.
    """
    words = " ".join(f'"{word}"' for word in _PASSWORDS.values()).replace("@SHORT@", str(min_length - 1))
    answer = host.run(_TRIES.replace("@WORDS@", words).replace("@ASK@", server.client), once=True)
    by_line = {
        int(line): code
        for code, line in re.findall(r"^ERROR (\d+) .*? at line (\d+)", answer.stdout, re.MULTILINE)
    }
    outcome = {name: by_line.get(line) for line, name in enumerate([*_PASSWORDS, "hash"], start=2)}
    strange = {code for code in by_line.values() if code not in _REFUSED}
    if answer.rc != 0 or not answer.stdout.endswith("end\n") or strange or outcome["good"] or 1 in by_line:
        raise _not_asked(f"{server.name}: {answer.stdout.removesuffix('end')}{answer.stderr}")
    return [name for name, code in outcome.items() if code is None and name != "good"]
