package functions

import (
	"github.com/millrace-data/millrace/functions/accountscore"
	"github.com/millrace-data/millrace/shared/follow"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/reverse"
)

// Models are the functions of this build that compute a table from others.
var Models = []*follow.Function{
	accountscore.Function,
}

// Inputs are all tables that functions of this build fill, with the classes of their
// columns.
func Inputs() (out []reverse.Input) {
	for _, f := range All {
		for _, t := range f.Tables {
			out = append(out, input(f.Name, t.Table))
		}
	}
	for _, f := range Models {
		for _, t := range f.Fills {
			out = append(out, input(f.Name, t))
		}
	}
	return out
}

func input(function string, t record.Table) reverse.Input {
	in := reverse.Input{Function: function, Schema: t.Schema, Table: t.Name, Classes: map[string]string{}}
	for _, c := range t.Columns {
		if c.PII != "" {
			in.Classes[c.Name] = c.PII
		}
	}
	return in
}
