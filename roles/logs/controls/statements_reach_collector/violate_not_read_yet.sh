#!/bin/sh
# expect: rsyslog has not read its settings since they changed: /etc/rsyslog.d
# lasting: rsyslog has restarted, and reads the settings that waited for it
# kind: db
# with: collected_by: [{host: keeper, address: 127.0.0.1, port: 2514}]
# The right settings are there, and rsyslog runs with those from before: to another collector, which is gone.
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
ruleset(name="medsec_statements") { action(type="omrelp" target="127.0.0.1" port="2599") }
input(type="imfile" file="/var/log/postgresql/*.log" tag="postgresql:" ruleset="medsec_statements")
END
systemctl restart rsyslog
sleep 2
sed -i s/2599/2514/ /etc/rsyslog.d/00-medsec-statements.conf
