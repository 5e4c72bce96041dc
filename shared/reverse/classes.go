package reverse

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/millrace-data/millrace/shared/record"
)

// AnyPII in a job's classes allows every class of personal data.
const AnyPII = "pii"

// leak is a classed column that a query may send although its job does not allow it.
type leak struct{ table, column, class string }

func (l leak) String() string {
	if l.column == record.AnyColumn {
		return fmt.Sprintf("every column of %s is of class %s", l.table, l.class)
	}
	return fmt.Sprintf("column %s of %s is of class %s", l.column, l.table, l.class)
}

// leaks are the classed columns that a job may send and does not allow. What its
// query's text names in a select list, its own or that of a query inside, counts as
// sent, also where only an expression is made of it; so does everything, where a
// list has a *. Names that are only in WHERE, JOIN … ON, GROUP BY or ORDER BY do not.
// A table of which every column is classed counts where it is read at all.
//
// What a view or a model made of a column is not followed: a model's table declares
// the classes of its own columns.
func (j Job) leaks(inputs []Input) (out []leak) {
	r := read(j.Query, inputs)
	for _, in := range r.tables {
		for _, column := range slices.Sorted(maps.Keys(in.Classes)) {
			class := in.Classes[column]
			if !j.allows(class) && (column == record.AnyColumn || r.sends(in.FullName(), column)) {
				out = append(out, leak{in.FullName(), column, class})
			}
		}
	}
	return out
}

func (j Job) allows(class string) bool {
	return slices.ContainsFunc(j.Classes, func(c string) bool {
		return strings.EqualFold(c, class) || strings.EqualFold(c, AnyPII) && class != record.ClassMNPI
	})
}

// classed are the blocks of leaks, one for each class.
func (j Job) classed(inputs []Input) (out []Block) {
	by := map[string][]string{}
	for _, l := range j.leaks(inputs) {
		by[l.class] = append(by[l.class], l.String())
	}
	allowed := "no classes of data"
	if len(j.Classes) > 0 {
		allowed = "only data of the classes " + strings.Join(j.Classes, ", ")
	}
	for _, class := range slices.Sorted(maps.Keys(by)) {
		out = append(out, Block{Guard: "class " + class, Observed: "the query may send it: " + strings.Join(by[class], "; "), Allowed: allowed})
	}
	return out
}
