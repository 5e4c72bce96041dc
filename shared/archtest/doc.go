// Package archtest holds the house rules as tests: who may import whom, how long
// a file may be, what must be documented, and what lies at the top of the tree.
//
// It reads the source with go/parser alone, so every file counts, whatever its
// build tags, and a tree that does not compile yet can be judged. Each rule
// carries its reason, which the failure prints. Rules about packages that do not
// exist yet are idle. The checkers are themselves tested against small trees
// that break one rule each.
//
// The package exports nothing and does not judge behaviour or naming: that is
// what reviewers, go vet and staticcheck are for.
package archtest
