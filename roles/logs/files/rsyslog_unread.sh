# shellcheck shell=sh
# Prints the settings of rsyslog that changed since it started; nothing where it does not run, since it reads them as it starts.
main=$(systemctl show --property=MainPID --value rsyslog.service)
if [ "$main" != 0 ]; then
  find /etc/rsyslog.conf /etc/rsyslog.d -newerct "@$(($(date +%s) - $(ps -o etimes= -p "$main") + 1))"
fi
