#!/bin/sh
# with: copied_to: [{host: keeper, address: 192.0.2.7, key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOt6Jv7TOqX8jkzKyI3a12eiRSh7MQKCB9E9krpcyxKJ}]
# with: program: /usr/local/sbin/site-offer
# The site's own program answers the same two questions, and the account's key lies where sshd also looks.
set -eu
umask 077
for product in postgresql mariadb; do
  set=/var/backups/medsec/$product/20260101T000000Z
  mkdir -p "$set"
  cd "$set"
  echo rows > dump
  sha256sum dump > SHA256SUMS
  printf '{"sha256sums": "%s"}\n' "$(sha256sum < SHA256SUMS | cut -d' ' -f1)" > record.json
done
umask 022
cat > /usr/local/sbin/site-offer << 'END'
#!/bin/sh
set -eu
[ "$(id -u)" = 0 ] || exec sudo -n /usr/local/sbin/site-offer "$SSH_ORIGINAL_COMMAND"
cd /var/backups/medsec
if [ "$1" = list ]; then
  for sums in */*/SHA256SUMS; do
    set=${sums%/*}
    echo "${set%/*} ${set#*/} $(sha256sum < "$sums" | cut -d' ' -f1)"
  done
  exit
fi
expr "$1" : 'send [a-z]* [0-9TZ]*$' > /dev/null
set -- $1
exec tar -C "$2" -c -- "$3"
END
chmod 755 /usr/local/sbin/site-offer
useradd --system --shell /bin/sh --home-dir /nonexistent medsec-copies
echo 'medsec-copies ALL=(root) NOPASSWD: /usr/local/sbin/site-offer' > /etc/sudoers.d/site
mkdir /etc/ssh/keys
echo 'restrict,from="192.0.2.7",command="/usr/local/sbin/site-offer" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOt6Jv7TOqX8jkzKyI3a12eiRSh7MQKCB9E9krpcyxKJ' > /etc/ssh/keys/medsec-copies
echo 'AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/keys/%u' > /etc/ssh/sshd_config.d/keys.conf
systemctl reload ssh
