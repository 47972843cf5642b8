#!/bin/sh
# expect: rsyslog has no connection to keeper (127.0.0.1:2514); nothing forwards /var/log/postgresql/postgresql-15-main.log
# kind: db
# with: collected_by: [{host: keeper, address: 127.0.0.1, port: 2514}]
# The databases write, the collector waits, and nothing goes from one to the other.
set -eu
# A collector of its own on another port of this host, as the ledger registers it.
DEBIAN_FRONTEND=noninteractive apt-get install -y -q rsyslog-relp
mkdir -p /opt/collector
cat > /opt/collector/rsyslog.conf << 'END'
module(load="imrelp")
global(workDirectory="/var/tmp")
ruleset(name="all") { action(type="omfile" file="/var/log/collector-records") }
input(type="imrelp" port="2514" ruleset="all")
END
cat > /etc/systemd/system/collector.service << 'END'
[Service]
ExecStart=/usr/sbin/rsyslogd -n -i NONE -f /opt/collector/rsyslog.conf
END
systemctl daemon-reload
systemctl start collector.service
