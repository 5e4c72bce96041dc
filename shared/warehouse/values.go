package warehouse

import (
	"fmt"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
)

// text, whole and at scan columns that may be null into plain fields, null being
// the zero value.
type (
	text  struct{ to *string }
	whole struct{ to *int64 }
	at    struct{ to *time.Time }
)

func (t text) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*t.to = ""
	case string:
		*t.to = v
	case []byte:
		*t.to = string(v)
	default:
		return fmt.Errorf("text expected, got %T", v)
	}
	return nil
}

func (i whole) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*i.to = 0
	case int64:
		*i.to = v
	case int32:
		*i.to = int64(v)
	case string: // Snowflake sends NUMBER as text
		_, err := fmt.Sscan(v, i.to)
		return err
	default:
		return fmt.Errorf("integer expected, got %T", v)
	}
	return nil
}

func (a at) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*a.to = time.Time{}
	case time.Time:
		*a.to = v.UTC()
	default:
		return fmt.Errorf("timestamp expected, got %T", v)
	}
	return nil
}

func nullText(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func nullTime(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC()
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func kindName(err error) string {
	if err == nil {
		return ""
	}
	return fault.Of(err).Error()
}
