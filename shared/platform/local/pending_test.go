package local

import "testing"

// Loads of a table are one start until it begins, for each function and table alone.
func TestLoadsAreOneStart(t *testing.T) {
	f := followers{pending: map[[2]string]bool{}}
	for i, step := range []struct {
		function, table string
		begin, want     bool
	}{
		{"a", "t", false, true},
		{"a", "t", false, false},
		{"b", "t", false, true},
		{"a", "u", false, true},
		{"a", "t", true, true}, // it began: what is loaded now it may not have seen
		{"a", "t", false, false},
		{"b", "t", false, false},
	} {
		if step.begin {
			f.begin(step.function, step.table)
		}
		if got := f.ask(step.function, step.table); got != step.want {
			t.Errorf("step %d: got %v, want %v", i, got, step.want)
		}
	}
}
