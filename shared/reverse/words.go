package reverse

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cockroachdb/apd/v3"
)

// words is how a block is told.
type words struct {
	one, many string
	of        string // what the total is of; "" = planned writes
	whole     bool   // the count is the total
	only      string // what is allowed, where it is no number
}

func values(field, become string) words {
	return words{one: "value of " + field + " " + become, many: "values of " + field + " " + become}
}

// observed is such as: 412 values of Score__c would become 0 (82.4 % of 500 planned writes).
func (w words) observed(count, total int64, l *Limit) string {
	what, of := w.many, or(w.of, "planned writes")
	if count == 1 {
		what = w.one
	}
	if total == 1 {
		of = strings.Replace(of, "records", "record", 1)
		of = strings.Replace(of, "writes", "write", 1)
	}
	if w.whole || total <= 0 {
		return grouped(count) + " " + what
	}
	return fmt.Sprintf("%s %s (%s %% of %s %s)", grouped(count), what, percent(count, total, l.MaxPercent), grouped(total), of)
}

// allowed is such as: at most 10 and 1 %. Both must be exceeded.
func (w words) allowed(l *Limit) string {
	switch {
	case w.only != "":
		return w.only
	case l.Max == nil && l.MaxPercent == nil, l.MaxPercent == nil && *l.Max == 0:
		return "none"
	case l.MaxPercent == nil:
		return "at most " + grouped(*l.Max)
	case l.Max == nil:
		return fmt.Sprintf("at most %s %% of the %s", written(ofFloat(*l.MaxPercent)), or(w.of, "planned writes"))
	}
	return fmt.Sprintf("at most %s and %s %%", grouped(*l.Max), written(ofFloat(*l.MaxPercent)))
}

func (f *fieldWatch) rangeWords(field string) words {
	r := f.guard.Range
	if r == nil {
		return words{}
	}
	within := fmt.Sprintf("from %s to %s", r[0], r[1])
	switch {
	case r[0] == "":
		within = fmt.Sprintf("up to %s", r[1])
	case r[1] == "":
		within = fmt.Sprintf("from %s on", r[0])
	}
	w := words{one: "new value of " + field + " is not " + within, many: "new values of " + field + " are not " + within}
	w.only = "only values " + within
	return w
}

func (f *fieldWatch) setWords(field string) words {
	w := words{one: "new value of " + field + " is not in its set", many: "new values of " + field + " are not in its set"}
	const shown = 10
	set := f.guard.Set
	w.only = "only " + strings.Join(set[:min(len(set), shown)], ", ")
	if more := len(set) - shown; more > 0 {
		w.only += fmt.Sprintf(" and %d more", more)
	}
	return w
}

// percent is a share with one digit after the point, or with as many as show that it
// is more than a limit.
func percent(count, total int64, limit *float64) string {
	c := apd.BaseContext.WithPrecision(40)
	var share, shown apd.Decimal
	c.Quo(&share, apd.New(count*100, 0), apd.New(total, 0))
	for digits := int32(1); ; digits++ {
		c.Quantize(&shown, &share, -digits)
		if limit == nil || digits == 12 || shown.Cmp(ofFloat(*limit)) != 0 || share.Cmp(ofFloat(*limit)) == 0 {
			return written(&shown)
		}
	}
}

// grouped writes 1234567 as 1,234,567.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
