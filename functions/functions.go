// Package functions is the list of functions. Everything that needs to know which
// there are reads it here: the CLI, the local cloud, packaging, and the test that
// holds the infrastructure's map equal to it.
//
// A new connector is its own package and one line in [All]; a new step that tables
// start is one line in [Followers]. The list holds no behaviour, and not
// functions/load, which serves all connectors.
package functions

import (
	"strings"

	"github.com/millrace-data/millrace/functions/accountscore"
	"github.com/millrace-data/millrace/functions/adaptive"
	"github.com/millrace-data/millrace/functions/clari"
	"github.com/millrace-data/millrace/functions/ociusage"
	"github.com/millrace-data/millrace/functions/salesforcesync"
	"github.com/millrace-data/millrace/functions/thoughtindustries"
	"github.com/millrace-data/millrace/functions/zuorarevenue"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/follow"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/reverse"
)

// All are the connectors of this build.
var All = []*extract.Function{
	clari.Function,
	adaptive.Function,
	thoughtindustries.Function,
	ociusage.Function,
	zuorarevenue.Function,
}

// Followers are the functions of this build that tables start, in the order in which
// one starts the next. Their names are none of [All]'s.
var Followers = []*follow.Function{
	accountscore.Function,
	salesforcesync.Function,
}

// Find returns the connector of that name. fault.Invalid lists the known ones.
func Find(name string) (*extract.Function, error) {
	var known []string
	for _, f := range All {
		if f.Name == name {
			return f, nil
		}
		known = append(known, f.Name)
	}
	return nil, fault.New(fault.Invalid, "there is no function %q; this build has %s", name, strings.Join(known, ", "))
}

// FindFollower returns the function that tables start, of that name. fault.Invalid
// lists the known ones.
func FindFollower(name string) (*follow.Function, error) {
	var known []string
	for _, f := range Followers {
		if f.Name == name {
			return f, nil
		}
		known = append(known, f.Name)
	}
	return nil, fault.New(fault.Invalid, "there is no function %q that tables start; this build has %s", name, strings.Join(known, ", "))
}

// Inputs are the tables that functions fill, as a sync looks for them.
func Inputs(connectors []*extract.Function, followers []*follow.Function) (out []reverse.Input) {
	add := func(function string, t record.Table) {
		out = append(out, reverse.Input{Function: function, Schema: t.Schema, Table: t.Name, Classes: t.Classes()})
	}
	for _, f := range connectors {
		for _, t := range f.Tables {
			add(f.Name, t.Table)
		}
	}
	for _, f := range followers {
		for _, t := range f.Tables {
			add(f.Name, t)
		}
	}
	return out
}
