package warehouse

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/record"
)

// look is what a rule wants from the one scan of the staged rows beside counts: an
// expression and where its value goes; "" where it wants nothing.
func (s *Staging) look(r gate.Rule, m *gate.Measure) (expr string, dest any, err error) {
	switch r.Kind {
	case gate.SumKind, gate.ReconcileKind, gate.FreshKind:
	default:
		return "", nil, nil
	}
	c, ok := s.l.Table.Column(r.Columns[0])
	dated := c.Type == record.Timestamp || c.Type == record.Date
	switch numeric := c.Type == record.Number || c.Type == record.Integer; {
	case ok && numeric && r.Kind != gate.FreshKind:
		return fmt.Sprintf("CAST(sum(%s) AS VARCHAR)", quote(c.Name)), text{&m.Value}, nil
	case ok && dated && r.Kind == gate.FreshKind:
		return fmt.Sprintf("max(%s)", quote(c.Name)), at{&m.Newest}, nil
	}
	return "", nil, fault.New(fault.Invalid, "rule %s of %s: column %s is not declared, or is %q: sums need numbers, fresh needs times; mend the rule", r.Name, s.l.Table.FullName(), r.Columns[0], c.Type)
}

// beyond measures what lies outside the staged rows.
func (s *Staging) beyond(ctx context.Context, r gate.Rule, m *gate.Measure) (err error) {
	switch r.Kind {
	case gate.FreshKind:
		if m.At = s.l.Slice.To; m.At.IsZero() {
			m.At = s.l.Now
		}
	case gate.ReconcileKind:
		m.Bad = s.l.Slice.RowsRejected
	case gate.VolumeKind:
		m.Value = fmt.Sprint(s.l.Slice.RowsSource)
		m.Past, m.Peers, err = s.past(ctx, r)
	case gate.SumKind:
		m.Past, m.Peers, err = s.past(ctx, r)
	case gate.RefersKind:
		err = s.strangers(ctx, r, m)
	}
	return err
}

// strangers counts the rows that refer to something that is not there.
func (s *Staging) strangers(ctx context.Context, r gate.Rule, m *gate.Measure) error {
	where, absent, err := s.refers(ctx, r)
	if m.Absent = absent; err != nil || absent != "" {
		return err
	}
	q := fmt.Sprintf("SELECT count(*) FROM %s AS s WHERE %s", quote(stagedTable), where)
	return s.conn.QueryRowContext(ctx, q).Scan(count{&m.Bad})
}

// refers is the condition, over staged rows aliased s, of a row whose reference
// leads nowhere; absent says what of the other table is missing.
func (s *Staging) refers(ctx context.Context, r gate.Rule) (where, absent string, err error) {
	schema, name, ok := strings.Cut(r.Table, ".")
	if !ok || len(r.Columns) == 0 || len(r.Columns) != len(r.Others) {
		return "", "", fault.New(fault.Invalid, "rule %s of %s: it needs as many columns as others, and a table as schema.name; mend the rule", r.Name, s.l.Table.FullName())
	}
	have, err := s.w.driver.Columns(ctx, s.conn, schema, name)
	if err != nil {
		return "", "", err
	}
	var set, same []string
	for i, c := range r.Columns {
		typ, there := have[r.Others[i]]
		if !there {
			return "", fmt.Sprintf("%s has no column %s, or is not there yet", r.Table, r.Others[i]), nil
		}
		mine, other := "s."+quote(c), "o."+quote(r.Others[i])
		set = append(set, mine+" IS NOT NULL")
		if own, _ := s.l.Table.Column(c); s.w.driver.Type(own) != typ {
			mine, other = "CAST("+mine+" AS VARCHAR)", "CAST("+other+" AS VARCHAR)"
		}
		same = append(same, other+" = "+mine)
	}
	return fmt.Sprintf("%s AND NOT EXISTS (SELECT 1 FROM %s AS o WHERE %s)", strings.Join(set, " AND "), Name{schema, name}, strings.Join(same, " AND ")), "", nil
}

// past is what comparable slices had of what the rule looks at.
func (s *Staging) past(ctx context.Context, r gate.Rule) (values []string, peers string, err error) {
	found, peers, err := s.comparable(ctx)
	if err != nil {
		return nil, peers, err
	}
	for _, p := range found {
		if len(values) == r.Last {
			break
		}
		if r.Kind == gate.VolumeKind {
			values = append(values, fmt.Sprint(p.RowsSource))
			continue
		}
		v, err := s.noted(ctx, p.ID, r.Name)
		if err != nil {
			return nil, peers, err
		}
		if v != "" {
			values = append(values, v)
		}
	}
	return values, peers, nil
}

// noted is the value that a rule last observed in a slice, "" if it never did.
func (s *Staging) noted(ctx context.Context, slice, rule string) (v string, err error) {
	rows, err := s.conn.QueryContext(ctx, `SELECT "value" FROM "millrace"."checks"`+bySlice+` AND "rule" = ? AND "value" IS NOT NULL ORDER BY "checked_at" DESC, "fence" DESC LIMIT 1`,
		s.l.Slice.Function, s.l.Slice.Table, slice, rule)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(text{&v}); err != nil {
			return "", err
		}
	}
	return v, rows.Err()
}

// comparable is the committed live slices that this one can be compared with,
// newest first, and what people call them.
func (s *Staging) comparable(ctx context.Context) (out []Slice, peers string, err error) {
	l := s.l.Slice
	rows, err := s.conn.QueryContext(ctx, `SELECT `+sliceColumns+` FROM `+slicesTable+` WHERE "function" = ? AND "table_name" = ? AND "slice" <> ? AND "purpose" = 'live' AND "state" = 'loaded'
 ORDER BY coalesce("range_to", "loaded_at") DESC, "loaded_at" DESC, "slice"`, l.Function, l.Table, l.ID)
	if err != nil {
		return nil, "", err
	}
	defer rows.Close()
	for rows.Next() {
		var p Slice
		if err := p.scan(rows); err != nil {
			return nil, "", err
		}
		if s.l.Computed != nil || l.like(p) { // the time of what is computed is its inputs', which may stand still
			out = append(out, p)
		}
	}
	if s.l.Computed != nil {
		return out, "runs", rows.Err()
	}
	return out, l.peers(), rows.Err()
}

const day = 24 * time.Hour

// daily reports whether the slice is the window of one day.
func (s Slice) daily() bool { return s.window() && s.To.Sub(s.From) == day }

// like reports whether p came before s and is of its kind.
func (s Slice) like(p Slice) bool {
	switch {
	case s.window():
		return p.window() && !p.To.After(s.From) && p.To.Sub(p.From) == s.To.Sub(s.From) &&
			(!s.daily() || p.From.UTC().Weekday() == s.From.UTC().Weekday())
	case s.To.IsZero():
		return p.To.IsZero()
	}
	return !p.window() && p.To.Before(s.To) && p.sort() == s.sort()
}

// sort is what an id of a scan begins with: scan or tail.
func (s Slice) sort() string {
	sort, _, _ := strings.Cut(s.ID, "-")
	return sort
}

// peers is what people call comparable slices.
func (s Slice) peers() string {
	switch {
	case s.daily():
		return s.From.UTC().Weekday().String() + "s"
	case s.window():
		return "windows"
	case s.To.IsZero():
		return "objects"
	}
	return s.sort() + "s"
}
