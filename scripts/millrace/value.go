package main

import (
	"database/sql"
	"encoding/json"
	"strings"
)

// numeric reports a type whose text is a number.
func numeric(typ string) bool {
	switch base, _, _ := strings.Cut(typ, "("); base {
	case "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT",
		"BIGNUM", "DECIMAL", "FLOAT", "DOUBLE":
		return !strings.HasSuffix(typ, "]")
	}
	return false
}

// nested reports a type that is read as JSON, since its text is DuckDB's own.
func nested(typ string) bool {
	return strings.HasSuffix(typ, "]") || strings.HasPrefix(typ, "STRUCT(") || strings.HasPrefix(typ, "MAP(") || strings.HasPrefix(typ, "UNION(")
}

// appendValue writes the text of a value as JSON. Numbers and documents go through
// unread, so that they keep every digit.
func appendValue(dst []byte, typ string, text sql.NullString) []byte {
	switch {
	case !text.Valid:
		return append(dst, "null"...)
	case (numeric(typ) || nested(typ) || typ == "JSON" || typ == "BOOLEAN") && json.Valid([]byte(text.String)):
		return append(dst, text.String...) // not so for inf and nan, which JSON has no numbers for
	}
	quoted, _ := json.Marshal(when(typ, text.String))
	return append(dst, quoted...)
}

// cell is a value for people.
func cell(typ string, text sql.NullString) string {
	if !text.Valid {
		return "-"
	}
	return short(when(typ, text.String), 80)
}

// when turns DuckDB's "2026-01-02 03:00:00" into RFC 3339. Sessions are in UTC.
func when(typ, text string) string {
	if !strings.HasPrefix(typ, "TIMESTAMP") || len(text) < len("2026-01-02 03:00:00") || text[10] != ' ' {
		return text // infinity, or a time that RFC 3339 cannot write
	}
	return text[:10] + "T" + strings.TrimSuffix(text[11:], "+00") + "Z"
}
