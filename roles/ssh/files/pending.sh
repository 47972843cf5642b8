# shellcheck shell=sh
# Prints "pending" when a configuration file of sshd changed after the daemon read it, and "loaded" otherwise.
# Read-only. Used by both engines, so that a correct file that was never loaded is loaded.
export LC_ALL=C
pid=$(systemctl show --property=MainPID --value ssh.service)
[ "$pid" != 0 ] || pid=$(systemctl show --property=MainPID --value sshd.service)
if [ "$pid" = 0 ]; then echo loaded; exit 0; fi # started for each connection
started=$(($(date +%s) - $(ps -o etimes= -p "$pid")))
logged=$(journalctl -q -o short-unix _PID="$pid" | grep 'Server listening on' | tail -n 1 | cut -d' ' -f1)
for follow in -P -L; do find "$follow" /etc/ssh/sshd_config /etc/ssh/sshd_config.d -printf '%C@\n' 2>/dev/null; done | sort -n | tail -n 1 |
  awk -v started="$started" -v logged="$logged" '{ last = logged > started - 2 ? logged + 0 : started + 1; print ($1 + 0 > last ? "pending" : "loaded") }'
