# shellcheck shell=sh disable=SC2154
# MariaDB from logical dumps: all databases into a server of its own.
prove() {
  need mariadb-install-db mariadbd mariadb mariadb-admin mariadb-check
  start
  restore
  read_back
  integrity
}
sql() { mariadb --no-defaults --default-character-set=utf8mb4 --socket="$socket" "$@"; }

start() { # No port, no events, no replication, no binary log.
  step start
  home=$scratch/mariadb data=$scratch/mariadb/data socket=/tmp/mariadb # the unit's own /tmp
  mkdir "$home"
  chown mysql: "$home"
  try start mariadb-install-db --no-defaults --datadir="$data" --user=mysql --auth-root-authentication-method=socket --skip-test-db
  mariadbd --no-defaults --user=mysql --datadir="$data" --skip-networking --socket="$socket" --pid-file="$home/pid" \
    --skip-log-bin --skip-slave-start --event-scheduler=OFF --max-allowed-packet=1G --tmpdir="$home" > "$home/server.log" 2>&1 < /dev/null &
  server=$!
  tries=0
  until mariadb-admin --no-defaults --socket="$socket" ping > /dev/null 2>&1; do
    tries=$((tries + 1))
    if [ $tries -ge 600 ] || ! kill -0 $server 2> /dev/null; then
      cat "$home/server.log" >> "$log"
      fault start "$(one_line < "$home/server.log")"
    fi
    sleep 0.2
  done
}

restore() { # The accounts come last: what comes before needs this server's own.
  step restore
  for dump in "$set"/*.sql.gz; do
    [ "$(basename "$dump")" = mysql.sql.gz ] || bring_back "$dump"
  done
  [ ! -e "$set/mysql.sql.gz" ] || bring_back "$set/mysql.sql.gz"
}
bring_back() { # DUMP
  gzip -dc -- "$1" 2>> "$log" > "$home/dump" || fault restore "$(basename "$1"): $(one_line < "$log")"
  tail -n 1 "$home/dump" | grep -q '^-- Dump completed' || fault restore "$(basename "$1"): the dump has no end"
  sql < "$home/dump" >> "$log" 2>&1 || fault restore "$(basename "$1"): $(one_line < "$log")"
  rm "$home/dump"
}

read_back() {
  say restored mariadb
  step compare
  for dump in "$set"/*.sql.gz; do
    say holds "$(basename "$dump")"
    name=$(basename "$dump" .sql.gz | sed 's/%2E/./g; s|%2F|/|g; s/%25/%/g' | tr -d '\n' | od -An -v -tx1 | tr -d ' \n')
    { echo "SET SESSION time_zone = '+00:00'; SET @medsec = CONVERT(UNHEX('$name') USING utf8mb4);"; mariadb_manifest; } |
      sql -NBr > "$home/statements" 2>> "$log" || fault compare "$(one_line < "$log")"
    { echo "SET SESSION time_zone = '+00:00';"; cat "$home/statements"; } | sql -NBr > "$home/tables" 2>> "$log" || fault compare "$(one_line < "$log")"
    sed 's/^/0\ttable\t/' "$home/tables"
  done
  canary=$(sql -NBr -e "SELECT JSON_OBJECT('value', value, 'renewed', renewed, 'system', system) FROM medsec.canary" 2>> "$log") || canary=
  say canary "$canary"
}

integrity() {
  step integrity
  mariadb-check --no-defaults --socket="$socket" --all-databases --check --silent > "$home/check" 2>&1 || fault integrity "$(one_line < "$home/check")"
  ! grep -qiE '^(error|warning) |corrupt' "$home/check" || fault integrity "$(one_line < "$home/check")"
  say sound mariadb
}
