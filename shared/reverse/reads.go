package reverse

import (
	"strings"
)

// reading is what a query reads, as far as its text says: tables by their full
// names, and names where values are selected. It knows no views and no search path.
type reading struct {
	tables   []Input             // of the known ones, in the order of the query
	selected map[string][]string // columns in select lists, lower case: the names in front of their dots, "" where there is none
	whole    bool                // some select list has *, or a whole row
	of       map[string]string   // alias or table, lower case: full name, lower case
}

// read finds known tables in a query that was checked already; see [statement].
func read(query string, known []Input) reading {
	r := reading{selected: map[string][]string{}, of: map[string]string{}}
	all, err := tokens(query)
	if err != nil {
		return r
	}
	for _, in := range known {
		if r.refers(all, in) {
			r.tables = append(r.tables, in)
		}
	}
	r.lists(all)
	return r
}

// refers reports whether SCHEMA.TABLE stands in a query, and notes its aliases.
// DATABASE.SCHEMA.TABLE counts too, and so may ALIAS.COLUMN: better once too often.
func (r *reading) refers(all []token, in Input) (found bool) {
	full := strings.ToLower(in.FullName())
	for i := 0; i+2 < len(all); i++ {
		if !all[i+1].is(".") || !all[i].names() || !all[i+2].names() ||
			!strings.EqualFold(all[i].text, in.Schema) || !strings.EqualFold(all[i+2].text, in.Table) {
			continue
		}
		found = true
		r.of[strings.ToLower(in.Table)] = full
		at := i + 3
		if at < len(all) && all[at].is("as") {
			at++
		}
		if at < len(all) && all[at].names() && !(all[at].kind == word && clauses[strings.ToLower(all[at].text)]) {
			r.of[strings.ToLower(all[at].text)] = full
		}
	}
	return found
}

// clauses are the words that may follow a table and are no alias of it.
var clauses = map[string]bool{"where": true, "join": true, "inner": true, "left": true, "right": true, "full": true, "cross": true, "natural": true,
	"lateral": true, "asof": true, "on": true, "using": true, "group": true, "order": true, "having": true, "qualify": true, "window": true, "limit": true, "offset": true,
	"fetch": true, "union": true, "intersect": true, "except": true, "minus": true, "sample": true, "tablesample": true, "pivot": true, "unpivot": true}

// level is a pair of brackets, or what is outside of all.
type level struct {
	own  bool // has a SELECT of its own; otherwise it is part of the expression around it
	list bool // in a select list
}

// lists collects the names of all select lists. A select list ends with FROM at its
// own level; names in WHERE, ON, GROUP BY and the like do not count, unless a SELECT
// in brackets there has a list of its own.
func (r *reading) lists(all []token) {
	levels := []level{{}}
	for i, t := range all {
		top := &levels[len(levels)-1]
		switch {
		case t.is("("):
			levels = append(levels, level{list: top.list})
		case t.is(")"):
			if len(levels) > 1 {
				levels = levels[:len(levels)-1]
			}
		case t.is("select"):
			top.own, top.list = true, true
		case top.own && (t.is("from") || t.is("union") || t.is("intersect") || t.is("except") && !r.star(all, i)):
			top.list = false
		case top.list && t.is("*"):
			r.whole = r.whole || whole(all, i)
		case top.list && t.names():
			r.name(all, i)
		}
	}
}

// star reports whether a token comes after a *, as EXCEPT may that leaves columns out.
func (r *reading) star(all []token, i int) bool { return i > 0 && all[i-1].is("*") }

// whole reports whether a * stands for columns: it is no product and no count(*).
func whole(all []token, i int) bool {
	if i == 0 {
		return true
	}
	switch before := all[i-1]; {
	case before.is("("):
		return i < 2 || !all[i-2].is("count")
	case before.is(","), before.is("."), before.is("select"), before.is("distinct"), before.is("all"):
		return true
	}
	return false
}

// name notes a name in a select list.
func (r *reading) name(all []token, i int) {
	low := strings.ToLower(all[i].text)
	after := i+1 < len(all) && all[i+1].is(".")
	if i > 0 && all[i-1].is("as") || i+1 < len(all) && all[i+1].is("(") {
		return // an alias, a type or a function
	}
	qualifier := ""
	if i > 1 && all[i-1].is(".") {
		qualifier = strings.ToLower(all[i-2].text)
	}
	if r.of[low] != "" && qualifier == "" {
		r.whole = r.whole || !after // a table's name alone is a whole row
		if after {
			return
		}
	}
	r.selected[low] = append(r.selected[low], qualifier)
}

// sends reports whether a column of a table may be in the result.
func (r *reading) sends(table, column string) bool {
	if r.whole {
		return true
	}
	for _, qualifier := range r.selected[strings.ToLower(column)] {
		if of := r.of[qualifier]; of == "" || of == strings.ToLower(table) {
			return true
		}
	}
	return false
}
