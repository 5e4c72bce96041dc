package ociusagetest

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// Plan asks for reports. Equal plans of equal seeds make equal files.
type Plan struct {
	Table string    // cost_report, usage_report or focus_report
	From  time.Time // start of the first file's usage, UTC
	Files int       // one per six hours; FOCUS: one per day
	Rows  int       // of each part
	Parts int       // files that a report is split into; 0 = 1
}

// feed is one kind of report.
type feed struct {
	prefix string
	every  time.Duration
	amount string // the column that Expect adds up
	header func(era int, tags []string) []string
	cells  func(l *line, era int, tags []string) []string
}

var feeds = map[string]feed{
	"cost_report":  {"reports/cost-csv/", 6 * time.Hour, "cost/myCost", costHeader, costCells},
	"usage_report": {"reports/usage-csv/", 6 * time.Hour, "usage/billedQuantity", usageHeader, usageCells},
	"focus_report": {"FOCUS Reports/", 24 * time.Hour, "BilledCost", focusHeader, focusCells},
}

// The eras of the headers: the first quarter of a plan's files is early, the
// second half late.
const (
	early = iota // no backreferences, no skuUnitDescription, names without a part number
	middle
	late // attributed cost and usage, a header that ends in a space
)

// Generate adds the reports of a plan and returns their names in time's order.
// Bytes are made when they are first asked for.
func (s *Server) Generate(p Plan) []string {
	var names []string
	f := feeds[p.Table]
	for n := range p.Files {
		start := p.From.UTC().Add(time.Duration(n) * f.every)
		era := middle
		if n < p.Files/4 {
			era = early
		} else if n >= (p.Files+1)/2 {
			era = late
		}
		for part := range max(p.Parts, 1) {
			r := &report{feed: f, seed: s.opts.Seed, table: p.Table, start: start, era: era, part: part + 1, rows: p.Rows, first: p.From.UTC()}
			names = append(names, r.name())
			s.put(r.name(), start.Add(f.every+3*time.Hour+time.Duration(part)*time.Minute), r.bytes)
		}
	}
	return names
}

// report is one file to be made.
type report struct {
	feed
	seed  uint64
	table string
	start time.Time
	first time.Time // no report of this plan is older
	era   int
	part  int
	rows  int
}

// name numbers reports by the quarter of the day in which their usage begins, so
// that numbers grow as Oracle's do.
func (r *report) name() string {
	number := 1_000_000_000_000 + r.start.Unix()/int64(6*3600)
	folder := ""
	if r.table == "focus_report" {
		folder = r.start.Format("2006/01/02/")
	}
	if r.era == early && r.part == 1 && folder == "" {
		return fmt.Sprintf("%s%016d.csv.gz", r.prefix, number)
	}
	return fmt.Sprintf("%s%s%016d-%05d.csv.gz", r.prefix, folder, number, r.part)
}

func (r *report) bytes() []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed) // reports of a million rows are made for benchmarks
	w := csv.NewWriter(z)                           // its errors are the buffer's, which has none
	tags := r.tags()
	w.Write(r.header(r.era, tags))
	for i := range r.rows {
		w.Write(r.cells(r.line(i), r.era, tags))
	}
	w.Flush()
	z.Close()
	return b.Bytes()
}

// tagKeys are the tags of the tenancy. Two differ by case only.
var tagKeys = []string{
	"Oracle-Tags.CreatedBy", "Oracle-Tags.CreatedOn", "team", "Team", "cost center",
	"oci:compute:instanceconfiguration", "orcl-cloud.free-tier-retained", "OKEnodePoolName",
}

// tags are the keys in use while the file was written: the first two always, the
// others come and go.
func (r *report) tags() []string {
	out := tagKeys[:2:2]
	for i, k := range tagKeys[2:] {
		if (int(r.start.Unix()/int64(r.every.Seconds()))+i)%3 != 0 {
			out = append(out, k)
		}
	}
	return out
}

// line is what one row says, whatever the format.
type line struct {
	ref, back             string // back: the row that this one corrects
	start, end            time.Time
	service               service
	compartment, resource string
	quantity, cost        string
	tags                  map[string]string
}

type service struct{ name, resource, sku, text, unit, price string }

var services = []service{
	{"COMPUTE", "vm_standard_e4", "B88514", `Standard - E4, "flexible" - OCPU`, "OCPU Per Hour", "0.025"},
	{"BLOCK_STORAGE", "volume", "B91961", "Block Volume Storage", "Gigabyte Storage Capacity Per Month", "0.0255"},
	{"OBJECTSTORE", "storage", "B91628", "", "Gigabyte Storage Capacity Per Month", "0.025500000000001"}, // old SKUs have no text
	{"NETWORK", "outbound", "B88327", "Outbound Data Transfer", "Gigabyte Outbound Data Transfer Per Month", "0.0085"},
}

// line makes the row i. One in fifty corrects a row of an earlier report, or of
// this one where it is the first: it repeats the row with the cost negated.
func (r *report) line(i int) *line {
	l := r.plain(r.start, r.part, i)
	if r.era == early || i%50 != 49 {
		return l
	}
	rng := r.random(r.start, r.part, i)
	back := r.start.Add(-time.Duration(rng.IntN(8)) * r.every)
	if back.Before(r.first) {
		back = r.first
	}
	was := r.plain(back, 1, rng.IntN(min(i, 49)))
	own := l.ref
	*l = *was
	l.ref, l.back = own, was.ref
	if l.cost != "" {
		l.cost = "-" + l.cost
	}
	return l
}

func (r *report) random(start time.Time, part, i int) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s/%d/%d", r.table, start.Unix(), part)
	return rand.New(rand.NewPCG(r.seed^h.Sum64(), uint64(i)))
}

// plain makes a row that corrects nothing. Money has 15 digits after the point;
// one quantity in a thousand has 20 before it, one cost in five hundred is empty.
func (r *report) plain(start time.Time, part, i int) *line {
	rng := r.random(start, part, i)
	hour := start.Add(time.Duration(rng.IntN(int(r.every.Hours()))) * time.Hour)
	l := &line{
		ref:     fmt.Sprintf("V2.%012x+%08x==", rng.Uint64()>>16, rng.Uint32()),
		service: services[rng.IntN(len(services))], start: hour, end: hour.Add(time.Hour),
		compartment: []string{"prod", "staging", "sandbox"}[rng.IntN(3)],
		quantity:    fmt.Sprintf("%d.%03d", rng.IntN(5000), rng.IntN(1000)),
		cost:        fmt.Sprintf("%d.%015d", rng.IntN(40), rng.Int64N(1e15)),
		tags:        map[string]string{tagKeys[0]: fmt.Sprintf("default/user%d@example.test", rng.IntN(9)), tagKeys[1]: hour.Format(time.RFC3339)},
	}
	if rng.IntN(4) > 0 {
		l.resource = fmt.Sprintf("ocid1.instance.oc1.iad.%08x", rng.Uint32())
	}
	if rng.IntN(1000) == 0 {
		l.quantity = fmt.Sprintf("%020d", uint64(1e19)+rng.Uint64N(8e18))
	}
	if rng.IntN(500) == 0 {
		l.cost = ""
	}
	for _, k := range tagKeys[2:] {
		if rng.IntN(3) == 0 {
			l.tags[k] = fmt.Sprintf("%s, %d", k, rng.IntN(20))
		}
	}
	return l
}
