// Package warehousetest is the conformance kit of package warehouse: what every
// driver must hold so that nothing is lost, doubled or half visible.
//
// [Run] gives each property a fresh store, as a subtest of its name. The kit
// writes its own part files and reads back through database/sql in portable SQL:
// quoted names, CAST AS VARCHAR, no function of one database. It does not look
// into drivers, and it measures no speed.
package warehousetest

import (
	"testing"

	"github.com/millrace-data/millrace/shared/warehouse"
)

// property is one named promise.
type property struct {
	name string
	test func(s *store)
}

// Run checks every property. open returns a warehouse in which nothing was ever
// loaded; it closes it with t.Cleanup and fails t where it cannot.
func Run(t *testing.T, open func(t *testing.T) *warehouse.Warehouse) {
	for _, group := range []struct {
		name  string
		tests []property
	}{
		{"schema", schemaTests}, {"values", valueTests}, {"ledger", ledgerTests}, {"modes", modeTests}, {"newest", newestTests}, {"history", historyTests},
		{"commit", commitTests}, {"crash", crashTests}, {"gate", gateTests}, {"past", pastTests}, {"rejects", rejectTests}, {"replay", replayTests}, {"marks", markTests},
		{"resync", resyncTests}, {"computed", computedTests}, {"fill", fillTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, p := range group.tests {
				t.Run(p.name, func(t *testing.T) { p.test(newStore(t, open(t))) })
			}
		})
	}
}
