package platform

import (
	"context"
	"maps"
	"slices"
	"strings"

	"gocloud.dev/blob"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// Drivers open what the environment names, by the word before the first colon. A
// platform links those it lists, and no others: [Clouds] has none that needs cgo.
type Drivers struct {
	Warehouse map[string]func(context.Context, Place) (*warehouse.Warehouse, error)
	Stage     map[string]func(context.Context, Place) (Bucket, error)
	Chain     map[string]func(context.Context, Place) (Publisher, error)
}

// Place is one of MILLRACE_WAREHOUSE, MILLRACE_STAGE and MILLRACE_CHAIN.
type Place struct {
	URL      string // all of it
	Rest     string // what follows the first colon
	Function string
	Lookup   env.Lookup // the environment, with secrets in the place of references
}

// Bucket is an open stage bucket. Blob is closed with the function.
type Bucket struct {
	Blob   *blob.Bucket
	Name   string // as events carry it
	Prefix string // folder that is the stage, with a slash at its end; "" = all of the bucket
	Kind   func(error) error
	Local  func(key string) string
	// Generation is the generation or version that the object has now, "" where the
	// bucket counts none; fault.NotFound where there is no object. nil = none counted.
	Generation func(ctx context.Context, object string) (string, error)
}

// Publisher is an open chain.
type Publisher struct {
	chain.Publisher
	Close func() error // nil = nothing to close
}

// With returns the drivers and more, for tests and platforms of one's own.
func (d Drivers) With(more Drivers) Drivers {
	return Drivers{both(d.Warehouse, more.Warehouse), both(d.Stage, more.Stage), both(d.Chain, more.Chain)}
}

func both[V any](a, b map[string]V) map[string]V {
	out := maps.Clone(a)
	if out == nil {
		out = map[string]V{}
	}
	maps.Copy(out, b)
	return out
}

// pick finds the driver that a variable names. The value may hold a password: only
// its first word is ever shown.
func pick[V any](known map[string]V, variable, value string) (driver V, rest string, err error) {
	words := strings.Join(slices.Sorted(maps.Keys(known)), ", ")
	if value == "" {
		return driver, "", fault.New(fault.Invalid, "%s is not set: one of %s and a colon in front of the place", variable, words)
	}
	word, rest, colon := strings.Cut(value, ":")
	driver, ok := known[word]
	switch {
	case !colon:
		return driver, "", fault.New(fault.Invalid, "%s has no colon: want one of %s in front of it", variable, words)
	case !ok:
		return driver, "", fault.New(fault.Invalid, "%s begins with %.20q, but this build offers only %s", variable, word, words)
	}
	return driver, rest, nil
}
