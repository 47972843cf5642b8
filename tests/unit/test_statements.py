"""The statement packs, read by a real SQL parser.

sqlglot parses queries, SET, EXEC and IF into trees. What it does not know of a product's administration (ALTER PROFILE, AUDIT,
CREATE SERVER AUDIT ...) it takes as one opaque command, or worse, as an expression: such statements are cut by its tokenizer
and compared, word for word, with the list below. A value changes a text, a name or a number there, and never a word.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import sqlglot
from click.testing import CliRunner
from medsec_cli.main import build
from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokens import Token, TokenType

from medsec import resources
from medsec.errors import UsageError
from medsec.inventory import Inventory, load_inventory
from medsec.statements import Pack, Values, load_pack, load_packs, scripts, values_for
from medsec.statements.pack import Statement
from medsec.statements.quoting import outside
from medsec.statements.script import Rendered, rendered

ROOT = resources.root()
PACKS = load_packs(ROOT)
PARSERS = {"oracle": "oracle", "dm": "oracle", "tsql": "tsql", "mysql": "mysql", "postgres": "postgres"}
PARSED = (exp.Select, exp.Union, exp.Set, exp.Execute, exp.Show)
HOSTILE = ["o'brien", "x'; DROP USER his; --", "李晓红", "a]b", "--", "/* */", "a b;c", "{{ 7 }}", "&his", "%s"]
PLAIN = ["zhangmin", "lixiaohong"]

# What only the tokenizer reads. S a text, I a quoted name, N a number.
OPAQUE = {
    "oracle": """
        ALTER SYSTEM SET AUDIT_TRAIL = DB , EXTENDED SCOPE = SPFILE
        ALTER SYSTEM SET AUDIT_SYS_OPERATIONS = TRUE SCOPE = SPFILE
        ALTER SYSTEM RESET AUDIT_SYS_OPERATIONS SCOPE = SPFILE SID = S
        ALTER SYSTEM RESET AUDIT_TRAIL SCOPE = SPFILE SID = S
        ALTER SYSTEM SET REMOTE_LOGIN_PASSWORDFILE = NONE SCOPE = SPFILE
        ALTER SYSTEM SET REMOTE_LOGIN_PASSWORDFILE = EXCLUSIVE SCOPE = SPFILE
        AUDIT SESSION BY ACCESS
        AUDIT USER BY ACCESS
        AUDIT ROLE BY ACCESS
        AUDIT PROFILE BY ACCESS
        AUDIT SYSTEM GRANT BY ACCESS
        AUDIT SYSTEM AUDIT BY ACCESS
        NOAUDIT SYSTEM AUDIT
        NOAUDIT SYSTEM GRANT
        NOAUDIT PROFILE
        NOAUDIT ROLE
        NOAUDIT USER
        NOAUDIT SESSION
        CREATE PROFILE MEDSEC_PERSON LIMIT PASSWORD_GRACE_TIME N
        ALTER PROFILE MEDSEC_PERSON LIMIT FAILED_LOGIN_ATTEMPTS N PASSWORD_LOCK_TIME N / N PASSWORD_LIFE_TIME N PASSWORD_GRACE_TIME N
        ALTER PROFILE MEDSEC_PERSON LIMIT PASSWORD_VERIFY_FUNCTION ORA12C_VERIFY_FUNCTION
        DROP PROFILE MEDSEC_PERSON CASCADE
        ALTER USER I PROFILE MEDSEC_PERSON
        ALTER USER I PROFILE DEFAULT
        CREATE AUDIT POLICY MEDSEC_LOGONS ACTIONS LOGON , LOGOFF
        CREATE AUDIT POLICY MEDSEC_CHANGES ACTIONS CREATE USER , ALTER USER , DROP USER , CREATE ROLE , ALTER ROLE , DROP ROLE , GRANT , REVOKE , CREATE PROFILE , ALTER PROFILE , DROP PROFILE , ALTER TABLE , DROP TABLE , TRUNCATE TABLE , ALTER SYSTEM
        AUDIT POLICY MEDSEC_LOGONS
        AUDIT POLICY MEDSEC_CHANGES
        AUDIT POLICY ORA_LOGON_FAILURES
        AUDIT POLICY ORA_SECURECONFIG
        NOAUDIT POLICY MEDSEC_CHANGES
        NOAUDIT POLICY MEDSEC_LOGONS
        NOAUDIT POLICY ORA_SECURECONFIG
        NOAUDIT POLICY ORA_LOGON_FAILURES
        DROP AUDIT POLICY MEDSEC_CHANGES
        DROP AUDIT POLICY MEDSEC_LOGONS
    """,
    "dm": """
        SP_SET_ENABLE_AUDIT ( N )
        SP_AUDIT_STMT ( S , S , S )
        SP_NOAUDIT_STMT ( S , S , S )
        SP_SET_PARA_VALUE ( N , S , N )
        ALTER USER I LIMIT FAILED_LOGIN_ATTEMPS N , PASSWORD_LOCK_TIME N , PASSWORD_LIFE_TIME N
        ALTER USER I LIMIT FAILED_LOGIN_ATTEMPS N , PASSWORD_LOCK_TIME N , PASSWORD_LIFE_TIME UNLIMITED
        ALTER USER I ALLOW_IP I , I
        ALTER USER I ALLOW_IP NULL
    """,
    "tsql": """
        CREATE SERVER AUDIT I TO FILE ( FILEPATH = S , MAXSIZE = N MB , MAX_ROLLOVER_FILES = N ) WITH ( QUEUE_DELAY = N , ON_FAILURE = CONTINUE )
        ALTER SERVER AUDIT I WITH ( STATE = ON )
        ALTER SERVER AUDIT I WITH ( STATE = OFF )
        DROP SERVER AUDIT I
        CREATE SERVER AUDIT SPECIFICATION I FOR SERVER AUDIT I ADD ( FAILED_LOGIN_GROUP ) , ADD ( SUCCESSFUL_LOGIN_GROUP ) , ADD ( AUDIT_CHANGE_GROUP ) , ADD ( DATABASE_ROLE_MEMBER_CHANGE_GROUP ) , ADD ( DATABASE_PERMISSION_CHANGE_GROUP ) WITH ( STATE = ON )
        ALTER SERVER AUDIT SPECIFICATION I WITH ( STATE = OFF )
        DROP SERVER AUDIT SPECIFICATION I
        ALTER LOGIN I WITH CHECK_POLICY = ON , CHECK_EXPIRATION = ON
        ALTER LOGIN I WITH CHECK_EXPIRATION = OFF
        RECONFIGURE
    """,
    "postgres": """
        ALTER SYSTEM SET SYSAUDIT . ENABLE = ON
        ALTER SYSTEM RESET SYSAUDIT . ENABLE
        ALTER SYSTEM SET LOG_CONNECTIONS = ON
        ALTER SYSTEM SET LOG_DISCONNECTIONS = ON
        ALTER SYSTEM RESET LOG_DISCONNECTIONS
        ALTER SYSTEM RESET LOG_CONNECTIONS
        ALTER SYSTEM SET PASSWORDCHECK . ENABLE = ON
        ALTER SYSTEM SET PASSWORDCHECK . PASSWORD_LENGTH = N
        ALTER SYSTEM RESET PASSWORDCHECK . PASSWORD_LENGTH
        ALTER SYSTEM RESET PASSWORDCHECK . ENABLE
        CALL SYS_RELOAD_CONF ( )
    """,
    "mysql": """
        INSTALL COMPONENT S
        UNINSTALL COMPONENT S
        RESET PERSIST IF EXISTS VALIDATE_PASSWORD . POLICY
        RESET PERSIST IF EXISTS VALIDATE_PASSWORD . LENGTH
        RESET PERSIST IF EXISTS GENERAL_LOG
        RESET PERSIST IF EXISTS LOG_OUTPUT
        ALTER USER IF EXISTS S @ S PASSWORD EXPIRE INTERVAL N DAY FAILED_LOGIN_ATTEMPTS N PASSWORD_LOCK_TIME N
        ALTER USER IF EXISTS S @ S PASSWORD EXPIRE DEFAULT FAILED_LOGIN_ATTEMPTS N PASSWORD_LOCK_TIME N
    """,
}
SHAPES = {
    dialect: {line.strip() for line in text.splitlines() if line.strip()} for dialect, text in OPAQUE.items()
}


def given(pack: Pack, administrators: list[str], clients: tuple[str, ...] = ("10.66.1.10/32",)) -> Values:
    values = values_for(pack)
    parameters = values.parameters | {"administrators": administrators}
    return replace(
        values, parameters=parameters, host="his-oracle", own=("127.0.0.1", "10.66.1.30"), clients=clients
    )


def shape(tokens: list[Token]) -> str:
    """Return the statement with its texts, names and numbers taken out."""
    words = []
    if tokens[0].token_type is TokenType.COMMAND:  # CALL: the tokenizer keeps what follows as one piece
        words, tokens = [tokens[0].text.upper()], Dialect.get_or_raise("postgres").tokenize(tokens[1].text)
    for token in tokens:
        if token.token_type in (TokenType.STRING, TokenType.NATIONAL_STRING):
            words.append("S")
        elif token.token_type is TokenType.IDENTIFIER:
            words.append("I")
        else:
            words.append("N" if token.token_type is TokenType.NUMBER else token.text.upper())
    return " ".join(words)


def statements(sql: str, pack: Pack) -> Iterator[list[Token]]:
    """Yield the statements of `sql` as the parser's tokenizer cuts them."""
    statement: list[Token] = []
    for token in Dialect.get_or_raise(PARSERS[pack.dialect]).tokenize(sql):
        if token.token_type is not TokenType.SEMICOLON:
            statement.append(token)
        elif statement:
            yield statement
            statement = []
    if statement:
        yield statement


def problems(sql: str, pack: Pack) -> list[str]:
    """Return the statements of `sql` that are neither parsed into a tree nor in the list."""
    try:
        return [problem for tokens in statements(sql, pack) if (problem := _problem(sql, tokens, pack))]
    except TokenError as error:
        return [f"{sql!r}: {error}"]


def _problem(sql: str, tokens: list[Token], pack: Pack) -> str | None:
    written = shape(tokens)
    if written in SHAPES[pack.dialect]:
        return None
    source = sql[tokens[0].start : tokens[-1].end + 1]
    try:
        (tree,) = sqlglot.parse(source, dialect=PARSERS[pack.dialect])
    except (ParseError, ValueError) as error:
        return f"{source!r}: {error}"
    if isinstance(tree, exp.IfBlock):
        # Guarded: the condition is a tree, and what it guards is in the list.
        guarded = next(
            (n for n, token in enumerate(tokens) if token.text.upper() in ("CREATE", "ALTER", "DROP")), 0
        )
        return None if shape(tokens[guarded:]) in SHAPES[pack.dialect] else f"not in the list: {source!r}"
    if isinstance(tree, PARSED) and not tree.find(exp.Command):
        return None
    return f"neither parsed nor in the list: {written}"


def all_sql(part: Rendered) -> list[str]:
    return [sql for sql in (part.before, part.do, part.undo) if sql]


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Opaque commands are counted here, not told of in the log."""
    caplog.set_level(logging.CRITICAL, logger="sqlglot")


@pytest.mark.parametrize("product", PACKS)
@pytest.mark.parametrize("administrators", [[], PLAIN, HOSTILE], ids=["nobody", "plain", "hostile"])
def test_every_statement_is_read_by_the_parser(product: str, administrators: list[str]) -> None:
    pack = PACKS[product]
    parts = [part for part in rendered(pack, given(pack, administrators)) if not hasattr(part.part, "path")]
    assert parts
    assert [problem for part in parts for sql in all_sql(part) for problem in problems(sql, pack)] == []


@pytest.mark.parametrize("product", PACKS)
def test_a_value_changes_no_word(product: str) -> None:
    pack = PACKS[product]

    def shapes(names: list[str]) -> list[str]:
        made = scripts(pack, given(pack, names), "zh")
        # What a comment must never hold back or let go is seen in the whole file.
        files = [without_client_lines(text, pack) for text in (made.harden, made.undo, made.check)]
        return [shape(statement) for file in files for statement in statements(file, pack)]

    assert shapes(HOSTILE) == shapes([f"name{number}" for number in range(len(HOSTILE))])


def without_client_lines(text: str, pack: Pack) -> str:
    mine = {*pack.prologue, pack.batch}
    return "\n".join(line for line in text.splitlines() if line not in mine)


@pytest.mark.parametrize("product", PACKS)
def test_the_file_holds_the_statements_and_nothing_else(product: str) -> None:
    pack = PACKS[product]
    values = given(pack, PLAIN)
    made = scripts(pack, values, "en")
    parts = [part for part in rendered(pack, values) if isinstance(part.part, Statement)]
    for file, fields in ((made.harden, ("before", "do")), (made.undo, ("undo",))):
        ordered = parts if "do" in fields else list(reversed(parts))
        wanted = [shape(s) for part in ordered for field in fields for s in statements(getattr(part, field), pack)]
        assert [shape(s) for s in statements(without_client_lines(file, pack), pack)] == wanted
        assert wanted


@pytest.mark.parametrize("product", PACKS)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_no_comment_goes_on_or_ends_a_statement(product: str, language: Any) -> None:
    pack = PACKS[product]
    made = scripts(pack, given(pack, PLAIN), language)
    for text in (made.harden, made.undo, made.check):
        lines = text.splitlines()
        comments = [line for line in lines if line.startswith("--")]
        assert not [line for line in comments if line.endswith(("-", ";"))]
        assert len(max((line for line in comments if not line.startswith("--    ")), key=len)) < 160
        # A client that reads another encoding may swallow the newline behind a comment: a statement never follows it.
        assert not [pair for pair in pairwise(lines) if pair[0][:2] == "--" and pair[1][:2] not in ("--", "")]


@pytest.mark.parametrize("product", PACKS)
@pytest.mark.parametrize(
    "value", ["a\nb", "a\rb", "a\u2028b", "a\x00b", "", "  ", "x" * 129, "a\u202eb"], ids=repr
)
def test_what_cannot_be_quoted_is_refused(product: str, value: str) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        scripts(PACKS[product], given(PACKS[product], [value]), "en")


@pytest.mark.parametrize(
    ("product", "value"), [("mysql8", "a\\'b"), ("oracle11g", 'a"b'), ("dm8", 'a"b'), ("sqlserver", "$(x)")]
)
def test_what_a_product_reads_inside_quotes_is_refused(product: str, value: str) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        scripts(PACKS[product], given(PACKS[product], [value]), "en")


def test_an_unquoted_value_does_not_render() -> None:
    pack = PACKS["oracle11g"]
    careless = pack.statements[3].model_copy(
        update={"do": "ALTER USER {{ administrators[0] }} PROFILE medsec_person;"}
    )
    with pytest.raises(UsageError, match="unquoted"):
        scripts(pack.model_copy(update={"statements": [careless]}), given(pack, PLAIN), "en")


@pytest.mark.parametrize(
    ("product", "broken"),
    [
        ("oracle11g", "SELECT username FROM dba_users WHERE"),
        ("oracle11g", "SELECT username FROM dba_users WHERE name = 'a"),
        ("oracle11g", "AUDIT SESSION BY ACESS;"),
        ("oracle11g", "ALTER USER his ACCOUNT LOCK;"),
        ("sqlserver", "IF NOT EXISTS (SELECT 1 FROM sys.server_audits WHERE) DROP SERVER AUDIT [medsec];"),
        ("sqlserver", "IF EXISTS (SELECT 1 FROM sys.server_audits) ALTER LOGIN [his] DISABLE;"),
        ("sqlserver", "RECONFIGURE NOW;"),
        ("mysql8", "SET PERSIST = 8;"),
        ("mysql8", "DROP USER 'his'@'%';"),
        ("kingbasees9", "ALTER SYSTEM SET log_connections on;"),
        ("dm8", "SP_SET_ENABLE_AUDIT(1;"),
    ],
)
def test_the_tests_see_a_broken_or_foreign_statement(product: str, broken: str) -> None:
    assert problems(broken, PACKS[product])


@pytest.mark.parametrize("product", PACKS)
def test_a_pack_serves_all_four_items_and_says_where_it_is_from(product: str) -> None:
    pack = PACKS[product]
    assert {query.item for query in pack.queries} == {"DB-01", "DB-02", "DB-03", "DB-04"}
    assert {change.item for change in [*pack.statements, *pack.files]} >= {"DB-02", "DB-03"}
    made = scripts(pack, given(pack, PLAIN), "en")
    assert made.harden.count("knowledge: ") == len(pack.statements) + len(pack.files)
    assert made.check.count("No row when compliant; knowledge: ") == len(pack.queries)
    for text in (made.harden, made.undo, made.check):
        assert "NOT PROVEN ON A LIVE SERVER" in text
        assert "host: his-oracle" in text


@pytest.mark.parametrize("product", PACKS)
def test_nothing_done_drops_locks_or_expires_an_account_that_nobody_named(product: str) -> None:
    pack = PACKS[product]
    for part in rendered(pack, given(pack, [])):
        for sql in (part.do, part.undo):
            for statement in statements(sql, pack):
                words = shape(statement).split()
                assert words[0] not in ("ALTER", "DROP", "REVOKE", "RENAME") or words[1] not in (
                    "USER",
                    "LOGIN",
                    "ROLE",
                )
                assert words[:4] != ["ALTER", "PROFILE", "DEFAULT", "LIMIT"]
                assert "DEFAULT_PASSWORD_LIFETIME" not in words[:3]


@pytest.fixture
def clinic(tmp_path: Any) -> Inventory:
    ledger = (ROOT / "inventory/group_vars/all/ledger.yml").read_text(encoding="utf-8")
    (tmp_path / "group_vars/all").mkdir(parents=True)
    oracle = ledger.replace("runs: [postgresql, mariadb]", "runs: [oracle]").replace(
        "{port: 5432, process: postgres,", "{port: 1521, process: tnslsnr,"
    )
    # Of Oracle nothing is collected.
    for both_ends in (
        "      collected_by:\n        - {host: backup, address: 10.66.2.10}\n",
        "      collects_from:\n        - {host: his-db, address: 10.66.1.20, systems: [postgresql, mariadb]}\n",
    ):
        assert both_ends in oracle
        oracle = oracle.replace(both_ends, "")
    assert oracle.count("oracle") == 1
    assert oracle.count("tnslsnr") == 1
    (tmp_path / "group_vars/all/ledger.yml").write_text(oracle, encoding="utf-8")
    hosts = (ROOT / "inventory/hosts.yml").read_text(encoding="utf-8")
    (tmp_path / "hosts.yml").write_text(hosts, encoding="utf-8")
    (tmp_path / "group_vars/databases.yml").write_text(
        "mariadb_passwords_enforced_life_days: 60\ndatabase_statements_max_errors: 4\n", encoding="utf-8"
    )
    return load_inventory(tmp_path)


def test_a_host_brings_its_ledger_and_its_values(clinic: Inventory) -> None:
    pack = load_pack(ROOT, "oracle11g")
    values = values_for(pack, clinic.hosts["his-db"], clinic.ledger)
    assert values.clients == ("10.66.1.10/32",)
    made = scripts(pack, values, "en")
    # The server's own address is never missing: its instance could not register with the listener.
    assert "TCP.INVITED_NODES = (127.0.0.1, 10.66.1.20, 10.66.1.10)" in made.harden
    assert "FAILED_LOGIN_ATTEMPTS 4 " in made.harden
    assert "PASSWORD_LIFE_TIME 60 " in made.harden
    assert "left out: database_statements_administrators names nobody" in made.harden


def test_a_host_without_the_product_or_its_listener_is_refused(clinic: Inventory) -> None:
    with pytest.raises(UsageError, match="runs"):
        values_for(load_pack(ROOT, "dm8"), clinic.hosts["his-db"], clinic.ledger)
    host = clinic.hosts["his-db"]
    deaf = replace(host, ledger=host.ledger.model_copy(update={"listens": []}))
    with pytest.raises(UsageError, match="no listener"):
        values_for(load_pack(ROOT, "oracle11g"), deaf, clinic.ledger)
    misspelt = replace(host, variables={"database_statements_lifedays": 3})
    with pytest.raises(UsageError, match="no parameter"):
        values_for(load_pack(ROOT, "oracle11g"), misspelt, clinic.ledger)


@pytest.mark.parametrize(
    ("network", "condition"),
    [
        ("10.66.1.10/32", "a NOT IN ('10.66.1.10')"),
        ("10.66.1.0/24", "a NOT LIKE '10.66.1.%'"),
        ("10.66.2.0/23", "a NOT LIKE '10.66.2.%' AND a NOT LIKE '10.66.3.%'"),
        ("10.66.0.0/16", "a NOT LIKE '10.66.%'"),
        ("10.66.1.8/31", "a NOT IN ('10.66.1.8', '10.66.1.9')"),
    ],
)
def test_networks_become_conditions(network: str, condition: str) -> None:
    assert outside([network], "a", "oracle") == f"({condition})"


def test_the_command_writes_three_private_files(clinic: Inventory, tmp_path: Any) -> None:
    command = [
        "statements",
        "oracle11g",
        "--host",
        "his-db",
        "-i",
        str(clinic.path),
        "--output",
        str(tmp_path / "out"),
    ]
    result = CliRunner().invoke(build("zh"), command)
    assert result.exit_code == 0, result.output
    files = sorted((tmp_path / "out").iterdir())
    assert [file.name for file in files] == [
        f"his-db-oracle11g-{kind}.sql" for kind in ("check", "harden", "undo")
    ]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert "未在真实服务器上验证" in files[1].read_text(encoding="utf-8")


def test_without_a_product_the_command_lists_them() -> None:
    result = CliRunner().invoke(build("en"), ["statements"])
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.output.splitlines()[1:]] == list(PACKS)
    assert result.output.count("not proven on a live server") == len(PACKS)
