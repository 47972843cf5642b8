#!/bin/sh
# Tells how each running PostgreSQL server lets in more than the ledger registers, and makes narrowed rules take effect.
#   pghba.sh report LISTENS SETS METHODS    a line of JSON for each server: port, owner, file of rules, the rules as they should
#       be, what it lacks (of: rules address effect), and why that cannot be given without cutting somebody off, or ""
#   pghba.sh parse PORT FILE                whether the server would take FILE for its rules
#   pghba.sh settle PORT LISTENS SETS METHODS    reload; restart where the server listens where the ledger has no listener
#   pghba.sh scope                          the files that may be changed
# LISTENS, SETS: the host's `listens` and the ledger's `address_sets`, as JSON. METHODS: comma-separated, for the network.
# Run with postgresql.sh before it.
# shellcheck disable=SC2154 # from there
mode=$1
shift

# Rules, login roles and who may come, as tables for the questions below. `word` says how a rule's list takes a name in.
tables() {
  cat << 'SQL'
CREATE FUNCTION pg_temp.takes(words text[], name text) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT FROM unnest(words) AS w(word) WHERE word IN ('all', name)
    OR (word LIKE '/%' AND current_setting('server_version_num')::int >= 160000 AND name ~ substr(word, 2))
    OR (word LIKE '+%' AND EXISTS (WITH RECURSIVE up(oid) AS (SELECT oid FROM pg_roles WHERE rolname = name
      UNION SELECT m.roleid FROM up JOIN pg_auth_members m ON m.member = up.oid) SELECT FROM up WHERE pg_get_userbyid(oid) = substr(word, 2)))) $$;
CREATE FUNCTION pg_temp.word(word text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN word ~ '^[+]?[A-Za-z0-9_][A-Za-z0-9_.=-]*$' THEN word
    WHEN word LIKE '+%' THEN '+"' || substr(word, 2) || '"' ELSE '"' || word || '"' END $$;
CREATE FUNCTION pg_temp.list(words text[]) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT string_agg(pg_temp.word(word), ',') FROM unnest(words) AS w(word) $$;
CREATE TEMPORARY TABLE source AS SELECT DISTINCT a::inet AS net FROM jsonb_array_elements(:'listens'::jsonb) AS l,
  jsonb_array_elements_text(l -> 'sources') AS s, jsonb_array_elements_text(:'sets'::jsonb -> s) AS a
  WHERE (l ->> 'port')::int = current_setting('port')::int AND l ->> 'protocol' = 'tcp'
  AND l ->> 'process' ~ '(^|/)(postgres|postmaster|postgresql[^/]*[.]service)$';
CREATE TEMPORARY TABLE own AS SELECT DISTINCT a::inet AS net FROM unnest(string_to_array(:'addresses', ',')) AS a;
CREATE TEMPORARY TABLE home AS SELECT net FROM (VALUES ('127.0.0.0/8'::inet), ('::1/128')) AS v(net)
  UNION SELECT host(net)::inet FROM own WHERE NOT net <<= '127.0.0.0/8' AND net <> '::1';
CREATE TEMPORARY TABLE permitted AS SELECT net FROM source UNION SELECT net FROM home;
CREATE TEMPORARY TABLE rule AS SELECT row_number() OVER (ORDER BY coalesce((row_to_json(r) ->> 'rule_number')::int, line_number)) AS n,
  line_number AS line, type, database AS dbs, user_name AS users, address, netmask, auth_method AS method, coalesce(options, '{}') AS options
  FROM pg_hba_file_rules AS r WHERE error IS NULL;
CREATE TEMPORARY TABLE area AS SELECT n, network(set_masklen(address::inet, len)) AS net FROM rule, generate_series(0, 128) AS len
  WHERE netmask IS NOT NULL AND len <= CASE family(address::inet) WHEN 4 THEN 32 ELSE 128 END
  AND host(netmask(set_masklen(address::inet, len))) = host(netmask::inet)
  UNION SELECT n, net FROM rule, (VALUES ('0.0.0.0/0'::inet), ('::/0')) AS v(net) WHERE address = 'all'
  UNION SELECT n, host(net)::inet FROM rule, own WHERE address = 'samehost'
  UNION SELECT n, network(net) FROM rule, own WHERE address = 'samenet';
CREATE TEMPORARY TABLE login AS SELECT oid, rolname AS name, rolsuper AS super, rolpassword AS password FROM pg_authid WHERE rolcanlogin;
CREATE TEMPORARY TABLE live AS SELECT DISTINCT usename AS name, datname AS db, client_addr AS address, client_port = -1 AS local
  FROM pg_stat_activity WHERE usename IS NOT NULL AND backend_type IN ('client backend', 'walsender') AND pid <> pg_backend_pid();
-- An earlier rule that refuses everybody whom rule n speaks of.
CREATE TEMPORARY TABLE shut AS SELECT k.n FROM rule k WHERE EXISTS (SELECT FROM rule j WHERE j.n < k.n AND j.method = 'reject'
  AND j.type IN ('host', k.type) AND ('all' = ANY (j.users) OR k.users <@ j.users)
  AND (k.dbs <@ j.dbs OR ('all' = ANY (j.dbs) AND NOT ('replication' = ANY (k.dbs) AND NOT 'replication' = ANY (j.dbs))))
  AND NOT EXISTS (SELECT FROM area a WHERE a.n = k.n AND NOT EXISTS (SELECT FROM area b WHERE b.n = j.n AND a.net <<= b.net))
  AND EXISTS (SELECT FROM area a WHERE a.n = k.n));
-- Rules of the network that let a superuser in.
CREATE TEMPORARY TABLE too_mighty AS SELECT k.n, s.name FROM rule k, login s WHERE s.super AND k.type <> 'local' AND k.method <> 'reject'
  AND pg_temp.takes(k.users, s.name) AND NOT EXISTS (SELECT FROM shut WHERE n = k.n)
  AND NOT EXISTS (SELECT FROM rule j WHERE j.n < k.n AND j.method = 'reject' AND j.type = 'host' AND j.address = 'all' AND pg_temp.takes(j.users, s.name)
    AND (k.dbs <@ j.dbs OR ('all' = ANY (j.dbs) AND NOT ('replication' = ANY (k.dbs) AND NOT 'replication' = ANY (j.dbs)))));
-- The local rule that each superuser meets first.
CREATE TEMPORARY TABLE met AS SELECT DISTINCT ON (s.name) s.name, k.method, k.options FROM login s LEFT JOIN rule k
  ON k.type = 'local' AND pg_temp.takes(k.users, s.name) AND 'all' = ANY (k.dbs) WHERE s.super ORDER BY s.name, k.n;
SQL
}

# Why narrowing would cut off whom it must not.
refusals() {
  cat << 'SQL'
SELECT string_agg(why, '; ') FROM (
  SELECT format('line %s cannot be parsed: %s', line_number, error) FROM pg_hba_file_rules WHERE error IS NOT NULL
  UNION SELECT format('line %s names the host %s: write its address', line, address) FROM rule
    WHERE type <> 'local' AND method <> 'reject' AND netmask IS NULL AND address NOT IN ('all', 'samehost', 'samenet')
  UNION SELECT format('line %s has the mask %s, which is no prefix', line, netmask) FROM rule
    WHERE netmask IS NOT NULL AND NOT EXISTS (SELECT FROM area WHERE area.n = rule.n)
  UNION SELECT format('%s is connected from %s, which the ledger does not register for this server: register it, or end what it does there', name, host(address))
    FROM live WHERE address IS NOT NULL AND NOT EXISTS (SELECT FROM permitted WHERE address <<= net)
  UNION SELECT format('the superuser %s is connected from %s: what works there needs an account of its own', name, host(address))
    FROM live JOIN login USING (name) WHERE super AND address IS NOT NULL
  UNION SELECT DISTINCT format('line %s lets the superuser %s in from the network, and it has a password: give the application an account of its own, then ALTER ROLE %I PASSWORD NULL', line, name, name)
    FROM too_mighty JOIN rule USING (n) JOIN area a USING (n) JOIN login USING (name), source
    WHERE password IS NOT NULL AND (a.net <<= source.net OR source.net <<= a.net)
  UNION SELECT DISTINCT format('the password of %s is stored as md5, which scram-sha-256 does not take: it must be set anew (line %s)', l.name, line)
    FROM rule k JOIN area a USING (n), permitted p, login l WHERE method IN ('md5', 'password') AND type <> 'local' AND NOT l.super
    AND pg_temp.takes(users, l.name) AND (a.net <<= p.net OR p.net <<= a.net) AND l.password LIKE 'md5%'
  UNION SELECT format('line %s lets %s in from %s without a password, and it is connected: give it one at both ends, and scram-sha-256 to the rule', line, name, coalesce(host(live.address), 'this host'))
    FROM live JOIN login USING (name), rule k WHERE NOT super AND method IN ('trust', 'ident') AND pg_temp.takes(users, name)
    AND CASE WHEN live.address IS NULL THEN type = 'local' AND method = 'trust' ELSE EXISTS (SELECT FROM area a WHERE a.n = k.n AND live.address <<= a.net) END
  UNION SELECT DISTINCT format('line %s uses %s: add it to the methods, or change the line', line, method)
    FROM rule k JOIN area a USING (n), permitted p WHERE (a.net <<= p.net OR p.net <<= a.net)
    AND type <> 'local' AND method NOT IN ('reject', 'trust', 'ident', 'md5', 'password') AND method <> ALL (string_to_array(:'methods', ','))
) AS found(why)
SQL
}

# The rules as they should be, in the order of the old ones.
narrowed() {
  cat << 'SQL'
SELECT line FROM (SELECT DISTINCT ON (line) * FROM (
  SELECT 0 AS n, 0 AS m, rpad('local', 8) || 'all ' || pg_temp.word(name) || ' peer' || CASE method WHEN 'peer' THEN coalesce(' ' || nullif(array_to_string(
    ARRAY(SELECT pg_temp.word(o) FROM unnest(options) AS o), ' '), ''), '') ELSE '' END AS line FROM met
  UNION ALL SELECT 0, 1, rpad('host', 8) || 'all,replication ' || string_agg(pg_temp.word(name), ',' ORDER BY name) || ' all reject' FROM login WHERE super
  UNION ALL SELECT n, 0, rpad(type, 8) || pg_temp.list(dbs) || ' ' || pg_temp.list(users)
    || CASE WHEN type = 'local' THEN '' ELSE ' ' || CASE WHEN netmask IS NULL THEN pg_temp.word(address) ELSE address || ' ' || netmask END END
    || ' ' || CASE method WHEN 'trust' THEN 'scram-sha-256' ELSE method END
    || coalesce(' ' || nullif(array_to_string(ARRAY(SELECT pg_temp.word(o) FROM unnest(options) AS o), ' '), ''), '')
    FROM rule WHERE type = 'local' OR method = 'reject'
  UNION ALL SELECT DISTINCT n, 1, rpad(type, 8) || pg_temp.list(dbs) || ' ' || pg_temp.list(users)
    || ' ' || text(CASE WHEN a.net <<= p.net THEN a.net ELSE p.net END) || ' '
    || CASE WHEN method = ANY (string_to_array(:'methods', ',')) THEN method ELSE 'scram-sha-256' END
    || coalesce(' ' || nullif(array_to_string(ARRAY(SELECT pg_temp.word(o) FROM unnest(options) AS o WHERE o LIKE 'clientcert=%'
      OR method = ANY (string_to_array(:'methods', ','))), ' '), ''), '')
    FROM rule JOIN area a USING (n) JOIN permitted p ON a.net <<= p.net OR p.net <<= a.net
    WHERE type <> 'local' AND method <> 'reject' AND NOT p.net <<= 'fe80::/10'
) AS made ORDER BY line, n, m) AS once ORDER BY n, m, line
SQL
}

wanting() {
  cat << 'SQL'
SELECT concat_ws(',',
  CASE WHEN EXISTS (SELECT FROM rule WHERE type = 'local' AND method = 'trust') OR EXISTS (SELECT FROM too_mighty)
    OR EXISTS (SELECT FROM met WHERE method IS NULL OR method NOT IN ('peer', 'reject'))
    OR EXISTS (SELECT FROM pg_hba_file_rules WHERE error IS NOT NULL)
    OR EXISTS (SELECT FROM rule k WHERE type <> 'local' AND method <> 'reject' AND NOT EXISTS (SELECT FROM shut WHERE n = k.n)
      AND (method <> ALL (string_to_array(:'methods', ',')) OR NOT EXISTS (SELECT FROM area WHERE n = k.n)
        OR EXISTS (SELECT FROM area a WHERE a.n = k.n AND NOT EXISTS (SELECT FROM permitted p WHERE a.net <<= p.net)))) THEN 'rules' END,
  CASE WHEN NOT EXISTS (SELECT FROM source) AND EXISTS (SELECT FROM unnest(string_to_array(current_setting('listen_addresses'), ',')) AS l
    WHERE trim(l) !~ '^(localhost|127[.].*|::1|)$') THEN 'address' END,
  CASE WHEN to_timestamp(:read) > pg_conf_load_time() OR EXISTS (SELECT FROM pg_settings WHERE pending_restart AND name IN ('listen_addresses', 'hba_file', 'port'))
    THEN 'effect' END)
SQL
}

rules_file() { value hba_file; }

answers() { # SQL-FUNCTION... : each one's answer, a record ended by the separator
  # The functions and tables of the questions are this session's own; nothing of them stays in the database.
  { echo 'SET client_min_messages = error;'; tables; for one in "$@"; do "$one"; printf ';\n\\echo\n'; done; } |
    ask postgres -v listens="$listens" -v sets="$sets" -v methods="$methods" -v read="$(changed)" -v addresses="$(ip -o addr | awk '{ print $4 }' | paste -sd, -)"
}

as_json() { sed 's/\\/\\\\/g; s/"/\\"/g; s/\t/ /g; s/.*/"&"/' | paste -sd, -; }

tell() {
  if [ "$(echo 'SELECT pg_is_in_recovery()' | ask)" = t ]; then
    lacks="" refuse="" rules=""
  else
    lacks=$(answers wanting)
    refuse=$(answers refusals)
    rules=$(answers narrowed)
  fi
  # The server's own view of its rules leaves out the quotes, in which a keyword is only a name.
  quoted=$(grep -nE '"([+/]|all"|same(user|role|group|host|net)"|replication")' "$(rules_file)" | sed -nE '/^[0-9]+:[^#]*reject/s/:.*//p' | paste -sd, -)
  if [ -n "$quoted" ]; then
    lacks=rules
    refuse="line $quoted refuses a name in quotes that is a keyword, hence nobody: take the quotes away${refuse:+; $refuse}"
  fi
  lacks=$(printf '%s' "$lacks" | tr -d '\n')
  printf '{"port": "%s", "owner": "%s", "file": "%s", "lacks": "%s", "refuse": %s, "rules": [%s]}\n' \
    "$port" "$owner" "$(rules_file)" "$lacks" "$(printf '%s\n' "$refuse" | as_json)" "$(printf '%s\n' "$rules" | sed '/^$/d' | as_json)"
}

# The server parses the file at its place only: for a moment the new one lies there, and nobody tells the server to read it.
parse() {
  place=$(rules_file)
  held=$(mktemp "$(dirname "$place")/.medsec-hba.XXXXXX")
  cp -p "$place" "$held"
  trap 'mv -f "$held" "$place"' EXIT
  cat "$candidate" > "$place"
  wrong=$(echo "SELECT 'line ' || line_number || ': ' || error FROM pg_hba_file_rules WHERE error IS NOT NULL" | ask)
  if [ -n "$wrong" ]; then
    echo "the server on port $port would refuse these rules, which are not put in place: $wrong" >&2
    exit 3
  fi
}

settle() {
  lacks=$(answers wanting)
  case $lacks in
    *address*)
      echo "ALTER SYSTEM SET listen_addresses = 'localhost'" | ask
      ;;
  esac
  echo 'SELECT pg_reload_conf()' | ask > /dev/null
  sleep 1
  if [ -n "$(echo "SELECT 1 FROM pg_settings WHERE pending_restart AND name IN ('listen_addresses', 'hba_file', 'port')" | ask)" ]; then restart; fi
  lacks=$(answers wanting | tr -d '\n')
  if [ -n "$lacks" ]; then
    echo "the server on port $port still lacks: $lacks; does its command line set listen_addresses, or a second file the rules?" >&2
    exit 3
  fi
}

scope() {
  for path in "$(rules_file)" "$data/postgresql.auto.conf"; do printf 'file\t%s\n' "$path"; done
}

case $mode in
  scope) with_each scope ;;
  report)
    listens=$1 sets=$2 methods=$3
    with_each tell
    ;;
  parse)
    candidate=$2
    with_server "$1" parse
    ;;
  settle)
    listens=$2 sets=$3 methods=$4
    with_server "$1" settle
    ;;
  *) echo "unknown mode '$mode'" >&2; exit 2 ;;
esac
