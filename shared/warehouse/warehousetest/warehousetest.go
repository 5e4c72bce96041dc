// Package warehousetest is the conformance kit of package warehouse: what every
// driver must hold so that nothing is lost, doubled or half visible.
//
// [Run] gives each property a fresh store, as a subtest of its name. The kit
// writes its own part files and reads back through database/sql in portable SQL:
// quoted names, CAST AS VARCHAR, no function of one database. It does not look
// into drivers, and it measures no speed.
package warehousetest

import (
	"flag"
	"os"
	"strconv"
	"testing"

	"github.com/millrace-data/millrace/shared/warehouse"
)

// property is one named promise.
type property struct {
	name string
	test func(s *store)
}

// Main runs the tests with so many random cases each, unless -rapid.checks asks for
// another number: where a case is hundreds of statements, rapid's hundred take long.
func Main(m *testing.M, cases int) {
	flag.Parse()
	if testing.Short() {
		cases = max(cases/5, 3)
	}
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "rapid.checks" })
	if !asked {
		if err := flag.Set("rapid.checks", strconv.Itoa(cases)); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
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
