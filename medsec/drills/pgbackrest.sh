# shellcheck shell=sh disable=SC2154
# PostgreSQL by pgBackRest: the files of a cluster, and its log up to the restore point that the manifests are of.
as_postgres() { (cd / && exec runuser -u postgres -- "$@"); }
sql() { as_postgres psql -XAtq -v ON_ERROR_STOP=1 -h "$socket" "$@"; }

prove() {
  need pgbackrest
  for folder in "$set"/*/; do
    cluster=$(basename "$folder")
    points "$folder"*.point
    room
    tools_of "$(sed -n '1s/.*"server" : "\([0-9]*\).*/\1/p' "$folder"postgres.point.manifest)"
    restore
    start
    look_at_indexes
    read_back
    integrity
  done
}

points() { # FILE...: each says stanza, backup, restore point, bytes; all say the same
  [ "$(cat "$@" | sort -u | wc -l)" -eq 4 ] || fault restore "$cluster: restore points that differ"
  { read -r stanza && read -r label && read -r point && read -r bytes; } < "$1" || fault restore "$cluster: no restore point"
  system=$(sed -n '1s/.*"system" : "\([0-9]*\)".*/\1/p' "$1.manifest")
  preload=$(sed -n '1s/.*"preload" : "\([^"]*\)".*/\1/p' "$1.manifest" | tr -d ' ' | tr ',' '\n' | grep -x -e pgaudit -e set_user | paste -sd, -) || true
}

room() { # for the files, and the log that is replayed
  needed=$((bytes * 5 / 4 / 1048576 + 256))
  free=$(df -Pm "$scratch" | awk 'NR == 2 {print $4}')
  [ "$free" -ge "$needed" ] || fault room "$free MiB"
}

tools_of() { # MAJOR VERSION: files of a version are read by that version alone
  for bin in "/usr/lib/postgresql/$1/bin" "/usr/pgsql-$1/bin" /usr/bin; do
    [ ! -x "$bin/pg_ctl" ] || break
  done
  PATH=$bin:$PATH
  need pg_ctl psql pg_amcheck pg_checksums pg_controldata
  found=$(postgres --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
  [ "$found" = "$1" ] || fault tools "PostgreSQL $1 ($found)"
}

restore() {
  step restore
  home=$scratch/$cluster data=$scratch/$cluster/data socket=/tmp/$cluster # the unit's own /tmp
  mkdir "$home" "$data" "$home/tablespaces" "$socket"
  chown postgres: "$home" "$data" "$home/tablespaces" "$socket"
  touch "$home/server.log"
  chown postgres: "$home/server.log"
  as_postgres env PGBACKREST_JOB_RETRY=0 pgbackrest --stanza="$stanza" --set="$label" --pg1-path="$data" --tablespace-map-all="$home/tablespaces" \
    --type=name --target="$point" --target-action=promote --archive-mode=off \
    --lock-path=/tmp/pgbackrest --log-level-console=warn --log-level-file=off restore >> "$log" 2>&1 || {
    ! grep -qE 'FormatError|CryptoError' "$log" || fault restore "$cluster: error: the repository cannot be decrypted, its key (repo1-cipher-pass) is another, or it is damaged"
    fault restore "$cluster: $(one_line < "$log")"
  }
  [ "$(as_postgres pg_controldata "$data" | sed -n 's/^Database system identifier: *//p')" = "$system" ] ||
    fault restore "$cluster: $stanza $label: error: another system's"
}

# It listens to its own folder alone, archives nothing, follows nobody and runs nobody's workers, whatever the live server's
# postgresql.auto.conf says, which comes with the backup.
start() {
  rm -f "$data/postgresql.conf" "$data/pg_hba.conf" "$data/pg_ident.conf"
  printf '%s\n' "listen_addresses = ''" > "$data/postgresql.conf"
  echo 'local all postgres peer' > "$data/pg_hba.conf"
  : > "$data/pg_ident.conf"
  chown postgres: "$data"/*.conf
  as_postgres pg_ctl -D "$data" -w -t 86400 -l "$home/server.log" -o "-c listen_addresses= -c unix_socket_directories=$socket -c port=5432 \
    -c data_directory=$data -c hba_file=$data/pg_hba.conf -c ident_file=$data/pg_ident.conf -c external_pid_file= -c ssl=off \
    -c archive_mode=off -c archive_command= -c primary_conninfo= -c primary_slot_name= -c hot_standby=off \
    -c max_logical_replication_workers=0 -c logging_collector=off -c log_destination=stderr -c log_statement=none \
    -c shared_preload_libraries=$preload -c session_preload_libraries= -c local_preload_libraries=" start >> "$log" 2>&1 < /dev/null || not_reached
  # It takes nobody before it has reached the restore point.
  until sql -d postgres -c 'SELECT 1' > /dev/null 2>&1; do
    as_postgres pg_ctl -D "$data" status > /dev/null || not_reached
    sleep 0.2
  done
}
not_reached() { # Our own askings, turned away while it recovered, are not the reason.
  cat "$home/server.log" >> "$log"
  fault restore "$cluster: $(grep -v 'FATAL: *the database system is ' "$home/server.log" | one_line)"
}

look_at_indexes() { # beside the comparison: either keeps one processor busy
  as_postgres pg_amcheck -h "$socket" --all --install-missing --heapallindexed > "$home/amcheck" 2>&1 &
  amcheck=$!
}

read_back() {
  say restored "$cluster"
  step compare
  for file in "$folder"*.point; do
    say holds "$cluster/$(basename "$file")"
    database=$(basename "$file" .point | sed 's/%2E/./g; s|%2F|/|g; s/%25/%/g')
    (export PGDATABASE="$database"; postgresql_manifest | sql -v left_out=tu) > "$scratch/tables" 2>> "$log" || fault compare "$database: $(one_line < "$log")"
    sed 's/^/0\ttable\t/' "$scratch/tables"
  done
  canary=$(sql -d medsec -c "SELECT json_build_object('value', value, 'renewed', extract(epoch FROM renewed)) FROM medsec.canary" 2>> "$log") || canary=
  say canary "$canary"
}

integrity() { # pgBackRest compared each file's digest; a cluster without checksums has none to look at
  step integrity
  wait "$amcheck" || fault integrity "$(one_line < "$home/amcheck")"
  try start as_postgres pg_ctl -D "$data" -w -m fast stop
  if as_postgres pg_controldata "$data" | grep -q '^Data page checksum version: *[1-9]'; then
    try integrity as_postgres pg_checksums -D "$data" --check
  fi
  say sound "$cluster"
}
