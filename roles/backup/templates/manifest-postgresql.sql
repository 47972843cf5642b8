-- What a database holds: a line of JSON for each table with its rows and a hash that does not depend on their order.
-- The session is set so that the same row reads the same on every server. :left_out are the kinds of tables that the backup
-- has no rows of: t temporary, u unlogged.
SET search_path = pg_catalog;
SET DateStyle = 'ISO, MDY';
SET IntervalStyle = 'postgres';
SET TimeZone = 'UTC';
SET extra_float_digits = 1;
SET bytea_output = 'hex';
SET lc_monetary = 'C';
SET statement_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SELECT format(
  'SELECT json_build_object(''table'', %L::text, ''rows'', count(*),'
  ' ''hash'', coalesce(sum(hashtextextended((medsec.*)::text, 0)), 0)::text) FROM ONLY %I.%I AS medsec',
  n.nspname || '.' || c.relname, n.nspname, c.relname)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND position(c.relpersistence::text IN :'left_out') = 0 AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND NOT EXISTS (SELECT FROM pg_depend AS d
    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY n.nspname, c.relname
\gexec