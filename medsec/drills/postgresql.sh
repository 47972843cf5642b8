# shellcheck shell=sh disable=SC2154
# PostgreSQL from logical dumps: each cluster of the backup into a cluster of its own.
as_postgres() { (cd / && exec runuser -u postgres -- "$@"); }
sql() { as_postgres psql -XAtq -v ON_ERROR_STOP=1 -h "$socket" "$@"; }

prove() {
  for folder in "$set"/*/; do
    cluster=$(basename "$folder")
    preload=$(sed -n '1s/.*"preload" : "\([^"]*\)".*/\1/p' "$folder"postgres.dump.manifest | tr -d ' ' | tr ',' '\n' | grep -x -e pgaudit -e set_user | paste -sd, -) || true
    server=$(sed -n '1s/.*"server" : "\([0-9]*\).*/\1/p' "$folder"postgres.dump.manifest)
    tools_of "$server"
    start
    restore
    look_at_indexes
    read_back
    integrity
  done
}

tools_of() { # MAJOR VERSION
  for bin in "/usr/lib/postgresql/$1/bin" "/usr/pgsql-$1/bin" /usr/bin; do
    [ ! -x "$bin/initdb" ] || break
  done
  PATH=$bin:$PATH
  need initdb pg_ctl psql pg_restore pg_amcheck pg_checksums
  found=$(postgres --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
  [ "$found" -ge "${1:-0}" ] || fault tools "PostgreSQL $1 ($found)"
}

start() { # It listens to its own folder alone, archives nothing, follows nobody and runs nobody's workers.
  step start
  home=$scratch/$cluster data=$scratch/$cluster/data socket=/tmp/$cluster # the unit's own /tmp
  mkdir "$home" "$socket"
  chown postgres: "$home" "$socket"
  touch "$home/server.log"
  chown postgres: "$home/server.log"
  try start as_postgres initdb -N -D "$data" -U postgres -A peer -k -E UTF8 --locale=C
  cat >> "$data/postgresql.conf" << END
listen_addresses = ''
unix_socket_directories = '$socket'
archive_mode = off
wal_level = minimal
max_wal_senders = 0
max_logical_replication_workers = 0
logging_collector = off
shared_preload_libraries = '$preload'
END
  as_postgres pg_ctl -D "$data" -w -t 120 -l "$home/server.log" start >> "$log" 2>&1 < /dev/null || {
    cat "$home/server.log" >> "$log"
    fault start "$(one_line < "$home/server.log")"
  }
}

restore() {
  step restore
  # The scratch server has its postgres already, and no folders of tablespaces.
  grep -vxE 'CREATE ROLE postgres;|(CREATE|ALTER) TABLESPACE .*|(GRANT|REVOKE|COMMENT) .*ON TABLESPACE .*' "${folder}globals.sql" > "$home/globals.sql"
  try restore sql -d postgres < "$home/globals.sql"
  for dump in "$folder"*.dump; do
    as_postgres pg_restore -h "$socket" -d template1 -C -c --if-exists --no-tablespaces --no-subscriptions --exit-on-error < "$dump" >> "$log" 2>&1 ||
      fault restore "$cluster/$(basename "$dump"): $(one_line < "$log")"
  done
}

look_at_indexes() { # beside the comparison: either keeps one processor busy
  as_postgres pg_amcheck -h "$socket" --all --install-missing --heapallindexed > "$home/amcheck" 2>&1 &
  amcheck=$!
}

read_back() {
  say restored "$cluster"
  step compare
  for dump in "$folder"*.dump; do
    say holds "$cluster/$(basename "$dump")"
    database=$(pg_restore -l "$dump" | sed -n 's/^; *dbname: //p' | head -n 1)
    (export PGDATABASE="$database"; postgresql_manifest | sql -v left_out=t) > "$scratch/tables" 2>> "$log" || fault compare "$database: $(one_line < "$log")"
    sed 's/^/0\ttable\t/' "$scratch/tables"
  done
  canary=$(sql -d medsec -c "SELECT json_build_object('value', value, 'renewed', extract(epoch FROM renewed)) FROM medsec.canary" 2>> "$log") || canary=
  say canary "$canary"
}

integrity() {
  step integrity
  wait "$amcheck" || fault integrity "$(one_line < "$home/amcheck")"
  try start as_postgres pg_ctl -D "$data" -w -m fast stop
  try integrity as_postgres pg_checksums -D "$data" --check
  say sound "$cluster"
}
