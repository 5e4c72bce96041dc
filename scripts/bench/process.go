package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-data/millrace/functions/ociusage/ociusagetest"
	"github.com/millrace-data/millrace/scripts/bench/payments/paymentstest"
)

// The roles of child processes: bench vendor SETTINGS, and
// bench measure SETTINGS NAME ours|floor.
const (
	roleVendor  = "vendor"
	roleMeasure = "measure"
)

// sample is one measurement, as a child prints it.
type sample struct {
	Rows    int64   `json:"rows"`
	Seconds float64 `json:"seconds"`
	PeakMB  int64   `json:"peak_mb"` // MiB of memory held at most, DuckDB's included; 0 = this system does not say
	GoMB    int64   `json:"go_mb"`   // MiB that Go held at most: the peak without DuckDB and the program's own text
}

func child(ctx context.Context, args []string, out io.Writer) error {
	var s settings
	if err := json.Unmarshal([]byte(args[1]), &s); err != nil {
		return err
	}
	if args[0] == roleVendor {
		return serve(s, os.Stdin, out)
	}
	for _, b := range benchmarks {
		if len(args) == 4 && b.name == args[2] {
			work := b.floor
			if args[3] == "ours" {
				work = b.ours
			}
			return once(ctx, s, work, out)
		}
	}
	return fmt.Errorf("no benchmark for %q", args[2:])
}

// serve is the vendors: it prints how to reach them and lives as long as its parent,
// whose end of the pipe it watches.
func serve(s settings, parent io.Reader, out io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", paymentstest.Handler(vendor(s)))
	bucket, err := oracle(s.Report)
	if err != nil {
		return err
	}
	mux.Handle("/n/", bucket)
	mux.Handle(zuoraPath+"/", http.StripPrefix(zuoraPath, late(tenant(s.Rows), s.Latency)))
	mux.Handle("/v4/", organisation(s.Rows))
	mux.Handle("/api/", instance(s.Rows))
	mux.Handle("/services/", org(s.Rows))
	mux.Handle("/big/", http.StripPrefix("/big", paymentstest.Handler(bigVendor(s))))
	srv := &http.Server{Handler: mux}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	s.URL = "http://" + l.Addr().String()
	s.Oracle = ociusagetest.Env(s.URL)
	if err := json.NewEncoder(out).Encode(s); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, parent)
	_ = srv.Close()
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// late answers as h does, after the time that a request takes on its way.
func late(h http.Handler, by time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(by)
		h.ServeHTTP(w, r)
	})
}

// once does the work and prints its sample.
func once(ctx context.Context, s settings, work job, out io.Writer) error {
	dir, err := os.MkdirTemp("", "millrace-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	peak := watchGo()
	start := time.Now()
	s.ready = func() { start = time.Now() }
	rows, err := work(ctx, s, dir)
	took := time.Since(start).Seconds()
	goMB := peak()
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(sample{rows, took, peakMB(), goMB})
}

// watchGo samples how much memory Go holds, 100 times a second, until it is asked
// for the most in MiB.
func watchGo() (peak func() int64) {
	held := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	stop, most := make(chan struct{}), make(chan uint64)
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for top := uint64(0); ; {
			metrics.Read(held)
			top = max(top, held[0].Value.Uint64()-held[1].Value.Uint64())
			select {
			case <-tick.C:
			case <-stop:
				most <- top
				return
			}
		}
	}()
	return func() int64 { close(stop); return int64(<-most >> 20) }
}

// peakMB reads the kernel's high-water mark of this process; Linux only.
func peakMB() int64 {
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if kb, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(kb), " kB"), 10, 64)
			return n / 1024
		}
	}
	return 0
}

// startVendor starts the vendor's process and returns the settings with what it
// takes to reach it. stop ends it and waits for it.
func startVendor(ctx context.Context, s settings) (_ settings, stop func() error, err error) {
	cmd, err := self(ctx, s, roleVendor)
	if err != nil {
		return s, nil, err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return s, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return s, nil, err
	}
	if err := cmd.Start(); err != nil {
		return s, nil, err
	}
	stop = func() error { return errors.Join(in.Close(), cmd.Wait()) }
	if err := json.NewDecoder(out).Decode(&s); err != nil {
		return s, nil, errors.Join(fmt.Errorf("the vendor did not start: %w", err), stop())
	}
	return s, stop, nil
}

// measure runs one side of a benchmark in a process of its own.
func measure(ctx context.Context, s settings, name, side string) (one sample, err error) {
	cmd, err := self(ctx, s, roleMeasure, name, side)
	if err != nil {
		return one, err
	}
	out, err := cmd.Output()
	if err != nil {
		return one, fmt.Errorf("%s, %s: %w", name, side, err)
	}
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&one); err != nil {
		return one, fmt.Errorf("%s, %s: its result: %w", name, side, err)
	}
	return one, nil
}

// self is this program in another role.
func self(ctx context.Context, s settings, role string, args ...string) (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, exe, append([]string{role, string(text)}, args...)...)
	cmd.Stderr = os.Stderr
	return cmd, nil
}
