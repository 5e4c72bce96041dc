// Package reverse is the way back: it carries rows of the warehouse into a system
// that people work in, and never writes a value that nobody could have stopped.
//
// The idea is that of infrastructure as code. A [Job] says which query feeds which
// fields. A plan is the stored and hashed set of writes that bring the destination
// to what the query says: every field with what stands there and what will. Guards
// block a plan before anything is written; a person approves exactly that plan;
// applying it writes it once, whatever dies on the way; and a rollback is another
// plan, made of what stood there before.
//
//	job ── query ─▶ desired ── diff ─▶ changed ── live values ─▶ plan ── guards ─▶ approve ─▶ apply
//	                            │                                                             │
//	                       last accepted ◀────────── the destination's own results ───────────┘
//
// What was accepted is known from the destination's own answers and from nothing
// else: a row that failed is in the next plan again. All state is rows in the
// warehouse, in sync_plans, sync_rows, sync_jobs and sync_sent.
//
// The package knows no vendor: a [Destination] is one. It is not a way to write
// without a plan, and it does not retry what may have been done: it looks first.
package reverse
