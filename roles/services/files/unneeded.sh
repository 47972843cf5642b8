# shellcheck shell=sh
# Prints what is in use of the services named in $SERVICES (units without suffix) and $PROGRAMS (program files), a line each:
#   unit NAME mask|disable|stop    a unit that runs, or that boot, a socket or another unit starts; what can be done to it
#   process PID PROGRAM            a program that no such unit started
# A unit file that the site wrote itself cannot be masked, one that systemd-run made cannot be disabled. Reads only; both
# engines run it.
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
set -f # names are words, never patterns

listed() { # PROGRAM : is its file's name in $PROGRAMS?
  name=${1##*/}
  for program in $PROGRAMS; do
    if [ "$program" = "${name%" (deleted)"}" ]; then return 0; fi
  done
  return 1
}

# ID|NAMES|VALUE... of each unit; a property that has several values has its first.
shown() { # PROPERTY... -- UNIT...
  properties=
  while [ "$1" != -- ]; do properties="$properties $1"; shift; done
  shift
  # shellcheck disable=SC2046,SC2086 # lists of names
  systemctl show $(printf -- '--property=%s ' Id Names $properties) -- "$@" | awk -v RS= -F '\n' -v wanted="Id Names$properties" '
    { split("", value)
      for (i = 1; i <= NF; i++) { at = index($i, "="); name = substr($i, 1, at - 1); if (!(name in value)) value[name] = substr($i, at + 1) }
      count = split(wanted, name_of, " ")
      for (i = 1; i <= count; i++) printf "%s%s", value[name_of[i]], i < count ? "|" : "\n" }'
}

in_use() { # LOADED ACTIVE ENABLED UNITS-THAT-START-IT
  case $2 in active | activating | reloading | refreshing) return 0 ;; esac
  case $3 in masked-runtime) return 0 ;; esac # the next boot knows nothing of that mask
  case $1 in masked | not-found) return 1 ;; esac
  case $3 in enabled*) return 0 ;; esac
  # What wants, requires or triggers it counts when it runs or will run itself, whatever its name.
  for other in $4; do
    case $(shown ActiveState LoadState UnitFileState -- "$other") in *'|active|'* | *'|loaded|enabled'*) return 0 ;; esac
  done
  return 1
}

tell() { # UNIT
  case $(shown LoadState FragmentPath UnitFileState -- "$1") in
    *'|masked-runtime') echo "unit $1 mask" ;;
    *'|masked|'* | *'|/run/systemd/transient/'*) echo "unit $1 stop" ;;
    *'|/etc/systemd/system/'*) echo "unit $1 disable" ;;
    *) echo "unit $1 mask" ;;
  esac
}

{
  # Sockets, paths and timers come first, so that none starts again what was stopped.
  # Only of those that there are: systemd would look for each of the others in a dozen folders.
  wanted=$(for suffix in socket path timer service; do for name in $SERVICES; do echo "$name.$suffix"; done; done)
  # shellcheck disable=SC2086 # a list of names
  all=$({
    printf '%s\n' $wanted -
    find /etc/systemd /run/systemd /usr/local/lib/systemd /usr/lib/systemd /lib/systemd/ -maxdepth 2 ! -type d -printf '%f\n' 2> /dev/null
    systemctl list-units --all --plain --no-legend --no-pager -- $wanted | cut -d' ' -f 1
  } | awk '$0 == "-" { rest = 1; next } !rest { wanted[++count] = $0; next } { here[$0] }
    END { for (i = 1; i <= count; i++) if (wanted[i] in here) print wanted[i] }')
  # shellcheck disable=SC2086 # a list of names
  shown LoadState ActiveState UnitFileState WantedBy RequiredBy TriggeredBy -- ${all:-none.service} |
    while IFS='|' read -r unit _ loaded active enabled wanting requiring triggering; do
      if [ "$loaded" = not-found ] && [ "$active" != active ]; then continue; fi
      if in_use "$loaded" "$active" "$enabled" "$wanting $requiring $triggering"; then tell "$unit"; fi
    done

  # Of each active socket, the program that it starts.
  sockets=$(systemctl list-units --type=socket --state=active --plain --no-legend | awk '{ print $1 }')
  # shellcheck disable=SC2086 # a list of names
  started=$(shown Accept Triggers -- ${sockets:-none.socket} | awk -F '|' '
    $3 == "yes" { instance = $1; sub(/\.socket$/, "@0.service", instance); print $1, instance; next }
    { count = split($4, service, " "); for (i = 1; i <= count; i++) print $1, service[i] }')
  # shellcheck disable=SC2046 # a list of names
  shown ExecStart -- $(printf '%s\n' "${started:-none none.service}" | cut -d' ' -f 2) | pairs=$started awk -F '|' '
    BEGIN { lines = split(ENVIRON["pairs"], line, "\n"); for (i = 1; i <= lines; i++) { split(line[i], word, " "); socket[word[2]] = socket[word[2]] " " word[1] } }
    $3 ~ /^\{ path=/ { sub(/^\{ path=/, "", $3); sub(/ ;.*/, "", $3); names = split($2, name, " ")
      for (i = 1; i <= names; i++) { sockets = split(socket[name[i]], word, " "); for (j = 1; j <= sockets; j++) print word[j], $3 } }' |
    while read -r socket program; do
      if listed "$program"; then tell "$socket"; fi
    done

  # What boot starts by another name. Asked for all unit files, systemd works for a second.
  enabled=$(find /etc/systemd/system /run/systemd/system /run/systemd/generator /run/systemd/generator.early \
    /run/systemd/generator.late /usr/local/lib/systemd/system /usr/lib/systemd/system /lib/systemd/system/ \
    -maxdepth 2 -name '*.service' ! -name '*@.service' -type l ! -lname /dev/null \
    \( -path '*.wants/*' -o -path '*.requires/*' -o -path '/etc/systemd/system/*' \) -printf '%f\n' 2> /dev/null | sort -u)
  # shellcheck disable=SC2086 # a list of names
  shown ExecStart -- ${enabled:-none.service} | sed -n 's/^\([^|]*\)|[^|]*|{ path=[^ ]* ; argv\[\]=\(.*\) ; ignore_errors=.*/\1 \2/p' |
    while read -r unit words; do
      for word in $words; do
        case $word in
          /etc/* | /var/* | /run/*) ;;
          /*) if listed "$word"; then tell "$unit"; fi ;;
        esac
      done
    done

  find /proc -maxdepth 2 -path '/proc/[0-9]*/exe' -printf '%h %l\n' 2> /dev/null | while read -r number program; do
    number=${number#/proc/}
    if [ -z "$program" ] || ! listed "$program"; then continue; fi
    unit=$(sed -n 's,^[0-9]*:\(name=systemd\)\{0\,1\}:/system\.slice/\(.*/\)\{0\,1\}\([^/]*\.service\)$,\3,p' "/proc/$number/cgroup")
    case $unit in
      '') echo "process $number $program" ;;
      *@*) echo "process $number $program" ;; # one connection of a socket, which is told above
      *) tell "$unit" ;;
    esac
  done
} | awk '!told[$0]++'
