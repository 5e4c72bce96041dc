package snowflaketest

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

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
	for _, f := range []struct {
		name string
		try  bool
	}{{"SF_PARSE_JSON", false}, {"SF_TRY_PARSE_JSON", true}} {
		if err := duckdb.RegisterScalarUDF(conn, f.name, &parseJSON{f.try}); err != nil {
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
 WHEN 'JSON' THEN TRY_CAST(CAST(x AS VARCHAR) AS JSON) ->> '$' ELSE CAST(x AS VARCHAR) END`,
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

// parseJSON is PARSE_JSON and TRY_PARSE_JSON: compact, keys in order, numbers
// with every digit. A key given twice is an error, as in the service.
type parseJSON struct{ try bool }

func (p *parseJSON) Config() duckdb.ScalarFuncConfig {
	in, _ := duckdb.NewTypeInfo(duckdb.TYPE_VARCHAR)
	out, _ := duckdb.NewTypeInfo(duckdb.TYPE_VARCHAR)
	return duckdb.ScalarFuncConfig{InputTypeInfos: []duckdb.TypeInfo{in}, ResultTypeInfo: out}
}

func (p *parseJSON) Executor() duckdb.ScalarFuncExecutor {
	return duckdb.ScalarFuncExecutor{RowExecutor: func(in []driver.Value) (any, error) {
		s, ok := in[0].(string)
		if !ok || strings.TrimSpace(s) == "" {
			return nil, nil
		}
		b, err := canonical(s)
		if err == nil {
			return string(b), nil
		}
		if p.try {
			return nil, nil
		}
		return nil, fmt.Errorf("Error parsing JSON: %w", err)
	}}
}

var errTwice = errors.New("duplicate object attribute")

// canonical is a JSON text as a VARIANT holds it.
func canonical(s string) ([]byte, error) {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	v, err := value(d)
	if err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = errors.New("more than one value")
		}
	}
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err = e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// value reads one value; maps are written with sorted keys later.
func value(d *json.Decoder) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Number:
		return json.Number(trim(t.String())), nil
	case json.Delim:
		if t == '[' {
			return list(d)
		}
		return object(d)
	}
	return t, nil
}

func list(d *json.Decoder) (any, error) {
	out := []any{}
	for d.More() {
		v, err := value(d)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	_, err := d.Token()
	return out, err
}

func object(d *json.Decoder) (any, error) {
	out := map[string]any{}
	for d.More() {
		k, err := d.Token()
		if err != nil {
			return nil, err
		}
		v, err := value(d)
		if err != nil {
			return nil, err
		}
		if _, twice := out[k.(string)]; twice {
			return nil, errTwice
		}
		out[k.(string)] = v
	}
	_, err := d.Token()
	return out, err
}

// trim takes the zeros after a decimal point away that say nothing.
func trim(n string) string {
	if !strings.Contains(n, ".") || strings.ContainsAny(n, "eE") {
		return n
	}
	return strings.TrimSuffix(strings.TrimRight(n, "0"), ".")
}

// pretty is a VARIANT as the service sends it: two blanks deep, unless the session
// says otherwise.
func pretty(s string) string {
	var b bytes.Buffer
	if json.Indent(&b, []byte(s), "", "  ") != nil {
		return s
	}
	return b.String()
}
