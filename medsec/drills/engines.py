"""What can be restored in a drill: one entry for each way of backing up a product."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from medsec.resources import root

_HERE = Path(__file__).parent
_TEMPLATES = "roles/backup/templates"


@dataclass(frozen=True)
class Engine:
    """A way of backing up, as a drill sees it.

    `scripts` define the shell function `prove`, which restores the backup in `$set` into a server below `$scratch`, says
    `step` as it goes, and of what came out `holds`, `table`, `canary` and `sound` (scratch.sh). `manifest` names the SQL
    that made the manifest's lines; the scripts run it again as `<product>_manifest`.
    """

    # As `--system` names it, and the folder of its sets: the product's, or what backs it up in another way.
    name: str
    product: str
    scripts: tuple[str, ...]
    manifest: str
    # Prints a line `cluster<TAB>identity` for each live server.
    identity: str
    # Ends the name of each dump; the manifest of DUMP is DUMP.manifest.
    suffix: str
    # Databases that every server has: their rows are not the institution's.
    own: frozenset[str]
    # Succeeds on a host that could restore it; None where it is restored on its own host alone.
    tools: str | None

    @cached_property
    def text(self) -> str:
        """The whole script of a drill on its host."""
        sql = (root() / _TEMPLATES / self.manifest).read_text(encoding="utf-8")
        function = f"{self.product}_manifest() {{\ncat << 'SQL'\n{sql}\nSQL\n}}\n"
        first, *parts = [(_HERE / name).read_text(encoding="utf-8") for name in ("scratch.sh", *self.scripts)]
        return "".join([first, function, *parts, "prove\nsay end .\n"])


_CLUSTERS = r"""
if command -v pg_lsclusters > /dev/null; then
  pg_lsclusters -h | awk '$4 ~ /^online/ {print $1 "-" $2, $3}'
else
  echo "server-main $(cd / && runuser -u postgres -- psql -XAtqd postgres -c 'SHOW port')"
fi | while read -r cluster port; do
  (cd / && runuser -u postgres -- psql -p "$port" -XAtqd postgres \
    -c "SELECT '$cluster' || chr(9) || system_identifier FROM pg_control_system()" < /dev/null) || exit 4
done
"""
_SYSTEM = "$(command -v mariadb || command -v mysql) -NBe 'SELECT @@port, system FROM medsec.canary'"

ENGINES = {
    engine.name: engine
    for engine in (
        Engine(
            name="postgresql",
            product="postgresql",
            scripts=("postgresql.sh",),
            manifest="manifest-postgresql.sql",
            identity=_CLUSTERS,
            suffix=".dump",
            own=frozenset({"medsec"}),
            tools="ls /usr/lib/postgresql/*/bin/initdb /usr/pgsql-*/bin/initdb /usr/bin/initdb 2> /dev/null | grep -q .",
        ),
        Engine(
            name="mariadb",
            product="mariadb",
            scripts=("mariadb-server.sh", "mariadb.sh"),
            manifest="manifest-mariadb.sql",
            identity=_SYSTEM,
            suffix=".sql.gz",
            own=frozenset({"medsec", "mysql"}),
            tools="command -v mariadb-install-db && command -v mariadbd",
        ),
        Engine(
            name="pgbackrest",
            product="postgresql",
            scripts=("pgbackrest.sh",),
            manifest="manifest-postgresql.sql",
            identity=_CLUSTERS,
            suffix=".point",
            own=frozenset({"medsec"}),
            tools=None,
        ),
        Engine(
            name="mariadb-backup",
            product="mariadb",
            scripts=("mariadb-server.sh", "mariadb-backup.sh"),
            manifest="manifest-mariadb.sql",
            identity=_SYSTEM,
            suffix=".point",
            own=frozenset({"medsec", "mysql"}),
            tools="command -v mariadb-backup && command -v mariadbd && test -s /etc/medsec/mariadb-backup.key",
        ),
    )
}
