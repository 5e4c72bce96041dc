package snowflaketest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"

	"github.com/duckdb/duckdb-go/v2"
)

// openEngine opens one DuckDB in memory for all sessions, with the functions that
// Snowflake has and DuckDB lacks or computes otherwise.
func openEngine() (*sql.DB, error) {
	c, err := duckdb.NewConnector("", func(e driver.ExecerContext) error {
		for _, q := range []string{"SET TimeZone = 'UTC'", "SET memory_limit = '1GiB'", "SET threads = 2"} {
			if _, err := e.ExecContext(context.Background(), q, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(c)
	db.SetMaxIdleConns(0) // a session's temporary tables end with its connection
	conn, err := db.Conn(context.Background())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	for name, f := range map[string]duckdb.ScalarFunc{"SF_PARSE_JSON": &parseJSON{false}, "SF_TRY_PARSE_JSON": &parseJSON{true}, "SF_GET": &getJSON{}} {
		if err := duckdb.RegisterScalarUDF(conn, name, f); err != nil {
			return nil, err
		}
	}
	for _, q := range macros {
		if _, err := conn.ExecContext(context.Background(), q); err != nil {
			return nil, fmt.Errorf("%w in %s", err, q)
		}
	}
	return db, nil
}

// macros live in the engine's own database, which is on every session's path.
// SF_TEXT is CAST(x AS VARCHAR): times have the session's fraction, a text in a
// VARIANT has no quotes.
var macros = []string{
	`CREATE MACRO SF_TEXT(x, f) AS CASE typeof(x) WHEN 'TIMESTAMP' THEN strftime(TRY_CAST(CAST(x AS VARCHAR) AS TIMESTAMP), '%Y-%m-%d %H:%M:%S' || f)
 WHEN 'JSON' THEN CASE WHEN CAST(x AS VARCHAR) LIKE '"%' THEN TRY_CAST(CAST(x AS VARCHAR) AS JSON) ->> '$' WHEN CAST(x AS VARCHAR) <> 'null' THEN CAST(x AS VARCHAR) END ELSE CAST(x AS VARCHAR) END`,
	// The engine's own look into a document rounds numbers that are not doubles.
	`CREATE MACRO SF_LOOK(d, k) AS CASE WHEN regexp_matches(CAST(d AS VARCHAR), '[0-9.]{16}') THEN CAST(SF_GET(CAST(d AS VARCHAR), k) AS JSON) ELSE d -> k END`,
	`CREATE MACRO SF_TO_JSON(x) AS CAST(x AS VARCHAR)`,
	`CREATE MACRO SF_GREATEST(a, b) AS CASE WHEN a IS NULL OR b IS NULL THEN NULL ELSE greatest(a, b) END,
 (a, b, c) AS CASE WHEN a IS NULL OR b IS NULL OR c IS NULL THEN NULL ELSE greatest(a, b, c) END`,
	`CREATE MACRO SF_LEAST(a, b) AS CASE WHEN a IS NULL OR b IS NULL THEN NULL ELSE least(a, b) END,
 (a, b, c) AS CASE WHEN a IS NULL OR b IS NULL OR c IS NULL THEN NULL ELSE least(a, b, c) END`,
	`CREATE MACRO IFF(c, a, b) AS CASE WHEN c THEN a ELSE b END`,
	`CREATE MACRO NVL(a, b) AS coalesce(a, b)`,
	`CREATE MACRO NVL2(a, b, c) AS CASE WHEN a IS NOT NULL THEN b ELSE c END`,
	`CREATE MACRO ZEROIFNULL(a) AS coalesce(a, 0)`,
	`CREATE MACRO EQUAL_NULL(a, b) AS a IS NOT DISTINCT FROM b`,
	`CREATE MACRO TO_VARIANT(a) AS to_json(a)`,
	`CREATE MACRO TO_NUMBER(a) AS CAST(a AS DECIMAL(38,0))`,
	`CREATE MACRO TO_BOOLEAN(a) AS CAST(a AS BOOLEAN)`,
	`CREATE MACRO TO_DATE(a) AS CAST(a AS DATE)`,
	`CREATE MACRO TO_TIMESTAMP_NTZ(a) AS CAST(a AS TIMESTAMP)`,
	`CREATE MACRO TRY_TO_DATE(a) AS TRY_CAST(a AS DATE)`,
	`CREATE MACRO TRY_TO_BOOLEAN(a) AS TRY_CAST(a AS BOOLEAN)`,
	`CREATE MACRO TRY_TO_TIMESTAMP_NTZ(a) AS TRY_CAST(a AS TIMESTAMP)`,
	`CREATE MACRO SYSDATE() AS CAST(now() AS TIMESTAMP)`,
	`CREATE MACRO SHA2(a, n) AS sha256(a)`,
	`CREATE MACRO SF_NAME(n) AS regexp_replace(n, '` + mark + `[0-9a-f]*$', '')`,
	`CREATE MACRO SF_TYPE(t) AS CASE WHEN t LIKE 'DECIMAL%' OR t IN ('BIGINT', 'INTEGER', 'HUGEINT') THEN 'NUMBER' WHEN t = 'VARCHAR' THEN 'TEXT' WHEN t = 'JSON' THEN 'VARIANT'
 WHEN t = 'TIMESTAMP' THEN 'TIMESTAMP_NTZ' WHEN t = 'TIMESTAMP WITH TIME ZONE' THEN 'TIMESTAMP_LTZ' WHEN t = 'DOUBLE' THEN 'FLOAT' WHEN t = 'BLOB' THEN 'BINARY' ELSE t END`,
	`CREATE MACRO SF_COLUMNS(db) AS TABLE SELECT SF_NAME(database_name) AS TABLE_CATALOG, SF_NAME(schema_name) AS TABLE_SCHEMA, SF_NAME(table_name) AS TABLE_NAME, SF_NAME(column_name) AS COLUMN_NAME,
 CAST(column_index AS DECIMAL(38,0)) AS ORDINAL_POSITION, column_default AS COLUMN_DEFAULT, CASE WHEN is_nullable THEN 'YES' ELSE 'NO' END AS IS_NULLABLE, SF_TYPE(data_type) AS DATA_TYPE,
 CAST(CASE WHEN data_type = 'VARCHAR' THEN 16777216 END AS DECIMAL(38,0)) AS CHARACTER_MAXIMUM_LENGTH,
 CAST(CASE WHEN data_type LIKE 'DECIMAL%' THEN numeric_precision WHEN SF_TYPE(data_type) = 'NUMBER' THEN 38 END AS DECIMAL(38,0)) AS NUMERIC_PRECISION,
 CAST(CASE WHEN data_type LIKE 'DECIMAL%' THEN numeric_scale WHEN SF_TYPE(data_type) = 'NUMBER' THEN 0 END AS DECIMAL(38,0)) AS NUMERIC_SCALE,
 CAST(CASE WHEN data_type LIKE 'TIMESTAMP%' THEN 9 END AS DECIMAL(38,0)) AS DATETIME_PRECISION, comment AS COMMENT
 FROM duckdb_columns() WHERE database_name = db AND NOT internal`,
	`CREATE MACRO SF_TABLES(db) AS TABLE SELECT SF_NAME(database_name) AS TABLE_CATALOG, SF_NAME(schema_name) AS TABLE_SCHEMA, SF_NAME(table_name) AS TABLE_NAME, 'BASE TABLE' AS TABLE_TYPE, 'NO' AS IS_TRANSIENT,
 CAST(estimated_size AS DECIMAL(38,0)) AS ROW_COUNT, comment AS COMMENT FROM duckdb_tables() WHERE database_name = db AND NOT internal
 UNION ALL SELECT SF_NAME(database_name), SF_NAME(schema_name), SF_NAME(view_name), 'VIEW', 'NO', NULL, comment FROM duckdb_views() WHERE database_name = db AND NOT internal`,
	`CREATE MACRO SF_SCHEMATA(db) AS TABLE SELECT SF_NAME(database_name) AS CATALOG_NAME, SF_NAME(schema_name) AS SCHEMA_NAME, comment AS COMMENT
 FROM duckdb_schemas() WHERE database_name = db AND NOT internal AND schema_name <> 'main'`,
}
