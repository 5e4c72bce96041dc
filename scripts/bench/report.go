package main

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
)

// report is what one run of the program found.
type report struct {
	Machine string   `json:"machine"`
	Rows    int      `json:"rows"`
	Results []result `json:"results"`
}

// result is one benchmark's line. A side that was not measured is null.
type result struct {
	Name  string  `json:"name"`
	Doc   string  `json:"doc"`
	Ours  *sample `json:"ours"`
	Floor *sample `json:"floor"`
	Ratio float64 `json:"ratio,omitzero"` // our seconds by the floor's
}

// measureAll makes the cost report, starts the vendor and measures what only names, or
// everything.
func measureAll(ctx context.Context, s settings, runs int, only string) (r *report, err error) {
	chosen, err := choose(only)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "millrace-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	s.Report = filepath.Join(dir, "report.csv.gz")
	if err := writeReport(s.Report, s.Rows); err != nil {
		return nil, err
	}
	s, stop, err := startVendor(ctx, s)
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := stop(); err == nil {
			err = e
		}
	}()
	r = &report{Machine: machine(ctx), Rows: s.Rows}
	for _, b := range chosen {
		one, err := b.measure(ctx, s, runs)
		if err != nil {
			return nil, err
		}
		r.Results = append(r.Results, one)
	}
	return r, nil
}

// choose returns the benchmark of a name, or all of them for no name.
func choose(name string) ([]benchmark, error) {
	var names []string
	for _, b := range benchmarks {
		if b.name == name {
			return []benchmark{b}, nil
		}
		names = append(names, b.name)
	}
	if name != "" {
		return nil, fmt.Errorf("there is no benchmark %q; known are %s", name, strings.Join(names, ", "))
	}
	return benchmarks, nil
}

// measure runs both sides in turn, so that what else the machine does in the
// meantime touches both, and takes the medians. The ratio is the median of those of
// the pairs.
func (b benchmark) measure(ctx context.Context, s settings, runs int) (result, error) {
	var ours, floors []sample
	var ratios []float64
	for range runs {
		if b.floor != nil {
			one, err := measure(ctx, s, b.name, "floor")
			if err != nil {
				return result{}, err
			}
			floors = append(floors, one)
		}
		one, err := measure(ctx, s, b.name, "ours")
		if err != nil {
			return result{}, err
		}
		ours = append(ours, one)
		if b.floor != nil {
			if f := floors[len(floors)-1]; one.Rows != f.Rows {
				return result{}, fmt.Errorf("%s: we brought %d rows and the floor %d: they did not do the same", b.name, one.Rows, f.Rows)
			}
			ratios = append(ratios, one.Seconds/floors[len(floors)-1].Seconds)
		}
	}
	r := result{Name: b.name, Doc: b.doc, Ours: median(ours), Floor: median(floors)}
	if len(ratios) > 0 {
		slices.Sort(ratios)
		r.Ratio = ratios[len(ratios)/2]
	}
	return r, nil
}

// median is the sample in the middle; nil of none.
func median(all []sample) *sample {
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(a, b sample) int { return cmp.Compare(a.Seconds, b.Seconds) })
	return &all[len(all)/2]
}

// print writes the report as a table for people.
func (r *report) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "benchmark\trows\tours s\tfloor s\tratio\trows/s\tGo MiB\tpeak MiB\tfloor MiB\t")
	for _, b := range r.Results {
		rows, speed, ratio := "–", "–", "–"
		if some := cmp.Or(b.Ours, b.Floor); some != nil {
			rows = fmt.Sprint(some.Rows)
		}
		if b.Ours != nil {
			speed = fmt.Sprintf("%.0f", float64(b.Ours.Rows)/b.Ours.Seconds)
		}
		if b.Ratio > 0 {
			ratio = fmt.Sprintf("%.2f", b.Ratio)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", b.Name, rows, b.Ours.seconds(), b.Floor.seconds(),
			ratio, speed, b.Ours.held(), b.Ours.peak(), b.Floor.peak())
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, b := range r.Results {
		fmt.Fprintf(out, "%s: %s\n", b.Name, b.Doc)
	}
	_, err := fmt.Fprintln(out, r.Machine)
	return err
}

func (s *sample) seconds() string {
	if s == nil {
		return "–"
	}
	return fmt.Sprintf("%.2f", s.Seconds)
}

func (s *sample) held() string {
	if s == nil {
		return "–"
	}
	return fmt.Sprint(s.GoMB)
}

func (s *sample) peak() string {
	if s == nil || s.PeakMB == 0 {
		return "–"
	}
	return fmt.Sprint(s.PeakMB)
}

// machine describes what was measured on.
func machine(ctx context.Context) string {
	duck := "unknown"
	if db, err := sql.Open("duckdb", ""); err == nil {
		defer db.Close()
		_ = db.QueryRowContext(ctx, "SELECT version()").Scan(&duck)
	}
	return fmt.Sprintf("%s, %d cores, %s/%s, %s, DuckDB %s", cpuModel(), runtime.NumCPU(),
		runtime.GOOS, runtime.GOARCH, runtime.Version(), duck)
}

func cpuModel() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	lines := strings.Split(string(info), "\n")
	if i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "model name") }); i >= 0 {
		_, name, _ := strings.Cut(lines[i], ":")
		return strings.TrimSpace(name)
	}
	return "unknown CPU"
}
