package load

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/stage"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// Judge measures the staged rows, judges every rule, and takes quarantined rows
// out. refusal says why the slice must not be loaded, nil where it may.
func Judge(ctx context.Context, s *warehouse.Staging, m *stage.Manifest) (checks []gate.Check, refusal, err error) {
	rules := slices.Clone(m.Rules)
	for _, column := range slices.Sorted(maps.Keys(m.Sums)) {
		rules = append(rules, gate.Reconcile(column, m.Sums[column]))
	}
	rows, measures, err := s.Measure(ctx, rules)
	if err != nil {
		return nil, nil, err
	}
	if rows != m.RowsStaged {
		return nil, nil, fault.New(fault.Corrupt, "the parts of slice %s hold %d rows, the manifest says %d", m.Slice, rows, m.RowsStaged)
	}
	checks = append(evidence(m), gate.Balance(m.RowsSource, m.RowsStaged, m.RowsRejected))
	var quarantine, after []gate.Rule
	for i, r := range rules {
		if r.Kind == gate.MaxRejects {
			after = append(after, r)
			continue
		}
		c := gate.Judge(r, measures[i])
		checks = append(checks, c)
		if c.Verdict == gate.Quarantined {
			quarantine = append(quarantine, r)
		}
	}
	rejected := m.RowsRejected
	if len(quarantine) > 0 {
		n, err := s.Quarantine(ctx, quarantine)
		if err != nil {
			return nil, nil, err
		}
		rejected += n
	}
	for _, r := range after {
		checks = append(checks, gate.Judge(r, gate.Measure{Rows: m.RowsSource, Bad: rejected}))
	}
	return checks, refused(m, checks), nil
}

// evidence is what extract noted about the completeness of the slice.
func evidence(m *stage.Manifest) (checks []gate.Check) {
	for _, w := range m.Warnings {
		checks = append(checks, gate.Check{Rule: "completeness", Observed: w, Expected: "nothing to note", Verdict: gate.Warned})
	}
	if m.Expected != nil {
		c := gate.Check{Rule: "source_count", Observed: fmt.Sprintf("%d rows", m.RowsSource), Expected: fmt.Sprintf("%d rows, says the source", *m.Expected), Verdict: gate.Pass}
		if *m.Expected != m.RowsSource {
			c.Verdict = gate.Refusal
		}
		checks = append(checks, c)
	}
	return checks
}

func refused(m *stage.Manifest, checks []gate.Check) error {
	var why []string
	for _, c := range checks {
		if c.Verdict == gate.Refusal {
			why = append(why, fmt.Sprintf("%s: %s, expected %s", c.Rule, c.Observed, c.Expected))
		}
	}
	if len(why) == 0 {
		return nil
	}
	return fault.New(fault.Refused, "slice %s of %s was refused by the gate (%s); nothing was loaded; see millrace.checks, mend the source or the rule, and run it again", m.Slice, m.Table.FullName(), strings.Join(why, "; "))
}
