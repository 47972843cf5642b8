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

property() { systemctl show --property="$2" --value -- "$1"; }

in_use() { # UNIT
  case $(property "$1" ActiveState) in active | activating | reloading | refreshing) return 0 ;; esac
  case $(property "$1" LoadState) in masked | not-found) return 1 ;; esac
  case $(property "$1" UnitFileState) in enabled*) return 0 ;; esac
  # What wants, requires or triggers it counts when it runs or will run itself, whatever its name.
  for other in $(property "$1" WantedBy) $(property "$1" RequiredBy) $(property "$1" TriggeredBy); do
    if [ "$(property "$other" ActiveState)" = active ]; then return 0; fi
    case $(property "$other" LoadState),$(property "$other" UnitFileState) in loaded,enabled*) return 0 ;; esac
  done
  return 1
}

tell() { # UNIT
  case $(property "$1" LoadState),$(property "$1" FragmentPath) in
    masked,* | *,/run/systemd/transient/*) echo "unit $1 stop" ;;
    *,/etc/systemd/system/*) echo "unit $1 disable" ;;
    *) echo "unit $1 mask" ;;
  esac
}

{
  # Sockets, paths and timers come first, so that none starts again what was stopped.
  all=$(for suffix in socket path timer service; do for name in $SERVICES; do echo "$name.$suffix"; done; done)
  # shellcheck disable=SC2086 # a list of names
  for unit in $(systemctl show --property=Id --property=LoadState --property=ActiveState -- $all |
    awk -v RS= '!/LoadState=not-found/ || /ActiveState=active/ { sub(/.*Id=/, ""); sub(/\n.*/, ""); print }'); do
    if in_use "$unit"; then tell "$unit"; fi
  done

  systemctl list-units --type=socket --state=active --plain --no-legend | while read -r socket _; do
    started=$(property "$socket" Triggers)
    if [ "$(property "$socket" Accept)" = yes ]; then started="${socket%.socket}@0.service"; fi
    for unit in $started; do
      program=$(property "$unit" ExecStart | sed -n 's/^{ path=\([^ ]*\) ;.*/\1/p' | head -n 1)
      if [ -n "$program" ] && listed "$program"; then tell "$socket"; fi
    done
  done

  find /proc -maxdepth 1 -name '[0-9]*' | while IFS=/ read -r _ _ number; do
    program=$(readlink "/proc/$number/exe") || continue
    if ! listed "$program"; then continue; fi
    unit=$(sed -n 's,^[0-9]*:\(name=systemd\)\{0\,1\}:/system\.slice/\(.*/\)\{0\,1\}\([^/]*\.service\)$,\3,p' "/proc/$number/cgroup")
    case $unit in
      '') echo "process $number $program" ;;
      *@*) echo "process $number $program" ;; # one connection of a socket, which is told above
      *) tell "$unit" ;;
    esac
  done
} | awk '!told[$0]++'
