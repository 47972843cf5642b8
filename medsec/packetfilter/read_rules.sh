# shellcheck shell=sh
# Prints the packet filter of this host, as it is now and as the next boot makes it, in sections headed by "== name".
# Changes nothing: what boot loads is loaded into a network namespace of its own, which is gone when this ends.
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
if ! command -v nft > /dev/null; then echo '== no nft'; exit 0; fi
echo '== now'
nft -j list ruleset || exit 1
echo '== interfaces'
ls /sys/class/net

# What boot starts and what that runs; services that run nft load rules. nftables.service starts before the network and
# therefore first. systemd would list what is enabled as well, at the price of looking up every unit there is.
units=$(find /etc/systemd/system /run/systemd/system /run/systemd/generator* /usr/local/lib/systemd/system /usr/lib/systemd/system \
  /lib/systemd/system -mindepth 2 -maxdepth 2 \( -path '*.wants/*.service' -o -path '*.requires/*.service' \) -printf '%f\n' 2> /dev/null |
  awk '{ print ($1 != "nftables.service") " " $1 }' | sort -u | cut -d' ' -f2)
[ -n "$units" ] || { echo 'no service is started at boot: what systemd says cannot be trusted' >&2; exit 1; }
# shellcheck disable=SC2086 # a list of names
started=$(systemctl show -p Id -p ExecStartPre -p ExecStart -p ExecStartPost -- $units) || exit 1
loaders=$(echo "$started" | awk -v RS= '/={ path=[^ ]*\/nft / { sub(/^(.*\n)?Id=/, ""); sub(/\n.*/, ""); if (!seen[$0]++) print }')
echo '== loaders'
for unit in $loaders; do
  echo "unit $unit"
  systemctl show -p NeedDaemonReload "$unit" | sed -n 's/.*=yes/stale/p'
  systemctl show -p WantedBy -p RequiredBy "$unit" | sed -n 's/^[A-Za-z]*=\(..*\)/wanted \1/p'
  systemctl cat "$unit" | sed -n 's/^[[:space:]]*\(\(Condition\|Assert\)[A-Za-z]*=..*\)/condition \1/p'
done
echo '== nftables.service'
systemctl show -p LoadState -p UnitFileState -p FragmentPath -p DropInPaths nftables.service
echo '== others'
systemctl show -p Id -p UnitFileState -- ufw.service firewalld.service netfilter-persistent.service iptables.service \
  ip6tables.service shorewall.service ferm.service | awk -v RS= '/UnitFileState=enabled/ { sub(/^(.*\n)?Id=/, ""); sub(/\n.*/, ""); print }' |
  while read -r unit; do
    if [ "$unit" != ufw.service ] || grep -qs '^ENABLED=yes' /etc/ufw/ufw.conf; then echo "$unit"; fi
  done

# shellcheck disable=SC2016 # the inner shell expands
boot() { # run the start commands of the loaders, in order, in a network namespace of their own with interfaces named $1
  export BOOT_INTERFACES="$1"
  for unit in $loaders; do
    systemctl show -p ExecStartPre -p ExecStart -p ExecStartPost "$unit" | tac
  done | sed -n 's/^Exec[A-Za-z]*={ path=[^ ]* ; argv\[\]=\(.*\) ; ignore_errors=.*/\1/p' | unshare --net --mount sh -c '
    # Files that are there now and gone after a boot must not be read.
    for place in /run /tmp /dev/shm; do mount -t tmpfs none $place || exit 3; done
    ip link set lo up
    for name in $BOOT_INTERFACES; do [ "$name" = lo ] || ip link add "$name" type bridge; done
    while read -r command; do
      if ! printf %s "$command" | grep -Exq "(/usr)?/s?bin/nft [A-Za-z0-9/._ -]+"; then
        echo "a start command is not a plain nft command: $command" >&2; exit 3
      fi
      $command > /dev/null || exit 3
    done
    nft -j list ruleset'
}
echo '== boot'
if [ -n "$loaders" ]; then
  # A rule that names an interface by its index needs one of that name: tried second, since it may load a module.
  answer=$(boot '' 2>&1) || answer=$(boot "$(cd /sys/class/net && echo *)" 2>&1)
  printf '%s\n' "$answer"
fi

# What else changes the filter while the host starts, comes up on a network, or on a schedule; packages do that by units only.
echo '== scripts'
runs='(nft|ip6?tables[-a-z]*)'
stops='(stop|mask|disable|kill)[^#]* nftables|nftables(.service)? stop'
# The site's own units, with what starts them besides being enabled (a timer, say); those that nothing starts do not count.
site=$(find /etc/systemd/system /run/systemd/system /run/systemd/transient /usr/local/lib/systemd/system -type f -path '*.service*' 2> /dev/null |
  sed 's,\.service\.d/.*,.service,; s,.*/,,; s/@\./@x./' | sort -u)
# shellcheck disable=SC2086 # a list of names
started="$started

$(systemctl show -p Id -p ExecStartPre -p ExecStart -p ExecStartPost -p ActiveState -p WantedBy -p RequiredBy -p TriggeredBy -p Conflicts \
  -- ${site:-none.service} | awk -v RS= -v ORS='\n\n' '/(WantedBy|RequiredBy|TriggeredBy)=[^\n]|State=active|Id=[^\n]*@x\./')"
printf '%s\n' "$started" | awk -v RS= -v judged="$loaders" -v wrong="={ path=[^\n]*([ /;&|(]${runs}[ ;]|$stops)|Conflicts=[^\n]*nftables" '
  $0 ~ wrong { sub(/^(.*\n)?Id=/, ""); sub(/\n.*/, ""); if (!index("\n" judged "\n", "\n" $0 "\n")) print }' | sort -u
{
  for file in /etc/rc.local /etc/network/interfaces /etc/network/interfaces.d/* /etc/network/if-*.d/* \
    /etc/networkd-dispatcher/*/* /etc/NetworkManager/dispatcher.d/* /etc/NetworkManager/dispatcher.d/*/* /etc/dhcp/*/* /etc/ppp/*/* \
    /etc/udev/rules.d/* /etc/crontab /etc/anacrontab /etc/cron.*/* /var/spool/cron/*; do echo "$file"; done
  find /var/spool/cron/crontabs -type f 2> /dev/null
  echo "$started" | grep -o ' argv\[\]=[^;]*' | tr ' =' '\n' | grep -E '^/(usr/local|etc|opt|root|home|srv|var)/'
} | sort -u | while read -r file; do
  if [ -f "$file" ] && grep -EIqs "^[^#]*(\<$runs\>|$stops)" "$file" && [ "${file##*.}" != nft ]; then
    case $file in
      */rc.local) if [ -x "$file" ]; then echo "$file"; fi ;;
      */nftables.conf) ;;
      # It gives back the rules that it found, while a change of them waits to be confirmed.
      /var/lib/medsec/guard/*/guard.sh) ;;
      *) echo "$file" ;;
    esac
  fi
done

# Rules that nft cannot show: the older kernel interface has tables of its own.
echo '== legacy'
if grep -qsx nat /proc/net/ip_tables_names /proc/net/ip6_tables_names; then echo nat; fi
for version in '' 6; do
  if ! grep -qsx filter "/proc/net/ip${version}_tables_names"; then continue; fi
  if command -v "ip${version}tables-legacy-save" > /dev/null; then
    "ip${version}tables-legacy-save" -t filter | grep -E '^(-A|:[A-Z]+ DROP)' | sed "s/^/ip${version}tables-legacy /"
  else
    echo "ip${version}tables-legacy table filter (install iptables to see its rules)"
  fi
done
echo '== end'
