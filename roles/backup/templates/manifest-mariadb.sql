-- What the database @medsec holds: a statement for each table that tells its rows and a hash that does not depend on
-- their order, as a line of JSON. Left out is what a server writes by itself, and its routines and events, which a
-- restored dump makes anew with other times; so are the periods of versioned tables, and how far a sequence has come, of
-- which a server takes some ahead. A sequence's own row is nobody's data, and is not counted. @alone and @left_out name
-- engines of tables where not all are asked for.
SET SESSION group_concat_max_len = 1073741824;
SELECT CONCAT(
  'SELECT JSON_OBJECT(''table'', ', QUOTE(t.table_name), ', ''rows'', ', IF(t.table_type = 'SEQUENCE', '0', 'COUNT(*)'), ', ''hash'', CAST(COALESCE(SUM(CAST(CONV(LEFT(',
  'SHA2(CONCAT_WS('','', ',
  GROUP_CONCAT(CONCAT('COALESCE(SHA2(CAST(`', REPLACE(c.column_name, '`', '``'), '` AS BINARY), 256), ''-'')')
    ORDER BY c.ordinal_position SEPARATOR ', '),
  '), 256), 16), 16, 10) AS UNSIGNED)), 0) AS CHAR)) FROM `', REPLACE(t.table_schema, '`', '``'), '`.`',
  REPLACE(t.table_name, '`', '``'), '`;')
FROM information_schema.tables AS t
JOIN information_schema.columns AS c ON c.table_schema = t.table_schema AND c.table_name = t.table_name
  AND COALESCE(c.generation_expression, '') NOT IN ('ROW START', 'ROW END')
  AND NOT (t.table_type = 'SEQUENCE' AND c.column_name IN ('next_not_cached_value', 'cycle_count'))
WHERE t.table_schema = @medsec AND t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED', 'SEQUENCE')
  AND (@alone IS NULL OR t.engine = @alone) AND COALESCE(FIND_IN_SET(t.engine, @left_out), 0) = 0 AND NOT (t.table_schema = 'mysql' AND t.table_name IN (
  'general_log', 'slow_log', 'innodb_table_stats', 'innodb_index_stats', 'table_stats', 'column_stats', 'index_stats',
  'gtid_slave_pos', 'transaction_registry', 'proc', 'event'))
GROUP BY t.table_schema, t.table_name
ORDER BY t.table_name;