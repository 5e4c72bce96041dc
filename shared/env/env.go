// Package env reads a function's configuration: one struct per function, filled
// from variables that share a prefix.
//
// The rules of a struct are those of kelseyhightower/envconfig (tags envconfig,
// default, required, split_words, ignored; types that decode themselves), plus a
// tag `doc`, which says what the variable is. A person who runs a function for
// the first time is told everything that is missing at once.
//
// The package reads no files, keeps no state and fetches no secrets: a platform
// gives a [Resolver] for those.
package env

import "os"

// Lookup finds a variable, as os.LookupEnv does.
type Lookup func(key string) (string, bool)

// OS looks in the environment of the process.
func OS() Lookup { return os.LookupEnv }

// Map looks in m, which must not change any more.
func Map(m map[string]string) Lookup {
	return func(key string) (string, bool) {
		v, ok := m[key]
		return v, ok
	}
}
