#!/bin/sh
# Finds the software that a catalogue names, remote control or database tools, and puts one find out of use. Both engines run it.
#   evict.sh plan            what is there, one line each: unit NAME | package NAME | process PID PROGRAM | entry FILE | file PATH
#   evict.sh unit NAME       stop and disable the unit, keep its file as evidence, mask its name
#   evict.sh process PID PROGRAM
#   evict.sh keep            copy logs and settings that tell who connected, before a package's removal script deletes them
#   evict.sh restore         put back those that were deleted all the same
#   evict.sh entry FILE      comment out the lines that start such software, the original kept as evidence
#   evict.sh file PATH       move a program, installer or start-up entry to quarantine
# stdin: the catalogue as lines of KIND<TAB>VALUE (package unit image file path signature command trace word suffix root depth
# quarantine needed).
set -eu
export LC_ALL=C
umask 077
tab=$(printf '\t')
newline='
'
mode=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/catalogue"

awk -v folder="$work" '{ at = index($0, "\t"); print substr($0, at + 1) > (folder "/kind-" substr($0, 1, at - 1)) }' "$work/catalogue"
of() { if [ -e "$work/kind-$1" ]; then cat "$work/kind-$1"; fi; }
# Names with `*` as one extended regular expression, in lower case. An expression that were empty or matched too much would
# put innocent things out of use, so it is tried before it is used.
expression() {
  made=$(of "$1" | tr '[:upper:]' '[:lower:]' | sed -e 's/[].+(){}|$[]/[&]/g' -e 's,\*,[^/]*,g' | paste -sd '|' -)
  case "|$made|" in *'||'*) echo "the catalogue has no '$1', or an empty one" >&2; return 2 ;; esac
  if printf 'an innocent line\n' | grep -qE "^($made)\$"; then echo "the catalogue's '$1' matches anything" >&2; return 2; fi
  printf '%s' "$made"
}
images=$(expression image)
commands=$(of command | paste -sd '|' -)
unit_names=$(expression unit)
quarantine=$(of quarantine)
depth=$(of depth)
case $quarantine in /?*) ;; *) echo "quarantine must be an absolute path, got '$quarantine'" >&2; exit 2 ;; esac

# NAME : what the function NAME_found prints, which is looked for once
once() {
  if [ ! -e "$work/$1" ]; then
    "$1_found" > "$work/$1.part"
    mv "$work/$1.part" "$work/$1"
  fi
  cat "$work/$1"
}

homes() { once homes; }
homes_found() {
  { getent passwd | cut -d: -f6; find /home -maxdepth 1 -mindepth 1 2> /dev/null || true; echo /root; } | sort -u |
    while IFS= read -r home; do if [ -d "$home" ] && [ "$home" != / ]; then printf '%s\n' "$home"; fi; done
}

present() { for path; do if [ -e "$path" ] || [ -L "$path" ]; then printf '%s\n' "$path"; fi; done; }

expand() { # KIND : the paths that its patterns find, `~` being every account's home
  homes > /dev/null
  of "$1" | {
    IFS= # a blank is part of a path
    while read -r pattern; do
      # shellcheck disable=SC2086,SC2088 # the wildcards are the shell's to expand, the tilde is ours
      case $pattern in
        '~'*) while read -r home; do present "$home"${pattern#?}; done < "$work/homes" ;;
        *) present $pattern ;;
      esac
    done
  }
}

# PID<TAB>NAME<TAB>PROGRAM for each name that a process goes by: its program file, its first argument, and what an
# interpreter or Wine runs.
names_of_processes() {
  {
    { ls -l /proc/[0-9]*/exe 2> /dev/null || true; } | sed -n "s,^.* /proc/\([0-9]*\)/exe -> \(.*\)$,\1${tab}E${tab}\2,p"
    { grep -azH '' /proc/[0-9]*/cmdline 2> /dev/null || true; } | tr '\n\0' ' \n' |
      sed -n "s,^/proc/\([0-9]*\)/cmdline:\(.*\)$,\1${tab}A${tab}\2,p"
  } | awk -F '\t' '
    function base(word, parts, count) {
      sub(/ \(deleted\)$/, "", word); count = split(word, parts, /[\/\\]/); sub(/^memfd:/, "", parts[count]); return tolower(parts[count]) }
    BEGIN { wrapper = "^((ba|da|z|k)?sh|perl|python[0-9.]*|ruby|node|java|env|nohup|setsid|nice|busybox|ld-.*|wine.*|box64|proot|firejail|bwrap|xvfb-run|(php|pypy|lua|electron)[0-9.]*|mono|dotnet)$" }
    $2 == "E" { name[$1] = base($3); program[$1] = $3; print $1 "\t" name[$1] "\t" $3; next }
    { seen[$1]++; word = base($3) }
    seen[$1] == 1 { print $1 "\t" word "\t" program[$1]; wrapped[$1] = (word ~ wrapper || name[$1] ~ wrapper); next }
    wrapped[$1] && $3 !~ /^-/ && $3 !~ / / && ++said[$1] <= 8 { print $1 "\t" word "\t" program[$1] }'
}

processes() { once processes; } # PID<TAB>PROGRAM
processes_found() {
  {
    names_of_processes | awk -F '\t' -v wanted="^($images)\$" '$2 ~ wanted { print $1 "\t" $3 }'
    if [ -n "$commands" ]; then
      # A process has one line for each argument; matched is the whole command.
      { grep -azH '' /proc/[0-9]*/cmdline 2> /dev/null || true; } | tr '\n\0' ' \n' | wanted="^([^ ]*/)?($commands)" awk '
        { at = index($0, "/cmdline:"); number = substr($0, 7, at - 7); command[number] = command[number] substr($0, at + 9) " " }
        END { for (number in command) if (command[number] ~ ENVIRON["wanted"]) print number }' |
        while IFS= read -r number; do printf '%s\t%s\n' "$number" "$(readlink "/proc/$number/exe" || true)"; done
    fi
    of signature > "$work/signatures"
    { ls -l /proc/[0-9]*/exe 2> /dev/null || true; } | sed -n "s,^.* \(/proc/[0-9]*/exe\) -> \(.*\)$,\1,p" |
      { xargs -r grep -alF -f "$work/signatures" 2> /dev/null || true; } | while IFS= read -r link; do
        number=${link#/proc/}
        printf '%s\t%s\n' "${number%/exe}" "$(readlink "$link" || true)"
      done
  } | sort -u -n
}

ancestors() { # this shell and all above it, up to the operator's own login
  number=$$
  while [ "$number" -gt 1 ]; do
    echo "$number"
    while read -r name value; do case $name in PPid:) number=$value; break ;; esac; done < "/proc/$number/status"
  done
}

# Stopping the software that carries the operator's own connection would lock him out half way.
refuse_own_way_in() {
  ancestors > "$work/ancestors"
  if processes | cut -f1 | grep -qxF -f "$work/ancestors"; then
    echo "this session itself runs below software that is to be evicted; log in over SSH from the registered management host" >&2
    exit 3
  fi
  ss -H -tnp state established > "$work/sockets"
  { grep -E "pid=($(paste -sd '|' "$work/ancestors"))[,)]" "$work/sockets" || true; } | awk '{ print $3, $4 }' | while read -r local peer; do
    address=${local%:*}
    address=$(printf %s "$address" | tr -d '[]')
    link=$(ip -o addr show to "${address#::ffff:}" | awk '{ print $2; exit }')
    case $link in
      tailscale* | zt* | edge* | n2n* | wt[0-9]* | nebula* | easytier*)
        echo "your SSH connection comes in through $link; connect through the registered network first" >&2; exit 3 ;;
    esac
    owner=$(awk -v a="$peer" -v b="$local" '$3 == a && $4 == b' "$work/sockets" | grep -oE 'pid=[0-9]+' | head -n 1)
    if [ -n "$owner" ] && processes | cut -f1 | grep -qx "${owner#pid=}"; then
      echo "your SSH connection is relayed by a tunnel on this host (${owner}); connect through the registered network first" >&2
      exit 3
    fi
  done || exit 3
}

# What in a line of a script, a unit or a desktop entry would start a program of the catalogue.
of word > "$work/words"
names=$(printf '%s\n' "$images" | tr '|' '\n' | { grep -vxF -f "$work/words" || true; } | paste -sd '|' -)
words=$(printf '%s\n' "$images" | tr '|' '\n' | { grep -xF -f "$work/words" || true; } | paste -sd '|' -)
end="(\$|[] '\"|;&)%\\\\])"
launch="(^|[]/ =:'\"@|;&(\\\\-])(${names:?})$end"
if [ -n "$words" ]; then launch="$launch|(^[[:space:]]*|[/\\=]|(nohup|exec|sudo|setsid|env|root) +)(${words:?})$end"; fi
if [ -n "$commands" ]; then launch="$launch|(^|[]/ =:'\"@|;&(\\\\-])($commands)"; fi
if printf 'start an innocent program now\n' | grep -qE "$launch"; then echo "the catalogue's images match anything" >&2; exit 2; fi

starters() { once starters; } # the files that would start such software
starters_found() {
  {
    find /etc/systemd/system /run/systemd/system /usr/local/lib/systemd /etc/systemd/user -follow -type f -print || true
    find /usr/lib/systemd/system /lib/systemd/system /usr/lib/systemd/user -maxdepth 2 -type f -print || true
    find /etc/crontab /etc/anacrontab /etc/cron.d /etc/cron.hourly /etc/cron.daily /etc/cron.weekly /etc/cron.monthly \
      /var/spool/cron /var/spool/at /etc/rc.local /etc/rc.d /etc/init.d /etc/init /etc/inittab /etc/inetd.conf /etc/xinetd.d \
      /etc/profile /etc/profile.d /etc/bash.bashrc /etc/X11/Xsession.d /etc/X11/xinit /etc/X11/xdm /etc/lightdm /etc/gdm3 \
      /etc/sddm.conf.d /etc/NetworkManager/dispatcher.d /etc/network/if-up.d /etc/ld.so.preload /etc/xdg/autostart \
      /etc/xdg/openbox /etc/xdg/lxsession /usr/share/applications /usr/local/share/applications /usr/share/gnome/autostart \
      -type f -size -512k -print || true
    homes | while IFS= read -r home; do
      find "$home/.config/autostart" "$home/.config/autostart-scripts" "$home/.config/plasma-workspace" "$home/.config/openbox" \
        "$home/.config/lxsession" "$home/.config/i3" "$home/.config/sway" "$home/.config/systemd/user" \
        "$home/.local/share/systemd/user" "$home/.local/share/applications" "$home/Desktop" "$home/桌面" "$home/.xprofile" \
        "$home/.xsession" "$home/.xsessionrc" "$home/.xinitrc" "$home/.profile" "$home/.bash_profile" "$home/.bash_login" \
        "$home/.bashrc" "$home/.zshrc" "$home/.zprofile" "$home/.ssh/rc" -follow -maxdepth 2 -type f -size -512k -print || true
    done
  } 2> /dev/null | sort -u | tr '\n' '\0' | { xargs -0 -r grep -HiE "$launch" 2> /dev/null || true; } |
    awk '{
      colon = index($0, ":"); file = substr($0, 1, colon - 1); line = substr($0, colon + 1); sub(/^[ \t]+/, "", line)
      if (line ~ /^[#;]/) next
      low = tolower(line)
      if (file ~ /\.desktop$/ && low !~ /^(try)?exec/) next
      if (file ~ /\/systemd\// && low !~ /^exec/) next
      print file }' | sort -u
}

owned() { # PATH : whether a package owns it
  if command -v dpkg > /dev/null; then
    dpkg -S "$1" > /dev/null 2>&1 || dpkg -S "${1#/usr}" > /dev/null 2>&1
  else
    rpm -qf "$1" > /dev/null 2>&1
  fi
}

installed_packages() {
  of package > "$work/packages"
  if command -v dpkg-query > /dev/null; then
    dpkg-query -W -f '${db:Status-Status}\t${Package}\n' | awk -F '\t' '$1 != "not-installed" && $1 != "config-files" { print $2 }'
  else
    rpm -qa --qf '%{NAME}\n'
  fi | sort -u | { grep -xiF -f "$work/packages" || true; } | without_needed
}

# With `needed`, a package stays that one outside the catalogue depends on, or one that stays itself.
without_needed() {
  cat > "$work/candidates"
  if [ -n "$(of needed)" ]; then
    while [ -s "$work/candidates" ] && needed_among > "$work/needed" && [ -s "$work/needed" ]; do
      { grep -vxF -f "$work/needed" "$work/candidates" || true; } > "$work/left"
      mv "$work/left" "$work/candidates"
    done
  fi
  cat "$work/candidates"
}

needed_among() { # the candidates that an installed package which is none depends on
  if command -v dpkg-query > /dev/null; then
    # Of alternatives each counts as needed: too many stay, none too few.
    dpkg-query -W -f '${db:Status-Status}\t${Package}\t${Pre-Depends}, ${Depends}\n' | awk -F '\t' '
      NR == FNR { mine[$0]; next }
      $1 == "installed" && !($2 in mine) {
        gsub(/ *\([^)]*\)|:any/, "", $3); count = split($3, names, / *[,|] */)
        for (i = 1; i <= count; i++) if (names[i] in mine) print names[i]
      }' "$work/candidates" - | sort -u
  else
    # shellcheck disable=SC2094 # both only read it
    while IFS= read -r name; do
      rpm -q --qf '%{NAME}\n' --whatrequires "$name" > "$work/dependents" || true
      if grep -vxF -f "$work/candidates" "$work/dependents" | grep -vq '^no package requires'; then printf '%s\n' "$name"; fi
    done < "$work/candidates"
  fi
}

named_units() { awk -v wanted="^($unit_names)\$" 'tolower($0) ~ wanted'; }

units() { # names to put out of use
  {
    # Asked for all units, systemd works for half a second.
    find /etc/systemd/system* /run/systemd/system* /run/systemd/transient /run/systemd/generator* /usr/local/lib/systemd/system \
      /usr/lib/systemd/system /lib/systemd/system/ -maxdepth 1 ! -type d -printf '%f\n' 2> /dev/null | named_units | sort -u |
      { xargs -r -d '\n' systemctl list-unit-files --all --plain --no-legend --no-pager -- || true; } | awk '$2 != "masked" { print $1 }'
    systemctl list-units --all --plain --no-legend --no-pager | awk '$3 ~ /^(active|activating|reloading)$/ { print $1 }' | named_units
    starters | sed -n 's,^.*/systemd/system/\([^/]*\)$,\1,p' |
      while IFS= read -r name; do
        state=$(systemctl is-enabled "$name" 2> /dev/null || true)
        case $state in masked) ;; *) printf '%s\n' "$name" ;; esac
      done
  } | sort -u
}

loose_files() {
  {
    expand path
    set --
    of file > "$work/files"
    while IFS= read -r name; do
      if [ $# -gt 0 ]; then set -- "$@" -o; fi
      set -- "$@" -iname "$name"
    done < "$work/files"
    # A note called like a product is no software: what counts can be run, or installs what can.
    set -- \( "$@" \) \( -type f -o -type l \) \( -perm /111 -o ! -name '*.*'
    of suffix > "$work/suffixes"
    while IFS= read -r suffix; do set -- "$@" -o -iname "*.$suffix"; done < "$work/suffixes"
    set -- "$@" \)
    shares=$(awk '$3 ~ /^(nfs|cifs|smb|fuse[.])/ { print $2 }' /proc/mounts)
    # Besides the roots, every file system of a local disk but those of the system itself; a share is never entered, a
    # folder that is shown a second time (a bind mount) not either.
    {
      of root
      awk '{ for (i = 7; $i != "-"; i++); type = $(i + 1) }
        ($4 == "/" || type == "btrfs") && type ~ /^(ext.|xfs|btrfs|f2fs|zfs|ntfs.*|fuseblk|vfat|exfat|iso9660|udf)$/ && $5 !~ /^\/((boot|efi|etc|usr|var|run|snap)(\/|$)|$)/ {
          gsub(/\\040/, " ", $5); print $5 }' /proc/self/mountinfo
    } | sort -u | {
      set -- -xdev -maxdepth "$depth" -mindepth 1 "$@" -print
      while IFS= read -r root; do
        case "$newline$shares$newline" in *"$newline$root$newline"*) continue ;; esac
        if [ -d "$root" ]; then set -- "$root/" "$@"; fi
      done
      case $1 in /*) find "$@" 2> /dev/null || true ;; esac
    }
    homes | grep -E '^/(var/lib|srv|opt)/' | {
      set -- -xdev -maxdepth 3 -mindepth 1 "$@" -print
      while IFS= read -r home; do set -- "$home/" "$@"; done
      case $1 in /*) find "$@" 2> /dev/null || true ;; esac
    }
    find /usr/bin /usr/sbin /bin /sbin /usr/games /snap/bin /var/lib/snapd/snaps /usr/share/applications /usr/local/share/applications /etc/xdg/autostart \
      -maxdepth 1 -mindepth 1 "$@" -print 2> /dev/null || true
    # User units by their name, and what running processes were started from.
    { homes | sed 's,$,/.config/systemd/user,'; homes | sed 's,$,/.local/share/systemd/user,'; echo /etc/systemd/user; } |
      while IFS= read -r folder; do
        if [ -d "$folder" ]; then find "$folder" -maxdepth 1 ! -type d ! -lname /dev/null -print; fi
      done | awk -v wanted="/($unit_names)\$" 'tolower($0) ~ wanted'
    processes | while IFS="$tab" read -r number program; do
      if [ -r "/proc/$number/environ" ]; then
        { tr '\0' '\n' < "/proc/$number/environ" 2> /dev/null || true; } | sed -n 's/^APPIMAGE=//p'
      fi
      case $program in *' (deleted)' | '' | /tmp/.mount_*) ;; *) if ! owned "$program"; then printf '%s\n' "$program"; fi ;; esac
    done
    starters | grep -E '\.desktop$|/systemd/user/|/systemd/system/[^/]+\.d/' || true
  } | sed 's,//*,/,g' | sort -u > "$work/loose"
  # What a package owns goes with the package; a home is never moved, even when its owner is called like a product.
  grep -vxF -f "$work/homes" "$work/loose" | while IFS= read -r path; do
    if [ -e "$path" ] || [ -L "$path" ]; then
      case $path in "$quarantine"/*) ;; *) if ! owned "$path"; then printf '%s\n' "$path"; fi ;; esac
    fi
  done | awk '{
    # What lies in a folder that goes, goes with it.
    for (above = $0; sub(/\/[^\/]*$/, "", above) && above != "";) if (above in going) next
    going[$0]; print }'
}

entries() { starters | grep -vE '\.desktop$|/systemd/' || true; }

keep_at() { # PATH : where its evidence goes
  printf '%s/%s%s' "$quarantine" "$(date -u +%Y%m%dT%H%M%SZ)" "$1"
}

record() { # WORD PATH KEPT
  digest=-
  if [ -f "$3" ] && [ ! -L "$3" ]; then digest=$(sha256sum < "$3" | cut -d' ' -f1); fi
  printf '%s\t%s\t%s\t%s\t%s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$1" "$2" "$3" "$digest" >> "$quarantine/manifest.tsv"
}

move() {
  target=$(keep_at "$1")
  mkdir -p "${target%/*}"
  mv -T -- "$1" "$target"
  record moved "$1" "$target"
}

case $mode in
  plan)
    refuse_own_way_in
    units | sed "s/^/unit$tab/"
    installed_packages | sed "s/^/package$tab/"
    processes | sed "s/^/process$tab/"
    entries | sed "s/^/entry$tab/"
    loose_files | sed "s/^/file$tab/"
    ;;
  unit)
    case $2 in *@.*) ;; *) systemctl stop -- "$2" ;; esac
    systemctl unmask --quiet --runtime -- "$2" # a mask that the next boot forgets stands in the way of one that lasts
    systemctl disable --quiet -- "$2" 2> "$work/said" || grep -qiE 'does not exist|no such file|generated|transient' "$work/said" || { cat "$work/said" >&2; exit 1; }
    for folder in /etc/systemd/system /run/systemd/system; do
      if [ -e "$folder/$2" ] && [ "$(readlink "$folder/$2" || true)" != /dev/null ]; then move "$folder/$2"; fi
    done
    systemctl daemon-reload
    systemctl mask --quiet -- "$2"
    ;;
  process)
    # The number may have passed to another program in the meantime.
    if [ "$(readlink "/proc/$2/exe" || true)" = "$3" ]; then
      kill -TERM "$2"
      for _ in 1 2 3 4 5 6 7 8 9 10; do
        if [ ! -e "/proc/$2/exe" ]; then exit 0; fi
        sleep 0.5
      done
      kill -KILL "$2"
    fi
    ;;
  keep)
    expand trace | while IFS= read -r path; do
      target=$(keep_at "$path")
      mkdir -p "${target%/*}"
      cp -aT -- "$path" "$target"
      record copied "$path" "$target"
    done
    ;;
  restore)
    if [ ! -e "$quarantine/manifest.tsv" ]; then exit 0; fi
    awk -F '\t' '$2 == "copied" { kept[$3] = $4 } END { for (path in kept) print path "\t" kept[path] }' "$quarantine/manifest.tsv" |
      while IFS="$tab" read -r path kept; do
        if [ ! -e "$path" ] && [ -d "${path%/*}" ]; then cp -aT -- "$kept" "$path"; fi
      done
    ;;
  entry)
    target=$(keep_at "$2")
    mkdir -p "${target%/*}"
    cp -a -- "$2" "$target"
    record copied-entry "$2" "$target"
    numbers=$(grep -niE "$launch" "$2" | grep -vE '^[0-9]+:[[:space:]]*[#;]' | cut -d: -f1)
    for number in $numbers; do sed -i --follow-symlinks "${number}s/^/# put out of use by medsec: /" "$2"; done
    ;;
  file) move "$2" ;;
  *) echo "unknown mode '$mode'" >&2; exit 2 ;;
esac
