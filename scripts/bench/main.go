// Command bench measures Millrace against floors: the least the same job could
// cost. Each measurement is a process of its own, so that its time and its peak
// memory are its own; the vendor runs in another, on the same machine.
//
// Floors and our figures come from one run and are printed side by side with the
// machine they were measured on. A ratio moves less from machine to machine than
// a number of seconds does; compare ratios.
//
//	go run ./scripts/bench [--rows N] [--days D] [--runs R] [--only NAME] [--json]
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"
)

// settings are a run's sizes. They travel to the child processes as JSON.
type settings struct {
	Rows    int           `json:"rows"`
	Days    int           `json:"days"`
	Page    int           `json:"page"`    // rows a page
	BigPage int           `json:"bigPage"` // rows of the one big page
	Latency time.Duration `json:"latency"` // of each request
	Workers int           `json:"workers"`
	Report  string        `json:"report"` // path of the cost report
	URL     string        `json:"url"`    // of the vendor

	Oracle map[string]string `json:"oracle"` // configuration of the vendor's bucket

	ready func() // a job calls it once what it needs is there: time counts from then on
}

// perDay is how many payments a day has.
func (s settings) perDay() int { return s.Rows / s.Days }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run is the parent's work, or a child's where the first argument names a role.
func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) > 1 && (args[0] == roleVendor || args[0] == roleMeasure) {
		return child(ctx, args, out)
	}
	s := settings{Page: 1000, Latency: 20 * time.Millisecond, Workers: 8}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&s.Rows, "rows", 1_000_000, "payments")
	flags.IntVar(&s.Days, "days", 16, "days over which the payments are spread; one slice each")
	flags.IntVar(&s.BigPage, "big", 2_000_000, "rows of the one big page, of 250 bytes each")
	runs := flags.Int("runs", 3, "times that each is measured; the median counts")
	only := flags.String("only", "", "measure only the benchmark of this name")
	asJSON := flags.Bool("json", false, "print one JSON document")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if s.Days < 1 || s.Rows < s.Days || s.BigPage < 1 || *runs < 1 {
		return fmt.Errorf("want at least one run, one day and one row a day")
	}
	r, err := measureAll(ctx, s, *runs, *only)
	if err != nil {
		return err
	}
	if *asJSON {
		return json.NewEncoder(out).Encode(r)
	}
	return r.print(out)
}
