// Package hush keeps Snowflake's client (gosnowflake v2.1.0, source read 2026-11) from
// what nobody asked it for. Left alone, it writes a native library into the user's
// cache folder and loads it, in every process that imports it; and at the first login
// it asks the metadata servers of three clouds for identities and access tokens, calls
// AWS STS with the function's credentials, and waits for the answers without an end:
// a function in whose network one of them hangs never logs in. All of it is telemetry.
//
// The client decides about the library in its own init, so that this package must be
// initialized first. It is: Go initializes packages in the order of their import
// paths, each as soon as what it imports is, and this one imports nothing but os.
package hush

import "os"

func init() {
	for _, name := range []string{"SF_DISABLE_MINICORE", "SNOWFLAKE_DISABLE_PLATFORM_DETECTION"} {
		if _, set := os.LookupEnv(name); !set { // who sets it knows
			_ = os.Setenv(name, "true")
		}
	}
}
