# shellcheck shell=sh disable=SC2154
# MariaDB from logical dumps: all databases into a server of its own.
prove() {
  need mariadb-install-db mariadbd mariadb mariadb-admin mariadb-check
  start
  restore
  read_back .sql.gz ''
  integrity
}

start() {
  step start
  place
  try start mariadb-install-db --no-defaults --datadir="$data" --user=mysql --auth-root-authentication-method=socket --skip-test-db
  serve start --no-defaults
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
