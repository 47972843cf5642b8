#!/bin/sh
# Says what still lets a module in, and mends what a file cannot. Both engines run it.
#   refusal.sh report MODULE...        one line each: rule MODULE | conflict FILE | loaded MODULE
#   refusal.sh images MODULE...        image PATH for each initramfs that carries a module without the rule
#   refusal.sh yield FILE MODULE...    comment out the install lines of FILE that would load a module
#   refusal.sh unload MODULE...        take the modules out of the kernel; refuses while a medium is mounted
#   refusal.sh rebuild                 make every initramfs anew
set -eu
export LC_ALL=C
mode=$1
shift
marker='# put out of use by medsec (usb_storage_refused): '

pattern() { # MODULE... : an expression for their names, with hyphen or underscore
  printf '%s\n' "$@" | sed 's/[-_]/[-_]/g' | paste -sd '|' -
}

refused() { # MODULE [OPTION...]
  module=$1
  shift
  answer=$(modprobe "$@" -n -v "$module" 2> /dev/null | sed '/^[[:space:]]*$/d; s/[[:space:]]*$//' | tail -n 1)
  case $answer in 'install /bin/false' | 'install /bin/true' | 'install /usr/bin/false' | 'install /usr/bin/true') return 0 ;; esac
  return 1
}

# Options under which modprobe reads what lasts over a boot, where /run says something too.
lasting() {
  if ! ls /run/modprobe.d/*.conf > /dev/null 2>&1; then return; fi
  for folder in /etc /usr/local/lib /usr/lib /lib; do
    if [ -d "$folder/modprobe.d" ]; then printf '%s %s\n' -C "$folder/modprobe.d"; fi
  done
}

around() { # MODULE... : an expression for a line that loads one past its rule
  printf '%s' '^[^#]*(insmod|MODPROBE_OPTIONS|modprobe[^#]*[[:space:]](--(ignore-i|c|di)|-[a-zA-Z]*[iCd]))'
  printf '.*(%s)([^[:alnum:]]|$)' "$(pattern "$@")"
}

configurations() {
  for folder in /etc /run /usr/local/lib /usr/lib /lib; do
    find "$folder/modprobe.d" -maxdepth 1 -name '*.conf' 2> /dev/null || true
  done
}

# Install lines count whose pattern, as a file name pattern, is one of the modules: `usb*` speaks of usb-storage too.
speaks_of() { # LINE MODULE... : whether an install line of a file would load one of the modules
  # shellcheck disable=SC2086 # split into words on purpose, wildcards and all
  set -f
  words=$1
  shift
  # shellcheck disable=SC2086
  (
    modules=$*
    set -- $words
    [ "${1:-}" = install ] || exit 1
    named=$(printf %s "$2" | tr - _)
    shift 2
    case "$*" in /bin/false | /bin/true | /usr/bin/false | /usr/bin/true) exit 1 ;; esac
    for module in $modules; do
      # shellcheck disable=SC2254 # it is a pattern
      case $(printf %s "$module" | tr - _) in $named) exit 0 ;; esac
    done
    exit 1
  )
}

conflicts() { # MODULE...
  configurations | while IFS= read -r file; do
    while IFS= read -r line || [ -n "$line" ]; do
      if speaks_of "$line" "$@"; then printf '%s\n' "$file"; break; fi
    done < "$file"
  done
}

bypasses() { # MODULE...
  grep -rIlE "$(around "$@")" /etc/udev/rules.d /etc/systemd/system /etc/crontab /etc/cron.* /etc/anacrontab /etc/rc.local \
    /etc/init.d /etc/modprobe.d /var/spool/cron 2> /dev/null || true
}

images() {
  find /boot -maxdepth 1 \( -name 'initrd.img-*' -o -name 'initrd-*' -o -name 'initramfs-*' \) -type f \
    ! -name '*kdump*' ! -name '*.dpkg-*' ! -name '*.bak' 2> /dev/null || true
}

stale() { # IMAGE MODULE... : whether the image carries one of the modules without a rule against it
  image=$1
  shift
  if command -v lsinitramfs > /dev/null; then listing=$(lsinitramfs "$image"); else listing=$(lsinitrd "$image"); fi
  carried=$(for module; do
    if printf '%s\n' "$listing" | grep -qE "/$(pattern "$module")[.]ko"; then printf '%s\n' "$module"; fi
  done)
  if [ -z "$carried" ]; then return 1; fi
  place=/var/tmp # on disk, unless there is plenty of memory
  if [ "$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo)" -gt $(($(stat -c %s "$image") * 24 / 1024)) ] && [ -d /dev/shm ]; then place=/dev/shm; fi
  folder=$(mktemp -d -p "$place" medsec.XXXXXXXX)
  trap 'rm -rf "$folder"' EXIT
  if command -v unmkinitramfs > /dev/null; then unmkinitramfs "$image" "$folder" > /dev/null 2>&1; else (cd "$folder" && lsinitrd --unpack "$image" > /dev/null); fi
  # One folder with all that the image's own modprobe would read.
  mkdir -p "$folder/rules"
  find "$folder" -path "$folder/rules" -prune -o -path '*/modprobe.d/*.conf' -exec cp -n {} "$folder/rules/" \;
  found=no
  for module in $carried; do
    if ! refused "$module" -C "$folder/rules"; then found=yes; fi
  done
  rm -rf "$folder"
  [ "$found" = yes ]
}

case $mode in
  report)
    for module; do
      # shellcheck disable=SC2046 # options
      if ! refused "$module" || ! refused "$module" $(lasting); then echo "rule $module"; open=yes; fi
    done
    if [ "${open:-no}" = yes ]; then conflicts "$@" | sort -u | sed 's/^/conflict /'; fi
    bypasses "$@" | sort -u | sed 's/^/conflict /'
    for module; do
      name=$(printf %s "$module" | tr - _)
      if [ -e /proc/modules ] && grep -q "^$name " /proc/modules; then echo "loaded $module"; fi
    done
    ;;
  images)
    images | while IFS= read -r image; do
      if stale "$image" "$@"; then echo "image $image"; fi
    done
    ;;
  yield)
    file=$1
    shift
    target=$file
    case $file in
      /etc/* | /var/spool/cron/*) ;;
      # A package's file is overridden by one of the same name in /etc, not edited.
      *) target=/etc/modprobe.d/${file##*/} ;;
    esac
    new=$(mktemp "${target%/*}/.medsec.XXXXXXXX")
    trap 'rm -f "$new"' EXIT
    bypass=$(around "$@")
    # In a script the line gives way to a command that does nothing, so that what is around it stays whole.
    if [ "$(head -c 2 "$file")" = '#!' ]; then marker=": $marker"; fi
    while IFS= read -r line || [ -n "$line" ]; do
      if speaks_of "$line" "$@" || printf '%s\n' "$line" | grep -qE "$bypass"; then
        printf '%s%s\n' "$marker" "$line"
      else
        printf '%s\n' "$line"
      fi
    done < "$file" > "$new"
    chmod --reference="$file" "$new"
    chown --reference="$file" "$new"
    mv -fT "$new" "$target"
    case $target in */systemd/*) systemctl daemon-reload ;; esac
    ;;
  unload)
    mounted=$(for disk in /sys/block/*; do
      case $(readlink -f "$disk") in */usb[0-9]*/*) lsblk -nro MOUNTPOINT "/dev/${disk##*/}" | grep . || true ;; esac
    done)
    if [ -n "$mounted" ]; then
      echo "a USB medium is mounted at $mounted; unmount it, then apply again" >&2
      exit 3
    fi
    modprobe -r "$@"
    ;;
  rebuild)
    if command -v update-initramfs > /dev/null; then update-initramfs -u -k all; else dracut --force --regenerate-all; fi
    ;;
  *) echo "unknown mode '$mode'" >&2; exit 2 ;;
esac
