package job_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace-data/millrace/shared/job"
)

// A slice whose job takes two looks: each loop is an invocation of its own.
func ExampleDo() {
	out, vendor := &ledger{}, &vendor{slow: 2}
	for {
		id, err := job.Do(context.Background(), out, vendor)
		if errors.Is(err, errLater) {
			fmt.Println("go on after", out.wait)
			continue
		}
		fmt.Println(id, err)
		return
	}
	// Output:
	// go on after 500ms
	// go on after 1s
	// job1 <nil>
}
