#!/bin/sh
# kind: db
# with: collected_by: [{host: keeper, address: 127.0.0.1, port: 2514}]
# with: own: true
# The site's own settings forward the same files, in a file of another name and by plain TCP.
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
sed -i 's/imrelp/imptcp/' /opt/collector/rsyslog.conf
systemctl restart collector.service
cat > /etc/rsyslog.d/90-siem.conf << 'END'
module(load="imfile")
ruleset(name="siem" queue.type="LinkedList" queue.filename="siem" queue.saveOnShutdown="on") {
  action(type="omfwd" target="127.0.0.1" port="2514" protocol="tcp" action.resumeRetryCount="-1")
}
input(type="imfile" file="/var/log/postgresql/*.log" tag="postgresql" ruleset="siem")
if $programname == "mariadb-audit" then call siem
END
systemctl restart rsyslog
logger -t mariadb-audit 'a first record, by which the connection is made'
