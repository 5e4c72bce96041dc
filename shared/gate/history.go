package gate

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
)

// The kinds that look beyond the slice's own rows: at what comparable slices had,
// at the clock, at what the source says of itself, at another table.
//
// Comparable are committed live slices of the same table before this one: of the
// same length of window and, where that is a day, of the same weekday; for scans
// the other scans, for tails the other tails, for objects the objects before.
const (
	VolumeKind    Kind = "volume"     // slice: its rows are not more than Count AND Percent off the median of the Last comparable slices
	SumKind       Kind = "sum"        // slice: the sum of Column is not more than Percent off the same median
	FreshKind     Kind = "fresh"      // slice: the newest Column is at most Seconds before the slice's end, or before the clock where it has none
	ReconcileKind Kind = "source_sum" // slice: the sum of Column is Min, which the source says
	RefersKind    Kind = "refers"     // row: Columns are null or there in Others of Table
)

// WarmUp is how many comparable slices a rule of history needs before it judges;
// with fewer it passes and says so. A rule over fewer slices needs them all.
const WarmUp = 4

// Volume warns when a slice has more than rows AND more than percent rows more, or
// fewer, than the median of the last n comparable slices had. Both are needed: two
// rows instead of one are 100 %, and 5,000 of ten million are nothing.
func Volume(n int, percent float64, rows int64) Rule {
	return Rule{Name: "volume", Kind: VolumeKind, Level: Warn, Last: n, Percent: percent, Count: rows}
}

// Shrink warns when a slice has more than rows AND more than percent rows fewer than
// the median of the last n comparable slices had. It may grow as it likes: of a rule
// that refuses, growth would have to be allowed by hand every time.
func Shrink(n int, percent float64, rows int64) Rule {
	r := Volume(n, percent, rows)
	r.Fall = true
	return r
}

// SumWithin warns when the sum of a numeric column is more than percent off the
// median sum of the last n comparable slices. Nulls do not count.
func SumWithin(column string, n int, percent float64) Rule {
	return Rule{Name: "sum:" + column, Kind: SumKind, Level: Warn, Columns: []string{column}, Last: n, Percent: percent}
}

// Fresh warns when the newest value of a date or timestamp column is older than age
// before the end of the slice's window, or before the run where it has none.
func Fresh(column string, age time.Duration) Rule {
	return Rule{Name: "fresh:" + column, Kind: FreshKind, Level: Warn, Columns: []string{column}, Seconds: int64(age / time.Second)}
}

// Reconcile refuses a slice in which a numeric column does not sum up to total, a
// decimal text that the source told. Rows that were rejected before they could be
// summed make it a warning: the missing part is theirs to explain.
func Reconcile(column, total string) Rule {
	return Rule{Name: "source_sum:" + column, Kind: ReconcileKind, Level: Refuse, Columns: []string{column}, Min: total}
}

// RefersTo warns of rows whose columns, all set, are not in the others of table
// (schema.name, in the same warehouse). Rows of the slice itself do not count as
// there. A table that is missing is a warning at every level.
func RefersTo(columns []string, table string, others []string) Rule {
	return Rule{Name: "refers:" + strings.Join(columns, ",") + ">" + table, Kind: RefersKind, Level: Warn, Columns: columns, Table: table, Others: others}
}

// Past reports whether the rule compares with what earlier slices had.
func (r Rule) Past() bool { return r.Kind == VolumeKind || r.Kind == SumKind }

// judgePast compares the rows, or a sum, with the median of the past.
func judgePast(r Rule, m Measure, c *Check) (holds bool) {
	unit := "rows"
	if r.Kind == SumKind {
		unit = "in " + r.Columns[0]
	}
	now, ok := new(big.Rat).SetString(m.Value)
	if !ok {
		now = new(big.Rat) // a column of nulls only sums up to nothing
	}
	c.Value = plain(now)
	c.Observed = grouped(now) + " " + unit
	if need := min(WarmUp, max(r.Last, 1)); len(m.Past) < need {
		c.Expected = fmt.Sprintf("warming up: %d of %d comparable slices are there", len(m.Past), need)
		return true
	}
	past := rats(m.Past)
	median := middle(past)
	c.Expected = fmt.Sprintf("the last %d %s had %s to %s, median %s; %g %%", len(past), m.Peers, grouped(past[0]), grouped(past[len(past)-1]), grouped(median), r.Percent)
	off := new(big.Rat).Sub(now, median)
	if r.Fall && off.Sign() > 0 {
		off.SetInt64(0)
	}
	off.Abs(off)
	limit := new(big.Rat).SetFloat64(r.Percent / 100)
	much := limit != nil && off.Cmp(limit.Mul(limit, new(big.Rat).Abs(median))) > 0
	if r.Kind == SumKind {
		c.Expected += " off is accepted"
		return !much
	}
	word := "off"
	if r.Fall {
		word = "fewer"
	}
	c.Expected += fmt.Sprintf(" or %s rows %s are accepted", grouped(new(big.Rat).SetInt64(r.Count)), word)
	return !much || off.Cmp(new(big.Rat).SetInt64(r.Count)) <= 0
}

// judgeFresh compares the newest value with the end of the slice.
func judgeFresh(r Rule, m Measure, c *Check) (holds bool) {
	age := time.Duration(r.Seconds) * time.Second
	c.Expected = fmt.Sprintf("%s not older than %s before %s", r.Columns[0], age, m.At.UTC().Format(time.RFC3339))
	switch {
	case m.Rows == 0:
		c.Observed = "no rows"
		return true
	case m.Newest.IsZero():
		c.Observed = "no value at all"
		return false
	}
	c.Observed = "newest " + m.Newest.UTC().Format(time.RFC3339)
	return !m.Newest.Before(m.At.Add(-age))
}

// judgeSum compares the sum with what the source says.
func judgeSum(r Rule, m Measure, c *Check) (holds bool) {
	sum, ok := new(big.Rat).SetString(m.Value)
	if !ok {
		sum = new(big.Rat)
	}
	want, ok := new(big.Rat).SetString(r.Min)
	c.Value, c.Observed = plain(sum), grouped(sum)+" in "+r.Columns[0]
	if !ok {
		c.Expected = "a number, but the source's total is none"
		return false
	}
	c.Expected = grouped(want) + ", says the source"
	if m.Bad > 0 {
		c.Observed += fmt.Sprintf(", without %d rows that were rejected", m.Bad)
	}
	return sum.Cmp(want) == 0
}

func rats(texts []string) []*big.Rat {
	var out []*big.Rat
	for _, t := range texts {
		if v, ok := new(big.Rat).SetString(t); ok {
			out = append(out, v)
		}
	}
	slices.SortFunc(out, (*big.Rat).Cmp)
	return out
}

// middle is the median of sorted numbers.
func middle(sorted []*big.Rat) *big.Rat {
	n := len(sorted)
	if n == 0 {
		return new(big.Rat)
	}
	sum := new(big.Rat).Add(sorted[(n-1)/2], sorted[n/2])
	return sum.Mul(sum, big.NewRat(1, 2))
}

// plain is a number as decimal text, exact where it has at most 20 digits after
// the point.
func plain(v *big.Rat) string {
	t := v.FloatString(20)
	return strings.TrimSuffix(strings.TrimRight(t, "0"), ".")
}

// grouped is plain with commas between thousands, for people.
func grouped(v *big.Rat) string {
	t := plain(v)
	sign := ""
	if strings.HasPrefix(t, "-") {
		sign, t = "-", t[1:]
	}
	whole, rest, point := strings.Cut(t, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if point {
		whole += "." + rest
	}
	return sign + whole
}
