package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// Every function is packaged for both clouds and answers an event. It takes minutes,
// so it waits to be asked for: MILLRACE_PACKAGE=all. CI asks for a few, others for
// each commit: MILLRACE_PACKAGE=N is one of them.
func TestEveryFunction(t *testing.T) {
	onlyAsked(t)
	w := newWorld(t)
	// A tick for somebody else: a function that is what it says refuses it, by name.
	const foreign = `{"function":"nobody"}`
	syncs := jobsFolderOf(t)
	n := 0
	for _, name := range names() {
		times := 1
		if name == withJobs {
			times = 2
		}
		t.Run("gcp/"+name, func(t *testing.T) {
			n++
			onlyTurn(t, n)
			dir := packaged(t, order{fn: name, cloud: "gcp", arch: "arm64", syncs: syncs}, times)
			onlyJobs(t, dir, name)
			url := serveGCP(t, buildGCP(t, dir), name, w)
			answers(t, name, post(t, url, `{"message":{"data":"eyJmdW5jdGlvbiI6Im5vYm9keSJ9","messageId":"1"},"subscription":"projects/p/subscriptions/s"}`,
				"Content-Type", "application/json"))
		})
		t.Run("aws/"+name, func(t *testing.T) {
			n++
			onlyTurn(t, n)
			dir := packaged(t, order{fn: name, cloud: "aws", arch: runtime.GOARCH, syncs: syncs}, times)
			onlyJobs(t, dir, name)
			answers(t, name, startAWS(t, dir, name, w).invoke(t, []byte(foreign)))
		})
	}
}

// onlyJobs checks that job files are in the package of the function that has them.
func onlyJobs(t *testing.T, dir, name string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, jobsFolder, "*"))
	if want := map[string]int{withJobs: 2}[name]; err != nil || len(found) != want {
		t.Errorf("%s is packaged with %q, %v; want %d", name, found, err, want)
	}
}

// onlyAsked skips a test that compiles whole functions, which on an empty cache takes
// longer than all other tests.
func onlyAsked(t *testing.T) {
	t.Helper()
	if os.Getenv("MILLRACE_PACKAGE") == "" {
		t.Skip("set MILLRACE_PACKAGE=all, or a number as .ci/run does, to package and start functions")
	}
}

// onlyTurn skips packages whose turn it is not.
func onlyTurn(t *testing.T, n int) {
	t.Helper()
	const turns = 16
	if turn, err := strconv.Atoi(os.Getenv("MILLRACE_PACKAGE")); err == nil && n%turns != turn%turns {
		t.Skip("it is the turn of others")
	}
}

// answers checks that the answer is this function's, and that the event is done with.
func answers(t *testing.T, name string, answer []byte) {
	t.Helper()
	if !strings.Contains(string(answer), `"function":"`+name+`"`) || !strings.HasPrefix(state(t, answer), "poison") {
		t.Errorf("got %s, want %s to refuse the event", answer, name)
	}
}

// How long it takes from the start of the process to its first answer: of Google's
// that it listens and answers, of AWS's that it asks for work. The aim is 150 ms.
func BenchmarkFirstAnswer(b *testing.B) {
	w := newWorld(b)
	b.Run("gcp", func(b *testing.B) {
		program := buildGCP(b, packaged(b, order{fn: fn, cloud: "gcp", arch: "arm64"}, 1))
		for b.Loop() {
			serveGCP(b, program, fn, w)
		}
	})
	b.Run("aws", func(b *testing.B) {
		dir := packaged(b, order{fn: fn, cloud: "aws", arch: runtime.GOARCH}, 1)
		for b.Loop() {
			startAWS(b, dir, fn, w).ready(b)
		}
	})
}
