#!/bin/sh
# kind: db
# with: support: [{product: mariadb, series: '10.11', until: '2025-12-31', source: trial}]
# expect: support of 10.11 ended on 2025-12-31
# The server is a supported one; that its series has ended is only said, as a site says it.
set -eu
mariadb -e 'DO 1'
