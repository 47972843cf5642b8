#!/bin/sh
# expect: RustDesk: path /home/admin/Downloads/rustdesk-1.2.3-x86_64.AppImage
# A portable RustDesk in a user's downloads that starts with his desktop (a stand-in: only the names matter here).
set -eu
install -d -o admin -g admin /home/admin/Downloads /home/admin/.config /home/admin/.config/autostart
install -m 0755 -o admin -g admin /bin/sleep /home/admin/Downloads/rustdesk-1.2.3-x86_64.AppImage
printf '[Desktop Entry]\nType=Application\nName=Helper\nExec=/home/admin/Downloads/rustdesk-1.2.3-x86_64.AppImage --tray\n' \
  > /home/admin/.config/autostart/helper.desktop
