#!/bin/sh
# expect: others than root and adm may read or change: /var/log/medsec-statements
# lasting: rsyslog has restarted, and reads the settings that waited for it
# with: collects_from: [{host: db, address: 127.0.0.1, systems: [postgresql, mariadb]}]
# What was collected lies open: every account of the collector reads patients' data in it.
set -eu
DEBIAN_FRONTEND=noninteractive apt-get install -y -q rsyslog-relp
install -d -m 755 /var/log/medsec-statements /var/log/medsec-statements/db
cat > /etc/rsyslog.d/00-medsec-collector.conf << 'END'
module(load="imrelp")
template(name="line" type="string" string="%timereported:::date-rfc3339% %syslogtag%%msg%\n")
ruleset(name="all") {
  if $programname == 'postgresql' then action(type="omfile" file="/var/log/medsec-statements/db/postgresql.log" template="line" fileCreateMode="0644")
  if $programname == 'mariadb-audit' then action(type="omfile" file="/var/log/medsec-statements/db/mariadb.log" template="line" fileCreateMode="0666")
}
input(type="imrelp" port="2514" ruleset="all")
END
systemctl restart rsyslog
# A server of its own on this host, which forwards as it was told to, for as long as it takes.
DEBIAN_FRONTEND=noninteractive apt-get install -y -q rsyslog-relp
mkdir -p /opt/sender
printf 'AUDIT: SESSION,1,1,ROLE,CREATE ROLE\n' | tee /opt/sender/postgresql > /opt/sender/mariadb
cat > /opt/sender/rsyslog.conf << 'END'
global(workDirectory="/var/tmp")
module(load="imfile")
module(load="omrelp")
ruleset(name="all") { action(type="omrelp" target="127.0.0.1" port="2514" action.resumeRetryCount="-1" action.resumeInterval="1") }
input(type="imfile" file="/opt/sender/postgresql" tag="postgresql:" ruleset="all")
input(type="imfile" file="/opt/sender/mariadb" tag="mariadb-audit:" ruleset="all")
END
cat > /etc/systemd/system/sender.service << 'END'
[Service]
ExecStart=/usr/sbin/rsyslogd -n -i NONE -f /opt/sender/rsyslog.conf
END
systemctl daemon-reload
systemctl start sender.service
until [ -s /var/log/medsec-statements/db/mariadb.log ]; do sleep 0.2; done
