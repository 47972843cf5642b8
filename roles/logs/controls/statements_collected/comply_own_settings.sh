#!/bin/sh
# with: collects_from: [{host: db, address: 127.0.0.1, systems: [postgresql, mariadb]}]
# with: own: true
# The site's own settings collect, in a file of another name.
set -eu
DEBIAN_FRONTEND=noninteractive apt-get install -y -q rsyslog-relp
cat > /etc/rsyslog.d/90-siem.conf << 'END'
module(load="imrelp")
template(name="line" type="string" string="%timereported:::date-rfc3339% %syslogtag%%msg%\n")
ruleset(name="siem") {
  if $programname == 'postgresql' then action(type="omfile" file="/var/log/medsec-statements/db/postgresql.log" template="line" fileCreateMode="0640" dirCreateMode="0750")
  if $programname == 'mariadb-audit' then action(type="omfile" file="/var/log/medsec-statements/db/mariadb.log" template="line" fileCreateMode="0600" dirCreateMode="0700")
}
input(type="imrelp" port="2514" ruleset="siem")
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
until [ -s /var/log/medsec-statements/db/mariadb.log ] && [ -s /var/log/medsec-statements/db/postgresql.log ]; do sleep 0.2; done
