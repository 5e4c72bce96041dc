package snowflake

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"testing"

	sf "github.com/snowflakedb/gosnowflake/v2"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/record"
)

// What Type says must be what DESCRIBE says of the column made with it.
func TestTypesAreSpelledAsDescribed(t *testing.T) {
	for described, c := range map[string]record.Column{
		"NUMBER(38,0)":      {Type: record.Integer},
		"NUMBER(20,4)":      {Type: record.Number, Precision: 20, Scale: 4},
		"BOOLEAN":           {Type: record.Boolean},
		"TIMESTAMP_NTZ(6)":  {Type: record.Timestamp},
		"DATE":              {Type: record.Date},
		"VARIANT":           {Type: record.Document},
		"VARCHAR(16777216)": {Type: record.Text},
	} {
		if got, want := spelled(described), (Driver{}).Type(c); got != want {
			t.Errorf("%s is read as %s, but declared as %s", described, got, want)
		}
	}
	if got := spelled("VARCHAR(134217728)"); got != "VARCHAR" {
		t.Errorf("the longest text of newer accounts is %s", got)
	}
	if got := spelled("VARCHAR(10)"); got != "VARCHAR(10)" {
		t.Errorf("a short text is %s: values would not fit", got)
	}
}

func TestFault(t *testing.T) {
	for _, c := range []struct {
		number int
		state  string
		kind   error
	}{
		{625, "57014", nil}, {630, "57014", nil}, {604, "57014", nil},
		{2003, "02000", fault.Invalid}, {2003, "42S02", fault.Invalid}, {1003, "42000", fault.Invalid}, {904, "42000", fault.Invalid}, {2023, "22000", fault.Invalid},
		{100090, "42P18", fault.Corrupt}, {100038, "22018", fault.Corrupt}, {100035, "22007", fault.Corrupt}, {100069, "22P02", fault.Corrupt},
		{390111, "", nil}, {390112, "08001", nil}, {390114, "", nil},
		{390100, "08004", fault.Auth}, {390144, "08004", fault.Auth}, {390318, "", fault.Auth}, {3001, "42501", fault.Auth},
		{390189, "08004", fault.Invalid}, {90073, "57014", fault.Limited},
		{sf.ErrFailedToPostQuery, "", nil}, {sf.ErrCodeServiceUnavailable, "", nil}, {sf.ErrFailedToUploadToStage, "", nil},
		{sf.ErrCodeEmptyUsernameCode, "", fault.Invalid}, {sf.ErrCodePrivateKeyParseError, "", fault.Invalid}, {sf.ErrCodeFailedToConnect, "", nil},
	} {
		err := fmt.Errorf("while loading: %w", &sf.SnowflakeError{Number: c.number, SQLState: c.state})
		if got := (Driver{}).Fault(err); got != c.kind {
			t.Errorf("%06d (%s) is %v, want %v", c.number, c.state, got, c.kind)
		}
	}
	for _, err := range []error{driver.ErrBadConn, context.Canceled, errors.New("EOF")} {
		if got := (Driver{}).Fault(err); got != nil {
			t.Errorf("%v is %v, want no kind", err, got)
		}
	}
}

func TestMisfitHidesTheValue(t *testing.T) {
	err := misfit(&sf.SnowflakeError{Number: 100038, SQLState: "22018", QueryID: "01b-q",
		Message: "Numeric value 'SECRET' is not recognized\n  File 'abc/000001/p-002.ndjson.zst', line 17, character 1\n  Row 17, column \"T\"[\"n\":2]"})
	if !errors.Is(err, fault.Corrupt) || strings.Contains(err.Error(), "SECRET") {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"p-002.ndjson.zst', line 17", "100038", "01b-q"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %s", err, want)
		}
	}
}

func TestCopyReadsTextsAndCasts(t *testing.T) {
	for want, c := range map[string]record.Column{
		`$1['it''s \\ "x"']::VARCHAR`:      {Name: `it's \ "x"`, Type: record.Text},
		`$1:"n"::VARCHAR::NUMBER(38,9)`:    {Name: "n", Type: record.Number, Precision: 38, Scale: 9},
		`PARSE_JSON($1:"_extra"::VARCHAR)`: {Name: "_extra", Type: record.Document},
	} {
		if got := (Driver{}).read(c); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
