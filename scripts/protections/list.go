package main

// protections is the list. Each entry is a claim of the README's.
var protections = []protection{
	{
		name: "extract: rows of a broken page",
		file: "shared/extract/finish.go",
		old:  `if o.sincePage == 0 && o.p.Cursor`,
		new:  `if o.p.Cursor`,
		pkg:  "./shared/extract", test: "TestBrokenPage",
	},
	{
		name: "extract: repeated message",
		file: "shared/extract/engine.go",
		old:  `case row.Attempt > s.Attempt &&`,
		new:  `case false && row.Attempt > s.Attempt &&`,
		pkg:  "./shared/extract", test: "TestMessageTwice",
	},
	{
		name: "extract: quota that is used up",
		file: "shared/extract/engine.go",
		old:  `case row.State == warehouse.Paused && time.Now().Before(row.Until):`,
		new:  `case false:`,
		pkg:  "./shared/extract", test: "TestPausedWaits",
	},
	{
		name: "extract: staged is not read again",
		file: "shared/extract/engine.go",
		old:  `case row.State == warehouse.Staged:`,
		new:  `case false:`,
		pkg:  "./shared/extract", test: "TestStagedIsAnnouncedAgain",
	},
	{
		name: "extract: progress survives a kill",
		file: "shared/extract/finish.go",
		old:  `row.Cursor = string(body)`,
		new:  `row.Cursor = string(body[:0])`,
		pkg:  "./shared/extract", test: "TestKilledAnywhere/after_page",
	},
	{
		name: "load: older fence stops",
		file: "shared/load/load.go",
		old:  `if row.Fence > m.Fence {`,
		new:  `if false {`,
		pkg:  "./shared/load", test: "TestStaleBeforeWork",
	},
	{
		name: "load: publishes again",
		file: "shared/load/load.go",
		old:  `			err = e.publish(ctx, m, res)`,
		new: `			if !res.Again {
				err = e.publish(ctx, m, res)
			}`,
		pkg: "./shared/extract", test: "TestKilledAnywhere/after_commit_before_publish",
	},
	{
		name: "load: rows are counted",
		file: "shared/load/judge.go",
		old:  `if rows != m.RowsStaged {`,
		new:  `if false {`,
		pkg:  "./shared/load", test: "TestBadParts",
	},
	{
		name: "load: digests of parts",
		file: "shared/stage/fetch.go",
		old:  `if size != p.Bytes || found != p.SHA256 {`,
		new:  `if false && (size != p.Bytes || found != p.SHA256) {`,
		pkg:  "./shared/load", test: "TestBadParts/digest",
	},
	{
		name: "warehouse: a lease keeps others out",
		file: "shared/warehouse/ledger.go",
		old:  `AND ("lease_until" IS NULL OR "lease_until" < ?)`,
		new:  `AND (TRUE OR "lease_until" < ?)`,
		pkg:  "./shared/warehouse/duckdb", test: "TestConformance/ledger",
	},
	{
		name: "warehouse: a slice loaded twice",
		file: "shared/warehouse/apply.go",
		old:  "\t\treturn s.replace(ctx, tx, `\"_slice\" = ?`, s.l.Slice.ID)\n\tcase record.ReplacePartition:",
		new:  "\t\treturn s.insert(ctx, tx, s.name().String())\n\tcase record.ReplacePartition:",
		pkg:  "./shared/warehouse/duckdb", test: "TestConformance/modes",
	},
	{
		name: "warehouse: a mark stops at a hole",
		file: "shared/warehouse/commit.go",
		old:  `span.Prefix(base, covered)`,
		new:  `span.Prefix(base, append(covered, span.Span{From: base, To: covered[len(covered)-1].To}))`,
		pkg:  "./shared/extract", test: "TestBackfill",
	},
	{
		name: "thoughtindustries: events at a page's border",
		file: "functions/thoughtindustries/events.go",
		old:  `if p.drop[digest] > 0 {`,
		new:  `if false {`,
		pkg:  "./functions/thoughtindustries", test: "TestEqualEventsAcrossPages",
	},
}
