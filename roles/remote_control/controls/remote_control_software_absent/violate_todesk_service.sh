#!/bin/sh
# expect: ToDesk: package todesk; unit todeskd.service /etc/systemd/system/todeskd.service active
# ToDesk installed and running as its installer leaves it. The real package cannot be had without the Internet: this is a
# stand-in built here, with the vendor's names for the package, the unit, the folder and the log, around /bin/sleep. Its
# removal script deletes the log, as vendors' scripts do.
set -eu
tree=$(mktemp -d)
mkdir -p "$tree/DEBIAN" "$tree/opt/todesk/bin" "$tree/etc/systemd/system" "$tree/usr/share/applications" "$tree/var/log/todesk"
cp /bin/sleep "$tree/opt/todesk/bin/ToDesk_Service"
printf '2026-11-20 08:12:44 connected from 123456789\n' > "$tree/var/log/todesk/service.log"
printf '[Desktop Entry]\nType=Application\nName=ToDesk\nExec=/opt/todesk/bin/ToDesk\n' > "$tree/usr/share/applications/todesk.desktop"
printf '[Service]\nExecStart=/opt/todesk/bin/ToDesk_Service infinity\nRestart=always\n[Install]\nWantedBy=multi-user.target\n' \
  > "$tree/etc/systemd/system/todeskd.service"
printf 'Package: todesk\nVersion: 4.7.2\nArchitecture: amd64\nMaintainer: stand-in\nDescription: stand-in for ToDesk\n' > "$tree/DEBIAN/control"
printf '#!/bin/sh\nsystemctl daemon-reload\nsystemctl enable --now todeskd.service\n' > "$tree/DEBIAN/postinst"
printf '#!/bin/sh\nrm -rf /var/log/todesk\n' > "$tree/DEBIAN/postrm"
chmod 755 "$tree/DEBIAN/postinst" "$tree/DEBIAN/postrm" "$tree"
dpkg-deb --build "$tree" /tmp/standin.deb > /dev/null
dpkg -i /tmp/standin.deb > /dev/null
rm -rf "$tree" /tmp/standin.deb
