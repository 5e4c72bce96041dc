package extract_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/extract/extracttest"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/part"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/warehouse"
)

type cell struct {
	Account string          `field:"account"`
	Period  string          `field:"period"`
	Value   *record.Decimal `field:"value" decimal:"38,9"`
}

// wide is a vendor whose one document has a column for each period.
func wide(text string) *scripted {
	v := &scripted{objects: object("o"), tables: []extract.Table{{
		Table: record.Table{Schema: "scripted", Name: "plan", Columns: record.Columns[cell](), Mode: record.Append}, Slices: extract.Objects()}}}
	v.read = func(_ context.Context, _ extract.Slice, out *extract.Out) error {
		_, err := out.CSVWide(strings.NewReader(text), func(header []string) (extract.Sheet, error) {
			s := extract.Sheet{Value: "value", Null: "B", Record: func(c [][]byte) ([]part.Field, error) {
				return []part.Field{{Column: "account", Value: string(c[0])}}, nil
			}}
			for i, name := range header[1:] {
				s.Cells = append(s.Cells, i+1)
				s.Fields = append(s.Fields, []part.Field{{Column: "period", Value: name}})
			}
			return s, nil
		})
		return err
	}
	return v
}

func TestCSVWide(t *testing.T) {
	m := extracttest.New(t, env.Map(nil))
	wide("Account,12/2026,01/2027\nA,1.50,\n\"B, C\",0,B\n").run(t, m)
	want := []string{"A|01/2027|null", "A|12/2026|1.500000000", "B, C|01/2027|null", "B, C|12/2026|0.000000000"}
	if diff := cmp.Diff(want, m.Rows(t, `SELECT account, period, value FROM scripted.plan ORDER BY 1, 2`)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A record with a cell too many or too few ends the slice: no value is guessed.
func TestCSVWideRagged(t *testing.T) {
	for _, record := range []string{"B,1", "B,1,2,3"} {
		m := extracttest.New(t, env.Map(nil))
		wide("Account,12/2026,01/2027\nA,1,2\n"+record+"\n").run(t, m)
		o := m.Outcomes[0]
		if o.State != warehouse.Failed || !errors.Is(o.Err, fault.Corrupt) || !strings.Contains(fmt.Sprint(o.Err), "record 2") {
			t.Errorf("%s: %s, %v", record, o.State, o.Err)
		}
	}
}
