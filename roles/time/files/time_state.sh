# shellcheck shell=sh
# Prints what is to be done so that this host takes its time from $SOURCES only, in the zone $ZONE; nothing when all is well:
#   disable UNIT      keep another time service from being started at boot
#   stop UNIT         stop another time service
#   end PID PROGRAM   end a time program that no service started
#   install           install chrony
#   configure FILE    write FILE, which the daemon reads
#   restart UNIT      the daemon does not run, follows something else than its file says, or is more than $MAX_OFFSET_MS off
#   enable UNIT       boot does not start it
#   zone              set the time zone
# $CHRONY is the name of chrony's unit, $FILE its file, $OWN_CLOCK is "yes" where a host without sources is a source itself.
# Reads only; both engines run it.
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin

registered() { # ADDRESSES : are there some, and all of them registered?
  if [ -z "$1" ]; then [ "$OWN_CLOCK" = yes ]; return; fi
  for address in $1; do
    case " $SOURCES " in *" $address "*) ;; *) return 1 ;; esac
  done
}
works() { systemctl is-active --quiet "$1"; }
boots() { [ "$(systemctl is-enabled "$1" 2> /dev/null)" = enabled ]; }

configured_chrony() { # FILE : the sources that chrony takes from it
  text=$(chronyd -p -f "$1" 2> /dev/null) || text=$(cat "$1" /etc/chrony/conf.d/*.conf 2> /dev/null)
  printf '%s\n' "$text" | awk 'tolower($1) ~ /^(server|pool|peer|refclock)$/ { print $2 }'
  printf '%s\n' "$text" | awk 'tolower($1) == "sourcedir" { for (i = 2; i <= NF; i++) print $i }' | while read -r folder; do
    cat "$folder"/*.sources 2> /dev/null | awk 'tolower($1) ~ /^(server|pool|peer)$/ { print $2 }'
  done
}
deviates() { # a clock that is far off is stepped at a start, and would take days to be slewed
  chronyc -c tracking | awk -F , -v limit="$MAX_OFFSET_MS" '{ off = $5 < 0 ? -$5 : $5; exit !(off * 1000 > limit) }'
}
configured_timesyncd() {
  systemd-analyze cat-config systemd/timesyncd.conf | sed -n 's/^[[:space:]]*NTP=//p' | tr ' ' '\n' | grep .
}
followed_timesyncd() {
  timedatectl show-timesync --property=SystemNTPServers --property=LinkNTPServers --property=RuntimeNTPServers --value | tr ' ' '\n' | grep .
}

if works systemd-timesyncd && ! works "$CHRONY" && registered "$(configured_timesyncd)" && registered "$(followed_timesyncd)"; then
  if ! boots systemd-timesyncd; then echo "enable systemd-timesyncd.service"; fi
  keep=systemd-timesyncd.service
else
  keep=$CHRONY.service
  if ! command -v chronyd > /dev/null; then echo install; fi
  # The file that the daemon reads: the unit or its environment may name another one.
  file=$({ systemctl show --property=ExecStart --value "$CHRONY"; cat /etc/default/chrony /etc/sysconfig/chronyd; } 2> /dev/null |
    sed -n 's/.*[" =]-f *\([^" ;]*\).*/\1/p' | head -n 1)
  file=${file:-$FILE}
  if ! command -v chronyd > /dev/null || ! registered "$(configured_chrony "$file")"; then echo "configure $file"; fi
  if ! works "$CHRONY" || deviates ||
    ! { registered "$(chronyc -n -c sources | cut -d, -f3)" || registered "$(chronyc -N -c sources | cut -d, -f3)"; }; then
    echo "restart $CHRONY.service"
  fi
  if ! boots "$CHRONY"; then echo "enable $CHRONY.service"; fi
fi
for unit in chrony chronyd systemd-timesyncd ntp ntpd ntpsec openntpd; do
  name=$(systemctl show --property=Id --value "$unit.service")
  if [ "$name" = "$keep" ] || [ "$unit.service" != "$name" ]; then continue; fi
  if boots "$name"; then echo "disable $name"; fi
  if works "$name"; then echo "stop $name"; fi
done
# Programs that something else started: a unit of the site, systemd-run, a shell.
find /proc -maxdepth 1 -name '[0-9]*' | while IFS=/ read -r _ _ number; do
  program=$(readlink "/proc/$number/exe") || continue
  name=${program##*/}
  case ${name%" (deleted)"} in chronyd | systemd-timesyncd | ntpd | openntpd) ;; *) continue ;; esac
  unit=$(sed -n 's,^[0-9]*:\(name=systemd\)\{0\,1\}:.*/\([^/]*\.\(service\|scope\)\).*,\2,p' "/proc/$number/cgroup" | head -n 1)
  case $unit in
    "$keep") ;;
    *.service)
      if boots "$unit"; then echo "disable $unit"; fi
      echo "stop $unit"
      ;;
    *) echo "end $number $program" ;;
  esac
done | sort -u
if ! cmp -s /etc/localtime "/usr/share/zoneinfo/$ZONE"; then echo zone; fi
