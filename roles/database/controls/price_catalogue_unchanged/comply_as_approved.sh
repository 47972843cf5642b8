#!/bin/sh
# kind: db
# with: {tables: [{product: postgresql, database: his, table: public.price_list}, {product: mariadb, database: settle, table: 价表}], approved: [{host: db, change: BG-1, approver: 王建国, approved: '2026-01-05T09:00:00+08:00', tables: [{product: postgresql, database: his, table: public.price_list, rows: 100, hash: '7348741700322309957', definition: '-4178453830820434526'}, {product: mariadb, database: settle, table: 价表, rows: 1, hash: '1', definition: '1'}]}, {host: db, change: BG-2, approver: 王建国, approved: '2026-02-05T09:00:00+08:00', tables: [{product: mariadb, database: settle, table: 价表, rows: 100, hash: '966288509503199046319', definition: d95cacaef01280973eb915d5a4012772dbed3822e123ed82ab3fa7664bfd62ea}]}]}
# Both servers hold what was approved last, and write down who changes it: PostgreSQL into CSV files, MariaDB into a file of its own.
set -eu
printf "shared_preload_libraries = 'pgaudit'\npgaudit.log = 'all'\nlog_destination = 'csvlog'\nlogging_collector = on\n" > /etc/postgresql/15/main/conf.d/audit.conf
systemctl restart postgresql@15-main.service
install -d -o mysql -g mysql -m 0750 /var/log/mysql
printf '[mariadb]\nplugin-load-add = server_audit.so\nserver-audit-logging = 1\nserver-audit-output-type = file\nserver-audit-file-path = /var/log/mysql/audit.log\n' \
  >> /etc/mysql/mariadb.cnf
systemctl restart mariadb
runuser -u postgres -- psql -qX -c 'CREATE DATABASE his'
runuser -u postgres -- psql -qX -v ON_ERROR_STOP=1 -d his -c 'CREATE TABLE price_list (code int PRIMARY KEY, price int)' \
  -c 'INSERT INTO price_list SELECT n, n FROM generate_series(1, 100) n'
mariadb --default-character-set=utf8mb4 -e 'CREATE DATABASE settle CHARACTER SET utf8mb4; CREATE TABLE settle.价表 (code INT PRIMARY KEY, price INT) ENGINE=InnoDB'
mariadb --default-character-set=utf8mb4 -D settle -e 'INSERT INTO 价表 SELECT seq, seq FROM seq_1_to_100'
