#!/bin/sh
# kind: db
# A database server with the clients that came with its servers, and what people wrote about a tool that was removed.
set -eu
command -v psql > /dev/null
command -v mariadb > /dev/null
install -d -o admin -g admin /home/admin/navicat
printf 'Navicat: 2026-11-20 removed\n' > /home/admin/navicat/navicat-removal.txt
printf '# navicat was removed on 2026-11-20\n' > /etc/cron.d/note
