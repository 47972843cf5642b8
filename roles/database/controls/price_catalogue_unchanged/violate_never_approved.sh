#!/bin/sh
# kind: db
# with: {tables: [{product: postgresql, database: his, table: public.price_list}, {product: mariadb, database: settle, table: 价表}]}
# expect: mariadb 3306 settle.价表: no snapshot of it was approved
# The tables are declared and hold prices, and nobody has ever said that these are the right ones.
set -eu
runuser -u postgres -- psql -qX -c 'CREATE DATABASE his'
runuser -u postgres -- psql -qX -d his -c 'CREATE TABLE price_list (code int PRIMARY KEY, price int)'
mariadb --default-character-set=utf8mb4 -e 'CREATE DATABASE settle; CREATE TABLE settle.价表 (code INT PRIMARY KEY, price INT)'
