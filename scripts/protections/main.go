// Command protections shows that each protection matters: it takes one away at a
// time, in an overlay that leaves the files alone, and runs the test that guards
// it. The test must fail; a protection whose test still passes is a bug in the
// test, and the command fails.
//
// All of them take many minutes. With -turn N every sixth one is checked, from the
// Nth on, which is how CI goes through the list: it gives each commit another N.
//
//	go run ./scripts/protections [-run NAME] [-turn N]
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// protection is one thing that keeps data safe, and how to take it away. Where two
// places hold the same line, each alone hides that the other is gone: both are
// taken away at once, and the name says so.
type protection struct {
	name string
	pkg  string // whose tests guard it
	test string // -run
	away []edit
}

// edit is a change of one place.
type edit struct {
	file string
	old  string // the code, found exactly once
	new  string // the code without the protection
}

// turns are how many runs of CI it takes to check all.
const turns = 6

func main() {
	only := flag.String("run", "", "only the protections whose name contains this")
	turn := flag.Int("turn", -1, "only every sixth one, from this on")
	flag.Parse()
	var chosen []protection
	for i, p := range slices.Concat(protections, wayBack) {
		if strings.Contains(p.name, *only) && (*turn < 0 || i%turns == *turn%turns) {
			chosen = append(chosen, p)
		}
	}
	failed, shown := 0, len(chosen)
	for i, said := range all(chosen) {
		v := <-said
		if v.err != nil {
			failed++
		}
		fmt.Printf("%-54s %5.1fs  %s\n", chosen[i].name, v.took.Seconds(), v)
	}
	if failed > 0 || shown == 0 {
		fmt.Printf("%d of %d protections are not shown to matter\n", failed, shown)
		os.Exit(1)
	}
}

// verdict is how the check of one ended.
type verdict struct {
	err  error
	took time.Duration
}

func (v verdict) String() string {
	if v.err != nil {
		return v.err.Error()
	}
	return "matters"
}

// all checks them two at a time, and answers in their order.
func all(list []protection) []chan verdict {
	out, turn := make([]chan verdict, len(list)), make(chan struct{}, 2)
	for i := range out {
		out[i] = make(chan verdict, 1)
	}
	go func() {
		for i, p := range list {
			turn <- struct{}{}
			go func() {
				began := time.Now()
				err := p.check(context.Background())
				out[i] <- verdict{err, time.Since(began)}
				<-turn
			}()
		}
	}()
	return out
}

// errNotGuarded: the test passes without the protection. errNotChecked: the protection
// could not be taken away, or it is not its test that says so.
var (
	errNotGuarded = errors.New("NOT GUARDED")
	errNotChecked = errors.New("NOT CHECKED")
)

// check returns nil if the test fails without the protection.
func (p protection) check(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "protections")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	overlay, err := p.overlay(dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "go", "test", "-count=1", "-timeout=120s", "-vet=off", "-overlay", overlay, "-run", p.test, p.pkg).CombinedOutput()
	return p.verdict(out, err)
}

// verdict reads what go test said. A panic or a test without end proves nothing:
// it may be the missing code itself that is not sound.
func (p protection) verdict(out []byte, err error) error {
	says := func(s string) bool { return bytes.Contains(out, []byte(s)) }
	switch {
	case says("no tests to run"), says("no test files"):
		return fmt.Errorf("%w: %s has no test %s", errNotChecked, p.pkg, p.test)
	case err == nil:
		return fmt.Errorf("%w: %s passes without it", errNotGuarded, p.test)
	case says("panic: "), !says("--- FAIL"):
		return fmt.Errorf("%w: the test did not come to its end: %s", errNotChecked, head(out))
	}
	return nil
}

// head is as much of a test's output as a person reads.
func head(out []byte) []byte {
	const most = 2000
	out = bytes.TrimSpace(out)
	return out[:min(len(out), most)]
}

// overlay writes the changed files and the list that puts them over the real ones.
func (p protection) overlay(dir string) (string, error) {
	changed := map[string][]byte{}
	for _, e := range p.away {
		code, ok := changed[e.file]
		if !ok {
			var err error
			if code, err = os.ReadFile(e.file); err != nil {
				return "", fmt.Errorf("%w: %w", errNotChecked, err)
			}
		}
		if n := bytes.Count(code, []byte(e.old)); n != 1 {
			return "", fmt.Errorf("%w: %s has the code %d times: %s", errNotChecked, e.file, n, e.old)
		}
		changed[e.file] = bytes.Replace(code, []byte(e.old), []byte(e.new), 1)
	}
	replace := map[string]string{}
	for file, code := range changed {
		abs, err := filepath.Abs(file)
		if err != nil {
			return "", err
		}
		replace[abs] = filepath.Join(dir, fmt.Sprintf("%d.go", len(replace)))
		if err := os.WriteFile(replace[abs], code, 0o644); err != nil {
			return "", err
		}
	}
	body, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	list := filepath.Join(dir, "overlay.json")
	return list, os.WriteFile(list, body, 0o644)
}
