// Package functions is the list of connectors. Everything that needs to know
// which functions there are reads it here: the CLI, the local cloud, packaging,
// and the test that holds the infrastructure's map equal to it.
//
// A new connector is its own package and one line in [All]. The list holds no
// behaviour, and not the steps that are no connectors, such as functions/load.
package functions

import (
	"strings"

	"github.com/millrace-data/millrace/functions/adaptive"
	"github.com/millrace-data/millrace/functions/clari"
	"github.com/millrace-data/millrace/functions/ociusage"
	"github.com/millrace-data/millrace/functions/thoughtindustries"
	"github.com/millrace-data/millrace/functions/zuorarevenue"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
)

// All are the connectors of this build.
var All = []*extract.Function{
	clari.Function,
	adaptive.Function,
	thoughtindustries.Function,
	ociusage.Function,
	zuorarevenue.Function,
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
