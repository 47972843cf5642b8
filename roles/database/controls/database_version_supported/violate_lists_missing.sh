#!/bin/sh
# kind: db
# expect: whether updates wait is not known: the host has no list of the packages of file:/srv/repo
# Nobody has fetched the source's list, so apt knows of no update.
set -eu
rm -f /var/lib/apt/lists/*_Packages
