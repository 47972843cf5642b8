#!/bin/sh
# Says, as one JSON object, what keeps this host from keeping its logs long enough, and what the files should say instead.
#   retention.sh DAYS MIB    DAYS: how long records are kept at least; MIB: what the journal may occupy at least
# It changes nothing. Both engines run it, write the "files" and then run it again to learn which daemons to restart.
#   files    path -> content, mode, user, group        folders  to be made for them
#   reload   "systemd" where a unit file has changed since it was read
#   start    units to unmask, enable and start         revert   units whose replaced command does not rotate
#   restart  daemons that have not read their settings, or do not do what these say
#   reread   daemons that read their settings again on SIGHUP, and may not be restarted
#   by_hand  what a person must decide
# Settings that keep more than is asked stay as they are; nothing here deletes a record.
set -eu
export LC_ALL=C
days=$1
mib=$2
tab=$(printf '\t')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/tree"
for list in folders reload start revert restart reread by_hand modes; do : > "$work/$list"; done
say() { printf '%s\n' "$2" >> "$work/$1"; }

# UNIT<tab>PROPERTY=VALUE of all that is asked of systemd beforehand: each question costs more than its answer.
systemctl list-units --all --plain --no-legend 'systemd-journald@*.service' | awk '{ print $1 }' > "$work/spaces"
xargs systemctl show --property=Id,MainPID,ActiveState,UnitFileState,ExecStart,TimersCalendar,TimersMonotonic systemd-journald.service \
  rsyslog.service auditd.service logrotate.timer logrotate.service cron.service crond.service < "$work/spaces" | awk -v RS= -F '\n' '
  { for (i = 1; i <= NF; i++) if ($i ~ /^Id=/) unit = substr($i, 4)
    if (told[unit]++) next # two of the names are one unit
    for (i = 1; i <= NF; i++) print unit "\t" $i }' > "$work/units"

shown() { # UNIT PROPERTY
  while IFS= read -r line; do case $line in "$1$tab$2="*) printf '%s\n' "${line#*=}" ;; esac; done < "$work/units"
}

edit() { # PATH : the copy that is edited
  if [ ! -e "$work/tree$1" ]; then
    if [ ! -d "$work/tree${1%/*}" ]; then mkdir -p "$work/tree${1%/*}"; fi
    if [ -e "$1" ]; then cat -- "$1" > "$work/tree$1"; else : > "$work/tree$1"; fi
  fi
  printf '%s\n' "$work/tree$1"
}

seconds() { # TIME SPAN
  case $1 in 0 | infinity) echo 0; return ;; 1month) echo 2629800; return ;; esac
  systemd-analyze timespan "$1" 2> /dev/null | awk -F ': *' '/s:/ && !seen { seen = 1; printf "%.0f\n", $2 / 1000000 }'
}

mebibytes() { # SIZE
  printf '%s\n' "$1" | awk '{ n = $0 + 0; u = toupper($0); gsub(/[^KMGTPE]/, "", u); p = index("KMGTPE", substr(u, 1, 1)); if (u == "") p = 0
    printf "%.0f\n", n * 1024 ^ p / 1048576 }'
}

# --- the audit records ------------------------------------------------------------------------------------------------

audit() {
  pid=$(shown auditd.service MainPID)
  folder=/etc/audit
  told=
  if [ "$pid" != 0 ]; then
    told=$(($(date +%s) - $(ps -o etimes= -p "$pid")))
    given=$(tr '\0' '\n' < "/proc/$pid/cmdline" | sed -n '/^-c$/{n;p}')
    folder=${given:-$folder}
  fi
  config=$folder/auditd.conf
  if [ ! -e "$config" ]; then return 0; fi
  tr '[:upper:]' '[:lower:]' < "$config" | sed -n 's/^[[:space:]]*\([a-z_]*\)[[:space:]]*=[[:space:]]*\([^[:space:]]*\).*/\1=\2/p' > "$work/set"
  last() { sed -n "s/^$1=//p" "$work/set" | tail -n 1; }
  case $(last write_logs)/$(last log_format) in no/* | */nolog) say by_hand "auditd writes no file: set write_logs = yes in $config" ;; esac
  file=$(sed -n 's/^[[:space:]]*log_file[[:space:]]*=[[:space:]]*//p' "$config" | tail -n 1)
  file=${file:-/var/log/audit/audit.log}
  number=$(last num_logs)
  case $(last max_log_file_action) in
    suspend) short=yes ;;
    rotate)
      short=no
      if [ "${number:-0}" -ge 2 ] && [ -z "$(find "${file%/*}" -maxdepth 1 -name "${file##*/}*" -mtime +"$days" 2> /dev/null)" ]; then short=yes; fi
      ;;
    *) short=no ;;
  esac
  if [ $short = yes ] && grep -qE '^(space_left|admin_space_left|disk_full|disk_error)_action=(halt|single)' "$work/set"; then
    say by_hand "a full disk halts this host (*_action in $config): decide on that, then set max_log_file_action = KEEP_LOGS there"
  elif [ $short = yes ]; then
    edited=$(edit "$config")
    sed -i 's/^[[:space:]]*[Mm][Aa][Xx]_[Ll][Oo][Gg]_[Ff][Ii][Ll][Ee]_[Aa][Cc][Tt][Ii][Oo][Nn][[:space:]]*=.*/max_log_file_action = KEEP_LOGS/' "$edited"
  fi
  if [ -n "$told" ]; then
    # Told by a signal, it says so in its own log.
    said=$({ echo "$told"; grep -hsE '^type=DAEMON_CONFIG .* res=success' "$file" "$file.1" | sed -n 's/.*audit(\([0-9]*\)\..*/\1/p'; } | sort -n | tail -n 1)
    if [ "$(stat -L -c %Z "$config")" -gt $((said + 1)) ]; then say reread auditd.service; fi
  fi
}

# --- the journals -----------------------------------------------------------------------------------------------------

# The value of a setting of the journal, or the DEFAULT; a shell's own loop, since it is asked so often.
of() { # NAME [DEFAULT]
  while IFS= read -r line; do case $line in "$1="*) printf '%s\n' "${line#*=}"; return ;; esac; done < "$work/set"
  printf '%s\n' "${2:-}"
}

journal() { # UNIT NAMESPACE
  name=journald${2:+@$2}.conf
  systemd-analyze --no-pager cat-config "systemd/$name" > "$work/config" 2> /dev/null || true
  awk '/^[[:space:]]*\[/ { section = $1; next }
    section == "[Journal]" && /^[[:space:]]*[A-Za-z]+[[:space:]]*=/ {
      key = $0; sub(/[[:space:]]*=.*/, "", key); sub(/^[[:space:]]*/, "", key); value = $0; sub(/^[^=]*=[[:space:]]*/, "", value)
      sub(/[[:space:]]*$/, "", value); set[key] = value }
    END { for (key in set) if (set[key] != "") print key "=" set[key] }' "$work/config" > "$work/set"
  : > "$work/wanted"
  storage=$(of Storage | tr '[:upper:]' '[:lower:]')
  persistent=no
  case ${storage:-auto} in persistent) persistent=yes ;; auto) if [ -d /var/log/journal ]; then persistent=yes; fi ;; esac
  if [ $persistent = no ]; then say wanted Storage=persistent; fi
  age=$(seconds "$(of MaxRetentionSec 0)")
  if [ "${age:-0}" -gt 0 ] && [ "$age" -lt $((days * 86400)) ]; then say wanted "MaxRetentionSec=${days}day"; fi
  each=$(seconds "$(of MaxFileSec 1month)")
  number=$(of SystemMaxFiles 100)
  if [ "$number" -gt 0 ] && [ "$each" -gt 0 ] && [ $((number * each)) -lt $((days * 86400)) ]; then
    say wanted "SystemMaxFiles=$((days * 86400 / each + 1))"
  fi
  journal_room "$2"
  case $(of MaxLevelStore) in 0 | 1 | 2 | 3 | 4 | 5 | emerg | alert | crit | err | warning | notice) say wanted MaxLevelStore=debug ;; esac
  case $(of ForwardToSyslog) in 0 | no | n | false | f | off)
    if command -v rsyslogd > /dev/null && ! grep -rqsE '^[^#]*imjournal' /etc/rsyslog.conf /etc/rsyslog.d; then say wanted ForwardToSyslog=yes; fi ;;
  esac

  pid=$(shown "$1" MainPID)
  late=no
  if [ "$pid" = 0 ]; then
    late=yes
  else
    started=$(($(date +%s) - $(ps -o etimes= -p "$pid")))
    { sed -n 's,^# \(/.*\.conf\)$,\1,p' "$work/config"; for root in /etc /run /usr/local/lib /usr/lib; do echo "$root/systemd/$name.d"; done; } |
      while IFS= read -r path; do if [ -e "$path" ]; then stat -L -c %.6Z "$path"; fi; done > "$work/changed"
    said=$(journalctl -q ${2:+--namespace="$2"} -o short-unix _PID="$pid" MESSAGE_ID=f77379a8490b408bbe5f6940505a777b | tail -n 1 | cut -d' ' -f1)
    late=$(sort -n "$work/changed" | tail -n 1 | awk -v started="$started" -v said="$said" '
      $1 > (said > started - 2 ? said + 0 : started + 1) { late = 1 } END { print (late ? "yes" : "no") }')
    if [ $persistent = yes ] && ! find "/proc/$pid/fd" -lname '*.journal' ! -lname '/run/*' | grep -q .; then late=yes; fi
  fi
  case $(stat -f -L -c %T /var/log) in tmpfs | ramfs) say by_hand '/var/log is kept in memory: give it a disk' ;; esac
  if [ -d /var/log/journal ]; then
    case $(stat -f -L -c %T /var/log/journal) in tmpfs | ramfs) late=no; say by_hand '/var/log/journal is kept in memory: unmount it, or give it a disk' ;; esac
  fi
  if [ "$late" = yes ] || [ -s "$work/wanted" ]; then say restart "$1"; fi
  if [ -s "$work/wanted" ]; then drop_in "/etc/systemd/$name.d"; fi
}

journal_room() { # NAMESPACE : what it may occupy against what it needs, in MiB
  folder=/var/log/journal/$(cat /etc/machine-id)${1:+.$1}
  place=/var/log
  if [ -d /var/log/journal ]; then place=/var/log/journal; fi
  used=0
  need=$mib
  if [ -d "$folder" ]; then
    used=$(du -s -B1048576 "$folder" | cut -f1)
    oldest=$(journalctl -q -D "$folder" -o short-unix 2> /dev/null | head -n 1 | cut -d. -f1)
    span=$(($(date +%s) - ${oldest:-$(date +%s)}))
    if [ $span -ge 604800 ] && [ $((used * days * 86400 / span)) -gt "$need" ]; then need=$((used * days * 86400 / span)); fi
  fi
  # shellcheck disable=SC2046 # three numbers
  set -- $(stat -f -L -c '%S %b %a' $place)
  disk=$(($1 * $2 / 1048576))
  free=$(($1 * $3 / 1048576))
  limit=$((disk / 10))
  if [ $limit -gt 4096 ]; then limit=4096; fi
  keep=$((disk * 15 / 100))
  if [ $keep -gt 4096 ]; then keep=4096; fi
  if [ -n "$(of SystemMaxUse)" ]; then limit=$(mebibytes "$(of SystemMaxUse)"); fi
  if [ -n "$(of SystemKeepFree)" ]; then keep=$(mebibytes "$(of SystemKeepFree)"); fi
  if [ "$limit" -lt "$need" ]; then
    limit=$((need + need / 4))
    say wanted "SystemMaxUse=${limit}M"
  fi
  # So many files, each of the size at which the next one is begun: an eighth of the limit, where nothing is set.
  number=$(sed -n 's/^SystemMaxFiles=//p' "$work/wanted")
  number=${number:-$(of SystemMaxFiles 100)}
  each=$((limit / 8 > 128 ? 128 : limit / 8))
  if [ -n "$(of SystemMaxFileSize)" ]; then each=$(mebibytes "$(of SystemMaxFileSize)"); fi
  if [ "$number" -gt 0 ] && [ $((number * each)) -lt "$need" ]; then say wanted "SystemMaxFileSize=$(((need + need / 4) / number + 1))M"; fi
  if [ $((used + free - keep)) -lt "$need" ]; then
    if [ $((used + free - disk / 20)) -ge "$need" ]; then
      say wanted "SystemKeepFree=$((disk / 20))M"
    else
      say by_hand "the disk of $place has $free MiB free; the journal needs $need MiB: make room or give /var/log a disk of its own"
    fi
  fi
}

drop_in() { # FOLDER : its own drop-in, the last to be read, with what is wanted
  own=zz-medsec-retention.conf
  for path in "$1"/*.conf /run/"${1#/etc/}"/*.conf /usr/local/lib/"${1#/etc/}"/*.conf /usr/lib/"${1#/etc/}"/*.conf; do
    other=${path##*/}
    while [ -e "$path" ] && [ "$other" != "$own" ] && [ "$(printf '%s\n%s\n' "$own" "$other" | sort | tail -n 1)" = "$other" ]; do own=zz$own; done
  done
  if [ ! -d "$1" ]; then say folders "$1"; fi
  file=$(edit "$1/$own")
  awk -F = 'NR == FNR { wanted[$1] = $0; next } !($1 in wanted) && /^[A-Za-z]+=/' "$work/wanted" "$file" > "$work/kept"
  { printf '# Kept by medsec (logs_kept_six_months): records must outlast %s days.\n[Journal]\n' "$days"; cat "$work/kept" "$work/wanted"; } > "$file"
}

# --- the rules of logrotate -------------------------------------------------------------------------------------------

# One run of logrotate rotates a file at most once; so a rule by size keeps as many runs as files. INTERVAL is in hours.
rules() { # INTERVAL FORCED CONFIG...
  interval=$1; forced=$2; shift 2
  (cd / && logrotate -d "$@") > "$work/said" 2>&1 || true
  : > "$work/order"
  : > "$work/places"
  while IFS= read -r line; do
    case $line in
      'including '*) printf '%s\n' "${line#including }" >> "$work/places" ;;
      'reading config file '*)
        read_name=${line#reading config file }
        case $read_name in
          /*) printf '%s\n' "$read_name" ;;
          *) sed '1!G;h;$!d' "$work/places" | while IFS= read -r place; do if [ -f "${place%/}/$read_name" ]; then printf '%s\n' "${place%/}/$read_name"; break; fi; done ;;
        esac >> "$work/order" ;;
    esac
  done < "$work/said"
  sed -n 's/^error: Ignoring \(.*\) because .*writable.*/\1/p' "$work/said" | while IFS= read -r read_name; do
    for path in "$read_name" "/etc/logrotate.d/$read_name"; do
      if [ -f "$path" ] && [ "$path" != "${path#/}" ]; then edit "$path" > /dev/null; printf '%s\n' "$path" >> "$work/modes"; fi
    done
  done
  while IFS= read -r path; do edit "$path" > /dev/null; done < "$work/order"
  : > "$work/fixed"
  awk -v days="$days" -v interval="$interval" -v forced="$forced" -v tree="$work/tree" -v order="$work/order" \
    -v fixed="$work/fixed" -v by_hand="$work/by_hand" -v doubles="$(grep -c ' duplicate log entry for ' "$work/said")" '
    function months(count,   start, i, sum, least) { # the days of the shortest run of so many months
      least = 0
      for (start = 1; start <= 12; start++) {
        sum = 0
        for (i = 0; i < count; i++) sum += length_of[(start + i - 1) % 12 + 1]
        if (!least || sum < least) least = sum
      }
      return least
    }
    function hours(every) { return every == "hourly" ? 1 : every == "daily" ? 24 : every == "weekly" ? 168 : every == "yearly" ? 8760 : interval }
    function enough(every, early, count) { # does so many files cover the days?
      if (count < 0) return 1
      if (every == "monthly" && !early) return months(count) >= days
      return count * needed_step(every, early) >= days * 24
    }
    function needed_step(every, early,   step) { step = early ? interval : hours(every); return step > interval ? step : interval }
    function needed(every, early,   count) {
      if (every == "monthly" && !early) { for (count = 1; months(count) < days; count++); return count }
      count = int(days * 24 / needed_step(every, early))
      return count * needed_step(every, early) >= days * 24 ? count : count + 1
    }
    function number(text) { gsub(/[^0-9-]/, "", text); return text + 0 }
    function directive(text, state) { # one line of settings
      if (text ~ /^(hourly|daily|weekly|monthly|yearly)([^a-z]|$)/) { match(text, /^[a-z]+/); state["every"] = substr(text, 1, RLENGTH) }
      else if (text ~ /^size[ \t=]/) state["every"] = "size"
      else if (text ~ /^maxsize[ \t=]/) state["maxsize"] = 1
      else if (text ~ /^rotate[ \t=]/) state["rotate"] = number(text)
      else if (text ~ /^maxage[ \t=]/) state["maxage"] = number(text)
    }
    function copy(from, to,   key) { for (key in to) delete to[key]; for (key in from) to[key] = from[key] }
    function finish(path, lines, first, last, state,   i, j, text, indent, early, count, aged, own_rotate, own_age, opening) {
      early = (state["maxsize"] || forced || state["every"] == "size")
      count = enough(state["every"], early, state["rotate"]) ? "" : needed(state["every"], early)
      aged = (state["maxage"] != "" && state["maxage"] < days)
      if (count != "" && count > 10000) {
        print path ":" first " is rotated by a job that may run each minute: let logrotate.timer alone rotate it" >> by_hand
        count = ""
      }
      if (count == "" && !aged) return
      changed = 1
      indent = "\t"
      for (i = first; i <= last; i++) {
        if (i in inscript) continue
        text = lines[i]; sub(/^[ \t]*/, "", text)
        if (i == first || text ~ /\{/) { opening = i; if (index(text, "{")) { sub(/^[^{]*\{[ \t]*/, "", text) } }
        if (i > first && text ~ /^[a-z]/ && indent == "\t") { match(lines[i], /^[ \t]*/); if (RLENGTH) indent = substr(lines[i], 1, RLENGTH) }
        if (count != "" && text ~ /^rotate[ \t=]/) { own_rotate = 1; if (number(text) >= 0 && number(text) < count) sub(/rotate[ \t=]+[0-9]+/, "rotate " count, lines[i]) }
        if (aged && text ~ /^maxage[ \t=]/) { own_age = 1; if (number(text) < days) sub(/maxage[ \t=]+[0-9]+/, "maxage " days, lines[i]) }
      }
      if (count != "" && !own_rotate) lines[first] = lines[first] "\n" indent "rotate " count
      if (aged && !own_age) lines[first] = lines[first] "\n" indent "maxage " days
    }
    # A log that two rules name stays with the first; logrotate rejects the whole file of the second.
    function patterns(lines, from, to,   i, j, count, words, head, rest, kept) {
      kept = 0
      for (i = from; i <= to; i++) {
        rest = ""; head = lines[i]
        if (i == to) { rest = substr(head, index(head, "{")); head = substr(head, 1, index(head, "{") - 1) }
        if (head ~ /^[ \t]*#/) continue
        count = split(head, words, /[ \t\r]+/)
        for (j = 1; j <= count; j++) {
          if (words[j] == "") continue
          if (!(words[j] in known)) { known[words[j]] = 1; kept++; continue }
          twice[words[j], i] = 1
        }
      }
      if (!kept) { for (i in twice) { split(i, words, SUBSEP); print words[1] > fixed; delete twice[i] } return 1 }
      for (i = from; i <= to; i++) {
        head = lines[i]; rest = ""
        if (i == to) { rest = substr(head, index(head, "{")); head = substr(head, 1, index(head, "{") - 1) }
        count = split(head, words, /[ \t\r]+/)
        for (j = 1; j <= count; j++) if ((words[j], i) in twice) {
          print words[j] > fixed; changed = 1; delete twice[words[j], i]
          head = " " head " "
          place_of = index(head, words[j])
          head = substr(head, 1, place_of - 1) substr(head, place_of + length(words[j]))
          gsub(/^[ \t]+|[ \t]+$/, "", head)
        }
        lines[i] = head (head != "" && rest != "" && head !~ /[ \t]$/ ? " " : "") rest
      }
      return 0
    }
    function put_out(lines, from, to,   i) {
      changed = 1
      for (i = from; i <= to; i++) { gsub(/\n/, "\n# ", lines[i]); lines[i] = "# " lines[i] }
    }
    function walk(path,   file, lines, total, i, text, state, inside, first, script, place, j, from, empty) {
      seen[path] = 1
      file = tree path
      total = 0
      while ((getline text < file) > 0) lines[++total] = text
      close(file)
      changed = 0
      for (i in inscript) delete inscript[i]
      for (i = 1; i <= total; i++) {
        text = lines[i]; sub(/^[ \t]*/, "", text)
        if (script) { inscript[i] = 1; if (text ~ /^endscript/) script = 0; continue }
        while (text != "" && text !~ /^#/) {
          if (!inside && text ~ /^[\/"~*{\047]/) {
            if (!from) from = i
            if (!index(text, "{")) break
            inside = 1; first = i; copy(global, state)
            empty = doubles ? patterns(lines, from, i) : 0
            sub(/^[^{]*\{[ \t]*/, "", text); continue
          }
          if (inside && text ~ /^\}/) { finish(path, lines, first, i, state); if (empty) put_out(lines, from, i); inside = 0; from = 0; sub(/^\}[ \t]*/, "", text); continue }
          if (text ~ /^(prerotate|postrotate|firstaction|lastaction|preremove)/) { script = 1; break }
          if (inside) directive(text, state); else directive(text, global)
          if (!inside && text ~ /^include[ \t=]/) {
            place = text; sub(/^include[ \t=]+/, "", place); gsub(/["\r]|[ \t]+$/, "", place); sub(/\/$/, "", place)
            includes = includes place "\n"
            save(path, lines, total)
            for (j = 1; j <= files; j++) if (!(in_order[j] in seen) && (in_order[j] == place || folder(in_order[j]) == place)) walk(in_order[j])
            changed = 0
          }
          break
        }
      }
      save(path, lines, total)
    }
    function folder(path) { sub(/\/[^\/]*$/, "", path); return path }
    function save(path, lines, total,   i, file) {
      if (!changed) return
      file = tree path
      printf "" > file
      for (i = 1; i <= total; i++) print lines[i] > file
      close(file)
    }
    BEGIN {
      split("31 28 31 30 31 30 31 31 30 31 30 31", length_of, " ")
      global["every"] = "size"; global["rotate"] = 0; global["maxage"] = ""; global["maxsize"] = 0
      while ((getline line < order) > 0) in_order[++files] = line
      for (f = 1; f <= files; f++) if (!(in_order[f] in seen)) walk(in_order[f])
    }'
  sed '/^Handling /,$d' "$work/said" | sed -n 's/^error: //p' | grep -vE '^(found error in|Ignoring )' | while IFS= read -r complaint; do
    if ! printf '%s\n' "${complaint##* duplicate log entry for }" | grep -qxF -f "$work/fixed"; then say by_hand "logrotate rejects its rules: $complaint"; fi
  done
}

# --- who starts what --------------------------------------------------------------------------------------------------

# Names with a control character are passed by, as cron and run-parts pass them by.
find /etc/crontab /etc/anacrontab /etc/cron.d /var/spool/cron -follow -type f ! -name '*.dpkg-*' ! -name '*.rpm*' ! -name '*[[:cntrl:]]*' \
  2> /dev/null | sort -u > "$work/tables" || true
{
  find /etc/cron.hourly /etc/cron.daily /etc/cron.weekly /etc/cron.monthly /etc/rc.local -follow -type f ! -name '*.dpkg-*' ! -name '*[[:cntrl:]]*' 2> /dev/null || true
  tr '\n' '\0' < "$work/tables" | { xargs -0 -r grep -hoE '/(usr/local|opt|root|home|srv|etc|var/lib)/[^][ ;|&"<>()]+' || true; } | tr -d "'" | sort -u |
    while IFS= read -r path; do case $path in /etc/cron*) ;; *) if [ -f "$path" ] && grep -Iq . "$path"; then printf '%s\n' "$path"; fi ;; esac; done
} | sort -u > "$work/scripts"
units() { find /etc/systemd/system /run/systemd/system /usr/local/lib/systemd/system -type f 2> /dev/null || true; }

mentioning() { # EXPRESSION : those of the files on stdin that have it
  tr '\n' '\0' | { xargs -0 -r grep -lsE -e "$1" || true; }
}

# A line that deletes younger records than asked is taken out of use; where that could break a script, a person decides.
# shellcheck disable=SC2016 # the dollars are awk's
deletes='
  function deletes(text,   age, found) {
    sub(/[ \t]#.*/, "", text)
    if (text ~ /journalctl.*--vacuum-(size|files)/) return 1
    if (match(text, /--vacuum-time[= ]"?[0-9]+ *[a-zA-Z]*/)) {
      age = substr(text, RSTART, RLENGTH); found = age; gsub(/[^0-9]/, "", age); sub(/.*[0-9] */, "", found)
      age = age * (found ~ /^d/ ? 1 : found ~ /^w/ ? 7 : found ~ /^(M$|month)/ ? 30 : found ~ /^y/ ? 365 : 0)
      return age < days
    }
    if (text ~ /(^|[^a-z])find .*\/var(\/log)?(\/|[ "]|\047).*(-delete|rm |unlink|shred|truncate)/) {
      age = -1
      if (match(text, /-[mc]time +\+[0-9]+/)) { age = substr(text, RSTART, RLENGTH); gsub(/[^0-9]/, "", age) }
      else if (match(text, /-[mc]min +\+[0-9]+/)) { age = substr(text, RSTART, RLENGTH); gsub(/[^0-9]/, "", age); age = int(age / 1440) }
      return age + 0 < days
    }
    if (text ~ /(^|[^a-z_.-])(rm|unlink|shred|truncate|tmpreaper|tmpwatch) [^;&|#>]*\/var\/log/) return 1
    if (text ~ /(cat +\/dev\/null|:|true|echo( +-n)?( +(""|\047\047))?|root|^|[;&])[ \t]*>[ \t]*\/var\/log\//) return 1
    return text ~ /cp +\/dev\/null +\/var\/log\//
  }'

# WORD FILE : `table` comments a line out, `script` and `unit` put a command in its place that does nothing
take_out() {
  file=$(edit "$2")
  awk -v days="$days" -v word="$1" -v path="$2" -v by_hand="$work/by_hand" -v hit="$work/hit" "$deletes"'
    { text = $0; sub(/^[ \t]*/, "", text) }
    text ~ /^[#;]/ || text == "" || !deletes(text) { print; next }
    (word != "table" && text ~ /\\$/) || (word == "script" && text ~ /([|&{(]|then|do|else)[ \t]*$|(^|[^a-z])(for|while|if) |[`]|\$\(/) ||
      (word == "unit" && text !~ /^Exec[A-Za-z]+=/) { print path ":" FNR " deletes logs: " text >> by_hand; print; next }
    { print (word == "script" ? ": # " : "# ") "put out of use by medsec, it deletes logs: " text
      if (word == "unit") { sub(/=.*/, "=/bin/true", text); print text }
      print "" > hit }' "$file" > "$work/new"
  if [ -e "$work/hit" ]; then
    rm "$work/hit"
    cat "$work/new" > "$file"
    if [ "$1" = unit ]; then say reload systemd; fi
  fi
}

# A line of tmpfiles.d that lets files age: in the site's own files the age goes, of others a person decides.
stop_aging() {
  systemd-tmpfiles --cat-config --no-pager 2> /dev/null | awk '/^# \// { file = substr($0, 3) }
    $1 ~ /^[a-zA-Z]/ && ($2 ~ /^"?\/var\/log(\/|"?$)/ || $2 == "/var") { print file "\t" $0 }' |
    awk -F '\t' -v days="$days" '{
      line = $0; sub(/^[^\t]*\t/, "", line); split(line, field, /[ \t]+/); age = field[6]; gsub(/[^0-9]/, "", age); unit = field[6]; gsub(/[^a-zA-Z]/, "", unit)
      worth = unit ~ /^d/ ? 1 : unit ~ /^w/ ? 7 : unit ~ /^(M$|month)/ ? 30 : unit ~ /^y/ ? 365 : 0
      if (field[1] ~ /^[rRD]/) print "hand\t" $1 "\t" line
      else if (age != "" && age * worth < days) print ($1 ~ /^\/etc\// ? "edit" : "hand") "\t" $1 "\t" line }' |
    while IFS="$tab" read -r what path line; do
      if [ "$what" = hand ]; then say by_hand "$path deletes logs: $line"; continue; fi
      file=$(edit "$path")
      awk -v line="$line" '$0 == line { head = $0; for (i = 1; i <= 5; i++) sub(/^[ \t]*[^ \t]+[ \t]+/, "", head)
        front = substr($0, 1, length($0) - length(head)); sub(/^[^ \t]+/, "-", head); print front head; next } { print }' "$file" > "$work/new"
      cat "$work/new" > "$file"
    done
}

each_line() { # COMMAND... : for each path on stdin
  while IFS= read -r path; do "$@" "$path"; done
}

rotating_jobs() { # HOURS FORCED CONFIG... of each cron line that starts logrotate, tab-separated
  sort -u "$work/tables" "$work/scripts" | mentioning logrotate | while IFS= read -r path; do
    case $path in *logrotate.d/* | */logrotate.conf) continue ;; esac
    # The package's own script leaves the work to systemd.
    if grep -q '^[^#]*-d /run/systemd/system' "$path"; then continue; fi
    case $path in */cron.daily/*) every=24 ;; */cron.weekly/*) every=168 ;; */cron.monthly/*) every=672 ;; *) every=- ;; esac
    awk -v every="$every" '
      /^[ \t]*[#;]/ { next }
      match($0, /(^|[ \t;&|(])([^ \t;&|(]*\/)?logrotate[ \t]+/) {
        rest = substr($0, RSTART + RLENGTH); sub(/[;&|)>].*/, "", rest)
        hours = every != "-" ? every : /^@(daily|midnight|weekly|monthly|yearly|annually)[ \t]/ || /^[0-9]+[ \t]+[0-9]+[ \t]/ ? 24 : 1 / 60
        forced = 0; configs = ""
        count = split(rest, words, /[ \t]+/)
        for (i = 1; i <= count; i++) {
          if (words[i] ~ /^(-s|--state|-m|--mail|-l|--log)$/) { i++; continue }
          if (words[i] ~ /^(-[vf]*f[vf]*|--force)$/) forced = 1
          else if (words[i] ~ /^["\047]?\//) { gsub(/["\047]/, "", words[i]); configs = configs "\t" words[i] }
        }
        if (configs != "") print hours "\t" forced configs
      }' "$path"
  done
}

unforce() { # FILE : a forced run rotates whatever the rules say
  if grep -qE '^[^#]*logrotate[[:space:]].*(-[vf]*f[vf]*|--force)([[:space:]]|$)' "$1"; then
    file=$(edit "$1")
    awk '/^[ \t]*#/ || !/logrotate[ \t]/ { print; next }
      { while (match($0, /[ \t](--force|-f|-fv|-vf)([ \t]|$)/)) {
          found = substr($0, RSTART, RLENGTH)
          $0 = substr($0, 1, RSTART - 1) (found ~ /v/ ? " -v" : "") (found ~ /[ \t]$/ ? " " : "") substr($0, RSTART + RLENGTH)
        } print }' "$file" > "$work/new"
    cat "$work/new" > "$file"
  fi
}

# --- rsyslog ----------------------------------------------------------------------------------------------------------

reaches_a_file() { # MATCH... : whether the newest such record of the journal is in a file that rsyslog writes
  only=.
  case $1 in --since=*) only=' port [0-9]' ;; esac # of all that sshd says this alone is no login's like another
  record=$(journalctl -q --no-pager -o short-unix "$@" | grep -v 'COMMAND=' | grep -e "$only" | awk '$1 ~ /^[0-9]+\.[0-9]+$/ && length($0) < 300 { last = $0 } END { print last }')
  if [ -z "$record" ]; then return 0; fi
  message=$(printf '%s\n' "$record" | sed 's/^[0-9.]* [^ ]* [^ ]*: *//')
  for _ in 1 2 3 4 5 6; do
    # Of the files that it has open, and of their forerunners, those that were written since.
    find "/proc/$pid/fd" -lname '/*' ! -lname '/dev/*' ! -lname '/run/*' ! -lname '/tmp/*' ! -lname '* (deleted)' -printf '%l\n' > "$work/open" 2> /dev/null || true
    while IFS= read -r file; do
      for place in "$file" "$file.1" "$file"-20*; do
        if [ -f "$place" ] && [ "$(stat -c %Y "$place")" -ge $((${record%%.*} - 2)) ] && grep -qF -- "$message" "$place"; then return 0; fi
      done
    done < "$work/open"
    sleep 0.5
  done
  return 1
}

rsyslog() {
  if [ "$(shown rsyslog.service ActiveState) $(shown rsyslog.service UnitFileState)" != 'active enabled' ]; then say start rsyslog.service; return; fi
  pid=$(shown rsyslog.service MainPID)
  if find "/proc/$pid/fd" -lname '/* (deleted)' ! -lname '/proc/*' ! -lname '/dev/*' ! -lname '/memfd:*' | grep -q .; then say restart rsyslog.service; return; fi
  if grep -q '^systemd-journald.service$' "$work/restart"; then return; fi # what is lost there never came here
  own=/etc/rsyslog.d/00-medsec-retention.conf
  if [ -e "$own" ]; then
    started=$(($(date +%s) - $(ps -o etimes= -p "$pid")))
    if [ "$(stat -c %Z "$own")" -gt $((started + 1)) ]; then say restart rsyslog.service; return; fi
  fi
  logins=auth.log; rest=syslog
  if [ ! -d /etc/apt ]; then logins=secure; rest=messages; fi
  : > "$work/lines"
  if ! reaches_a_file -n 200 SYSLOG_FACILITY=4 SYSLOG_FACILITY=10 || ! reaches_a_file --since=-10min SYSLOG_IDENTIFIER=sshd SYSLOG_IDENTIFIER=sshd-session; then echo "auth,authpriv.*  /var/log/$logins" >> "$work/lines"; fi
  if ! reaches_a_file -n 200 SYSLOG_FACILITY=3 _PID=1; then echo "*.*;auth,authpriv.none  -/var/log/$rest" >> "$work/lines"; fi
  if [ -s "$work/lines" ]; then
    say restart rsyslog.service
    file=$(edit "$own")
    { echo '# Kept by medsec (logs_kept_six_months): read first, so that no later rule loses these records.'
      grep -v '^#' "$file" | cat - "$work/lines" | sort -u; } > "$work/new"
    cat "$work/new" > "$file"
  fi
}

# --- all of it --------------------------------------------------------------------------------------------------------

journal systemd-journald.service ''
while IFS= read -r unit; do
  space=${unit#systemd-journald@}
  journal "$unit" "${space%.service}"
done < "$work/spaces"

mentioning 'vacuum|/var' < "$work/tables" | each_line take_out table
mentioning 'vacuum|/var' < "$work/scripts" | each_line take_out script
units | sort -u | mentioning 'vacuum|/var' | each_line take_out unit
units | mentioning '^# put out of use by medsec, it deletes logs: ' | while IFS= read -r path; do
  if [ "$(systemctl show --property=NeedDaemonReload --value "${path##*/}")" = yes ]; then say reload systemd; fi
done
stop_aging

if command -v logrotate > /dev/null; then
  sort -u "$work/tables" "$work/scripts" | mentioning logrotate | each_line unforce
  rotating_jobs | sort -u > "$work/jobs"
  if ! { [ active = "$(shown cron.service ActiveState)" ] || [ active = "$(shown crond.service ActiveState)" ]; } || ! grep -qE "$tab/etc/logrotate.conf($tab|\$)" "$work/jobs"; then
    case $(shown logrotate.timer ActiveState)/$(shown logrotate.timer UnitFileState) in
      active/enabled | active/static | active/alias) ;;
      *) say start logrotate.timer ;;
    esac
    program=$(shown logrotate.service ExecStart | sed -n 's/.*argv\[\]=\([^;]*\) ;.*/\1/p')
    case $program in *logrotate*/etc/logrotate.conf*) ;; *) say revert logrotate.service ;; esac
  fi
  every=1
  calendar=$(shown logrotate.timer TimersCalendar; shown logrotate.timer TimersMonotonic)
  if [ "$(printf '%s\n' "$calendar" | grep -c .)" = 1 ] && printf '%s\n' "$calendar" | grep -qE 'OnCalendar=([A-Za-z.,]+ )?[^ ]+ [0-9]{2}:[0-9]{2}:[0-9]{2} '; then every=24; fi
  rules $every 0 /etc/logrotate.conf
  if ! grep -qE '^(rotating pattern: |error: )' "$work/said"; then say by_hand 'logrotate finds no rule in /etc/logrotate.conf: put back its line "include /etc/logrotate.d"'; fi
  while IFS="$tab" read -r hours _ configs; do
    # shellcheck disable=SC2046 # one word for each configuration; the forced runs have been unforced above
    rules "$hours" 0 $(printf '%s' "$configs" | tr '\t' ' ')
  done < "$work/jobs"
  find "$work/tree/etc" -path '*/logrotate*' -type f | sed "s,^$work/tree,," | sort > "$work/read"
  each_line take_out script < "$work/read"
fi
if command -v rsyslogd > /dev/null; then rsyslog; fi
case $(shown auditd.service ActiveState)/$(shown auditd.service UnitFileState) in active/* | */enabled) audit ;; esac

# shellcheck disable=SC2016 # the dollars are awk's
quote='
  function quoted(text) { gsub(/\\/, "&&", text); gsub(/"/, "\\\"", text); gsub(/\t/, "\\t", text); gsub(/\r/, "\\r", text); return "\"" text "\"" }'
list() {
  printf '"%s": [' "$1"
  awk "$quote"' !seen[$0]++ { printf "%s%s", (some++ ? ", " : ""), quoted($0) }' "$work/$1"
  printf ']'
}
printf '{"files": {'
comma=
find "$work/tree" -type f | sort | while IFS= read -r file; do
  path=${file#"$work/tree"}
  forced=no
  if grep -qxF "$path" "$work/modes"; then forced=yes; fi
  if [ $forced = no ] && [ -e "$path" ] && cmp -s "$file" "$path"; then continue; fi
  owner='root root 644'
  if [ -e "$path" ] && [ $forced = no ]; then owner=$(stat -L -c '%U %G %a' "$path"); fi
  # shellcheck disable=SC2086 # three words
  set -- $owner
  printf '%s\n%s: {"user": "%s", "group": "%s", "mode": "0%s", "content": ' "$comma" \
    "$(printf '%s\n' "$path" | awk "$quote"'{ printf "%s", quoted($0) }')" "$1" "$2" "$3"
  awk "$quote"' BEGIN { printf "\"" } { line = quoted($0); printf "%s\\n", substr(line, 2, length(line) - 2) } END { printf "\"" }' "$file"
  printf '}'
  comma=,
done
printf '}'
for list in folders reload start revert restart reread by_hand; do printf ',\n'; list $list; done
printf '}\n'
