#!/bin/bash
# prove.sh [--lint-only]      needs root; at the end, prints how many checks passed and failed, and exits 1 if any failed
# Proves the Vagrantfile: each provider's block is read by Vagrant itself, the whole clinic comes up on LXC, is hardened by
# playbooks/harden.yml, lets through what the ledger says and nothing else, and goes without a trace.
set -euo pipefail
top=$(readlink -f "$(dirname "$0")/../..")
cd "$top"
PATH=$top/.venv/bin:$PATH

state=$(mktemp -d "${TMPDIR:-/tmp}/medsec-vagrant.XXXXXX")
export VAGRANT_HOME=$state/home VAGRANT_DOTFILE_PATH=$state/dot VAGRANT_CHECKPOINT_DISABLE=1 ANSIBLE_NOCOLOR=1
export ANSIBLE_SSH_CONTROL_PATH_DIR=$state/cp
zones=$(ruby -r ./lab/vagrant/clinic -e 'puts Clinic.new(".").zones.join(" ")')
machines=(gateway his-app his-db backup terminal-1 terminal-2)
passed=0 failed=0 up=0

ok() { passed=$((passed + 1)) && echo "ok      $*"; }
bad() { failed=$((failed + 1)) && echo "FAILED  $*"; }
check() { # WHAT COMMAND... : the command must end well
  local what=$1 log=$state/log
  shift
  if "$@" > "$log" 2>&1; then ok "$what"; else bad "$what: $(said "$log")"; fi
}
said() { # LOG : what Ansible calls fatal, or else the end
  grep -E '^fatal:|^\[ERROR\]' "$1" | head -n 3 || tail -n 4 "$1"
}
refused() { # WHAT PATTERN COMMAND... : the command must fail, and say PATTERN
  local what=$1 pattern=$2 log=$state/log
  shift 2
  if "$@" > "$log" 2>&1; then bad "$what: accepted"; elif grep -q "$pattern" "$log"; then ok "$what"; else
    bad "$what: refused for another reason: $(tail -n 4 "$log" | tr '\n' ' ')"
  fi
}
finish() {
  local code=$?
  trap - EXIT
  if [[ $up = 1 ]]; then
    check "vagrant destroy" vagrant destroy --force
    nothing_left
  fi
  rm -rf "$state"
  echo "$passed passed, $failed failed"
  [[ $code = 0 && $failed = 0 ]] || exit 1
}
trap finish EXIT

nothing_left() {
  local rest
  rest=$(lxc-ls | tr ' ' '\n' | grep '^medsec-' || :)
  rest+=$(ip -br link | grep '^mv-' || :)
  rest+=$(ip rule show priority 6598 && ip -6 rule show priority 6598)
  rest+=$(ip route show 10.66.0.0/16 | grep 'metric 9998' || :)
  rest+=$(grep -E '/var/lib/lxc/medsec-| /srv/repo ' /proc/self/mounts || :)
  rest+=$(find /sys/fs/cgroup -maxdepth 3 -name 'lxc.*.medsec-*' -print)
  if [[ -z $rest ]]; then ok "nothing is left on this machine"; else bad "left on this machine: $rest"; fi
}

lint() {
  mkdir -p "$state/stub"
  # The stub answers only what Vagrant asks before it reads the block; nothing is ever brought up with it.
  # shellcheck disable=SC2016
  printf '#!/bin/sh\ncase $1 in --version) echo 7.0.20r163906 ;; *) exit 1 ;; esac\n' > "$state/stub/VBoxManage"
  chmod +x "$state/stub/VBoxManage"
  local provider path wrong
  for provider in lxc libvirt virtualbox; do
    path=$PATH
    if [[ $provider = virtualbox ]]; then
      path=$state/stub:$PATH
      command -v VBoxManage > /dev/null || echo "note    virtualbox: linted with a stub of VBoxManage, not run"
    fi
    check "vagrant validate: $provider" env PATH="$path" VAGRANT_DEFAULT_PROVIDER=$provider vagrant validate
    # Vagrant looks into the block of the chosen provider only: a wrong key there must not pass.
    wrong=$state/wrong-$provider
    sed "s/machine.vm.provider :$provider do |\\([a-z]*\\), override|/&\\n        \\1.no_such_setting = 1/" Vagrantfile > "$wrong"
    sed -i "s|__dir__|\"$top\"|; s|require_relative \"lab|require \"$top/lab|" "$wrong"
    refused "vagrant validate sees a wrong key: $provider" no_such_setting \
      env PATH="$path" VAGRANT_DEFAULT_PROVIDER=$provider VAGRANT_CWD="$state" VAGRANT_VAGRANTFILE="$(basename "$wrong")" vagrant validate
  done
}

inside() { # MACHINE COMMAND : as Vagrant itself would log in; its own `vagrant ssh` takes seconds to start
  ssh -F "$state/ssh_config" -o ConnectTimeout=20 "$1" "$2" < /dev/null
}
probe() { # FROM ADDRESS PORT : prints open or shut
  inside "$1" "timeout 4 bash -c 'exec 3<>/dev/tcp/$2/$3' 2> /dev/null && echo open || echo shut" 2> /dev/null | tail -n 1
}
want() { # FROM TO ADDRESS PORT open|shut WHEN
  local met
  met=$(probe "$1" "$3" "$4")
  if [[ $met = "$5" ]]; then ok "$6: $1 to $2 port $4 is $5"; else bad "$6: $1 to $2 port $4 is '$met', expected $5"; fi
}
lint
[[ ${1:-} != --lint-only ]] || exit 0

# shellcheck disable=SC2086 # the words are the zones
check "the addresses of the clinic are free" lab/vagrant/zones.sh up $zones
[[ $failed = 0 ]] || exit 1
up=1
check "boxes" lab/vagrant/build-boxes.sh lxc
check "vagrant up, whole clinic" vagrant up --provider=lxc --no-provision
vagrant ssh-config "${machines[@]}" > "$state/ssh_config"
check "names, routes, forwarding" vagrant provision --provision-with network
for name in "${machines[@]}"; do
  met=$(inside "$name" 'systemctl is-system-running --wait' 2> /dev/null | tail -n 1)
  if [[ $met = running ]]; then ok "$name is running"; else bad "$name is '$met', expected running"; fi
done

# Positive controls: what must be shut afterwards is open first, so that a dead route cannot pass for a firewall.
inside his-app 'sudo systemd-run --quiet --unit=his-stand-in python3 -m http.server 8080 --bind 10.66.1.10' > /dev/null 2>&1
want terminal-1 his-app 10.66.1.10 8080 open before
want terminal-1 his-app 10.66.1.10 22 open before
want terminal-1 his-db 10.66.1.20 22 open before
want terminal-1 backup 10.66.2.10 22 open before
want terminal-1 terminal-2 10.66.3.12 22 open before
want his-app his-db 10.66.1.20 22 open before
want his-db backup 10.66.2.10 22 open before

check "vagrant provision: hardened" vagrant provision --provision-with ansible
check "vagrant provision again" vagrant provision --provision-with ansible
changed=$(grep -cE 'changed=[1-9]' "$state/log" || :)
recaps=$(grep -cE 'changed=[0-9]+ .*failed=0' "$state/log" || :)
if [[ $changed = 0 && $recaps = "${#machines[@]}" ]]; then ok "the second run changes nothing on ${recaps} hosts"; else
  bad "the second run: $recaps of ${#machines[@]} hosts reported, $changed with changes"
fi

want terminal-1 his-app 10.66.1.10 8080 open after
want his-db backup 10.66.2.10 22 open after
want terminal-1 his-app 10.66.1.10 22 shut after
want terminal-1 his-db 10.66.1.20 22 shut after
want terminal-1 backup 10.66.2.10 22 shut after
want terminal-1 terminal-2 10.66.3.12 22 shut after
want his-app his-db 10.66.1.20 22 shut after
check "vagrant reload keeps a hardened host reachable" vagrant reload terminal-1 --no-provision
want terminal-1 his-app 10.66.1.10 8080 open "after a restart"
want terminal-2 terminal-1 10.66.3.11 22 shut "after a restart"
