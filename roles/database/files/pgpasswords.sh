#!/bin/sh
# Tells which running PostgreSQL servers take weak passwords or let them be guessed fast, and makes written settings take effect.
#   pgpasswords.sh report MILLISECONDS         a line of JSON for each server: port, owner, drop-ins, libraries to preload, and
#       what it lacks (of: settings effect)
#   pgpasswords.sh settle PORT MILLISECONDS    put what contradicts the drop-ins out of use, reload, restart if that is needed
#   pgpasswords.sh scope                       the files that may be changed, and how to undo what is changed in SQL
# Run with postgresql.sh before it.
# shellcheck disable=SC2154 # from there
mode=$1
shift
guards='passwordcheck auth_delay'
# A library of the site's own that looks at passwords does as well.
other_guard=credcheck
weaker="split_part(c, '=', 1) = 'password_encryption' AND c <> 'password_encryption=scram-sha-256'"

describe() { # sets dropin, libraries, preload, lacks
  dropin=$(dirname "$(value config_file)")/conf.d/zz-medsec-passwords.conf
  libraries=$(dirname "$dropin")/zz-medsec-libraries.conf
  if loaded "$other_guard"; then guards=auth_delay; fi
  # shellcheck disable=SC2086 # words
  preload=$(with_libraries $guards)
  lacks=
  delay=$(value auth_delay.milliseconds)
  if [ "$(value password_encryption)$(value_later password_encryption)" != scram-sha-256scram-sha-256 ] || [ "${delay:-0}" -lt "$least" ]; then lacks=settings; fi
  for one in $guards; do
    case ",$(value_later shared_preload_libraries | tr -d "'\" ")," in *,"$one",*) ;; *) lacks=settings ;; esac
    if ! loaded "$one"; then lacks=settings; fi
  done
  waiting=$(echo "SELECT 1 FROM pg_settings WHERE pending_restart AND name = 'shared_preload_libraries' UNION SELECT 1 FROM $own_settings WHERE $weaker" | ask)
  if [ -n "$waiting" ]; then lacks=${lacks:+$lacks,}effect; fi
}

tell() {
  describe
  printf '{"port": "%s", "owner": "%s", "dropin": "%s", "libraries": "%s", "preload": "%s", "lacks": "%s"}\n' \
    "$port" "$owner" "$dropin" "$libraries" "$preload" "$lacks"
}

settle() {
  describe
  refused_settings
  undo_later "$dropin" postgresql_passwords_guarded
  undo_later "$libraries" postgresql_passwords_guarded
  echo "SELECT format('ALTER %s RESET password_encryption', subject) FROM $own_settings WHERE $weaker \\gexec" | ask
  echo 'SELECT pg_reload_conf()' | ask > /dev/null
  sleep 1
  waiting=$(echo "SELECT 1 FROM pg_settings WHERE pending_restart" | ask)
  for one in $guards; do
    if loaded "$one"; then continue; fi
    waiting=1
    # A server that is to load what is not there would not come up again.
    if ! library_present "$one"; then
      echo "$one.so is not installed for PostgreSQL $major (package postgresql-contrib); the server is not restarted" >&2
      exit 3
    fi
  done
  if [ -n "$waiting" ]; then restart; fi
  describe
  if [ -n "$lacks" ]; then
    echo "the server on port $port still lacks $lacks; does its command line set shared_preload_libraries?" >&2
    exit 3
  fi
}

scope() {
  settings_files
  echo "SELECT format('ALTER %s SET password_encryption TO %L;', subject, substr(c, strpos(c, '=') + 1)) FROM $own_settings WHERE $weaker" | ask | undo_by
}

case $mode in
  scope) with_each scope ;;
  report)
    least=$1
    with_each tell
    ;;
  settle)
    least=$2
    with_server "$1" settle
    ;;
  *) echo "unknown mode '$mode'" >&2; exit 2 ;;
esac
