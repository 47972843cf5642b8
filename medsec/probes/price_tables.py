"""What declared tables of prices hold now, by the SQL with which backups tell it, and who changed them, by the audit's log."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.inventory.prices import ApprovedTable, PriceTable
from medsec.probes import mariadb, postgresql
from medsec.resources import root
from medsec.text import Text, says

# The manifests' own SQL: two hashings would be two truths.
_TEMPLATES = "roles/backup/templates"


@dataclass(frozen=True)
class Held:
    """What a table holds: its rows, a hash of them, a hash of its definition, and the server's own number for it."""

    rows: int
    hash: str
    definition: str
    identity: str


# What servers say of a statement that took, or waited, too long.
_LATE = re.compile(r"(statement|lock) timeout|ERROR 1969|ERROR 1205")
GONE = says(
    en="there is no such table; it was dropped or renamed, or the ledger is wrong",
    zh="表不存在：已被删除或改名，或台账登记有误",
)
# A table by its key. What cannot be said of it is a Text that tells why.
Answer = dict[tuple[str, int, str, str], Held | Text]


def held(host: Host, tables: Sequence[PriceTable], seconds: int) -> Answer:
    """Return what each of `tables` holds, of a database in one snapshot; a Text where it is no table, or there is none.

    + seconds: the longest that one statement may take

    Raises ProbeError where a server cannot be asked, is not asked by somebody who sees all rows, or takes too long.
    """
    found: Answer = {}
    for product, asking in (("postgresql", _of_postgresql), ("mariadb", _of_mariadb)):
        of_product = [table for table in tables if table.product == product]
        if of_product:
            found |= asking(host, of_product, seconds)
    for table in tables:
        found.setdefault(
            table.key,
            says(
                en=f"no {table.product} server listens on port {table.port}; start it, or correct the ledger",
                zh=f"没有在端口 {table.port} 上运行的 {table.product} 服务；请启动服务或更正台账",
            ),
        )
    return found


def _by_database(tables: Iterable[PriceTable], port: int) -> dict[str, list[PriceTable]]:
    found: dict[str, list[PriceTable]] = {}
    for table in tables:
        if table.port == port:
            found.setdefault(table.database, []).append(table)
    return found


def _manifest(name: str, *changes: tuple[str, str]) -> str:
    """Return the SQL of a manifest with `changes`: the tables that are asked for, and a limit of time."""
    lines = (root() / _TEMPLATES / name).read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("--"))
    for old, new in changes:
        if text.count(old) != 1:
            raise RuntimeError(f"{name} has no single {old!r} any more")
        text = text.replace(old, new)
    return text


def _utf8(name: str) -> str:
    return name.encode().hex()


# What a session of the application may be shown beside or instead of the rows counts as the table's definition: child tables,
# rules, row-level policies; and what changes rows by itself.
_PG_DEFINITION = r"""SELECT json_build_object('name', n.nspname || '.' || c.relname, 'kind', c.relkind, 'identity', c.oid::text, 'definition', hashtextextended(json_build_array(
  (SELECT json_agg(json_build_array(attnum, attname, format_type(atttypid, atttypmod)) ORDER BY attnum) FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped),
  c.relrowsecurity, c.relforcerowsecurity,
  (SELECT json_agg(inhrelid::regclass::text ORDER BY inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = c.oid),
  (SELECT json_agg(json_build_array(pg_get_ruledef(oid), ev_enabled) ORDER BY rulename) FROM pg_rewrite WHERE ev_class = c.oid AND c.relkind = 'r'),
  (SELECT json_agg(p ORDER BY policyname) FROM pg_policies p WHERE p.schemaname = n.nspname AND p.tablename = c.relname),
  (SELECT json_agg(json_build_array(pg_get_triggerdef(oid), tgenabled) ORDER BY tgname) FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal))::text, 0)::text)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p') AND n.nspname || '.' || c.relname = ANY (@NAMES@);"""
_PG_KINDS = {
    "v": says(en="a view", zh="视图"),
    "m": says(en="a materialized view", zh="物化视图"),
    "f": says(en="a foreign table", zh="外部表"),
    "p": says(en="a partitioned table (declare its partitions)", zh="分区表（请逐一登记其分区）"),
}


def _pg_question(tables: Sequence[PriceTable], seconds: int) -> str:
    cases = []
    for port in sorted({table.port for table in tables}):
        lines = [f"{port})", "section this"]
        for number, (database, named) in enumerate(_by_database(tables, port).items()):
            names = ", ".join(rf"convert_from('\x{_utf8(table.table)}', 'UTF8')" for table in named)
            names = f"ARRAY[{names}]"
            sql = _manifest(
                "manifest-postgresql.sql",
                ("SET statement_timeout = 0;", f"SET statement_timeout = '{seconds}s';"),
                ("ORDER BY n.nspname, c.relname", f"AND n.nspname || '.' || c.relname = ANY ({names})"),
            )
            wanted = rf"SELECT 1 FROM pg_database WHERE datname = convert_from('\x{_utf8(database)}', 'UTF8')"
            lines += [
                f"section database-{number}",
                # One session sees the rows and the definitions as of one moment.
                f'there=$(printf "%s" {shlex.quote(wanted)} | ask postgres) || exit 94',
                f"[ -z \"$there\" ] || ask {shlex.quote(database)} << 'SQL' || exit 94",
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;",
                r"\set left_out ''",
                "SET client_encoding = 'UTF8';",
                sql,
                _PG_DEFINITION.replace("@NAMES@", names),
                "SELECT json_build_object('super', rolsuper) FROM pg_roles WHERE rolname = current_user;",
                "COMMIT;",
                "SQL",
            ]
        cases += [*lines, ";;"]
    return "\n".join(["case $port in", *cases, "esac", "section end", ""])


def _of_postgresql(host: Host, tables: Sequence[PriceTable], seconds: int) -> Answer:
    found: Answer = {}
    for _, parts in _asked(host, _pg_question(tables, seconds)):
        if "this" not in parts:
            continue
        port = int(parts["about"][0].split("\t")[0])
        for number, (database, named) in enumerate(_by_database(tables, port).items()):
            rows = [json.loads(line) for line in parts.get(f"database-{number}", [])]
            # A row-level policy leaves only a superuser all rows.
            if rows and not any(row.get("super") for row in rows):
                raise _not_read(f"PostgreSQL {port} {database}", "not asked by a superuser")
            found |= _answers(named, rows, _PG_KINDS)
    return found


def _asked(host: Host, question: str) -> Iterator[tuple[int, dict[str, list[str]]]]:
    try:
        yield from postgresql.answers(host, question)
    except ProbeError as error:
        if _LATE.search(str(error)):
            raise _not_read("PostgreSQL", str(error)) from error
        raise


_MARIA_ALL = r"""SELECT CONCAT(IF(COUNT(*), 'all ', 'part '), @@port) FROM information_schema.USER_PRIVILEGES
  WHERE PRIVILEGE_TYPE = 'SELECT' AND GRANTEE = CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), '''');"""
_MARIA_DEFINITION = r"""SELECT JSON_OBJECT('name', t.table_name, 'kind', t.table_type, 'identity', CAST(COALESCE(
  (SELECT s.table_id FROM information_schema.INNODB_SYS_TABLES AS s WHERE CAST(s.name AS BINARY) = CONCAT(
    CAST(CONVERT(t.table_schema USING filename) AS BINARY), '/', CAST(CONVERT(t.table_name USING filename) AS BINARY))), t.create_time, '-') AS CHAR),
  'definition', SHA2(CONCAT_WS('|', t.engine,
  (SELECT GROUP_CONCAT(HEX(CONCAT_WS('|', ordinal_position, column_name, column_type, character_set_name, generation_expression)) ORDER BY ordinal_position)
    FROM information_schema.columns AS c WHERE c.table_schema = t.table_schema AND c.table_name = t.table_name), '-',
  (SELECT GROUP_CONCAT(HEX(CONCAT_WS('|', trigger_name, action_timing, event_manipulation, action_statement)) ORDER BY trigger_name)
    FROM information_schema.triggers AS g WHERE g.event_object_schema = t.table_schema AND g.event_object_table = t.table_name)), 256))
FROM information_schema.tables AS t WHERE BINARY t.table_schema = BINARY @medsec AND BINARY t.table_name IN (@NAMES@);"""
_MARIA_SCRIPT = r"""export LC_ALL=C
tell() { @ASK@ -NBr --default-character-set=utf8mb4; }
{ tell << 'SQL'
SET SESSION sql_mode='', max_statement_time=@SECONDS@;
@ALL@
SQL
} | grep -qx 'all @PORT@' || { echo 'the account that asks may not read every table, or the server still listens on another port than its files say' >&2; exit 94; }
statements=$(tell << 'SQL'
SET SESSION sql_mode='', max_statement_time=@SECONDS@;
@SQL@
SQL
) || exit 94
tell << SQL || exit 94
SET SESSION sql_mode='', time_zone='+00:00', max_statement_time=@SECONDS@, lock_wait_timeout=5, group_concat_max_len=1073741824;
SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ;
START TRANSACTION WITH CONSISTENT SNAPSHOT;
$statements
@DEFINITIONS@
SELECT 'end';
SQL
"""


def _maria_script(client: str, port: int, databases: dict[str, list[PriceTable]], seconds: int) -> str:
    statements, definitions = [], []
    for number, (database, named) in enumerate(databases.items()):
        names = ", ".join(f"BINARY CONVERT(UNHEX('{_utf8(table.table)}') USING utf8mb4)" for table in named)
        this = f"SET @medsec = CONVERT(UNHEX('{_utf8(database)}') USING utf8mb4);"
        sql = _manifest(
            "manifest-mariadb.sql",
            (
                "WHERE t.table_schema = @medsec AND",
                f"WHERE t.table_schema = @medsec AND BINARY t.table_name IN ({names}) AND",
            ),
        )
        mark = f"SELECT 'database {number}';"
        statements += [this, f"SELECT '{mark.replace(chr(39), chr(39) * 2)}';", sql]
        definitions += [this, mark, _MARIA_DEFINITION.replace("@NAMES@", names)]
    script = _MARIA_SCRIPT
    for word, value in {
        "@ASK@": client,
        "@PORT@": str(port),
        "@SECONDS@": str(seconds),
        "@ALL@": _MARIA_ALL,
        "@SQL@": "\n".join(statements),
        "@DEFINITIONS@": "\n".join(definitions),
    }.items():
        script = script.replace(word, value)
    return script


def _of_mariadb(host: Host, tables: Sequence[PriceTable], seconds: int) -> Answer:
    found: Answer = {}
    for server in mariadb.servers(host):
        port = mariadb.port(server)
        databases = _by_database(tables, port)
        if not databases:
            continue
        answer = host.run(_maria_script(server.client, port, databases, seconds))
        lines = answer.stdout.splitlines()
        if answer.rc != 0 or lines[-1:] != ["end"]:
            raise _not_read(server.name, answer.stderr)
        rows: dict[int, list[Any]] = {}
        number = 0
        for line in lines[:-1]:
            if line.startswith("database "):
                number = int(line.removeprefix("database "))
            else:
                rows.setdefault(number, []).append(json.loads(line))
        for number, named in enumerate(databases.values()):
            found |= _answers(named, rows.get(number, []), {})
    return found


def _answers(named: Sequence[PriceTable], rows: Sequence[dict[str, Any]], kinds: dict[str, Text]) -> Answer:
    """Return what `rows` say of the tables of one database: the manifest's lines have `table`, the definitions' have `name`."""
    counted = {row["table"]: row for row in rows if "table" in row}
    described = {row["name"]: row for row in rows if "name" in row}
    found: Answer = {}
    for table in named:
        about, counts = described.get(table.table), counted.get(table.table)
        if about is not None and counts is not None:
            found[table.key] = Held(
                int(counts["rows"]), str(counts["hash"]), about["definition"], about["identity"]
            )
        elif about is None:
            found[table.key] = GONE
        else:
            kind = kinds.get(about["kind"], says(en=str(about["kind"]), zh=str(about["kind"])))
            found[table.key] = says(
                en=f"it is no ordinary table but {kind.en}", zh=f"不是普通数据表，而是{kind.zh}"
            )
    return found


def _not_read(who: str, complaint: str) -> ProbeError:
    said = complaint.strip()[-300:] or "no answer"
    step_en, step_zh = "", ""
    if _LATE.search(said):
        said = said.rpartition("ERROR: ")[2].strip()
        step_en = "; look again when the table is not locked, or raise price_catalogue_unchanged_seconds"
        step_zh = "；请在表未被锁定时重试，或调大 price_catalogue_unchanged_seconds"
    return ProbeError(
        says(
            en=f"{who}: the tables of prices cannot be read whole: {said}{step_en}",
            zh=f"{who}：无法完整读取价表：{said}{step_zh}",
        )
    )


def difference(now: Held | Text, was: ApprovedTable, drop_pct: int) -> Text | None:
    """Return how a table differs from what was approved of it, or None where it does not.

    + drop_pct: how many percent of its rows may go before that is a class-1 fault (一类故障)
    """
    if isinstance(now, Text):
        return _graver(now, was.rows, 0, drop_pct) if now == GONE else now
    if now.rows != was.rows or now.hash != was.hash:
        changed = says(en=f"rows {was.rows} -> {now.rows}", zh=f"行数 {was.rows} → {now.rows}")
        if now.rows == was.rows:
            changed = says(en=f"{changed.en}, their contents changed", zh=f"{changed.zh}，内容已改变")
        return _graver(changed, was.rows, now.rows, drop_pct)
    if now.definition != was.definition:
        return says(
            en=f"its {now.rows} rows are those approved, but its definition changed (columns, triggers, rules, policies or child tables)",
            zh=f"{now.rows} 行数据与批准时一致，但表定义已改变（列、触发器、规则、行级策略或子表）",
        )
    if was.identity is not None and now.identity != was.identity:
        return says(
            en=f"another table of the same {now.rows} rows stands in its place (number {was.identity} -> {now.identity}): "
            "it was dropped, renamed or rebuilt",
            zh=f"原表已被内容相同（{now.rows} 行）的另一张表替换（内部编号 {was.identity} → {now.identity}）：曾被删除、改名或重建",
        )
    return None


def _graver(changed: Text, before: int, now: int, drop_pct: int) -> Text:
    if (before - now) * 100 <= before * drop_pct:
        return changed
    return says(
        en=f"{changed.en}; more than {drop_pct} % of its {before} rows are gone: a class-1 fault (一类故障)",
        zh=f"{changed.zh}；{before} 行中缺失超过 {drop_pct}%，属一类故障",
    )


@dataclass(frozen=True)
class Change:
    """A statement that the audit wrote down: when, and by whom as its log says it."""

    when: datetime
    told: str
    statement: str


# $since and the names are put in; each line that is printed begins with its time, in seconds since 1970.
_LOOK = r"""export LC_ALL=C
for tool in find grep sort zcat date timeout tail cut; do command -v "$tool" > /dev/null || { echo "missing: $tool" >&2; exit 91; }; done
exec 3>&1
{
  find /var/log @FOLDERS@ -xdev -type f -newermt "@@SINCE@" ! -path '*/journal/*' ! -name '*tmp' ! -name lastlog -printf '%T@ %p\n' | sort -n | cut -d' ' -f2- |
    while IFS= read -r file; do zcat -f -- "$file" 2> /dev/null; done
  ! command -v journalctl > /dev/null || journalctl -q -o short-iso --since "@@SINCE@"
} | { timeout 20 grep -aE 'AUDIT: |,QUERY,' || [ $? = 1 ] || echo cut >&3; } | grep -aiF @NAMES@ |
  grep -aiE 'AUDIT: [A-Z]+,[0-9]+,[0-9]+,(WRITE|DDL),|,QUERY,[^,]*,.{0,60}(insert|update|delete|replace|truncate|drop|alter|rename|load|create)' | tail -n 200 | cut -c1-600 |
  while IFS= read -r line; do
    stamp=$(printf '%s\n' "$line" | grep -oE '^([0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:]{8}|[0-9]{8} +[0-9:]{7,8}|[A-Z][a-z]{2} +[0-9]+ [0-9:]{8})([.][0-9]+)?( UTC| GMT|[+-][0-9:]{4,6}|Z)?') || continue
    seconds=$(date -d "$stamp" +%s 2> /dev/null) || continue
    [ "$seconds" -lt @SINCE@ ] || printf '%s\t%s\n' "$seconds" "$line"
  done | sort -n
echo end
"""
_PG_LINE = re.compile(r"^(?P<who>.*?)(?:LOG:\s*)?AUDIT: [A-Z]+,\d+,\d+,(?:WRITE|DDL),(?P<what>[^,]*)")
# Time, user, database, process, and address with port.
_PG_CSV = re.compile(r'^([^,"]*),"([^"]*)","([^"]*)",(\d+),"([^"]*)",')
_MARIA_LINE = re.compile(
    r"^(?P<when>\d{8} +[\d:]+|\S+(?: +\d+ [\d:]+)?)[, ].*?(?P<user>[^,]*),(?P<address>[^,]*),\d+,\d+,QUERY,[^,]*,'(?:\s|\\n|/\*.*?\*/)*"
    r"(?P<what>insert|update|delete|replace|truncate|drop|alter|rename|load|create)\b",
    re.IGNORECASE,
)


def last_changes(
    host: Host, tables: Sequence[PriceTable], since: datetime, folders: Sequence[str]
) -> dict[tuple[str, int, str, str], Change] | None:
    """Return the last statement since `since` that the audit's logs tell of each of `tables`; those they do not tell of are left out.

    None where there is more of the logs than could be read in twenty seconds.

    + folders: where servers write files of their own, beside /var/log and the journal
    """
    names = " ".join(f"-e {shlex.quote(table.table.rpartition('.')[2])}" for table in tables)
    script = (
        _LOOK.replace("@FOLDERS@", " ".join(map(shlex.quote, folders)))
        .replace("@SINCE@", str(int(since.timestamp())))
        .replace("@NAMES@", names)
    )
    answer = host.run(script, once=True)
    lines = answer.stdout.splitlines()
    if answer.rc != 0 or lines[-1:] != ["end"]:
        raise _not_read("audit log", answer.stderr)
    if "cut" in lines:
        return None
    found = {}
    for line in lines[:-1]:
        seconds, _, text = line.partition("\t")
        for table in tables:
            change = change_in(text, table, datetime.fromtimestamp(int(seconds), UTC))
            if change is not None:
                found[table.key] = change
    return found


def change_in(line: str, table: PriceTable, when: datetime) -> Change | None:
    """Return the change of `table` that a line of an audit's log tells of, or None."""
    name = table.table.rpartition(".")[2]
    if not re.search(rf"(?<![\w$]){re.escape(name)}(?![\w$])", line, re.IGNORECASE):
        return None
    if table.product == "postgresql":
        told = _PG_LINE.search(line)
        if told is None:
            return None
        fields = _PG_CSV.match(line)
        who = f"{fields[1]} {fields[2]}@{fields[5]}" if fields else told["who"].strip(" ,\"'")[:160]
        return Change(when, who, told["what"])
    told = _MARIA_LINE.search(line)
    if told is None:
        return None
    return Change(when, f"{told['when']} {told['user']}@{told['address']}", told["what"].upper())
