package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A warehouse that another process holds is named with that process.
func TestLocked(t *testing.T) {
	d := newDesk(t, "")
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "MILLRACE_TEST_HOLD="+d.home)
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, 4)
	if _, err := io.ReadFull(out, said); err != nil || string(said) != "held" {
		t.Fatalf("%s, %v", said, err)
	}
	_, errs, code := d.do(t, "run", "shop", "--now", now)
	if want := fmt.Sprintf("PID %d", child.Process.Pid); code != 2 || !strings.Contains(errs, want) || !strings.Contains(errs, "MILLRACE_HOME") {
		t.Errorf("got %d %s, want %s and what to do", code, errs, want)
	}
	in.Close()
	if err := child.Wait(); err != nil {
		t.Error(err)
	}
}

// child starts this command in a process of its own.
func (d *desk) child(mood string, args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], args...)
	c.Env = []string{"MILLRACE_TEST_SHOP=" + mood}
	for k, v := range d.vars {
		c.Env = append(c.Env, k+"="+v)
	}
	return c
}

// Ctrl-C ends a run at once, says so, and keeps what was done.
func TestInterrupt(t *testing.T) {
	d := newDesk(t, "")
	child := d.child("hang", "run", "shop", "--now", now, "--table", "sales", "--verbose")
	errs, err := child.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	lines := bufio.NewScanner(errs)
	for lines.Scan() {
		said.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "slice started") {
			if err := child.Process.Signal(os.Interrupt); err != nil {
				t.Error(err)
			}
		}
	}
	err = child.Wait()
	if child.ProcessState.ExitCode() != 1 || !strings.Contains(said.String(), "millrace: interrupted") {
		t.Errorf("got %v\n%s", err, said.String())
	}
	out, _, code := d.do(t, "status", "--json")
	if code != 0 || !strings.Contains(out, `"planned": 1`) {
		t.Errorf("after it: got %s", out)
	}
	if out, errs, code := d.do(t, "run", "shop", "--now", now); code != 0 {
		t.Errorf("again: got %d\n%s%s", code, out, errs)
	}
}

// kill -9 at any crash point, then the same command: every row once.
func TestCrash(t *testing.T) {
	for _, point := range []string{"after_page", "before_manifest", "after_manifest", "in_tx_before_data", "in_tx_before_fence", "after_commit_before_publish"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, "")
			child := d.child("well", "run", "shop", "--now", now)
			child.Env = append(child.Env, "MILLRACE_CRASH="+point+":2")
			out, err := child.CombinedOutput()
			if !killed(err) {
				t.Fatalf("got %v, want a kill\n%s", err, out)
			}
			again, errs, code := d.do(t, "run", "shop", "--now", now)
			if code != 0 {
				t.Fatalf("got %d\n%s%s", code, again, errs)
			}
			rows, _, _ := d.do(t, "query", "--json", "select (select count(*) from shop.sales) as s, (select count(*) from shop.refunds) as r, (select count(*) from millrace.slices where state <> 'loaded') as undone")
			if got := strings.Join(strings.Fields(rows), ""); got != `[{"s":1,"r":1,"undone":0}]` {
				t.Errorf("got %s", got)
			}
		})
	}
}
