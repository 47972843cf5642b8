# shellcheck shell=sh disable=SC2154
# A MariaDB server of the drill's own, and what it holds: for each way in which its data came back.
sql() { mariadb --no-defaults --default-character-set=utf8mb4 --socket="$socket" "$@"; }

place() { # where it lives
  home=$scratch/mariadb data=$scratch/mariadb/data socket=/tmp/mariadb # the unit's own /tmp
  mkdir "$home"
  chown mysql: "$home"
}

serve() { # CODE OPTION...: no port, no events, no replication, no binary log; CODE is the fault where it does not start
  code=$1
  shift
  mariadbd "$@" --user=mysql --datadir="$data" --skip-networking --socket="$socket" --pid-file="$home/pid" \
    --skip-log-bin --skip-slave-start --event-scheduler=OFF --max-allowed-packet=1G --tmpdir="$home" > "$home/server.log" 2>&1 < /dev/null &
  server=$!
  tries=0
  until mariadb-admin --no-defaults --socket="$socket" ping > /dev/null 2>&1; do
    tries=$((tries + 1))
    if [ $tries -ge 600 ] || ! kill -0 $server 2> /dev/null; then
      cat "$home/server.log" >> "$log"
      fault "$code" "$(one_line < "$home/server.log")"
    fi
    sleep 0.2
  done
}

read_back() { # SUFFIX ENGINES: of each file of the backup that ends so the tables that are of no such engine
  say restored mariadb
  step compare
  for file in "$set"/*"$1"; do
    say holds "$(basename "$file")"
    name=$(basename "$file" "$1" | sed 's/%2E/./g; s|%2F|/|g; s/%25/%/g' | tr -d '\n' | od -An -v -tx1 | tr -d ' \n')
    { echo "SET SESSION time_zone = '+00:00'; SET @medsec = CONVERT(UNHEX('$name') USING utf8mb4), @left_out = '$2';"; mariadb_manifest; } |
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
