#!/bin/sh
# expect: Navicat: path /home/admin/.wine/drive_c/Program Files/PremiumSoft
# A portable Navicat in a user's downloads, another one under Wine that his desktop offers (stand-ins: only the names matter).
set -eu
prefix='/home/admin/.wine/drive_c/Program Files/PremiumSoft/Navicat Premium 16'
install -d -o admin -g admin /home/admin/Downloads /home/admin/Desktop "$prefix"
install -m 0755 -o admin -g admin /bin/sleep /home/admin/Downloads/navicat16-premium-cs.AppImage
install -m 0644 -o admin -g admin /bin/sleep "$prefix/navicat.exe"
printf '[Desktop Entry]\nType=Application\nName=Reports\nExec=wine "%s/navicat.exe"\n' "$prefix" > /home/admin/Desktop/reports.desktop
