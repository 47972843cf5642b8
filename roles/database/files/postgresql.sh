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
    # A restore drill's server is nobody's.
    case $(cat "/proc/$number/cgroup") in *medsec-drill-*) continue ;; esac
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
  major=$(cat "$data/PG_VERSION")
  psql=$bin/psql
  if [ ! -x "$psql" ]; then psql=$(command -v psql); fi
}

ask() { # [DATABASE [PSQL-OPTION...]] : SQL on stdin
  database=${1:-postgres}
  if [ $# -gt 0 ]; then shift; fi
  runuser -u "$owner" -- env -i PATH="$PATH" PGCONNECT_TIMEOUT=10 "$psql" -XAtqw -v ON_ERROR_STOP=1 "$@" -h "$socket" -p "$port" -d "$database"
}

databases() { echo "SELECT datname FROM pg_database WHERE datallowconn AND datname <> 'template1' ORDER BY 1" | ask; }

# Settings in force for sessions that have none of their own, as one row each; the superuser's own may differ. And what the files
# say, which holds from the next reload or restart on.
files_say="coalesce((SELECT f.setting FROM pg_file_settings f WHERE lower(f.name) = s.name AND (f.error IS NULL OR f.error = 'setting could not be applied')
  ORDER BY f.seqno DESC LIMIT 1), s.boot_val)"
in_force="SELECT s.name, CASE WHEN s.source IN ('database', 'user', 'database user', 'client', 'session') THEN $files_say ELSE s.setting END AS value FROM pg_settings s"
later="SELECT s.name, CASE s.source WHEN 'command line' THEN s.setting ELSE $files_say END AS value FROM pg_settings s"

value() { echo "SELECT value FROM ($in_force) AS s WHERE name = '$1'" | ask; }
value_later() { echo "SELECT value FROM ($later) AS s WHERE name = '$1'" | ask; }

# What the server would load at its next start, for several controls want libraries of it: the one list of them all is kept in
# a drop-in of its own.
with_libraries() { # NAME... : the configured list, with those that it lacks
  list=$(echo "SELECT coalesce((SELECT setting FROM pg_file_settings WHERE name = 'shared_preload_libraries'
    AND (error IS NULL OR error = 'setting could not be applied') ORDER BY seqno DESC LIMIT 1), current_setting('shared_preload_libraries'))" |
    ask | tr -d "'\" ")
  for one in "$@"; do
    case ",$list," in *,"$one",*) ;; *) list=${list:+$list,}$one ;; esac
  done
  printf '%s' "$list"
}

loaded() { # NAME : whether the server runs with it
  case ",$(value shared_preload_libraries | tr -d "'\" ")," in *,"$1",*) ;; *) return 1 ;; esac
}

library_present() { # NAME
  for folder in "$bin/../lib" /usr/lib64/pgsql "/usr/pgsql-$major/lib"; do
    if [ -e "$folder/$1.so" ]; then return 0; fi
  done
  return 1
}

refused_settings() { # stop where the server would not take its files
  wrong=$(echo "SELECT sourcefile || ':' || sourceline || ' ' || coalesce(name, '') || ': ' || error FROM pg_file_settings
    WHERE error IS NOT NULL AND error <> 'setting could not be applied'" | ask)
  if [ -n "$wrong" ]; then
    echo "the server on port $port would refuse its settings, which are left as they are: $wrong" >&2
    exit 3
  fi
}

undo_later() { # DROP-IN CONTROL : put out of use what is read after it and says otherwise
  if [ ! -e "$1" ]; then return; fi
  printf "SELECT DISTINCT f.sourcefile, f.sourceline, f.name FROM pg_file_settings f JOIN pg_file_settings o
    ON o.name = f.name AND o.sourcefile = :'dropin' WHERE f.sourcefile <> o.sourcefile AND f.seqno > o.seqno ORDER BY 1, 2" |
    ask postgres -v dropin="$1" -F "$tab" | while IFS="$tab" read -r file line name; do
      case $file in
        */postgresql.auto.conf) echo "ALTER SYSTEM RESET $name" | ask ;;
        *) sed -i "${line}s/^/# put out of use by medsec ($2): /" "$file" ;;
      esac
    done
}

# Settings that a role or a database has of its own, as c, NAME=VALUE, of `subject`.
own_settings="(SELECT c, CASE WHEN o.setrole = 0 AND o.setdatabase = 0 THEN 'ROLE ALL'
    WHEN o.setrole = 0 THEN format('DATABASE %I', d.datname)
    ELSE format('ROLE %I', r.rolname) || coalesce(format(' IN DATABASE %I', d.datname), '') END AS subject
  FROM pg_db_role_setting o LEFT JOIN pg_roles r ON r.oid = o.setrole LEFT JOIN pg_database d ON d.oid = o.setdatabase,
  unnest(o.setconfig) AS c) AS own"

undo_by() { # a script on stdout, in base64 after the word undo, that makes the server take the statements on stdin; nothing where there are none
  statements=$(cat)
  case $statements in *ALTER* | *GRANT* | *REVOKE* | *DROP*) ;; *) return ;; esac
  {
    # shellcheck disable=SC2016 # for the shell that undoes
    printf 'runuser -u %s -- env -i PATH="$PATH" %s -Xqw -v ON_ERROR_STOP=1 -h %s -p %s -d postgres << "END_OF_STATEMENTS"\n' "$owner" "$psql" "$socket" "$port"
    printf '%s\nEND_OF_STATEMENTS\n' "$statements"
  } | base64 -w 0 | sed "s/.*/undo$tab&/"
  echo
}

settings_files() {
  config=$(dirname "$(value config_file)")
  for path in "$config/postgresql.conf" "$config/conf.d" "$data/postgresql.auto.conf"; do printf 'file\t%s\n' "$path"; done
}

changed() { # when the files that the rules come from last changed
  echo "SELECT coalesce(row_to_json(r) ->> 'file_name', current_setting('hba_file')) FROM pg_hba_file_rules r
    UNION SELECT current_setting('hba_file') UNION SELECT current_setting('ident_file')" | ask | while IFS= read -r file; do
    if [ -e "$file" ]; then stat -L -c %.6Z "$file"; fi
  done | sort -n | tail -n 1
}

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
