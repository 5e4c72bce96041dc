package main

import (
	"slices"
	"testing"
)

// TestCodeIsFound: every entry's code is where the list says, so that one which moved
// is seen without running all of them.
func TestCodeIsFound(t *testing.T) {
	t.Chdir("../..")
	names := map[string]bool{}
	for _, p := range slices.Concat(protections, wayBack) {
		if names[p.name] {
			t.Errorf("%s is listed twice", p.name)
		}
		names[p.name] = true
		if _, err := p.overlay(t.TempDir()); err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
	}
}
