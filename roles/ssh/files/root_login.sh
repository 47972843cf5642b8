# shellcheck shell=sh
# Prints, for each account with the user id 0, whether sshd lets an ordinary connection of it in: "open" or "refused".
# Read-only. Used by both engines.
export LC_ALL=C
getent passwd | awk -F: '$3 == 0 { print $1 }' | while read -r user; do
  said=$(sshd -T -C "user=$user,host=client.invalid,addr=192.0.2.1,laddr=192.0.2.2,lport=22") || exit 1
  printf '%s\n' "$said" | awk -v user="$user" '
    $0 == "permitrootlogin no" || $0 == "denyusers " user { refused = 1 }
    $1 == "allowusers" {
      listed = 1; name = $2; sub(/@[^@]*$/, "", name); gsub(/[.+^$()|{}\[\]\\]/, "[&]", name); gsub(/[*]/, ".*", name); gsub(/[?]/, ".", name)
      if (user ~ "^" name "$") allowed = 1
    }
    END { print (refused || (listed && !allowed) ? "refused" : "open") }'
done
