#!/bin/sh
# Saves what a run may change on this host, takes it back when nobody confirms, and takes it back later when asked.
# Needs no Python: sh, coreutils, findutils, tar, util-linux, systemd. Root's alone.
#
#   guard.sh session RUN TOKEN KEEP  hold the host for RUN; read requests from stdin until it ends; keep KEEP runs' copies
#   guard.sh confirm RUN STEP        people can still get in: stop the revert timer (called over a fresh login)
#   guard.sh expire RUN              nobody confirmed: take back every open step (called by the timer, and at boot)
#   guard.sh abandon RUN             the same, once what the engine may have left running here has ended
#
# Requests of a session: VERB ARGUMENTS BYTES<newline>PAYLOAD. Each is answered by lines and `TOKEN CODE`.
#   save STEP        payload: what the step's controls may touch, see read_spec; copies it all
#   arm STEP SECONDS the timer that takes the step back
#   record STEP      what has changed since `save`, one line each
#   revert STEP      take the whole step back now
#   contents STEP    the differences that it made in files
#   edited STEP CONTROLS    what was edited since `record`: a rollback would undo that too
#   rollback STEP CONTROLS  take back what these controls changed
#   steps            what there is of this run
#   beat             the controller is still there; not answered
# CONTROLS are joined by commas.
#
# A step's folder, /var/lib/medsec/guard/RUN/STEP, holds: state (saving saved armed recorded confirmed reverted
# rolled-back); given and spec, what may be touched; before/ and after/, copies as trees; for each control the list of its
# paths; packages, units and the packet filter's rules as they were.
set -eu
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
umask 077
tab=$(printf '\t')
base=/var/lib/medsec/guard
units=/etc/systemd/system
patience=60 # seconds for one unit to start or stop

say() { printf '%s\n' "$*"; }
die() { say "$*" >&2; exit 1; }

state_of() { cat "$1/state" 2> /dev/null || say none; }

# A state is replaced in one step and is on the disk before anything goes on.
become() { # FOLDER STATE
  printf '%s\n' "$2" > "$1/state.new"
  sync "$1/state.new"
  mv -f "$1/state.new" "$1/state"
  sync "$1"
}

# --- What a control may touch -----------------------------------------------------------------------------------------

# Lines KIND<tab>CONTROL<tab>...: find PREFIX DEPTH REGEX | file PATH | unit GLOB | package NAME | account NAME | scope SCRIPT.
# A scope is a script (base64) that prints lines `file PATH`, `unit NAME`, `package NAME`, `undo SCRIPT`: for a control that
# may touch more places than could be copied, or what is no file, and that can tell beforehand what it would.
read_spec() { # FOLDER
  sed -n "s/^scope$tab//p" "$1/given" > "$1/scopes"
  # All at once: each asks the host many small questions and waits for the answers.
  while IFS="$tab" read -r control script; do
    say "$script" | base64 -d > "$1/$control.scope"
    { sh "$1/$control.scope" < /dev/null > "$1/$control.out" 2> "$1/$control.err" && : > "$1/$control.told"; } &
  done < "$1/scopes"
  wait
  cp "$1/given" "$1/spec.new"
  while IFS="$tab" read -r control _; do
    if [ ! -e "$1/$control.told" ]; then die "$control cannot tell what it would change: $(tail -n 3 "$1/$control.err")"; fi
    while IFS="$tab" read -r kind value; do
      case $kind in file | unit | package | undo) printf '%s\t%s\t%s\n' "$kind" "$control" "$value" >> "$1/spec.new" ;; esac
    done < "$1/$control.out"
    rm -f "$1/$control.scope" "$1/$control.out" "$1/$control.err" "$1/$control.told"
  done < "$1/scopes"
  mv "$1/spec.new" "$1/spec"
}

of() { # FOLDER KIND CONTROL
  sed -n "s/^$2$tab$3$tab//p" "$1/spec"
}

controls_of() { cut -f 2 "$1/given" | sort -u; }

# META<tab>PATH<nul>. The time of change and the inode tell every change of bytes, mode, owner, ACL or attribute, without
# reading a file.
look='%y %m %U:%G %s %T@ %C@ %i\t%p\0'

# Prints a line of `look` for everything that the control may touch and that is there.
listing() { # FOLDER CONTROL
  {
    of "$1" find "$2" > "$1/$2.find"
    cut -f 2 "$1/$2.find" | sort -u | while IFS= read -r deep; do found "$1/$2.find" "$deep"; done
    # shellcheck disable=SC2016 # for the inner shell
    of "$1" file "$2" | tr '\n' '\0' | existing '' | xargs -0 -r sh -c 'look=$1; shift; exec find "$@" -xdev ! -type s -printf "$look"' sh "$look"
    of "$1" unit "$2" | unit_paths
    if [ -n "$(of "$1" account "$2")" ]; then
      find /etc -maxdepth 1 -regextype posix-extended -regex '/etc/(passwd|shadow|group|gshadow|subuid|subgid)-?' -printf "$look"
    fi
  } | grep -zv "$tab$units/.*medsec-revert-" | sort -zu
}

# What is there of the patterns in FILE (PREFIX DEPTH REGEX) that reach so deep, by one search.
found() { # FILE DEPTH
  patterns=$1
  deep=$2
  any=
  seen=
  set --
  while IFS="$tab" read -r prefix depth regex; do
    if [ "$depth" = "$deep" ] && [ -e "$prefix" ]; then
      any="$any|$regex"
      case "$seen|" in *"|$prefix|"*) ;; *) set -- "$@" "$prefix"; seen="$seen|$prefix" ;; esac
    fi
  done < "$patterns"
  if [ $# = 0 ]; then return 0; fi
  # What is kept here may be called like what is looked for.
  find "$@" -xdev -maxdepth "$deep" -regextype posix-extended -path /var/lib/medsec -prune -o -regex "${any#|}" ! -type s -printf "$look"
}

# What enables, masks, extends or renames the units on stdin; the links of their SysV twins as well.
unit_paths() (
  set --
  sysv=-false
  while IFS= read -r unit; do
    if [ $# = 0 ]; then set -- -false; fi
    set -- "$@" -o -path "$units/$unit" -o -path "$units/*.wants/$unit" -o -path "$units/*.requires/$unit" \
      -o -path "$units/$unit.d" -o -path "$units/$unit.d/*" -o -lname "*/$unit"
    sysv="$sysv -o -name [SK][0-9][0-9]${unit%.service}"
  done
  if [ $# = 0 ]; then return 0; fi
  find "$units" -maxdepth 2 \( "$@" \) -printf "$look"
  set -f
  # shellcheck disable=SC2086 # words; names of units have no blanks
  find /etc -maxdepth 2 -path '/etc/rc?.d/*' \( $sysv \) -printf "$look"
)

paths_in() { cut -z -f 2-; }

# `COMMAND FOLDER CONTROL` for every control at once: each waits for answers more than it works. Their numbers go to $asked.
for_each_control() { # COMMAND FOLDER
  asked=
  for control in $(controls_of "$2"); do
    "$1" "$2" "$control" &
    asked="$asked $!"
  done
}

# Waits for all of them, so that none writes on behind an answer, and fails where one did.
all_well() { # PROCESS...
  lost=0
  for process; do wait "$process" || lost=1; done
  return "$lost"
}

# --- Packages (Debian family) -----------------------------------------------------------------------------------------

installed() {
  if command -v dpkg-query > /dev/null; then
    dpkg-query -W -f '${db:Status-Abbrev}\t${binary:Package}\t${Version}\n' | sed -n "s/^ii *$tab//p" | sort
  else
    rpm -qa --qf '%{NAME}.%{ARCH}\t%{VERSION}-%{RELEASE}\n' | sort
  fi
}

# The files and the books of the installed packages that a control names: enough to make the package again.
save_packages() { # FOLDER ; prints their paths, nul-ended
  if ! command -v dpkg-query > /dev/null; then return 0; fi
  sed -n "s/^package${tab}[^$tab]*$tab//p" "$1/spec" > "$1/names"
  cut -f 1 "$1/packages.before" | awk -F : 'FILENAME != "-" { named[$0]; next } $1 in named' "$1/names" - | while IFS= read -r package; do
    keep="$1/package.$package"
    mkdir "$keep"
    dpkg-query -s "$package" > "$keep/status"
    # Packages still name /lib, /bin and /sbin, which are links on most hosts.
    dpkg-query -L "$package" | if [ -L /lib ]; then sed -nE -e 's,^/(lib[0-9a-z]*|s?bin)/,/usr/\1/,' -e '/^\/(lib[0-9a-z]*|s?bin)$/!p'; else cat; fi > "$keep/files"
    { cat "$keep/files"; dpkg-query --control-list "$package" | sed "s,.*,/var/lib/dpkg/info/$package.&,"; } |
      while IFS= read -r path; do if [ "$path" != /. ] && { [ -e "$path" ] || [ -L "$path" ]; }; then printf '%s\0' "$path"; fi; done
  done
}

# --- Units ------------------------------------------------------------------------------------------------------------

# UNIT<tab>ENABLED<tab>ACTIVE of each unit that the controls may touch.
unit_states() { # FOLDER
  sed -n "s/^unit${tab}[^$tab]*$tab//p" "$1/spec" | sort -u > "$1/globs"
  {
    xargs -r -d '\n' systemctl list-unit-files --no-legend --no-pager --plain < "$1/globs" | cut -d' ' -f 1 || true
    xargs -r -d '\n' systemctl list-units --all --no-legend --no-pager --plain < "$1/globs" | cut -d' ' -f 1 || true
  } | grep -v '@\.' | sed '/^$/d' | sort -u > "$1/units"
  if [ ! -s "$1/units" ]; then return 0; fi
  # shellcheck disable=SC2046 # words; names of units have no blanks
  systemctl show --no-pager -p UnitFileState -p ActiveState -- $(cat "$1/units") | awk -v RS= -v FS='\n' -v OFS='\t' '
    { for (i = 1; i <= NF; i++) { at = index($i, "="); value[substr($i, 1, at - 1)] = substr($i, at + 1) }
      print value["UnitFileState"], value["ActiveState"] }' > "$1/states"
  if [ "$(wc -l < "$1/states")" -ne "$(wc -l < "$1/units")" ]; then die "the states of the units cannot be told"; fi
  paste "$1/units" "$1/states"
}

# Puts the units back into the enabled and active state they had. Their files are back already.
restore_units() { # FOLDER UNITS-FILE
  systemctl daemon-reload
  while IFS="$tab" read -r unit enabled active; do
    now=$(systemctl show --no-pager -p UnitFileState --value -- "$unit")
    if [ "$now" != "$enabled" ]; then
      case $enabled in
        enabled | enabled-runtime) systemctl unmask --quiet -- "$unit"; systemctl enable --quiet -- "$unit" ;;
        disabled) systemctl unmask --quiet -- "$unit"; systemctl disable --quiet -- "$unit" ;;
        masked) systemctl mask --quiet -- "$unit" ;;
        masked-runtime) systemctl mask --quiet --runtime -- "$unit" ;;
      esac
    fi || say "$unit: its state '$enabled' could not be set again" >&2
    case $active in
      active | activating | reloading)
        case $unit in *.timer | *.socket | *.path | *.mount | *.target) verb=start ;; *) verb=restart ;; esac
        timeout "$patience" systemctl "$verb" -- "$unit" || say "$unit: does not start again" >&2
        ;;
      *) timeout "$patience" systemctl stop -- "$unit" 2> /dev/null || true ;;
    esac
  done < "$2"
}

# --- Saving -----------------------------------------------------------------------------------------------------------

# Copies the paths of LIST (nul-ended, absolute) from the tree FROM into the tree TO, with owner, mode, ACL, attributes.
copy() { # LIST FROM TO
  if [ ! -s "$1" ]; then return 0; fi
  sed -z 's,^/,,' "$1" > "$1.relative"
  {
    tar -C "$2" --acls --xattrs --xattrs-include='*' --hard-dereference --null --no-recursion -cf - -T "$1.relative" 2> "$1.said" || say failed >> "$1.said"
  } | tar -C "$3" --acls --xattrs --xattrs-include='*' --numeric-owner -xpf - 2>> "$1.said" || say failed >> "$1.said"
  if grep -q '^failed$' "$1.said"; then die "cannot copy to $3: $(grep -v '^failed$' "$1.said" | tail -n 3)"; fi
  rm -f "$1.said" "$1.relative"
}

# The rules in force, as a script that sets them again. nft cannot read back the tables that iptables made.
packet_filter() {
  say 'nft flush ruleset'
  nft list tables | while read -r _ family table; do
    rules=$(nft list table "$family" "$table" 2> /dev/null)
    if ! say "$rules" | grep -qE '(^|[^a-z])xt (match|target) '; then printf 'nft -f - << "END_OF_RULES"\n%s\nEND_OF_RULES\n' "$rules"; fi
  done
  for save in iptables ip6tables; do
    if command -v "$save-nft-save" > /dev/null; then
      rules=$("$save-nft-save" 2> /dev/null)
      if [ -n "$rules" ]; then printf '%s-nft-restore << "END_OF_RULES"\n%s\nEND_OF_RULES\n' "$save" "$rules"; fi
    fi
  done
}

# Room for the copy, and as much again for putting it back on a disk that has filled up in the meantime.
need_room() { # FOLDER LIST
  needed=$(xargs -0 -r stat -c '%F %s' -- < "$2" | sed -n 's/^regular.* //p' | awk '{ sum += $1 + 4096 } END { printf "%d", sum / 512 + 2048 }')
  free=$(df -Pk "$1" | awk 'NR == 2 { print $4 }')
  if [ "$free" -lt "$needed" ]; then die "$1: $free KiB free, $needed KiB needed to save what would change; make room and try again"; fi
  # Not every file system can set room aside without writing it.
  fallocate -l "$((needed / 2))K" "$1/reserve" 2> /dev/null || dd if=/dev/zero of="$1/reserve" bs=1024 count="$((needed / 2))" 2> /dev/null ||
    die "$1: no room to save what would change; make room and try again"
}

list_before() { # FOLDER CONTROL
  listing "$1" "$2" > "$1/$2.before"
}

save() { # RUN STEP
  folder=$base/$1/$2
  rm -rf "$folder"
  mkdir -p "$folder/before" "$folder/after"
  cat > "$folder/given"
  become "$folder" saving
  read_spec "$folder"
  installed > "$folder/packages.before" &
  packages=$!
  { if command -v nft > /dev/null; then packet_filter > "$folder/ruleset.before"; fi; } &
  rules=$!
  unit_states "$folder" > "$folder/units.before" &
  states=$!
  for_each_control list_before "$folder"
  # shellcheck disable=SC2086 # numbers of processes
  all_well "$packages" "$rules" "$states" $asked
  { for control in $(controls_of "$folder"); do paths_in < "$folder/$control.before"; done; save_packages "$folder"; } > "$folder/list"
  sort -zu -o "$folder/list" "$folder/list"
  need_room "$folder" "$folder/list"
  copy "$folder/list" / "$folder/before"
  # What is not in the copy counts as not there before, and would be removed: the copy must be whole.
  # shellcheck disable=SC2094 # both only read
  existing "$folder/before" < "$folder/list" | cmp -s - "$folder/list" || die "$folder: the copy is not whole; files changed meanwhile, try again"
  sync -f "$folder"
  open_step "$1"
  become "$folder" saved
}

# --- When nobody confirms ---------------------------------------------------------------------------------------------

# A step is open from `save` until it is recorded or confirmed. If the host restarts meanwhile, its next boot takes it back.
open_step() { # RUN
  name=medsec-revert-$1
  cat > "$units/$name.service" << END
[Unit]
Description=Take back the unconfirmed changes of medsec run $1
After=network.target nftables.service ssh.service sshd.service
[Service]
Type=oneshot
ExecStart=/bin/sh $base/$1/guard.sh expire $1
END
  mkdir -p "$units/multi-user.target.wants"
  ln -sf "../$name.service" "$units/multi-user.target.wants/$name.service"
  sync "$units/$name.service" "$units/multi-user.target.wants"
}

close_step() { # RUN
  name=medsec-revert-$1
  rm -f "$units/multi-user.target.wants/$name.service" "$units/$name.service"
  if [ -e "$units/$name.timer" ]; then
    systemctl stop "$name.timer" 2> /dev/null || true
    rm -f "$units/$name.timer"
    systemctl daemon-reload
  fi
}

arm() { # RUN STEP SECONDS
  folder=$base/$1/$2
  if [ "$(state_of "$folder")" != saved ]; then die "$folder: nothing was saved"; fi
  cat > "$units/medsec-revert-$1.timer" << END
[Unit]
Description=Take back the changes of medsec run $1 unless they are confirmed
[Timer]
OnActiveSec=$3
# Again, should the first time fail.
OnUnitInactiveSec=15
AccuracySec=1s
END
  become "$folder" armed
  systemctl daemon-reload
  systemctl restart "medsec-revert-$1.timer"
}

# One at a time: the timer may fire in the moment of a confirmation.
alone() { # RUN
  exec 8> "$base/$1/mutex"
  flock 8
}

confirm() { # RUN STEP
  alone "$1"
  folder=$base/$1/$2
  found=$(state_of "$folder")
  if [ "$found" != armed ]; then die "$folder: too late to confirm, it is $found"; fi
  become "$folder" confirmed
  close_step "$1"
}

expire() { # RUN
  alone "$1"
  for folder in "$base/$1"/[0-9]*; do
    case $(state_of "$folder") in
      armed | saved)
        logger -t medsec "run $1: nobody confirmed, taking back $(controls_of "$folder" | tr '\n' ' ')" || true
        take_back "$folder" "$(controls_of "$folder")"
        become "$folder" reverted
        ;;
      saving) become "$folder" reverted ;;
    esac
  done
  close_step "$1"
}

# The session ended and a step without a timer is open: its controller died or lost the link. What the engine started here
# may still be at work for a moment, a package manager for longer.
abandon() { # RUN
  exec 9>> "$base/lock"
  flock -w 300 9
  sleep 5
  waited=0
  while [ "$waited" -lt 300 ] && cat /proc/[0-9]*/comm 2> /dev/null | grep -qxE 'dpkg|apt|apt-get|dnf|yum|rpm'; do
    sleep 2
    waited=$((waited + 2))
  done
  expire "$1"
}

open_steps() { # RUN ; whether one without a timer is open
  for folder in "$base/$1"/[0-9]*; do
    case $(state_of "$folder") in saved | saving) return 0 ;; esac
  done
  return 1
}

leave() { # RUN
  if open_steps "$1"; then
    systemd-run --quiet --collect --no-block --unit="medsec-abandon-$1" /bin/sh "$base/$1/guard.sh" abandon "$1"
  fi
}

revert() { # RUN STEP
  alone "$1"
  folder=$base/$1/$2
  take_back "$folder" "$(controls_of "$folder")"
  become "$folder" reverted
  close_step "$1"
}

# --- What has changed -------------------------------------------------------------------------------------------------

fingerprint() { # PATH
  if [ -L "$1" ]; then printf 'link %s' "$(readlink "$1")"
  elif [ -f "$1" ]; then printf 'file %s %s' "$(stat -c '%a %u:%g' "$1")" "$(sha256sum < "$1" | cut -d' ' -f 1)"
  elif [ -e "$1" ]; then printf '%s' "$(stat -c '%F %a %u:%g' "$1")"
  else printf absent; fi
}

# Paths that differ from the time of `save`, nul-ended.
changed() { # FOLDER CONTROL
  listing "$1" "$2" > "$1/$2.now"
  comm -z -3 "$1/$2.before" "$1/$2.now" | sed -z "s/^$tab//" | paths_in | sort -zu
}

existing() { # TREE ; those of the paths on stdin that are there
  # shellcheck disable=SC2016 # for the inner shell
  xargs -0 -r sh -c 'tree=$1; shift; for path; do if [ -e "$tree$path" ] || [ -L "$tree$path" ]; then printf "%s\0" "$path"; fi; done' sh "$1"
}

list_changes() { # FOLDER CONTROL
  changed "$1" "$2" > "$1/$2.changed"
  # A line break in a name must not make two names of it.
  tr '\n\0' '?\n' < "$1/$2.changed" | while IFS= read -r path; do
    was=$(fingerprint "$1/before$path")
    is=$(fingerprint "$path")
    if [ "$was" != "$is" ]; then printf 'path\t%s\t%s\t%s\t%s\n' "$2" "$path" "$was" "$is"; fi
  done > "$1/$2.differences"
}

# path<tab>CONTROL<tab>PATH<tab>BEFORE<tab>AFTER of each change, and `package` and `unit` lines.
record() { # RUN STEP
  folder=$base/$1/$2
  installed > "$folder/packages.after" &
  packages=$!
  unit_states "$folder" > "$folder/units.after" &
  states=$!
  for_each_control list_changes "$folder"
  # shellcheck disable=SC2086 # numbers of processes
  all_well "$packages" "$states" $asked
  for control in $(controls_of "$folder"); do cat "$folder/$control.differences"; done > "$folder/changes"
  comm -3 "$folder/packages.before" "$folder/packages.after" | awk -F '\t' -v OFS='\t' '
    $1 != "" { print "package", "-", $1, $2, "absent" } $1 == "" { print "package", "-", $2, "absent", $3 }' >> "$folder/changes"
  join -t "$tab" "$folder/units.before" "$folder/units.after" | awk -F '\t' -v OFS='\t' '
    $2 != $4 || $3 != $5 { print "unit", "-", $1, $2 " " $3, $4 " " $5 }' >> "$folder/changes"
  find "$folder" -maxdepth 1 -name '*.changed' -exec cat {} + | sort -zu | existing '' > "$folder/list"
  copy "$folder/list" / "$folder/after"
  rm -f "$folder/reserve"
  if [ "$(state_of "$folder")" = saved ]; then
    become "$folder" recorded
    close_step "$1"
  fi
  cat "$folder/changes"
}

# What only root may read is not shown.
difference() { # OLD NEW LABEL LABEL
  for one in "$1" "$2"; do
    if [ -f "$one" ] && [ "$(stat -Lc %A "$one" | cut -c 8)" != r ]; then say "diff$tab$4: only root may read it, its content is not shown"; return 0; fi
  done
  if [ -f "$1" ]; then old=$1; else old=/dev/null; fi
  if [ -f "$2" ]; then new=$2; else new=/dev/null; fi
  { diff -u --label "$3" --label "$4" "$old" "$new" || true; } | head -n 200 | sed "s/^/diff$tab/"
}

# What the step changed in the contents of files.
contents() { # RUN STEP
  folder=$base/$1/$2
  awk -F '\t' '$1 == "path" { print $3 }' "$folder/changes" | sort -u | while IFS= read -r path; do
    if [ -f "$folder/before$path" ] || [ -f "$folder/after$path" ]; then
      difference "$folder/before$path" "$folder/after$path" "$path (before)" "$path (after)"
    fi
  done
}

# path<tab>CONTROL<tab>PATH of each path that somebody has edited since `record`.
edited() { # RUN STEP CONTROLS
  folder=$base/$1/$2
  awk -F '\t' -v wanted=",$3," '$1 == "path" && index(wanted, "," $2 ",")' "$folder/changes" |
    while IFS="$tab" read -r _ control path _ after; do
      if [ "$(fingerprint "$path")" != "$after" ]; then
        printf 'path\t%s\t%s\n' "$control" "$path"
        difference "$folder/after$path" "$path" "$path (as the run left it)" "$path (now)"
      fi
    done
}

# --- Taking back ------------------------------------------------------------------------------------------------------

# Packages that came go, those that went come back: made again from their saved files, so that no repository is needed.
restore_packages() { # FOLDER CONTROLS
  if ! command -v dpkg-query > /dev/null; then return 0; fi
  export DEBIAN_FRONTEND=noninteractive
  cut -f 1 "$1/packages.before" > "$1/names.before"
  for control in $2; do of "$1" package "$control"; done | sort -u > "$1/mine"
  purge "$1" "$(came "$1" | while IFS= read -r package; do if grep -qxF "${package%%:*}" "$1/mine"; then say "$package"; fi; done)"
  # What came along as a dependency goes where nothing needs it any more: of itself when the whole step is taken back.
  if [ "$2" = "$(controls_of "$1")" ]; then
    purge "$1" "$(came "$1")"
  elif command -v apt-get > /dev/null; then
    purge "$1" "$(came "$1" | while IFS= read -r package; do if apt-get -s autoremove 2> /dev/null | grep -q "^Remv ${package%%:*} "; then say "$package"; fi; done)"
  fi
  rm -rf "$1/debs"
  mkdir "$1/debs"
  installed | cut -f 1 | comm -13 - "$1/names.before" | while IFS= read -r package; do
    if [ -d "$1/package.$package" ]; then remake "$1" "$package"; fi
  done
  for package in "$1/debs"/*.deb; do
    if [ -e "$package" ]; then
      dpkg --install --force-confold "$1/debs"/*.deb > "$1/said" 2>&1 || tail -n 5 "$1/said" >&2
      break
    fi
  done
}

came() { installed | cut -f 1 | comm -13 "$1/names.before" -; }

purge() { # FOLDER PACKAGES
  # shellcheck disable=SC2086 # names of packages
  if [ -n "$2" ]; then dpkg --purge $2 > "$1/said" 2>&1 || tail -n 3 "$1/said" >&2; fi
}

# Makes DEBS/PACKAGE.deb from the copies of the package's files and of dpkg's books.
remake() { # FOLDER PACKAGE
  tree=$1/debs/tree
  rm -rf "$tree"
  mkdir -p "$tree/DEBIAN"
  tr '\n' '\0' < "$1/package.$2/files" | grep -zvx '/\.' | existing "$1/before" > "$1/list"
  copy "$1/list" "$1/before" "$tree"
  for part in "$1/before/var/lib/dpkg/info/$2".*; do
    case $part in *.list | *.md5sums) ;; *) cp -p "$part" "$tree/DEBIAN/${part##*/"$2".}" ;; esac
  done
  # These fields belong to dpkg's own books, not to a package.
  awk '/^(Status|Conffiles|Config-Version):/ { skip = 1; next } /^[^ ]/ { skip = 0 } !skip' "$1/package.$2/status" > "$tree/DEBIAN/control"
  chmod 755 "$tree" "$tree/DEBIAN"
  dpkg-deb -Znone --build "$tree" "$1/debs/$2.deb" > /dev/null
  rm -rf "$tree"
}

# Makes everything that the controls touched what it was. May be run again after it was cut short.
take_back() { # FOLDER CONTROLS
  rm -f "$1/reserve"
  for control in $2; do of "$1" unit "$control"; done | sort -u > "$1/globs.wanted"
  # Without the tool that makes them there were no rules.
  if [ ! -e "$1/ruleset.before" ] && grep -q '^nftables' "$1/globs.wanted" && command -v nft > /dev/null; then nft flush ruleset; fi
  restore_packages "$1" "$2"
  : > "$1/touched"
  for control in $2; do
    changed "$1" "$control" >> "$1/touched"
    if [ -e "$1/$control.changed" ]; then cat "$1/$control.changed" >> "$1/touched"; fi
  done
  sort -zu -o "$1/touched" "$1/touched"
  # What was not there goes, the deepest first; a folder that has got other contents stays.
  # shellcheck disable=SC2016 # for the inner shell
  sort -zr "$1/touched" | xargs -0 -r sh -c 'tree=$1; shift; for path; do
      if [ ! -e "$tree$path" ] && [ ! -L "$tree$path" ]; then if [ -d "$path" ] && [ ! -L "$path" ]; then rmdir "$path" 2> /dev/null; else rm -f "$path"; fi; fi
    done' sh "$1/before" || true
  existing "$1/before" < "$1/touched" > "$1/list"
  # A folder on the way that had to go as well is made as folders are.
  (umask 022 && copy "$1/list" "$1/before" /)
  sync -f /etc
  if [ -s "$1/touched" ]; then
    : > "$1/units.wanted"
    while IFS="$tab" read -r unit rest; do
      while IFS= read -r glob; do
        # shellcheck disable=SC2254 # a pattern
        case $unit in $glob) printf '%s\t%s\n' "$unit" "$rest" >> "$1/units.wanted"; break ;; esac
      done < "$1/globs.wanted"
    done < "$1/units.before"
    restore_units "$1" "$1/units.wanted"
    if [ -e "$1/ruleset.before" ] && grep -qE '^(nftables|ufw|firewalld|iptables|netfilter)' "$1/globs.wanted"; then sh "$1/ruleset.before"; fi
  fi
  for control in $2; do
    of "$1" undo "$control" | while IFS= read -r script; do
      say "$script" | base64 -d > "$1/undo.sh"
      sh "$1/undo.sh" < /dev/null > "$1/said" 2>&1 || die "$control: $(tail -n 3 "$1/said")"
    done
  done
  wrong "$1"
}

# Says what is not what it was, and fails if anything is.
wrong() { # FOLDER
  {
    tr '\n\0' '?\n' < "$1/touched" | while IFS= read -r path; do
      was=$(fingerprint "$1/before$path")
      is=$(fingerprint "$path")
      # A folder that has got contents of others stays.
      case "$was:$is" in "$is:$is" | absent:directory*) ;; *) say "$path: was $was, is $is" ;; esac
    done
    if [ -s "$1/touched" ]; then
      unit_states "$1" > "$1/units.now"
      join -t "$tab" "$1/units.wanted" "$1/units.now" | awk -F '\t' '
        function plain(state) { sub(/^(activating|reloading)$/, "active", state); sub(/^(failed|deactivating)$/, "inactive", state); return state }
        $2 != $4 || plain($3) != plain($5) { print $1 ": was " $2 " " $3 ", is " $4 " " $5 }'
    fi
  } > "$1/wrong"
  if [ -s "$1/wrong" ]; then die "$(head -n 20 "$1/wrong")"; fi
}

rollback() { # RUN STEP CONTROLS
  alone "$1"
  folder=$base/$1/$2
  take_back "$folder" "$(say "$3" | tr ',' '\n' | sort)"
  awk -F '\t' -v wanted=",$3," '!($1 == "path" && index(wanted, "," $2 ","))' "$folder/changes" > "$folder/changes.new"
  mv "$folder/changes.new" "$folder/changes"
  if ! grep -q "^path$tab" "$folder/changes"; then become "$folder" rolled-back; fi
}

# --- Holding the host -------------------------------------------------------------------------------------------------

steps() { # RUN ; STEP<tab>STATE<tab>CONTROLS of each
  for folder in "$base/$1"/[0-9]*; do
    if [ -d "$folder" ]; then printf '%s\t%s\t%s\n' "${folder##*/}" "$(state_of "$folder")" "$(controls_of "$folder" | paste -sd , -)"; fi
  done
}

# Of the copies of earlier runs the newest are kept.
forget() { # RUN KEEP
  find "$base" -mindepth 1 -maxdepth 1 -type d ! -name "$1" | sort -r | tail -n +"$2" | while IFS= read -r old; do
    if ! grep -qsx -e armed -e saved "$old"/[0-9]*/state; then rm -rf "$old"; fi
  done
}

# Lets the host go when the controller has been silent for a minute: a dead link shows itself by nothing else.
watchdog() { # PID RUN
  last=
  silent=0
  while sleep 10; do
    if ! kill -0 "$1" 2> /dev/null; then
      leave "$2"
      exit 0
    fi
    if [ -e "$base/busy" ]; then continue; fi
    now=$(cat "$base/beat" 2> /dev/null || true)
    if [ "$now" = "$last" ]; then silent=$((silent + 1)); else silent=0; fi
    last=$now
    if [ "$silent" -ge 6 ]; then kill -TERM "$1"; exit 0; fi
  done
}

session() { # RUN TOKEN KEEP
  exec 9>> "$base/lock"
  if ! flock -n 9; then say "held by $(tail -n 1 "$base/holder")"; say "$2 75"; exit 0; fi
  printf 'run %s of %s, since %s\n' "$1" "${SUDO_USER:-root}" "$(date '+%F %T %z')" > "$base/holder"
  for other in "$base"/*/; do
    if grep -qsx -e armed -e saved "$other"[0-9]*/state; then
      say "unconfirmed changes of run $(basename "$other") are being taken back; try again in two minutes"
      # Nobody is left to do it where the host was cut off from power and its boot service was.
      if ! grep -qsx armed "$other"[0-9]*/state; then leave "$(basename "$other")"; fi
      say "$2 75"
      exit 0
    fi
  done
  # An isolated host is left as it is until it is released, which is this same run's session.
  if [ -s /etc/medsec/isolation/record ] && [ "$(head -n 1 /etc/medsec/isolation/record)" != "$1" ]; then
    say "isolated by run $(head -n 4 /etc/medsec/isolation/record | paste -sd ' ')"
    say "$2 76"
    exit 0
  fi
  watchdog $$ "$1" 9>&- > /dev/null 2>&1 < /dev/null &
  guard=$!
  # shellcheck disable=SC2064 # the run's name as it is now
  trap "kill $guard 2> /dev/null || true; leave '$1'" EXIT
  trap 'exit 1' TERM HUP INT
  # Where the link is gone an answer cannot be written; that must not end the session before it has looked after its step.
  trap '' PIPE
  set +e
  rm -f "$base/busy"
  forget "$1" "$3"
  say "$2 0"
  count=0
  while IFS=' ' read -r verb arguments; do
    count=$((count + 1))
    say "$count" > "$base/beat"
    if [ "$verb" = beat ]; then continue; fi
    size=${arguments##* }
    arguments=${arguments% *}
    # shellcheck disable=SC2086 # words
    case $verb in
      save | arm | record | revert | contents | edited | rollback | steps)
        : > "$base/busy"
        head -c "$size" > "$base/$1/payload"
        ( set -eu; "$verb" "$1" $arguments ) < "$base/$1/payload" 2>&1
        code=$?
        rm -f "$base/busy"
        ;;
      *) say "unknown request '$verb'"; code=2 ;;
    esac
    say "$2 $code"
  done
}

mode=$1
shift
case $mode in
  session | confirm | expire | abandon) "$mode" "$@" ;;
  *) die "unknown mode '$mode'" ;;
esac
