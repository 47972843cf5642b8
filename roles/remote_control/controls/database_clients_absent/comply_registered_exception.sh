#!/bin/sh
# with: {allowed: [{product: command_line_clients, approval: 院信字〔2026〕15号, purpose: 药房盘点导出}]}
# A command-line client that the institution approved and registered.
set -eu
apt-get -qq -y install postgresql-client > /dev/null 2>&1
