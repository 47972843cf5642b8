#!/bin/sh
# Tells what each running PostgreSQL server lacks for its statements to be audited, and makes written settings take effect.
#   pgaudit.sh report CLASSES SECRETS         a line of JSON for each server: port, major version, owner, drop-ins, libraries to
#       preload, whether the server must collect its own log and where, and what it lacks (of: library settings effect)
#   pgaudit.sh scope                          the files that may be changed, and how to undo what is changed in SQL
#   pgaudit.sh settle PORT CLASSES SECRETS    put what contradicts the drop-in out of use, reload, restart if that is needed
# CLASSES: comma-separated classes of statements. SECRETS: statements | errors | off.
# Run with postgresql.sh before it.
# shellcheck disable=SC2154 # from there
mode=$1
shift
dropin_name=zz-medsec-audit.conf

# SQL for: does this value of pgaudit.log cover every wanted class? Later words overrule earlier ones.
covers() { # EXPRESSION
  cat << SQL
NOT EXISTS (SELECT FROM unnest(string_to_array(:'classes', ',')) AS wanted(class) WHERE coalesce((
  SELECT left(trim(both ' "' FROM word), 1) <> '-' FROM unnest(string_to_array(lower($1), ',')) WITH ORDINALITY AS said(word, place)
  WHERE ltrim(trim(both ' "' FROM word), '-') IN (wanted.class, 'all') ORDER BY place DESC LIMIT 1), false) IS NOT TRUE)
SQL
}

silences() { # NAME-EXPRESSION VALUE-EXPRESSION
  cat << SQL
(($1 = 'pgaudit.log' AND NOT ($(covers "$2"))) OR ($1 = 'pgaudit.log_level' AND lower($2) NOT IN ('log', 'warning'))
 OR ($1 = 'pgaudit.log_statement' AND lower($2) IN ('off', 'false', 'no', '0')) OR ($1 = 'log_min_messages' AND lower($2) IN ('fatal', 'panic'))
 OR ($1 = 'log_statement' AND $2 <> 'none' AND :'secrets' <> 'off'))
SQL
}

overridden() { # whether a role, a database or a routine has a setting of its own that silences the audit
  {
    echo "SELECT 1 FROM pg_db_role_setting o, unnest(o.setconfig) AS c WHERE $(silences "lower(split_part(c, '=', 1))" "substr(c, strpos(c, '=') + 1)")"
  } | ask postgres -v classes="$classes" -v secrets="$secrets"
  databases | while IFS= read -r one; do
    echo "SELECT 1 FROM pg_proc p, unnest(p.proconfig) AS c WHERE $(silences "lower(split_part(c, '=', 1))" "substr(c, strpos(c, '=') + 1)")" |
      ask "$one" -v classes="$classes" -v secrets="$secrets"
  done
}

# Statements that take back what lets others than superusers set the audit, or with GRANT give it again; servers before 15 know no such right.
parameters() { # REVOKE|GRANT
  ask << SQL | ask
SELECT \$\$SELECT format('$1 %s ON PARAMETER %s $([ "$1" = GRANT ] && echo TO || echo FROM) %s;', privilege_type, parname, coalesce(quote_ident(rolname), 'PUBLIC'))
  FROM pg_parameter_acl, aclexplode(paracl) LEFT JOIN pg_roles r ON r.oid = grantee WHERE parname ~ '^(pgaudit[.]|log_)' AND rolsuper IS NOT TRUE\$\$
  FROM pg_class WHERE relname = 'pg_parameter_acl'
SQL
}

unsettled() { # VALUES : "settings" where the server's values, in force or later, do not audit as wanted
  ask postgres -v classes="$classes" -v secrets="$secrets" << SQL
WITH f AS ($1), v AS (SELECT
  (SELECT value FROM f WHERE name = 'pgaudit.log') AS log, (SELECT value FROM f WHERE name = 'shared_preload_libraries') AS preload,
  (SELECT value FROM f WHERE name = 'log_line_prefix') AS prefix, (SELECT value FROM f WHERE name = 'log_destination') AS destination,
  (SELECT value FROM f WHERE name = 'log_statement') AS statement, (SELECT value FROM f WHERE name = 'log_min_error_statement') AS errors)
SELECT 'settings' FROM v WHERE log IS NULL OR NOT ($(covers log)) OR preload !~ '(^|[ ,/"])pgaudit(\$|[ ,"])'
  OR (destination ~ 'stderr' AND NOT (prefix ~ '%u' AND prefix ~ '%[tmn]')) OR (destination ~ 'syslog' AND prefix !~ '%u')
  OR (:'secrets' <> 'off' AND lower(statement) <> 'none') OR (:'secrets' = 'errors' AND lower(errors) NOT IN ('log', 'fatal', 'panic'))
  OR EXISTS (SELECT FROM f WHERE name <> 'pgaudit.log' AND $(silences f.name f.value));
SQL
}

describe() { # sets dropin, preload, collect, lacks
  dropin=$(dirname "$(value config_file)")/conf.d/$dropin_name
  libraries=$(dirname "$dropin")/zz-medsec-libraries.conf
  preload=$(with_libraries pgaudit)
  destination=$(value log_destination)
  collector=$(value logging_collector)
  collect=no
  # Without a collector whatever is not syslog goes to standard error, CSV and JSON as well.
  case $destination,$collector in
    *syslog*) ;;
    *,off) if [ "$(readlink "/proc/$pid/fd/2")" = /dev/null ]; then collect=yes; fi ;;
  esac
  if grep -qs '^logging_collector' "$dropin"; then kept=yes; else kept=no; fi
  lacks=
  if ! library_present pgaudit; then lacks=library; fi
  wanting=$(unsettled "$in_force"; unsettled "$later")
  if [ -n "$wanting" ] || [ "$collect" = yes ]; then lacks=${lacks:+$lacks,}settings; fi
  waiting=$(echo "SELECT name FROM pg_settings WHERE pending_restart AND name ~ '^(pgaudit[.]|log_|logging_|syslog_|shared_preload_libraries\$)'" | ask)
  if [ -n "$waiting$(overridden)$(parameters REVOKE)" ]; then lacks=${lacks:+$lacks,}effect; fi
  if [ "$kept" = yes ]; then collect=yes; fi
}

settle() {
  describe
  refused_settings
  undo_later "$dropin" postgresql_statements_audited
  undo_later "$libraries" postgresql_statements_audited
  ask postgres -v classes="$classes" -v secrets="$secrets" << SQL
SELECT format('ALTER %s RESET %I', subject, split_part(c, '=', 1)) FROM $own_settings
  WHERE $(silences "lower(split_part(c, '=', 1))" "substr(c, strpos(c, '=') + 1)") \\gexec
SQL
  parameters REVOKE | ask
  databases | while IFS= read -r one; do
    ask "$one" -v classes="$classes" -v secrets="$secrets" << SQL
SELECT format('ALTER ROUTINE %s RESET %I', p.oid::regprocedure, split_part(c, '=', 1)) FROM pg_proc p, unnest(p.proconfig) AS c
  WHERE $(silences "lower(split_part(c, '=', 1))" "substr(c, strpos(c, '=') + 1)") \\gexec
SQL
  done
  echo 'SELECT pg_reload_conf()' | ask > /dev/null
  sleep 1
  waiting=$(echo 'SELECT 1 FROM pg_settings WHERE pending_restart LIMIT 1' | ask)
  if ! loaded pgaudit; then waiting=1; fi
  if [ -n "$waiting" ]; then
    # A server that is to load what is not there would not come up again.
    if ! library_present pgaudit; then echo "pgaudit.so is not installed for PostgreSQL $major; the server is not restarted" >&2; exit 3; fi
    restart
  fi
  if ! loaded pgaudit; then
    echo "pgaudit is still not loaded on port $port; does the server's command line set shared_preload_libraries?" >&2
    exit 3
  fi
}

# Lines "file PATH" and "undo SCRIPT" (base64): statements that set again what `settle` may reset.
scope() {
  settings_files
  {
    echo "SELECT format('ALTER %s SET %I TO %L;', subject, split_part(c, '=', 1), substr(c, strpos(c, '=') + 1)) FROM $own_settings
      WHERE split_part(c, '=', 1) ~* '^(pgaudit[.]|log_)'" | ask
    parameters GRANT
    databases | while IFS= read -r one; do
      printf '\\connect %s\n' "$one"
      ask "$one" << 'SQL'
SELECT format('ALTER ROUTINE %s SET %I TO %L;', p.oid::regprocedure, split_part(c, '=', 1), substr(c, strpos(c, '=') + 1))
  FROM pg_proc p, unnest(p.proconfig) AS c WHERE split_part(c, '=', 1) ~* '^(pgaudit[.]|log_)'
SQL
    done
  } | undo_by
}

tell() {
  describe
  if [ -d /var/log/postgresql ]; then folder=/var/log/postgresql; else folder=log; fi
  printf '{"port": "%s", "major": "%s", "owner": "%s", "dropin": "%s", "libraries": "%s", "preload": "%s", "collect": "%s", "log_directory": "%s", "lacks": "%s"}\n' \
    "$port" "$major" "$owner" "$dropin" "$libraries" "$preload" "$collect" "$folder" "$lacks"
}

case $mode in
  scope) with_each scope ;;
  report)
    classes=$1
    secrets=$2
    with_each tell
    ;;
  settle)
    classes=$2
    secrets=$3
    with_server "$1" settle
    ;;
  *) echo "unknown mode '$mode'" >&2; exit 2 ;;
esac
