#!/bin/sh
# kind: db
# with: {kept: [{name: mariadb database test, reason: 厂商验收, until: '2025-06-30'}]}
# expect: mariadb database test was to be destroyed by 2025-06-30
# Registered for a time that is over.
set -eu
mariadb -e 'CREATE DATABASE IF NOT EXISTS test'
