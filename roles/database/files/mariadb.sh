#!/bin/sh
# Tells what each running MariaDB server lacks of a subject, and makes written settings take effect.
#   mariadb.sh report SUBJECT WANTED...          a line of JSON for each server: socket, folder of drop-ins, what it lacks
#       (settings: the option files; effect: the running server), and what else the drop-in's template asks
#   mariadb.sh scope SUBJECT                     the files that may be changed, and how to undo what is changed in SQL
#   mariadb.sh settle SOCKET SUBJECT WANTED...   put what contradicts the drop-in out of use, set it in the running server,
#       restart that where it is needed
# SUBJECT audit: FILE_MIB, the least that a file of its own must keep. access: NETWORKS that may come, NETWORK/LENGTH,...
#   passwords: MIN_LENGTH LIFE_DAYS MAX_ERRORS
#   tls: REQUIRED (True or False) PORTS that the ledger registers for other hosts, CERTIFICATE and KEY of the institution's or "",
#   DAYS for which a certificate must hold
set -eu
export LC_ALL=C
cd /
tab=$(printf '\t')
die() { echo "$*" >&2; exit 3; }

daemons() { # PID<TAB>PROGRAM
  for link in /proc/[0-9]*/exe; do
    program=$(readlink "$link" 2> /dev/null) || continue
    program=${program% (deleted)}
    case $program in */mariadbd | */mysqld) ;; *) continue ;; esac
    number=${link#/proc/}
    number=${number%/exe}
    # A restore drill's server is nobody's.
    case $(cat "/proc/$number/cgroup") in *medsec-drill-*) continue ;; esac
    printf '%s\t%s\n' "$number" "$program"
  done
}

at() { # PID PROGRAM : everything below speaks of this server
  pid=$1
  program=$2
  data=$(readlink "/proc/$pid/cwd")
  socket=$(ss -Hlxp | awk -v of="pid=$pid," 'index($0, of) && $1 == "u_str" { print $5; exit }')
  case $socket in
    '') die "the server of process $pid has no local socket here: does it run in a container?" ;;
    /*) ;;
    *) socket=$data/$socket ;;
  esac
  # Its own words on the command line, and those that its unit has for the next start: first those that choose option files, then the
  # others; one a line.
  words=$(tr '\0' '\n' < "/proc/$pid/cmdline" | sed 1d; upcoming_words)
  choosing=$(printf '%s\n' "$words" | awk '/^--(no-)?defaults/ { name = $0; sub(/=.*/, "", name); last[name] = $0 } END { for (name in last) print last[name] }')
  others=$(printf '%s\n' "$words" | grep -vE '^--(no-)?defaults' || true)
  client=$(command -v mariadb || command -v mysql) || die "no MariaDB client"
  login=--no-defaults
  if ! echo 'DO 1' | ask 2> /dev/null; then login=--defaults-file=/root/.my.cnf; fi
  case $(echo 'SELECT VERSION()' | ask) in
    *MariaDB*) ;;
    *) die "the server on $socket is not MariaDB; MySQL is not supported" ;;
  esac
}

upcoming_words() {
  {
    systemctl show-environment
    case $(ps -o unit= -p "$pid") in *.service) systemctl show -p ExecStart -p Environment -- "$(ps -o unit= -p "$pid")" ;; esac
  } | grep -oE -e '--[^ ;"]+' || true
}

ask() { # [CLIENT-OPTION...] : SQL on stdin
  if [ "$login" = --no-defaults ]; then set -- -uroot "$@"; fi
  env -i PATH="$PATH" HOME=/root "$client" "$login" "$@" -S "$socket" -NBr --connect-timeout=10 --default-character-set=utf8mb4 \
    --init-command="SET sql_mode = ''"
}

yes() { [ "$(ask)" = 1 ]; } # whether the SQL on stdin says so

start_words() { # WORD... : the program as this server would be started, with these words after those that choose option files
  IFS='
'
  # shellcheck disable=SC2086 # one word a line
  set -- $choosing "$@" $others
  unset IFS
  env -i PATH="$PATH" HOME=/nonexistent "$program" "$@"
}

options() { start_words --print-defaults | tail -n 1; }

option() { # NAME : its value at the next start, "ON" where it is named without one, nothing where it is not named
  printf '%s' "$options" | awk -v want="$1" -v RS=' --' 'NR > 1 || sub(/^--/, "") {
    sub(/[ \n]+$/, ""); name = tolower($0); sub(/=.*/, "", name); gsub(/-/, "_", name); sub(/^loose_/, "", name)
    if (name == want) value = index($0, "=") ? substr($0, index($0, "=") + 1) : "ON" } END { print value }'
}

# The option files that it reads, in order; their folders of drop-ins behind a tab.
option_files() {
  chosen=$(printf '%s\n' "$choosing" | sed -n 's/^--defaults-file=//p')
  extra=$(printf '%s\n' "$choosing" | sed -n 's/^--defaults-extra-file=//p')
  for file in ${chosen:-/etc/my.cnf /etc/mysql/my.cnf $extra}; do
    if [ -f "$file" ]; then
      readlink -f "$file"
      sed -n "s/^[[:space:]]*!includedir[[:space:]]*/$tab/p" "$file" | sed 's,/*[[:space:]]*$,,'
    fi
  done
}

folder() { option_files | sed -n "s/^$tab//p" | tail -n 1; }

others_files() { # every option file but the drop-in of the subject
  option_files | while IFS= read -r line; do
    case $line in
      "$tab"*) find "${line#"$tab"}" -maxdepth 1 -name '*.cnf' ! -name "zz-medsec-$subject.cnf" | sort ;;
      *) echo "$line" ;;
    esac
  done
}

put_out_of_use() { # NAME... : in all other option files
  for name; do
    pattern="^[[:space:]]*(loose[-_])?$(printf '%s' "$name" | sed 's/_/[-_]/g')[[:space:]]*(=|\$)"
    others_files | while IFS= read -r file; do
      if grep -qE "$pattern" "$file"; then sed -i -E "s/$pattern/# put out of use by medsec: &/" "$(readlink -f "$file")"; fi
    done
  done
}

# Starts nothing: asks the program whether it knows all it would be told. In an empty folder, since it opens tables where it finds them.
validate() {
  empty=$(mktemp -d)
  chown "$(stat -c %U "/proc/$pid"):" "$empty"
  others="$others
--datadir=$empty
--help
--verbose"
  if ! start_words > /dev/null 2> "$empty.said"; then
    said=$(grep ERROR "$empty.said" | head -n 3)
    rm -rf "$empty" "$empty.said"
    die "the server on $socket would not start with its option files, and is not restarted: $said"
  fi
  rm -rf "$empty" "$empty.said"
}

restart() {
  unit=$(ps -o unit= -p "$pid")
  case $unit in *.service) ;; *) die "the server on $socket is no service of systemd; restart it by hand" ;; esac
  (validate)
  if ! systemctl restart "$unit"; then
    mv "$(folder)/zz-medsec-$subject.cnf" "$(folder)/zz-medsec-$subject.cnf.refused"
    systemctl restart "$unit" || true
    die "$unit does not start with zz-medsec-$subject.cnf, which was put aside: $(journalctl -q -u "$unit" -n 5 -o cat | grep ERROR)"
  fi
  at "$(systemctl show -p MainPID --value "$unit")" "$program"
}

# --- audit ------------------------------------------------------------------------------------------------------------

enough='(@@server_audit_output_type NOT LIKE "file" OR @@server_audit_file_rotations = 0 OR @@server_audit_file_rotate_size * (@@server_audit_file_rotations + 1) >= @mib * 1048576)'
loaded="SELECT COUNT(*) FROM information_schema.PLUGINS WHERE PLUGIN_NAME = 'SERVER_AUDIT' AND PLUGIN_STATUS = 'ACTIVE'"

audit_permanent() { echo "$loaded AND LOAD_OPTION = 'FORCE_PLUS_PERMANENT'" | yes; }
audit_loaded() { echo "$loaded" | yes; }

audit_in_effect() {
  audit_permanent && ask << 'SQL' | grep -qx 1
SELECT @@server_audit_logging AND @@server_audit_query_log_limit >= 1024 AND CONCAT_WS('', @@server_audit_excl_users, @@server_audit_incl_users) = '' AND (IFNULL(@@server_audit_events, '') = ''
  OR (FIND_IN_SET('CONNECT', @@server_audit_events) AND FIND_IN_SET('QUERY', @@server_audit_events) AND FIND_IN_SET('TABLE', @@server_audit_events)))
SQL
}

audit_keeps_enough() { echo "SET @mib = $file_mib; SELECT $enough" | yes; }

audit_in_files() {
  events=,$(option server_audit_events | tr '[:lower:]' '[:upper:]' | tr -d ' '),
  case $(option server_audit | tr '[:lower:]' '[:upper:]') in FORCE_PLUS_PERMANENT) ;; *) return 1 ;; esac
  case $(option server_audit_logging | tr '[:upper:]' '[:lower:]') in on | 1 | true | yes) ;; *) return 1 ;; esac
  [ -z "$(option server_audit_excl_users)$(option server_audit_incl_users)" ] || return 1
  [ "$(number server_audit_query_log_limit 1024)" -ge 1024 ] || return 1
  for event in CONNECT QUERY TABLE; do
    case $events in ,, | *,$event,*) ;; *) return 1 ;; esac
  done
}

audit_file() { # NAME : where it lies
  case $1 in /*) log=$1 ;; *) log=$data/${1:-server_audit.log} ;; esac
  if [ -d "$log" ]; then log=$log/server_audit.log; fi
  echo "$log"
}

audit_file_can_be_written() {
  log=$(audit_file "$(option server_audit_file_path)")
  if [ ! -e "$log" ]; then log=$(dirname "$log"); fi
  runuser -u "$(stat -c %U "/proc/$pid")" -- test -w "$log"
}

audit_arrives() { # a statement made now is found where the log goes
  word=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  since=$(date +%s)
  echo "DO '$word'" | ask
  log=
  if [ "$(echo 'SELECT @@server_audit_output_type LIKE "file"' | ask)" = 1 ]; then
    log=$(audit_file "$(echo 'SELECT @@server_audit_file_path' | ask)")
  fi
  for _ in 1 2 3 4 5 6; do
    sleep 0.5
    if [ -n "$log" ]; then
      if [ -f "$log" ] && tail -c 1048576 -- "$log" | grep -qaF "$word"; then return 0; fi
    elif journalctl -q -o cat --since "@$since" 2> /dev/null | grep -aF "$word" | grep -q ,QUERY, ||
      find /var/log -xdev -type f -mmin -5 ! -path '*/journal/*' -exec grep -aF -e "$word" {} + 2> /dev/null | grep -q ,QUERY,; then
      return 0
    fi
  done
  return 1
}

audit_goes_on() { # whether it writes after a restart where it writes now
  now=$(echo "SELECT IF(@@server_audit_output_type LIKE 'file', CONCAT('file', @@server_audit_file_path), 'syslog')" | ask)
  then=$(option server_audit_output_type | tr '[:upper:]' '[:lower:]')
  case ${then:-file} in
    syslog | 0) then=syslog ;;
    *)
      path=$(option server_audit_file_path)
      then=file${path:-server_audit.log}
      ;;
  esac
  [ "$now" = "$then" ]
}

audit_describe() { # sets lacks, output
  lacks=
  output=syslog
  if ! audit_in_files; then lacks=settings; fi
  if ! audit_in_effect; then
    lacks=${lacks:+$lacks,}effect
    case $(option server_audit_output_type | tr '[:upper:]' '[:lower:]') in
      syslog) output=keep ;;
      *) if ! audit_file_can_be_written; then lacks=$lacks,settings; fi ;;
    esac
  elif ! audit_keeps_enough || ! audit_goes_on; then
    lacks=${lacks:+$lacks,}settings,effect
  elif ! audit_arrives; then
    lacks=${lacks:+$lacks,}effect
    case $(echo 'SELECT LOWER(@@server_audit_output_type)' | ask) in file) lacks=$lacks,settings ;; esac
  else
    output=keep
  fi
  # What the drop-in decided once must not be lost when it is written anew.
  if grep -qs '^server_audit_output_type' "$(folder)/zz-medsec-audit.cnf"; then output=syslog; fi
}

audit_settle() {
  if ! audit_in_files; then
    put_out_of_use server_audit server_audit_logging server_audit_events server_audit_excl_users server_audit_incl_users server_audit_query_log_limit
    options=$(options)
    if ! audit_in_files; then die "zz-medsec-audit.cnf does not decide on the server of $socket; does its command line set server_audit_...?"; fi
  fi
  if grep -qs '^server_audit_output_type' "$(folder)/zz-medsec-audit.cnf"; then put_out_of_use server_audit_output_type; fi
  options=$(options)
  if ! audit_permanent; then restart; fi
  {
    for name in excl_users incl_users events syslog_facility syslog_ident output_type; do
      printf 'SET GLOBAL server_audit_%s = "%s";\n' "$name" "$(option "server_audit_$name")"
    done | grep -v -e 'syslog_.* = ""' -e 'output_type = ""'
    echo "SET GLOBAL server_audit_query_log_limit = $(number server_audit_query_log_limit 1024);"
    echo 'SET GLOBAL server_audit_logging = ON;'
  } | ask
  audit_in_effect || die "the server on $socket is still not audited as its option files say"
  audit_arrives || die "what the server on $socket audits does not arrive in the system log: look at rsyslog and journald"
}

# --- access -----------------------------------------------------------------------------------------------------------

off() { case $(printf '%s' "$1" | tr '[:upper:]' '[:lower:]') in off | 0 | false | no) ;; *) return 1 ;; esac }

connections() { ss -Hantp | awk -v of="pid=$pid," -v state="$1" 'index($0, of) && $1 == state { print $4 " " $5 }'; }

beyond_loopback() { grep -vE '^(127\.|\[::1\]|\[::ffff:127\.)'; }

# Whether it may be bound to loopback: no other host is registered, none is connected, and no second server shares the settings.
access_stays_here() {
  [ -z "$networks" ] && [ "$(wc -l < "$statements.servers")" -eq 1 ] &&
    ! connections ESTAB | awk '{ print $2 }' | beyond_loopback > /dev/null
}

access_bound() { # ADDRESSES : whether all are loopback
  printf '%s\n' "$1" | tr ',' '\n' | grep -qvE '^ *(127\.|::1|localhost)' && return 1
  return 0
}

access_in_files() {
  off "$(option local_infile)" || [ "$(option skip_local_infile)" = ON ] || return 1
  ! access_stays_here && return 0
  closed=$(option skip_networking)
  if [ -n "$closed" ] && ! off "$closed"; then return 0; fi
  access_bound "$(option bind_address)"
}

# SQL: accounts that would be dropped, and those that would be locked. An administrator who is connected over the network, or comes
# from an address in the ledger, may be the application itself.
nameless="User = '' AND is_role <> 'Y'"
powers="(u.User = 'root' OR u.Super_priv = 'Y' OR u.Grant_priv = 'Y' OR u.Create_user_priv = 'Y' OR EXISTS (SELECT 1 FROM mysql.roles_mapping m JOIN mysql.user r
  ON r.User = m.Role AND r.is_role = 'Y' WHERE m.User = u.User AND m.Host = u.Host AND 'Y' IN (r.Super_priv, r.Grant_priv, r.Create_user_priv)))"
remote="u.User <> '' AND u.is_role <> 'Y' AND u.Host NOT IN ('localhost', '127.0.0.1', '::1') AND $powers
  AND NOT EXISTS (SELECT 1 FROM mysql.global_priv g WHERE g.User = u.User AND g.Host = u.Host AND JSON_VALUE(g.Priv, '\$.account_locked') IN ('1', 'true'))
  AND u.User NOT IN (SELECT USER FROM information_schema.PROCESSLIST WHERE HOST LIKE '%:%')"

registered() { # SQL: u.Host is an address in the ledger
  printf '%s\n' "$networks" | tr ',' '\n' | awk -F / 'BEGIN { printf "COALESCE(FALSE" }
    /^[0-9.]+(\/[0-9]+)?$/ { bits = 32 - ($2 == "" ? 32 : $2); printf " OR (INET_ATON(u.Host) >> %d) = (INET_ATON(\047%s\047) >> %d)", bits, $1, bits }
    END { print ", FALSE)" }'
}

access_wrong_accounts() { # SQL-STATEMENTs that put them right
  ask << SQL
SELECT CONCAT('DROP USER ', QUOTE(User), '@', QUOTE(Host), ';') FROM mysql.user WHERE $nameless;
SELECT CONCAT('DELETE FROM mysql.db WHERE User = ', QUOTE(User), ' AND Host = ', QUOTE(Host), ' AND Db = ', QUOTE(Db), '; FLUSH PRIVILEGES;')
  FROM mysql.db WHERE User IN ('', 'PUBLIC') AND Db RLIKE '^test(\$|.?_)';
SELECT CONCAT('ALTER USER ', QUOTE(u.User), '@', QUOTE(u.Host), ' ACCOUNT LOCK;') FROM mysql.user u WHERE $remote AND NOT $(registered);
SQL
}

access_needs_restart() { access_stays_here && connections LISTEN | awk '{ print $1 }' | beyond_loopback > /dev/null; }

access_describe() { # sets lacks, bind
  lacks=
  bind=any
  if access_stays_here; then bind=local; fi
  if ! access_in_files; then lacks=settings; fi
  if [ "$(echo 'SELECT @@local_infile' | ask)" != 0 ] || access_needs_restart || [ -n "$(access_wrong_accounts)" ]; then lacks=${lacks:+$lacks,}effect; fi
}

access_settle() {
  if ! access_in_files; then
    put_out_of_use local_infile skip_local_infile
    if access_stays_here; then put_out_of_use bind_address; fi
    options=$(options)
    if ! access_in_files; then die "zz-medsec-access.cnf does not decide on the server of $socket; does its command line set local_infile or bind_address?"; fi
  fi
  # root came in by its local socket to ask this, so nobody who administers the server is locked out.
  access_wrong_accounts | ask
  echo 'SET GLOBAL local_infile = OFF' | ask
  if access_needs_restart; then restart; fi
}

# Rows of the accounts as they are, for the way back.
access_undo() {
  dump=$(command -v mariadb-dump || command -v mysqldump) || die "no mariadb-dump"
  ask << SQL > "$statements.accounts"
SELECT CONCAT('(User = ', QUOTE(User), ' AND Host = ', QUOTE(Host), ')') FROM mysql.user u WHERE ($nameless) OR ($remote);
SQL
  if [ -s "$statements.accounts" ]; then rows global_priv "$(paste -s -d '|' "$statements.accounts" | sed 's/|/ OR /g')"; fi
  rows db "User IN ('', 'PUBLIC')"
  echo 'FLUSH PRIVILEGES;'
}

rows() { # TABLE CONDITION
  if [ "$login" = --no-defaults ]; then set -- "$@" -uroot; fi
  table=$1 condition=$2
  shift 2
  env -i PATH="$PATH" HOME=/root "$dump" "$login" "$@" -S "$socket" --skip-opt --compact --no-create-info --replace --complete-insert --hex-blob \
    --default-character-set=utf8mb4 --where="$condition" mysql "$table"
}

# --- passwords --------------------------------------------------------------------------------------------------------

passwords_loaded() { echo "SELECT COUNT(*) FROM information_schema.PLUGINS WHERE PLUGIN_NAME = 'simple_password_check' AND PLUGIN_STATUS = 'ACTIVE'" | yes; }

passwords_in_effect() {
  passwords_loaded && ask << SQL | grep -qx 1
SELECT @@simple_password_check_minimal_length >= $min_length AND @@simple_password_check_digits >= 1 AND @@simple_password_check_letters_same_case >= 1
  AND @@simple_password_check_other_characters >= 1 AND @@strict_password_validation AND @@max_password_errors BETWEEN 1 AND $max_errors
  AND @@default_password_lifetime BETWEEN 1 AND $life_days
SQL
}

number() { # NAME DEFAULT : the option's value as a number
  found=$(option "$1")
  case ${found:-$2} in *[!0-9]*) echo 0 ;; *) echo "${found:-$2}" ;; esac
}

passwords_in_files() {
  printf '%s\n' "$options" | tr ' ' '\n' | grep -qE '^--plugin[-_]load([-_]add)?=.*simple_password_check' ||
    echo "SELECT COUNT(*) > 0 FROM mysql.plugin WHERE dl LIKE 'simple_password_check%'" | yes || return 1
  [ "$(number simple_password_check_minimal_length 8)" -ge "$min_length" ] || return 1
  for class in digits letters_same_case other_characters; do
    [ "$(number "simple_password_check_$class" 1)" -ge 1 ] || return 1
  done
  if off "$(option strict_password_validation)" || [ -n "$(option skip_strict_password_validation)" ]; then return 1; fi
  errors=$(number max_password_errors 4294967295)
  life=$(number default_password_lifetime 0)
  [ "$errors" -ge 1 ] && [ "$errors" -le "$max_errors" ] && [ "$life" -ge 1 ] && [ "$life" -le "$life_days" ]
}

passwords_describe() { # sets lacks
  lacks=
  if ! passwords_in_files; then lacks=settings; fi
  if ! passwords_in_effect; then lacks=${lacks:+$lacks,}effect; fi
}

# Accounts with a password that follow the server's own lifetime. A new one would expire old passwords at once, and the HIS would
# stand still: they keep what they had, and the check names them.
follow_default="JSON_VALUE(Priv, '\$.is_role') IS NULL AND COALESCE(JSON_VALUE(Priv, '\$.password_lifetime'), -1) = -1 AND Priv RLIKE '\"authentication_string\" *: *\"[^\"]{8,}'"

passwords_settle() {
  if ! passwords_in_files; then
    put_out_of_use simple_password_check_minimal_length simple_password_check_digits simple_password_check_letters_same_case \
      simple_password_check_other_characters strict_password_validation skip_strict_password_validation max_password_errors default_password_lifetime
    options=$(options)
    if ! passwords_in_files; then die "zz-medsec-passwords.cnf does not decide on the server of $socket; does its command line set a password option?"; fi
  fi
  ask << SQL > "$statements.accounts"
SELECT CONCAT('ALTER USER ', QUOTE(User), '@', QUOTE(Host), ' PASSWORD EXPIRE ', IF(@@default_password_lifetime = 0, 'NEVER', CONCAT('INTERVAL ', @@default_password_lifetime, ' DAY')), ';')
  FROM mysql.global_priv WHERE $follow_default AND NOT @@default_password_lifetime BETWEEN 1 AND $life_days;
SQL
  ask < "$statements.accounts"
  if ! passwords_loaded; then echo "INSTALL SONAME 'simple_password_check'" | ask; fi
  ask << SQL
SET GLOBAL simple_password_check_minimal_length = $(number simple_password_check_minimal_length 8), simple_password_check_digits = $(number simple_password_check_digits 1),
  simple_password_check_letters_same_case = $(number simple_password_check_letters_same_case 1), simple_password_check_other_characters = $(number simple_password_check_other_characters 1),
  strict_password_validation = ON, max_password_errors = $(number max_password_errors 5), default_password_lifetime = $(number default_password_lifetime 90);
SQL
  passwords_in_effect || die "the server on $socket still does not ask for good passwords"
}

passwords_undo() {
  dump=$(command -v mariadb-dump || command -v mysqldump) || die "no mariadb-dump"
  if ! passwords_loaded; then echo "UNINSTALL SONAME IF EXISTS 'simple_password_check';"; fi
  rows global_priv "$follow_default"
  echo 'FLUSH PRIVILEGES;'
}

# --- tls --------------------------------------------------------------------------------------------------------------

made=/etc/ssl/medsec

tls_reached() {
  if [ "$(echo 'SELECT @@skip_networking' | ask)" = 1 ]; then return 1; fi
  case ,$ports, in *,"$(echo 'SELECT @@port' | ask)",*) return 0 ;; esac
  connections LISTEN | awk '{ print $1 }' | beyond_loopback > /dev/null
}

absolute() { case $1 in '' | /*) echo "$1" ;; *) echo "$data/$1" ;; esac }

holds() { # CERTIFICATE SECONDS
  openssl x509 -noout -checkend "$2" -in "$1" > /dev/null 2>&1
}

useless() { # CERTIFICATE KEY : why the pair is of no use, or nothing
  if ! [ -s "$1" ] || ! [ -s "$2" ]; then echo "${1:-a certificate} or ${2:-its key} is not there"
  elif ! holds "$1" "$((days * 86400))"; then echo "$1 does not hold for another $days days: renew it"
  elif [ "$(openssl x509 -noout -pubkey -in "$1" 2> /dev/null)" != "$(openssl pkey -pubout -in "$2" 2> /dev/null)" ]; then echo "the key $2 does not belong to $1"
  elif case $(stat -L -c %a "$2") in *0) false ;; esac then echo "everybody on the host may read the key $2: take that right away, and have a new pair made if it may be known"
  elif ! runuser -u "$account" -- test -r "$2"; then echo "$account may not read the key $2"
  fi
}

choose() { # sets certificate, key, make (the pair must be made)
  make=''
  account=$(stat -c %U "/proc/$pid")
  certificate=$(absolute "${given:-$(option ssl_cert)}")
  key=$(absolute "${given_key:-$(option ssl_key)}")
  wrong=$(useless "$certificate" "$key")
  if [ -z "$wrong" ]; then return; fi
  # Clients may know a certificate that still holds: it is its owner's to replace.
  if [ -n "$given" ] || { [ -s "$key" ] && holds "$certificate" 0 && [ "$certificate" != "$made/$account.crt" ] && runuser -u "$account" -- test -r "$key"; }; then
    die "the server on $socket is left as it is: $wrong"
  fi
  certificate=$made/$account.crt
  key=$made/$account.key
  if [ -n "$(useless "$certificate" "$key")" ]; then make=yes; fi
}

certify() {
  install -d -m 0755 "$made"
  name=$(uname -n)
  (
    umask 077
    openssl req -x509 -newkey rsa:3072 -nodes -sha256 -days 825 -subj "/CN=$name" -addext "subjectAltName=DNS:$name" \
      -keyout "$key.new" -out "$certificate.new" 2> /dev/null
  )
  chmod 0644 "$certificate.new"
  chown "$account:" "$key.new" "$certificate.new"
  mv "$key.new" "$key"
  mv "$certificate.new" "$certificate"
}

shake() { echo | timeout 10 openssl s_client -starttls mysql -unix "$socket" "$@" 2> /dev/null || true; }

refuses() { # S_CLIENT-OPTION...
  ! shake -min_protocol TLSv1 "$@" | grep -E '^New, .*Cipher is ' | grep -qvF '(NONE)'
}

strong() { refuses -max_protocol TLSv1.1 -cipher ALL:@SECLEVEL=0 && refuses -max_protocol TLSv1.2 -cipher eNULL:aNULL:LOW:EXPORT:RC4:3DES:@SECLEVEL=0; }

modern() { case ,$1, in ,, | *,TLSv1.0,* | *,TLSv1.1,*) return 1 ;; esac }

tls_in_files() {
  [ "$(absolute "$(option ssl_cert)")" = "$certificate" ] && [ "$(absolute "$(option ssl_key)")" = "$key" ] || return 1
  if off "$(option ssl)" || ! modern "$(option tls_version)$(echo 'SELECT IF(@@tls_version LIKE "%1.1%" OR @@tls_version LIKE "%1.0%", "", ",TLSv1.2")' | ask)"; then return 1; fi
  [ "$require" = no ] || requires "$(option require_secure_transport)"
}

requires() { if [ -z "$1" ] || off "$1"; then return 1; fi; }

tls_offered() {
  modern "$(echo 'SELECT @@tls_version' | ask)" && seen=$(shake | openssl x509 -noout -fingerprint 2> /dev/null) && [ -n "$seen" ] &&
    [ "$seen" = "$(openssl x509 -noout -fingerprint -in "$certificate")" ] && strong
}

# Who is connected over the network, but for accounts that need TLS: whether they use it is not told.
unknown_sessions() {
  ask << 'SQL'
SELECT 1 FROM information_schema.PROCESSLIST WHERE HOST LIKE '%:%' AND USER IN (SELECT User FROM mysql.user WHERE ssl_type = '' AND is_role <> 'Y') LIMIT 1
SQL
}

tls_describe() { # sets lacks, certificate, key, require
  lacks='' certificate='' key='' require=no
  if ! tls_reached; then return; fi
  for tool in openssl timeout runuser; do command -v "$tool" > /dev/null || die "no $tool on this host: install it"; done
  choose
  if requires "$(option require_secure_transport)" || { [ "$required" = True ] && [ -z "$(unknown_sessions)" ]; }; then require=yes; fi
  if [ -n "$make" ] || ! tls_in_files || ! strong; then lacks=settings; fi
  if [ -n "$make" ] || ! tls_offered || { [ "$require" = yes ] && [ "$(echo 'SELECT @@require_secure_transport' | ask)" != 1 ]; }; then
    lacks=${lacks:+$lacks,}effect
  fi
}

tls_settle() {
  tls_describe
  if [ -n "$make" ]; then certify; fi
  if ! tls_in_files; then
    put_out_of_use ssl skip_ssl ssl_cert ssl_key tls_version
    if [ "$require" = yes ]; then put_out_of_use require_secure_transport; fi
    options=$(options)
    if ! tls_in_files; then die "zz-medsec-tls.cnf does not decide on the server of $socket; does its command line set ssl_... or tls_version?"; fi
  fi
  if ! strong; then put_out_of_use ssl_cipher; fi
  if ! tls_offered && [ "$(echo 'SELECT @@have_ssl = "YES" AND @@ssl_key = "'"$(option ssl_key)"'"' | ask)" = 1 ]; then echo 'FLUSH SSL' | ask; fi
  if ! tls_offered; then restart; fi
  tls_offered || die "the server on $socket still offers no good TLS: what does its error log say of $certificate?"
  if [ "$require" = yes ]; then echo 'SET GLOBAL require_secure_transport = ON' | ask; fi
}

# --- what is asked ----------------------------------------------------------------------------------------------------

with() { # PID PROGRAM : runs "$verb"
  at "$1" "$2"
  options=$(options)
  "$verb"
}

report() {
  "${subject}_describe"
  place=$(folder)
  if [ -n "$lacks" ] && [ -z "$place" ]; then
    die "the server on $socket reads no folder of drop-ins; add a line '!includedir /etc/mysql/NAME.d' to $(option_files | tail -n 1)"
  fi
  printf '{"socket": "%s", "folder": "%s", "output": "%s", "bind": "%s", "certificate": "%s", "key": "%s", "require": "%s", "lacks": "%s"}\n' \
    "$socket" "$place" "${output-}" "${bind-}" "${certificate-}" "${key-}" "${require-}" "$lacks"
}

scope() {
  option_files | sed "s/^$tab//; s/^/file$tab/"
  {
    ask << SQL
SELECT CONCAT('SET GLOBAL ', VARIABLE_NAME, ' = ', IF(VARIABLE_TYPE RLIKE 'INT|DOUBLE', GLOBAL_VALUE, QUOTE(GLOBAL_VALUE)), ';')
  FROM information_schema.SYSTEM_VARIABLES WHERE GLOBAL_VALUE_ORIGIN = 'SQL' AND VARIABLE_NAME RLIKE '^$runtime';
SQL
    case $subject in access | passwords) "${subject}_undo" ;; esac
  } > "$statements"
  if [ -s "$statements" ]; then
    {
      if [ "$login" = --no-defaults ]; then login="$login -uroot"; fi
      echo "env -i HOME=/root $client $login -S $socket --default-character-set=utf8mb4 mysql << 'END_OF_STATEMENTS'"
      echo "SET SESSION sql_mode = '', sql_log_bin = 0;"
      cat "$statements"
      echo END_OF_STATEMENTS
    } | base64 -w 0 | sed "s/.*/undo$tab&/"
    echo
  fi
}

settle() { if [ "$socket" = "$wanted" ]; then "${subject}_settle"; fi; }

verb=$1
shift
if [ "$verb" = settle ]; then
  wanted=$1
  shift
fi
subject=$1
shift
case $subject in
  audit)
    file_mib=${1:-0}
    runtime=server_audit_
    ;;
  access)
    networks=${1-}
    runtime=local_infile
    ;;
  passwords)
    min_length=${1-} life_days=${2-} max_errors=${3-}
    runtime='(simple_password_check_|strict_password_validation|max_password_errors|default_password_lifetime)'
    ;;
  tls)
    required=${1-} ports=${2-} given=${3-} given_key=${4-} days=${5-}
    runtime=require_secure_transport
    ;;
  *) die "unknown subject '$subject'" ;;
esac
statements=$(mktemp)
trap 'rm -f "$statements" "$statements".*' EXIT
daemons > "$statements.servers"
while IFS="$tab" read -r number program <&3; do with "$number" "$program"; done 3< "$statements.servers"
