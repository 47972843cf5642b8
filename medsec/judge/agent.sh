# shellcheck shell=sh
# Runs the commands of many checks and sends their answers. It comes in the first frame and is read by the root shell
# that reads frames (channel.py). Every name begins with `ms_`, and nothing but PATH is exported: a command must find
# what it would find if it had been sent alone.
#
# Given: ms_dir (a folder of its own), ms_most (the first number of bytes that is too many).
# A frame defines ms_lane and calls ms_frame, which runs the lanes side by side; within a lane one command follows the
# other. Lanes tell the shell that reads frames what happens through one pipe (descriptor 4), a short line each.
# shellcheck disable=SC2154,SC2034  # given by channel.py; the rest of a line that is read and not wanted

PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
export PATH
mkfifo "$ms_dir/events"
exec 4<> "$ms_dir/events"

# What this came in. BYTES-OF-IT BYTES-OF-ITS-TEXT: unpack a later frame, which goes on with the same gzip stream.
mv "$ms_dir/in" "$ms_dir/first"
ms_next() {
  { head -c "$1" "$ms_dir/first" && cat; } > "$ms_dir/whole" && gzip -dc < "$ms_dir/whole" > "$ms_dir/text" &&
    tail -c "+$2" "$ms_dir/text"
}

# Whatever ends this shell ends what it started. The commands themselves are stopped by `timeout` in time.
ms_leave() {
  for ms_each in $ms_active; do eval "kill \$ms_pid$ms_each 2> /dev/null"; done
  kill "$ms_ticker" 2> /dev/null
  rm -rf "$ms_dir"
}
ms_active=
ms_ticker=
trap ms_leave EXIT

# Seconds since boot, without a process of its own.
ms_clock() { read -r ms_now ms_rest < /proc/uptime; }

# PIPE FILE: what is too long ends the reader, and with it the writer. Unlike `head`, it loses nothing when it is killed.
ms_keep() {
  trap '' XFSZ
  ulimit -f $((ms_most / 512 + 1))
  exec cat < "$1" > "$2"
}

# LANE NUMBER SECONDS COMMAND: false where it was stopped, so that its lane ends there.
ms_run() {
  ms_keep "$ms_dir/o$1" "$ms_dir/$1.$2.out" &
  ms_out=$!
  ms_keep "$ms_dir/e$1" "$ms_dir/$1.$2.err" &
  ms_err=$!
  ms_clock
  ms_began=$ms_now
  echo "run $1 $2 $3 $ms_began $ms_out $ms_err" >&4
  # In a subshell: else dash would write "Killed" to where the command writes.
  if [ "$ms_timeout" = yes ]; then
    (exec timeout -k 5 "$3" sh -c "$4" > "$ms_dir/o$1" 2> "$ms_dir/e$1" 4>&-)
  else
    (exec sh -c "$4" > "$ms_dir/o$1" 2> "$ms_dir/e$1" 4>&-)
  fi
  ms_code=$?
  ms_clock
  echo "ran $1 $2" >&4
  ms_held=no
  wait "$ms_out" || ms_held=yes
  wait "$ms_err" || ms_held=yes
  echo "end $1 $2 $ms_code $ms_began $ms_now" >&4
  if [ "$ms_held" = yes ]; then
    # Something that outlived the command holds its output: what it writes must not reach the next one's.
    rm -f "$ms_dir/o$1" "$ms_dir/e$1"
    mkfifo "$ms_dir/o$1" "$ms_dir/e$1"
  fi
  case $ms_code in 124 | 137) return 1 ;; esac
}

# Start lanes until as many run as may.
ms_more() {
  while [ "$ms_busy" -lt "$ms_width" ] && [ -n "$ms_todo" ]; do
    ms_next=${ms_todo%% *}
    ms_todo=${ms_todo#"$ms_next"}
    ms_todo=${ms_todo# }
    { ms_lane "$ms_next"; echo "over $ms_next" >&4; } < /dev/null 2> /dev/null &
    eval "ms_pid$ms_next=$! ms_until$ms_next= ms_readers$ms_next= ms_letgo$ms_next="
    ms_active="$ms_active $ms_next"
    ms_busy=$((ms_busy + 1))
  done
}

# LANE
ms_over() {
  ms_still=
  for ms_each in $ms_active; do [ "$ms_each" = "$1" ] || ms_still="$ms_still $ms_each"; done
  ms_active=$ms_still
  ms_busy=$((ms_busy - 1))
  ms_more
}

# Once a second: let go of outputs that somebody holds, and of commands that cannot be stopped (a dead disk or mount).
ms_watch() {
  ms_ticks=$((ms_ticks + 1))
  printf .
  for ms_each in $ms_active; do
    eval "ms_limit=\$ms_until$ms_each ms_two=\$ms_readers$ms_each ms_held=\$ms_letgo$ms_each"
    if [ -n "$ms_held" ] && [ "$ms_ticks" -ge "$ms_held" ]; then
      eval "ms_letgo$ms_each="
      # shellcheck disable=SC2086  # two process ids
      kill $ms_two 2> /dev/null
    elif [ -n "$ms_limit" ] && [ "$ms_ticks" -ge "${ms_limit##* }" ]; then
      # shellcheck disable=SC2086
      eval "kill \$ms_pid$ms_each $ms_two 2> /dev/null"
      # shellcheck disable=SC2086  # its number, when it began, and the tick
      set -- $ms_limit
      ms_clock
      ms_note "$ms_each" "$1" - "$2" "$ms_now"
      ms_over "$ms_each"
    fi
  done
}

# LANE NUMBER CODE BEGAN ENDED
ms_note() {
  ms_notes="$ms_notes$*
"
  ms_files="$ms_files $1.$2"
}

# Send what was answered since the last time: a line for each command, the sizes of all streams, the streams.
ms_send() {
  [ -n "$ms_notes" ] || return 0
  set --
  for ms_each in $ms_files; do
    set -- "$@" "$ms_dir/$ms_each.out" "$ms_dir/$ms_each.err"
  done
  wc -c "$@" > "$ms_dir/sizes"
  set --
  ms_sizes=
  while read -r ms_size ms_name; do
    case $ms_name in "$ms_dir"/*) ;; *) continue ;; esac
    ms_sizes="$ms_sizes $ms_size"
    if [ "$ms_size" -gt 0 ] && [ "$ms_size" -lt "$ms_most" ]; then set -- "$@" "$ms_name"; fi
  done < "$ms_dir/sizes"
  {
    printf '%ssizes%s\n' "$ms_notes" "$ms_sizes"
    [ $# = 0 ] || cat "$@"
  } | ms_pack || exit 1
  for ms_each in $ms_files; do
    set -- "$@" "$ms_dir/$ms_each.out" "$ms_dir/$ms_each.err"
  done
  rm -f "$@"
  ms_notes=
  ms_files=
  ms_sent=$ms_now
}

ms_pack() {
  if [ "$ms_gz" = gz ]; then
    printf G
    exec gzip -1c
  fi
  printf R
  exec cat
}

# LANES-AT-A-TIME LANE...
ms_frame() {
  ms_width=$1
  shift
  ms_todo=$*
  ms_busy=0
  ms_ticks=0
  ms_active=
  ms_pipes=
  for ms_each in "$@"; do ms_pipes="$ms_pipes $ms_dir/o$ms_each $ms_dir/e$ms_each"; done
  # shellcheck disable=SC2086  # paths without a blank, made by mktemp
  mkfifo $ms_pipes
  while sleep 1; do echo tick >&4; done < /dev/null > /dev/null 2>&1 &
  ms_ticker=$!
  ms_more
  while [ "$ms_busy" -gt 0 ]; do
    read -r ms_what ms_l ms_n ms_a ms_b ms_c ms_d <&4
    case $ms_what in
    tick) ms_watch ;;
    run) eval "ms_until$ms_l='$ms_n $ms_b $((ms_ticks + ms_a + 12))' ms_readers$ms_l='$ms_c $ms_d'" ;;
    ran) eval "ms_until$ms_l= ms_letgo$ms_l=$((ms_ticks + 2))" ;;
    end)
      eval "ms_letgo$ms_l="
      ms_note "$ms_l" "$ms_n" "$ms_a" "$ms_b" "$ms_c"
      ;;
    over)
      case " $ms_active " in *" $ms_l "*) ms_over "$ms_l" ;; esac
      ;;
    esac
    ms_clock
    # Seldom, since each sending costs three processes; at once where nothing was sent for a while.
    case $ms_what in end | over | tick) [ "${ms_now%.*}" = "${ms_sent%.*}" ] || ms_send ;; esac
  done
  kill "$ms_ticker" 2> /dev/null
  wait "$ms_ticker" 2> /dev/null
  ms_send
  # shellcheck disable=SC2086
  rm -f $ms_pipes
}

ms_gz=raw
if command -v gzip > /dev/null; then ms_gz=gz; fi
ms_timeout=no
if command -v timeout > /dev/null; then ms_timeout=yes; fi
ms_notes=
ms_files=
ms_sent=0
