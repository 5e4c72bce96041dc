// Package extract is the first hop: it finds out which slices are due, hands each
// to one invocation, reads the vendor and stages the rows.
//
// A connector is a [Function]: tables as data and a [Source] that reads. All that
// makes a reading safe is here and only here: the ledger's claim and fence, parts
// and manifest, the deadline, continuations, what each kind of fault means.
//
//	tick ──Tick──▶ ledger (planned) ──message per slice──▶ Handle ──▶ parts, manifest
//
// An invocation that runs out of time stops at a page boundary, keeps what is
// staged, and publishes the same slice again; the next one goes on from the
// cursor. An invocation that dies leaves its last cursor in the ledger, and orphan
// parts that no manifest names. Nothing here writes to the vendor's tables in the
// warehouse: that is package load, started by the manifest's arrival.
package extract
