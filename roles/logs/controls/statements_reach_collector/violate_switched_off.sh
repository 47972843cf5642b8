#!/bin/sh
# expect: rsyslog does not run: no record comes or goes; rsyslog is not started at boot
# kind: db
# with: collected_by: [{host: keeper, address: 127.0.0.1, port: 2514}]
# Somebody who would rather not be recorded stopped rsyslog and switched it off for good; its settings are untouched.
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
cat > /etc/rsyslog.d/00-medsec-statements.conf << 'END'
module(load="imfile")
module(load="omrelp")
ruleset(name="medsec_statements") { action(type="omrelp" target="127.0.0.1" port="2514") }
input(type="imfile" file="/var/log/postgresql/*.log" tag="postgresql:" ruleset="medsec_statements")
END
systemctl disable --now rsyslog.service syslog.socket
