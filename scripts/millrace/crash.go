package main

import (
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/fault"
)

// crashVariable makes the process kill itself, as a power cut would: POINT:N is
// the Nth pass of a crash point of the engines. It is for the demo and for tests
// of recovery, and does nothing that kill -9 could not do.
const crashVariable = "MILLRACE_CRASH"

func crashPoint(lookup env.Lookup) (func(name string), error) {
	text, ok := lookup(crashVariable)
	if !ok || text == "" {
		return nil, nil
	}
	at, count, _ := strings.Cut(text, ":")
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil || n < 1 {
		return nil, fault.New(fault.Invalid, "%s is %q, not POINT:N", crashVariable, text)
	}
	var passes atomic.Int64
	return func(name string) {
		if name == at && passes.Add(1) == n {
			_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
			select {} // the signal is on its way
		}
	}, nil
}
