package extract

import (
	"maps"

	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/record"
)

// ExpectSum notes what the source says that a numeric column sums up to over the
// rows of the slice, as decimal text. Another total refuses the slice.
func (o *Out) ExpectSum(column, total string) {
	_ = o.sync()
	sums := maps.Clone(o.p.Sums)
	if sums == nil {
		sums = map[string]string{}
	}
	sums[column] = total
	o.p.Sums = sums
}

// Declared is the table as the rows of a slice meet it, and all rules that its rows
// are judged by: the table's own and those that every table has. tail says that the
// slice is one of the table's tails.
func (t Table) Declared(tail bool) (record.Table, []gate.Rule) {
	if tail && t.TailMode != "" {
		t.Mode = t.TailMode
	}
	return t.Table, rules(t)
}
