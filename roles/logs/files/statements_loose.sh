# shellcheck shell=sh
# $1 the folder of the collected records: prints those files that others than root and adm may read or change.
if [ -d "$1" ]; then
  find "$1" -type f \( ! -user root -o ! -group adm -o -perm /0137 \)
fi
