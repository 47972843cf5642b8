# shellcheck shell=sh
# Prints where the operator's own SSH connection comes from: "address port-of-this-host", or nothing without one.
# sudo keeps SSH_CONNECTION from its child, so it is looked for in the environments of the processes above this one.
pid=$$
while [ "$pid" -gt 1 ]; do
  found=$(tr '\0' '\n' < "/proc/$pid/environ" 2> /dev/null | sed -n 's/^SSH_CONNECTION=\([^ ]*\) [^ ]* [^ ]* \([0-9]*\)$/\1 \2/p')
  if [ -n "$found" ]; then
    echo "$found"
    exit 0
  fi
  pid=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$pid/status")
done
