package reverse

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

// limits checks the guards: numbers that make sense, and fields that are sent.
func (c *checker) limits() {
	g := c.job.Guards
	for _, l := range []struct {
		name  string
		limit *Limit
	}{{"writes", g.Writes}, {"creates", g.Creates}, {"updates", g.Updates}, {"deletes", g.Deletes}, {"share", g.Share}} {
		c.limit("guards."+l.name, l.limit)
	}
	if g.Inputs != nil {
		if there, fine := c.had("guards.inputs.max_age"); there && fine && g.Inputs.MaxAge <= 0 {
			c.note("guards.inputs.max_age", ruleValue, "must be more than 0")
		}
	}
	sent := slices.Sorted(maps.Values(c.job.Fields))
	for _, field := range slices.Sorted(maps.Keys(g.Fields)) {
		at := "guards.fields." + field
		if _, fine := c.had("fields"); fine && !slices.Contains(sent, field) {
			c.note(at, ruleField, "guards a field that is not sent; there are %s", strings.Join(sent, ", "))
			c.meant(field, sent)
		}
		c.fieldGuard(at, g.Fields[field])
	}
}

// limit checks a limit that is there.
func (c *checker) limit(key string, l *Limit) {
	if l == nil {
		return
	}
	_, max := c.lines[key+".max"]
	_, percent := c.lines[key+".max_percent"]
	if _, fine := c.had(key); fine && !max && !percent {
		c.note(key, ruleValue, "limits nothing: write {max: ROWS}, {max_percent: PERCENT}, or both")
	}
	c.amounts(key, *l)
}

func (c *checker) amounts(key string, l Limit) {
	if l.Max != nil && *l.Max < 0 {
		c.note(key+".max", ruleValue, "must be 0 or more, and is %d", *l.Max)
	}
	if l.MaxPercent != nil && (*l.MaxPercent < 0 || *l.MaxPercent > 100) {
		c.note(key+".max_percent", ruleValue, "must be from 0 to 100, and is %v", *l.MaxPercent)
	}
}

func (c *checker) fieldGuard(key string, g FieldGuard) {
	if _, fine := c.had(key); fine && reflect.ValueOf(g).IsZero() {
		c.note(key, ruleValue, "guards nothing: write zeroed, blanked, factor, range or set")
	}
	c.limit(key+".zeroed", g.Zeroed)
	c.limit(key+".blanked", g.Blanked)
	if g.Factor != nil {
		if _, fine := c.had(key + ".factor"); fine && !(g.Factor.Over > 1) && !c.failed(key+".factor.over") {
			c.note(key+".factor", ruleValue, "must be more than 1, and is %v", g.Factor.Over)
		}
		c.amounts(key+".factor", g.Factor.Limit)
	}
	c.rangeOf(key+".range", g.Range)
	if there, fine := c.had(key + ".set"); there && fine && len(g.Set) == 0 {
		c.note(key+".set", ruleValue, "must name at least one value")
	}
}

func (c *checker) failed(key string) bool {
	there, fine := c.had(key)
	return there && !fine
}

func (c *checker) rangeOf(key string, r *[2]Bound) {
	if _, fine := c.had(key); r == nil || !fine {
		return
	}
	least, most := r[0], r[1]
	switch {
	case least == "" && most == "":
		c.note(key, ruleValue, "is open at both ends and limits nothing")
	case unreadable(least) || unreadable(most):
		c.note(key, ruleValue, "has a number that is longer than %d digits", digitsMax)
	case least == "" || most == "":
	case least.date() != most.date():
		c.note(key, ruleValue, "must have two numbers or two dates, and has %s and %s", least, most)
	case least.date() && least > most, !least.date() && compare(string(least), string(most)) > 0:
		c.note(key, ruleValue, "begins with %s, which is more than its end %s", least, most)
	}
}

// date reports whether a bound is a date and not a number.
func (b Bound) date() bool { return b != "" && !number.MatchString(string(b)) }

// compare compares two numbers.
func compare(a, b string) int { return decimal(a).Cmp(decimal(b)) }

func unreadable(b Bound) bool { return b != "" && !b.date() && decimal(string(b)) == nil }
