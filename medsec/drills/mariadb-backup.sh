# shellcheck shell=sh disable=SC2154
# MariaDB by mariadb-backup: the files of the server as they were at the backup's end.
key=/etc/medsec/mariadb-backup.key
prove() {
  need mariadb-backup mbstream openssl mariadbd mariadb mariadb-admin mariadb-check
  [ -s "$key" ] || fault tools "$key"
  points "$set"/*.point
  room
  same_version "$(of_head server | sed 's/^\([0-9]*\.[0-9]*\).*/\1/')"
  restore
  start
  read_back .point MEMORY # whose rows no backup of files has
  integrity
}
of_head() { sed -n "1s/.*\"$1\": \"\([^\"]*\)\".*/\1/p" "$set/medsec.point.manifest"; }

points() { # FILE...: each says archive, its digest, where the backup stopped, bytes; all say the same
  [ "$(cat "$@" | sort -u | wc -l)" -eq 4 ] || fault restore "error: the points differ"
  { read -r archive && read -r digest && read -r _ && read -r bytes; } < "$1" || fault restore "error: no point"
  grep -qxF "$digest  $archive" "$set/SHA256SUMS" || fault restore "error: $archive is not what the manifests are of"
  [ -e "$set/medsec.point.manifest" ] || fault restore "error: the database medsec has no manifest"
}

room() { # for the files, and the log that is worked into them
  needed=$((bytes * 5 / 4 / 1048576 + 256))
  free=$(df -Pm "$scratch" | awk 'NR == 2 {print $4}')
  [ "$free" -ge "$needed" ] || fault room "$free MiB"
}

same_version() { # files are made ready by the version that wrote them alone
  found=$(mariadbd --no-defaults --version | sed 's/.*Ver \([0-9]*\.[0-9]*\).*/\1/')
  [ "$found" = "$1" ] || fault tools "MariaDB $1 ($found)"
}

cipher() { openssl enc -d -aes-256-ctr -pbkdf2 -iter 10000 -md sha256 -pass "file:$key"; }
restore() {
  step restore
  place
  mkdir "$data"
  cipher < "$set/key.check" 2> /dev/null | grep -qx medsec ||
    fault restore "error: it cannot be decrypted, it was made with another key than $key"
  # A pipeline tells how its last command ended alone.
  { cipher < "$set/$archive" || : > "$home/wrong"; } 2>> "$log" | { gzip -dc || : > "$home/wrong"; } 2>> "$log" |
    mbstream -x -C "$data" >> "$log" 2>&1 || fault restore "$archive: $(one_line < "$log")"
  [ ! -e "$home/wrong" ] || fault restore "$archive: error: $(tail -n 1 "$log" | cut -c1-200)"
  [ -s "$data/xtrabackup_checkpoints" ] || fault restore "$archive: error: the copy has no end"
  # What the server has outside its data's folder lies in this one: nothing of it may lead to the live server.
  find "$data" -name '*.isl' -delete
  try restore mariadb-backup --prepare --target-dir="$data"
  grep -q 'completed OK!' "$log" || fault restore "$(one_line < "$log")"
  chown -R mysql: "$data"
}

# The options that its files need came with them; nothing else of the live server's counts, its accounts and plugins neither.
start() {
  serve restore --defaults-file="$data/backup-my.cnf" --innodb-data-home-dir="$data" --innodb-log-group-home-dir="$data" \
    --innodb-undo-directory="$data" --skip-grant-tables
  found=$(sql -NBr -e 'SELECT system FROM medsec.canary' 2>> "$log") || found=
  [ "${found:-$(of_head system)}" = "$(of_head system)" ] || fault restore "$archive: error: another system's"
}
