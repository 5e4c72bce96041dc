package main

import (
	"errors"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/platform/local"
)

// The exit codes of DESIGN.md §4.
const (
	exitOK = iota
	exitFailed
	exitUsage
	exitPaused
	exitRefused
	exitPartial
)

// outcome is a result that is not ok. It is shown already and only sets the exit
// code.
type outcome string

func (o outcome) Error() string { return string(o) }

// ended is nil for ok.
func ended(word string) error {
	if word == local.OK {
		return nil
	}
	return outcome(word)
}

var exits = map[outcome]int{
	local.Failed:  exitFailed,
	local.Paused:  exitPaused,
	local.Refused: exitRefused,
	local.Partial: exitPartial,
	unwell:        exitUsage,
}

func exitCode(err error) int {
	var o outcome
	var half cut
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &half):
		return exitPartial
	case errors.As(err, &o):
		return exits[o]
	case errors.Is(err, fault.Invalid):
		return exitUsage
	case errors.Is(err, fault.Limited):
		return exitPaused
	case errors.Is(err, fault.Refused):
		return exitRefused
	}
	return exitFailed
}
