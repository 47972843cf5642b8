# shellcheck shell=sh
# Prints the packet filter of this host, as it is now and as the next boot makes it, in sections headed by "== name".
# Changes nothing: what boot loads is loaded into a network namespace of its own, which is gone when this ends.
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
if ! command -v nft > /dev/null; then echo '== no nft'; exit 0; fi
echo '== now'
nft -j list ruleset || exit 1
echo '== interfaces'
ls /sys/class/net

# Enabled services that run nft: what each runs, what it waits for, what would keep it from starting.
enabled=$(systemctl list-unit-files --type=service --state=enabled --no-legend --plain) || exit 1
loaders=
# nftables.service starts before the network and therefore first.
for unit in $(echo "$enabled" | awk '$1 !~ /@\./ && $2 == "enabled" { print ($1 != "nftables.service") " " $1 }' | sort | cut -d' ' -f2); do
  if systemctl show -p ExecStartPre -p ExecStart -p ExecStartPost "$unit" | grep -q '={ path=[^ ]*/nft '; then
    loaders="$loaders $unit"
  fi
done
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
for unit in ufw firewalld netfilter-persistent iptables ip6tables shorewall ferm; do
  if [ "$(systemctl is-enabled "$unit.service" 2> /dev/null)" != enabled ]; then continue; fi
  if [ "$unit" = ufw ] && ! grep -qs '^ENABLED=yes' /etc/ufw/ufw.conf; then continue; fi
  echo "$unit.service"
done

# shellcheck disable=SC2016 # the inner shell expands
boot() { # run the start commands of the loaders, in order, in a network namespace of their own with interfaces named $1
  export BOOT_INTERFACES="$1"
  for unit in $loaders; do
    systemctl show -p ExecStartPre -p ExecStart -p ExecStartPost "$unit" | tac
  done | sed -n 's/^Exec[A-Za-z]*={ path=[^ ]* ; argv\[\]=\(.*\) ; ignore_errors=.*/\1/p' | unshare --net sh -c '
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

# Rules that nft cannot show: the older kernel interface has tables of its own.
echo '== legacy'
for version in '' 6; do
  if ! grep -qsx filter "/proc/net/ip${version}_tables_names"; then continue; fi
  if command -v "ip${version}tables-legacy-save" > /dev/null; then
    "ip${version}tables-legacy-save" -t filter | grep -E '^(-A|:[A-Z]+ DROP)' | sed "s/^/ip${version}tables-legacy /"
  else
    echo "ip${version}tables-legacy table filter (install iptables to see its rules)"
  fi
done
echo '== end'
