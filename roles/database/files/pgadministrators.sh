#!/bin/sh
# Tells on which running PostgreSQL servers others than the registered persons may become a superuser, or may do so unlogged.
#   pgadministrators.sh report DBA SECURITY AUDIT DATABASES        a line of JSON for each server: port, major version, owner,
#       drop-ins, libraries to preload, the two lists for set_user, and what it lacks (of: library settings effect)
#   pgadministrators.sh settle PORT DBA SECURITY AUDIT DATABASES   put what contradicts the drop-in out of use, reload, restart if
#       that is needed; then make the accounts, the extension and the grants that are missing
#   pgadministrators.sh scope DBA SECURITY AUDIT DATABASES         the files that may be changed, and how to undo the rest in SQL
# DBA, SECURITY, AUDIT: the persons' accounts, comma-separated. DATABASES: where the administrators work.
# Run with postgresql.sh before it.
# shellcheck disable=SC2154 # from there
mode=$1
shift

asked() { # [DATABASE] : SQL on stdin that speaks of the persons
  ask "${1:-postgres}" -v dba="$dba" -v security="$security" -v audit="$audit" -v databases="$wanted_in"
}

listed() { echo "ANY (string_to_array(:'$1', ','))"; }

# Whether an entry e of one of set_user's lists speaks of the role r.
speaks="(e IN ('*', r.rolname) OR EXISTS (SELECT FROM pg_roles g WHERE '+' || g.rolname = e AND pg_has_role(r.oid, g.oid, 'MEMBER')))"
entries() { echo "(SELECT trim(both ' \"' FROM word) AS e FROM unnest(string_to_array($1, ',')) AS word) AS entry"; }

# "settings" where one of the values, in force or later, is not what it should be.
unsettled() { # VALUES
  asked << SQL
WITH f AS ($1), v AS (SELECT (SELECT value FROM f WHERE name = 'set_user.superuser_allowlist') AS allowed,
    (SELECT value FROM f WHERE name = 'set_user.nosuperuser_target_allowlist') AS targets,
    (SELECT value FROM f WHERE name = 'shared_preload_libraries') AS preload)
SELECT 'settings' FROM v WHERE allowed IS NULL OR preload !~ '(^|[ ,/"])set_user(\$|[ ,"])'
  OR (SELECT count(*) FROM f WHERE name ~ '^set_user[.]block_(alter_system|copy_program|log_statement)\$' AND value = 'on') < 3
  OR EXISTS (SELECT FROM $(entries allowed) WHERE left(e, 1) <> '+' AND NOT e = $(listed dba))
  OR EXISTS (SELECT FROM $(entries allowed), pg_roles r WHERE rolcanlogin AND NOT rolsuper AND $speaks AND NOT rolname = $(listed dba))
  OR EXISTS (SELECT FROM unnest(string_to_array(:'dba', ',')) AS one WHERE NOT EXISTS (SELECT FROM $(entries allowed) WHERE e = one)
    AND NOT EXISTS (SELECT FROM $(entries allowed), pg_roles r WHERE r.rolname = one AND $speaks))
  OR $(reaches_too_far targets);
SQL
}

reaches_too_far() { # EXPRESSION : whether set_user leads to everybody, or to those who are to be apart
  cat << SQL
(EXISTS (SELECT FROM $(entries "$1") WHERE e = '*' OR e = $(listed security) OR e = $(listed audit))
  OR EXISTS (SELECT FROM $(entries "$1"), pg_roles r WHERE (rolname = $(listed security) OR rolname = $(listed audit)) AND $speaks))
SQL
}

# What is missing in the whole server, as statements; or those that take it back.
accounts() { # make|undo
  case $1 in
    make) what="format('CREATE ROLE %I LOGIN;', name)" ;;
    # Who has made something since keeps his account, shut.
    undo) what="format('DO \$undo\$ BEGIN DROP ROLE IF EXISTS %I; EXCEPTION WHEN dependent_objects_still_exist THEN ALTER ROLE %I NOLOGIN; END \$undo\$;', name, name)" ;;
  esac
  echo "SELECT $what FROM unnest(string_to_array(concat_ws(',', nullif(:'dba', ''), nullif(:'security', '')), ',')) AS name
    WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)" | asked
}

# Statements about one database; servers and databases without the extension know none of its functions.
grants() { # make|undo DATABASE
  case $1 in
    make) extension='CREATE EXTENSION set_user;' take=REVOKE take_word=FROM give=GRANT give_word=TO ;;
    undo) extension='DROP EXTENSION IF EXISTS set_user;' take=GRANT take_word=TO give=REVOKE give_word=FROM ;;
  esac
  asked "$2" << SQL
SELECT '$extension' WHERE current_database() = $(listed databases) AND NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'set_user');
SELECT format('$take EXECUTE ON FUNCTION %s $take_word PUBLIC;', p.oid::regprocedure) FROM pg_proc p
  WHERE probin ~ '(^|/)set_user([.]so)?\$' AND proname <> 'reset_user' AND has_function_privilege('public', p.oid, 'EXECUTE');
SELECT format('$give EXECUTE ON FUNCTION %s $give_word %I;', p.oid::regprocedure, one) FROM pg_proc p, unnest(string_to_array(:'dba', ',')) AS one
  LEFT JOIN pg_roles r ON r.rolname = one
  WHERE probin ~ '(^|/)set_user([.]so)?\$' AND proname = 'set_user_u' AND current_database() = $(listed databases)
    AND (r.oid IS NULL OR NOT EXISTS (SELECT FROM aclexplode(coalesce(proacl, acldefault('f', proowner))) WHERE grantee <> 0 AND pg_has_role(r.oid, grantee, 'MEMBER')));
SQL
}

# Statements that take from the persons what would let them set the audit or the server themselves, or give it back;
# servers before 15 know no such right. The security administrator may set the audit.
parameters() { # REVOKE|GRANT
  ask << SQL | asked
SELECT \$\$SELECT format('$1 %s ON PARAMETER %s $([ "$1" = GRANT ] && echo TO || echo FROM) %I;', privilege_type, parname, rolname)
  FROM pg_parameter_acl, aclexplode(paracl) JOIN pg_roles r ON r.oid = grantee
  WHERE NOT rolsuper AND (privilege_type = 'ALTER SYSTEM' OR parname ~ '^(pgaudit[.]|set_user[.]|log_)')
    AND (rolname = $(listed dba) OR rolname = $(listed audit) OR rolname = $(listed security) AND parname !~ '^pgaudit[.]')\$\$
  FROM pg_class WHERE relname = 'pg_parameter_acl'
SQL
}

missing() { # what `settle` would make; a standby gets it from its primary
  if [ "$(echo 'SELECT pg_is_in_recovery()' | ask)" = t ]; then return; fi
  accounts make
  parameters REVOKE
  databases | while IFS= read -r one; do grants make "$one"; done
}

# Whoever switches accounts with set_user would be cut off by a list that does not name where to.
in_use() {
  databases | while IFS= read -r one; do
    asked "$one" << SQL
SELECT r.rolname FROM pg_proc p, pg_roles r WHERE probin ~ '(^|/)set_user([.]so)?\$' AND proname = 'set_user' AND rolcanlogin
  AND NOT rolsuper AND NOT rolname = $(listed dba) AND has_function_privilege(r.oid, p.oid, 'EXECUTE')
SQL
  done | sort -u | tr '\n' ' '
}

describe() { # sets dropin, libraries, preload, targets, lacks
  dropin=$(dirname "$(value config_file)")/conf.d/zz-medsec-administrators.conf
  libraries=$(dirname "$dropin")/zz-medsec-libraries.conf
  preload=$(with_libraries set_user)
  targets=$(value_later set_user.nosuperuser_target_allowlist | tr -d "'")
  if [ -n "$(echo "SELECT 1 WHERE $(reaches_too_far "'$targets'")" | asked)" ]; then
    targets=
    users=$(in_use)
    if [ -n "$users" ]; then
      echo "the server on port $port is left as it is: $users may switch accounts by set_user; name the accounts to which, none of the security administrator or the auditor, in set_user.nosuperuser_target_allowlist" >&2
      exit 3
    fi
  fi
  lacks=
  if ! library_present set_user; then lacks=library; fi
  if [ -n "$(unsettled "$in_force"; unsettled "$later")" ]; then lacks=${lacks:+$lacks,}settings; fi
  waiting=$(echo "SELECT 1 FROM pg_settings WHERE pending_restart AND name = 'shared_preload_libraries'" | ask)
  if [ -n "$waiting$(missing)" ]; then lacks=${lacks:+$lacks,}effect; fi
}

tell() {
  describe
  printf '{"port": "%s", "major": "%s", "owner": "%s", "dropin": "%s", "libraries": "%s", "preload": "%s", "dba": "%s", "targets": "%s", "lacks": "%s"}\n' \
    "$port" "$major" "$owner" "$dropin" "$libraries" "$preload" "$dba" "$(printf '%s' "$targets" | sed 's/["\\]/\\&/g')" "$lacks"
}

settle() {
  describe
  refused_settings
  undo_later "$dropin" postgresql_administrators_separated
  undo_later "$libraries" postgresql_administrators_separated
  echo 'SELECT pg_reload_conf()' | ask > /dev/null
  sleep 1
  waiting=$(echo "SELECT 1 FROM pg_settings WHERE pending_restart" | ask)
  if ! loaded set_user; then waiting=1; fi
  if [ -n "$waiting" ]; then
    # A server that is to load what is not there would not come up again.
    if ! library_present set_user; then echo "set_user.so is not installed for PostgreSQL $major; the server is not restarted" >&2; exit 3; fi
    restart
  fi
  if [ -n "$(missing)" ]; then
    accounts make | ask
    parameters REVOKE | ask
    # Twice: the functions to be granted come with the extension.
    for _ in 1 2; do
      databases | while IFS= read -r one; do grants make "$one" | ask "$one"; done
    done
  fi
  describe
  if [ -n "$lacks" ]; then
    echo "the server on port $port still lacks $lacks; does its command line set shared_preload_libraries, and is each of $wanted_in a database of it?" >&2
    exit 3
  fi
}

scope() {
  settings_files
  {
    databases | while IFS= read -r one; do
      printf '\\connect %s\n' "$one"
      grants undo "$one"
    done
    parameters GRANT
    accounts undo
  } | undo_by
}

persons() {
  dba=$1
  security=$2
  audit=$3
  wanted_in=$4
}

case $mode in
  scope)
    persons "$@"
    with_each scope
    ;;
  report)
    persons "$@"
    with_each tell
    ;;
  settle)
    chosen=$1
    shift
    persons "$@"
    with_server "$chosen" settle
    ;;
  *) echo "unknown mode '$mode'" >&2; exit 2 ;;
esac
