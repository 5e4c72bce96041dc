package snowflaketest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/duckdb/duckdb-go/v2"
)

// failure is an error as the service tells it: number, SQL state, words.
type failure struct {
	code, state, message string
}

func (f *failure) Error() string { return f.code + " (" + f.state + "): " + f.message }

func fail(code, state, format string, args ...any) *failure {
	return &failure{code, state, fmt.Sprintf(format, args...)}
}

func missing(what, name string) *failure {
	return fail("002003", "02000", "SQL compilation error:\n%s '%s' does not exist or not authorized.", what, decode(name))
}

// unseen is what USE says.
func unseen(name string) *failure {
	return fail("002043", "02000", "SQL compilation error:\nObject '%s' does not exist, or operation cannot be performed.", decode(name))
}

func syntax(format string, args ...any) *failure {
	return fail("001003", "42000", "SQL compilation error:\n"+format, args...)
}

var (
	errCancelled = fail("000604", "57014", "SQL execution canceled")
	errTimeout   = fail("000630", "57014", "Statement reached its statement or warehouse timeout and was canceled.")
)

// failed gives an engine's error the service's number.
func failed(err error) *failure {
	var f *failure
	var e *duckdb.Error
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, context.DeadlineExceeded):
		return errTimeout
	case errors.Is(err, context.Canceled):
		return errCancelled
	case !errors.As(err, &e):
		return fail("000603", "XX000", "SQL execution internal error: %v", err)
	}
	words, _, _ := strings.Cut(decode(e.Msg), "\n\n")
	switch e.Type {
	case duckdb.ErrorTypeInterrupt:
		return errCancelled
	case duckdb.ErrorTypeCatalog:
		if strings.Contains(words, "already exists") {
			return fail("002002", "42710", "SQL compilation error:\n%s", words)
		}
		return fail("002003", "42S02", "SQL compilation error:\n%s", words)
	case duckdb.ErrorTypeParser, duckdb.ErrorTypeSyntax:
		return syntax("%s", words)
	case duckdb.ErrorTypeBinder:
		return fail("000904", "42000", "SQL compilation error: invalid identifier or type: %s", words)
	case duckdb.ErrorTypeConversion, duckdb.ErrorTypeInvalidInput:
		if f := badValue(e); f != nil {
			return f
		}
		if strings.Contains(words, "JSON") {
			return fail("100069", "22P02", "Error parsing JSON: %s", words)
		}
		return fail("100038", "22018", "%s", words)
	case duckdb.ErrorTypeOutOfRange, duckdb.ErrorTypeDecimal:
		return fail("100039", "22003", "%s", words)
	case duckdb.ErrorTypeConstraint:
		return fail("100072", "22000", "NULL result in a non-nullable column: %s", words)
	}
	return fail("000603", "XX000", "SQL execution internal error: %s", words)
}

// conflict reports whether two transactions of the engine met. Snowflake would have
// let the later one see what the earlier one did.
func conflict(err error) bool {
	var e *duckdb.Error
	return errors.As(err, &e) && e.Type == duckdb.ErrorTypeTransaction &&
		!strings.Contains(e.Msg, "is aborted")
}
