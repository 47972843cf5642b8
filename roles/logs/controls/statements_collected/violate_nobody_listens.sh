#!/bin/sh
# expect: rsyslog does not listen on port 2514: nothing is collected; no record of db/postgresql has arrived; no record of db/mariadb
# with: collects_from: [{host: db, address: 127.0.0.1, systems: [postgresql, mariadb]}]
# A server forwards, and nobody receives.
set -eu
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
