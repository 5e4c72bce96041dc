// Command cost writes infra/COST.md: what the named workloads cost on each cloud and
// in Snowflake, from measured figures and list prices, with the sums shown.
//
//	go run ./scripts/cost > infra/COST.md
//
// A test runs it and compares, and looks the measured figures up in README.md, so the
// page cannot say anything else than the figures do. Every figure is in figures.go,
// and says whether it was measured, is somebody's price, or is assumed.
package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	if err := write(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cost:", err)
		os.Exit(1)
	}
}

// write writes the page.
func write(w io.Writer) error {
	var b strings.Builder
	b.WriteString(head)
	b.WriteString(table("Measured", measured[:]))
	b.WriteString(table("Assumed", assumed[:]))
	b.WriteString(table("List prices, US dollars", prices[:]))
	b.WriteString(priced)
	for _, l := range loads {
		l.page(&b)
	}
	fixed(&b)
	b.WriteString(tail)
	_, err := io.WriteString(w, b.String())
	return err
}

// table lists figures with where they are from.
func table(title string, figures []*figure) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n## %s\n\n| | | |\n|---|---|---|\n", title)
	for _, f := range figures {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", f.what, number(f.is)+" "+f.unit, f.from)
	}
	return b.String()
}

const head = `# What it costs

Written by ` + "`go run ./scripts/cost`" + ` from the figures below; a test holds this page equal to them. Sums are per month of 30 days,
without free tiers, discounts and taxes, and rounded up where they are small. Three kinds of figures, kept apart: what we
measured, what somebody charges, and what we assume because only your vendors and your account can tell. Change
` + "`scripts/cost/figures.go`" + ` and run it again to have your own page.
`

const priced = `
US regions (us-east-1, us-central1), noted in November 2026. Those of Lambda, Cloud Run and Snowflake's credits and storage were
compared with published pages; the small ones are as commonly quoted. Prices change: look them up before you decide.
`

const tail = `
## What to take from it

- **The warehouse is what you pay for**, not the functions. It is awake while functions run, since the ledger is in it, and a
  minute longer. Put schedules next to each other, so that they share the minutes; do not spread them over the day.
- ` + "`salesforcesync`" + ` asks the warehouse every hour what is due, which wakes it. Where plans need not go on within the hour,
  give it another time in ` + "`schedules`" + `: loads start it all the same.
- Functions cost little because they wait cheaply: half a gigabyte, no machine between runs. CPU counts from some hundred
  million rows a month on.
- For the largest case, what the stage keeps is the next largest sum: ` + "`stage_days`" + ` sets it, and 35 is the least.
- A static address costs more than all functions together. It is made only where a function with ` + "`egress: static`" + ` is deployed.
- Not in the sums: the vendors' own API quotas, queries of your people, time travel of tables that are replaced often,
  traffic between regions or clouds (keep stage, functions and Snowflake in one region: then there is none).
`
