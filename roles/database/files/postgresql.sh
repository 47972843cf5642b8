#!/bin/sh
# What the scripts for PostgreSQL share; each of them is run with this text before it, and never left on the host.
# shellcheck disable=SC2034,SC2119,SC2120,SC2317 # for them
set -eu
export LC_ALL=C
cd /
tab=$(printf '\t')

postmasters() { # PID<TAB>PROGRAM
  for link in /proc/[0-9]*/exe; do
    program=$(readlink "$link" 2> /dev/null) || continue
    program=${program% (deleted)}
    case $program in */postgres | */postmaster) ;; *) continue ;; esac
    number=${link#/proc/}
    number=${number%/exe}
    parent=$(sed -n 's/^PPid:[^0-9]*//p' "/proc/$number/status") || continue
    case $(readlink "/proc/$parent/exe" || true) in */postgres | */postgres' (deleted)' | */postmaster) continue ;; esac
    printf '%s\t%s\n' "$number" "$program"
  done
}

at() { # PID PROGRAM : everything below speaks of this server
  pid=$1
  bin=$(dirname "$2")
  data=$(readlink "/proc/$pid/cwd")
  port=$(sed -n 4p "$data/postmaster.pid")
  socket=$(sed -n 5p "$data/postmaster.pid")
  owner=$(stat -c %U "/proc/$pid")
  psql=$bin/psql
  if [ ! -x "$psql" ]; then psql=$(command -v psql); fi
}

ask() { # [DATABASE [PSQL-OPTION...]] : SQL on stdin
  database=${1:-postgres}
  if [ $# -gt 0 ]; then shift; fi
  runuser -u "$owner" -- env -i PATH="$PATH" PGCONNECT_TIMEOUT=10 "$psql" -XAtqw -v ON_ERROR_STOP=1 "$@" -h "$socket" -p "$port" -d "$database"
}

databases() { echo 'SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1' | ask; }

# Settings in force for sessions that have none of their own, as one row each; the superuser's own may differ.
in_force="SELECT s.name, CASE WHEN s.source IN ('database', 'user', 'database user', 'client', 'session')
  THEN coalesce((SELECT f.setting FROM pg_file_settings f WHERE f.name = s.name AND f.error IS NULL ORDER BY f.seqno DESC LIMIT 1), s.boot_val)
  ELSE s.setting END AS value FROM pg_settings s"

value() { echo "SELECT value FROM ($in_force) AS s WHERE name = '$1'" | ask; }

restart() { # by the service manager where it started the server
  unit=$(ps -o unit= -p "$pid")
  case $unit in
    *.service) systemctl restart "$unit" ;;
    *) runuser -u "$owner" -- "$bin/pg_ctl" -D "$data" -m fast -w restart > /dev/null ;;
  esac
  for _ in $(seq 60); do
    if echo 'SELECT 1' | ask > /dev/null 2>&1; then break; fi
    sleep 1
  done
}

with_server() { # PORT FUNCTION : the function speaks of the server on that port
  wanted=$1
  running=$(postmasters)
  while IFS="$tab" read -r number program; do
    at "$number" "$program"
    if [ "$port" = "$wanted" ]; then
      "$2"
      return
    fi
  done << SERVERS
$running
SERVERS
  echo "no server on port $wanted" >&2
  exit 3
}

with_each() { # FUNCTION
  postmasters | while IFS="$tab" read -r number program; do
    at "$number" "$program"
    "$1"
  done
}
