// Command protections shows that each protection matters: it takes one away at a
// time, in an overlay that leaves the files alone, and runs the test that guards
// it. The test must fail; a protection whose test still passes is a bug in the
// test, and the command fails.
//
//	go run ./scripts/protections [-run NAME]
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// protection is one thing that keeps data safe, and how to take it away.
type protection struct {
	name string
	file string // where it is
	old  string // the code, found exactly once
	new  string // the code without the protection
	pkg  string // whose tests guard it
	test string // -run
}

func main() {
	only := flag.String("run", "", "only the protections whose name contains this")
	flag.Parse()
	failed := 0
	for _, p := range protections {
		if !strings.Contains(p.name, *only) {
			continue
		}
		began := time.Now()
		err := p.check(context.Background())
		verdict := "matters"
		if err != nil {
			verdict = err.Error()
			failed++
		}
		fmt.Printf("%-40s %5.1fs  %s\n", p.name, time.Since(began).Seconds(), verdict)
	}
	if failed > 0 {
		fmt.Printf("%d protections are not shown to matter\n", failed)
		os.Exit(1)
	}
}

// check returns nil if the test fails without the protection.
func (p protection) check(ctx context.Context) error {
	code, err := os.ReadFile(p.file)
	if err != nil {
		return err
	}
	if n := bytes.Count(code, []byte(p.old)); n != 1 {
		return fmt.Errorf("NOT CHECKED: %s has the code %d times", p.file, n)
	}
	dir, err := os.MkdirTemp("", "protections")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	overlay, err := p.overlay(dir, bytes.Replace(code, []byte(p.old), []byte(p.new), 1))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "go", "test", "-count=1", "-overlay", overlay, "-run", p.test, p.pkg).CombinedOutput()
	switch {
	case err == nil:
		return fmt.Errorf("NOT GUARDED: %s passes without it", p.test)
	case !bytes.Contains(out, []byte("--- FAIL")) && !bytes.Contains(out, []byte("panic:")):
		return fmt.Errorf("NOT CHECKED: the test did not run: %s", bytes.TrimSpace(out))
	}
	return nil
}

// overlay writes the changed file and the list that puts it over the real one.
func (p protection) overlay(dir string, code []byte) (string, error) {
	abs, err := filepath.Abs(p.file)
	if err != nil {
		return "", err
	}
	changed := filepath.Join(dir, filepath.Base(p.file))
	list := filepath.Join(dir, "overlay.json")
	body, err := json.Marshal(map[string]map[string]string{"Replace": {abs: changed}})
	if err == nil {
		err = os.WriteFile(changed, code, 0o644)
	}
	if err == nil {
		err = os.WriteFile(list, body, 0o644)
	}
	return list, err
}
