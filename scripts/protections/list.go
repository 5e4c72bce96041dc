package main

const (
	duckdb   = "./shared/warehouse/duckdb" // whose tests are the warehouse's kit
	stage    = "./shared/stage"
	rest     = "./shared/rest"
	part     = "./shared/part"
	academy  = "./functions/thoughtindustries"
	ociusage = "./functions/ociusage"
)

// protections is the list. Each entry is a claim of the README's or of a package
// comment's.
var protections = []protection{
	// The commit: one transaction, under the newest fence.
	{"warehouse: fence of the commit, at its begin and its end", duckdb, "TestConformance/commit/a_newer_fence", []edit{
		{"shared/warehouse/commit.go", "case !held || row.Fence != l.Fence:", "case !held && false:"},
		{"shared/warehouse/commit.go", "\"updated_at\" = ?`+bySlice+` AND \"fence\" = ?", "\"updated_at\" = ?`+bySlice+` AND \"fence\" >= ?"}}},
	{"warehouse: fence of the ledger", duckdb, "TestConformance/ledger/fences_grow", []edit{{
		"shared/warehouse/ledger.go",
		`SET "fence" = "fence" + 1, "attempt"`,
		`SET "fence" = "fence" + 0, "attempt"`}}},
	{"warehouse: older fences write no progress", "./shared/extract", "TestLeaseLostWhileReading", []edit{{
		"shared/warehouse/ledger.go",
		`SET ` + "`+set+`" + `, "updated_at" = ?` + "`+bySlice+`" + ` AND "fence" = ?`,
		`SET ` + "`+set+`" + `, "updated_at" = ?` + "`+bySlice+`" + ` AND "fence" >= ?`}}},
	{"warehouse: a lease keeps others out", duckdb, "TestConformance/ledger/a_lease_that_runs", []edit{{
		"shared/warehouse/ledger.go",
		`AND ("lease_until" IS NULL OR "lease_until" < ? OR (`,
		`AND (TRUE OR "lease_until" < ? OR (`}}},
	{"warehouse: a failed commit rolls all back", duckdb, "TestConformance/crash/a_failure_in_the_middle", []edit{{
		"shared/warehouse/transaction.go",
		`	if err := do(tx); err != nil {
`,
		`	if err := do(tx); err != nil {
		_ = tx.Commit()
`}}},
	{"warehouse: a manifest that comes again changes nothing", duckdb, "TestConformance/commit/the_same_manifest_twice", []edit{{
		"shared/warehouse/commit.go",
		`return row.State == Loaded && row.Digest == l.Digest ||`,
		`return false ||`}}},
	{"warehouse: an event is in the inbox once", duckdb, "TestConformance/commit/an_event_is_in_the_inbox", []edit{{
		"shared/warehouse/commit.go",
		`WHERE NOT EXISTS (SELECT 1 FROM "millrace"."inbox" WHERE`,
		`WHERE TRUE OR NOT EXISTS (SELECT 1 FROM "millrace"."inbox" WHERE`}}},
	{"warehouse: a mark stops at a hole", duckdb, "TestConformance/marks/a_backfill_beyond_a_hole", []edit{{
		"shared/warehouse/mark.go",
		`p.covered = append(p.covered, span.Span{From: r.From, To: r.To})`,
		`p.covered = append(p.covered, span.Span{From: p.base, To: r.To})`}}},

	// What is computed from what was loaded.
	{"warehouse: what was computed from less than there is now", duckdb, "TestConformance/computed/what_was_computed", []edit{{
		"shared/warehouse/computed.go",
		`if State(rows) != s.l.Computed.State {`,
		`if false {`}}},
	{"follow: a model waits for what is being loaded", "./shared/follow", "TestModelWaits", []edit{{
		"shared/follow/model.go",
		`case len(all.open) > 0:`,
		`case false:`}}},
	{"follow: a state is computed once", "./shared/follow", "TestModelIsComputedOnce", []edit{{
		"shared/follow/model.go",
		`case known.State == warehouse.Loaded && !hand:`,
		`case false:`}}},
	{"follow: nothing is computed from a refused input", "./shared/follow", "TestModelWhoseInputWasRefused", []edit{{
		"shared/follow/model.go",
		`if len(all.bad) > 0 {`,
		`if false {`}}},

	// The load modes.
	{"warehouse: append deletes the slice before it inserts", duckdb, "TestConformance/modes/append_keeps", []edit{{
		"shared/warehouse/apply.go",
		"\t\treturn s.replace(ctx, tx, `\"_slice\" = ?`, s.l.Slice.ID)\n\tcase record.ReplacePartition:",
		"\t\treturn s.insert(ctx, tx, s.name().String())\n\tcase record.ReplacePartition:"}}},
	{"warehouse: merge updates what it knows", duckdb, "TestConformance/modes/merge_by_a_key", []edit{{
		"shared/warehouse/apply.go",
		`if known == 0 {`,
		`if known >= 0 {`}}},
	{"warehouse: of equal keys the last one is merged", duckdb, "TestConformance/gate/of_rows_with_one_key", []edit{{
		"shared/warehouse/quarantine.go",
		`a.%[1]s <> k."millrace_last"`,
		`a.%[1]s < 0`}}},
	{"extract: keys are unique", "./shared/load", "TestGate/key_twice", []edit{{
		"shared/extract/finish.go",
		`if len(t.Key) > 0 && (t.Mode`,
		`if false && (t.Mode`}}},
	{"extract: keys are not null", "./shared/load", "TestGate/key_is_null", []edit{{
		"shared/extract/finish.go",
		`out = append(out, gate.Require(k))`,
		`_ = k`}}},

	// Rows balance; nothing is dropped.
	{"load: rows balance", "./shared/load", "TestBadParts/totals", []edit{{
		"shared/load/load.go",
		`c.Verdict != gate.Pass {`,
		`false && c.Verdict != gate.Pass {`}}},
	{"load, warehouse: rows are counted, twice", "./shared/load", "TestBadParts/fewer_rows", []edit{
		{"shared/load/judge.go", `if rows != m.RowsStaged {`, `if false {`},
		{"shared/warehouse/apply.go", `err == nil && n != want {`, `false && n != want {`}}},
	{"warehouse: rows are counted in the transaction", duckdb, "TestConformance/crash/a_failure_in_the_middle", []edit{{
		"shared/warehouse/apply.go",
		`err == nil && n != want {`,
		`false && n != want {`}}},
	{"load: the gate's refusal", "./shared/load", "TestGate/too_few_rows", []edit{{
		"shared/load/load.go",
		`if refusal != nil {`,
		`if false {`}}},
	{"extract: rejects are kept", "./shared/extract", "TestRejectsAreKept", []edit{{
		"shared/extract/finish.go",
		`p.Rejects = append(slices.Clone(p.Rejects), staged(o.rejects.Parts())...)`,
		`p.Rejects = nil`}}},
	{"warehouse: a mended reject is replayed", duckdb, "TestConformance/rejects/a_reject_that_is_gone", []edit{{
		"shared/warehouse/quarantine.go",
		`if state == Loaded {`,
		`if false {`}}},
	{"part: numbers are never rounded", part, "TestDecimalIsExact", []edit{{
		"shared/part/decimal.go",
		`if len(bytes.TrimRight(frac[scale:], "0")) > 0 {`,
		`if false {`}}},
	{"part: truncated gzip is no end", part, "TestDecompressCorrupt", []edit{{
		"shared/part/decompress.go",
		`err = a.src.explain(a.format, err)`,
		`err = io.EOF`}}},
	{"part: a header that stands twice", part, "TestHeaderErrors", []edit{{
		"shared/part/cells.go",
		`if found[name] {`,
		`if false {`}}},

	// Killed anywhere; delivered again.
	{"extract: rows of a broken page", "./shared/extract", "TestBrokenPage", []edit{{
		"shared/extract/finish.go",
		`if o.sincePage == 0 && o.p.Cursor`,
		`if o.p.Cursor`}}},
	{"extract: a repeated message", "./shared/extract", "TestMessageTwice", []edit{{
		"shared/extract/engine.go",
		`case row.Attempt > s.Attempt &&`,
		`case false && row.Attempt > s.Attempt &&`}}},
	{"extract: a quota that is used up", "./shared/extract", "TestPausedWaits", []edit{{
		"shared/extract/engine.go",
		`case row.State == warehouse.Paused && time.Now().Before(row.Until) && s.Now.Before(row.Until):`,
		`case false:`}}},
	{"extract: what is staged is not read again", "./shared/extract", "TestStagedIsAnnouncedAgain", []edit{{
		"shared/extract/engine.go",
		`case row.State == warehouse.Staged:`,
		`case false:`}}},
	{"extract: progress survives a kill", "./shared/extract", "TestKilledAnywhere/after_page", []edit{{
		"shared/extract/finish.go",
		`row.Cursor = string(body)`,
		`row.Cursor = string(body[:0])`}}},
	{"load: an older fence stops", "./shared/load", "TestStaleBeforeWork", []edit{{
		"shared/load/load.go",
		`if row.Fence > m.Fence {`,
		`if false {`}}},
	{"load: publishes again", "./shared/load", "TestPublishFails", []edit{{
		"shared/load/load.go",
		`			err = e.publish(ctx, m, res)`,
		`			if !res.Again {
				err = e.publish(ctx, m, res)
			}`}}},
	{"local: deliveries are bounded", "./shared/platform/local", "TestRedeliveryIsBounded", []edit{{
		"shared/platform/local/events.go",
		`try < deliveries &&`,
		`try < deliveries+1 &&`}}},

	// Rejects and the mark; jobs at a vendor.
	{"warehouse: an open reject holds the mark", duckdb, "TestConformance/replay/the_mark_is_held", []edit{{
		"shared/warehouse/mark.go",
		`if held {`,
		`if _ = held; false {`}}},
	{"job: what will be queued is saved before", "./shared/job", "TestKilledAnywhere", []edit{{
		"shared/job/job.go",
		`if err := out.Save(p.text()); err != nil {
		return err
	}
	// Looked for`,
		`if err := error(nil); err != nil {
		return err
	}
	// Looked for`}}},
	{"adaptive: an answer that is cut short", "./functions/adaptive", "TestBadAnswers/no_status", []edit{{
		"functions/adaptive/answer.go",
		`if e.Success != "true" && (`,
		`if false && (`}}},
	{"adaptive: as many records as were sent", "./functions/adaptive", "TestBadAnswers/wrong_count", []edit{{
		"functions/adaptive/sheet.go",
		`if err != nil || n != records {`,
		`if err != nil || n < 0 {`}}},
	{"clari: the quarter that was asked for", "./functions/clari", "Quarter", []edit{{
		"functions/clari/errors.go",
		`in.ID != e.quarter {`,
		`false {`}}},
	{"kit: a connector that begins again half-way", academy, "TestConnector/(golden|stop)", []edit{{
		"functions/thoughtindustries/lists.go",
		`if cursor == "" {`,
		`if true {`}}},
	{"kit: a connector that leaves out a page", academy, "TestConnector/golden", []edit{{
		"functions/thoughtindustries/lists.go",
		`more := rows > 0 && next.Cursor != ""`,
		`more := rows > 0 && next.Cursor != "" && at.Next == ""`}}},
	{"kit: a connector that keeps all that it read", academy, "TestConnector/memory", []edit{{
		"functions/thoughtindustries/lists.go",
		`		rows++
		return out.Row(raw)`,
		`		rows++
		kept = append(kept, append(make([]byte, 0, 8192), raw...))
		return out.Row(raw)`}, {
		"functions/thoughtindustries/lists.go",
		`// resume reads a cursor`,
		`var kept [][]byte

// resume reads a cursor`}}},
	{"kit: a connector that shows rows in its errors", academy, "TestConnector/(golden|no-secret)", []edit{{
		"functions/thoughtindustries/lists.go",
		`	err := resume(out.Cursor(), &at)
`,
		`	err := resume(out.Cursor(), &at)
	out.Warn("rows such as user1@example.com")
`}}},
	{"kit: a field that is missing after a job was awaited", "./functions/clari", "TestConnector/unknown", []edit{{
		"shared/extract/finish.go",
		`if !o.enc.Begun() {`,
		`if false {`}}},
	{"kit: a connector that loses a value", "./functions/adaptive", "TestConnector/golden", []edit{{
		"functions/adaptive/reporting.go",
		`shared[to].Value = string(cells[i])`,
		`shared[to].Value = string(cells[i][:0])`}}},

	// The stage.
	{"stage: digests of parts", stage, "TestMemory/fetch_verifies", []edit{{
		"shared/stage/fetch.go",
		`size != p.Bytes || found != p.SHA256 {`,
		`size != p.Bytes {`}}},
	{"stage: an aborted write is not seen", stage, "TestMemory/an_aborted_write_leaves_nothing", []edit{{
		"shared/stage/stage.go",
		"	w.err = err\n	w.cancel()\n",
		"	w.err = err\n"}}},
	{"stage: a reader that fails publishes nothing", stage, "TestMemory/a_reader_that_fails", []edit{{
		"shared/stage/stage.go",
		"{w}, r); err != nil {\n		w.Abort()",
		"{w}, r); err != nil {\n		w.Close()"}}},
	{"stage: manifests have no unknown members", stage, "TestMemory/a_manifest_is_decoded_strictly", []edit{{
		"shared/stage/manifest.go",
		`json.Unmarshal(data, m, json.RejectUnknownMembers(true))`,
		`json.Unmarshal(data, m)`}}},
	{"stage: digest of the manifest", stage, "TestMemory/a_manifest_is_decoded_strictly", []edit{{
		"shared/stage/manifest.go",
		`if err != nil || digest != m.Digest || m.Version != version {`,
		`if err != nil || m.Version != version {`}}},
	{"stage: sweeping keeps what a manifest names", stage, "TestMemory/sweep_keeps", []edit{{
		"shared/stage/sweep.go",
		`if named[key] {`,
		`if _ = named; false {`}}},
	{"stage: a folder has one manifest", stage, "TestMemory/a_folder_has_one", []edit{{
		"shared/stage/stage.go",
		`IfNotExist: once,`,
		`IfNotExist: false && once,`}}},
	{"stage: a refusal is not taken for absence", "./shared/stage/gcs", "TestKinds", []edit{{
		"shared/stage/gcs/gcs.go",
		`answer != nil && answer.Code == http.StatusForbidden && !limited(answer):`,
		`false:`}}},
	{"stage: Google's uploads are tried again", "./shared/stage/gcs", "TestFaultsThatPass", []edit{{
		"shared/stage/gcs/gcs.go",
		`storage.WithPolicy(storage.RetryAlways), `,
		``}}},
	{"stage: Amazon's uploads given up are taken back", "./shared/stage/s3", "TestAbortedUploadIsTakenBack", []edit{{
		"shared/stage/s3/s3.go",
		`c.APIOptions = append(c.APIOptions, takeBack)`,
		`_ = takeBack`}}},
	{"stage: what lies beside it in its bucket", "./functions/load", "TestBesideTheStage", []edit{{
		"functions/load/load.go",
		`if !ok || !stage.IsManifest(key) {`,
		`if _ = ok; !stage.IsManifest(key) {`}}},

	// The network and its secrets.
	{"rest: a body that is cut is noticed", rest, "TestBodyCut", []edit{{
		"shared/rest/body.go",
		"	if err != nil {\n		b.Close()",
		"	if false {\n		b.Close()"}}},
	{"rest: a body that is cut is read again", rest, "TestBodyCut", []edit{{
		"shared/rest/get.go",
		"	body, err := drain(resp, c.opts.Scratch)\n	if err != nil {\n		return nil, c.unanswered(ctx, err, n)",
		"	body, err := drain(resp, c.opts.Scratch)\n	if err != nil {\n		return nil, final(err)"}}},
	{"rest: credentials stay home", rest, "TestRedirectKeepsSecretsHome", []edit{{
		"shared/rest/rest.go",
		`req.Header.Del(name)`,
		`_ = name`}}},
	{"rest: errors do not show what was asked", rest, "TestStatuses", []edit{{
		"shared/rest/get.go",
		`value := "…"`,
		`value := query.Get(name)`}}},
	{"ociusage: signatures stay home", ociusage, "TestRedirects", []edit{{
		"functions/ociusage/sign.go",
		`if r.URL.Host != s.host {`,
		`if false {`}}},
	{"env: secrets do not print", "./shared/env", "TestSecretDoesNotShow", []edit{{
		"shared/env/secret.go",
		`func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, mask) }`,
		`func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.Reveal()) }`}}},
	{"env: secrets are not encoded", "./shared/env", "TestSecretDoesNotShow", []edit{{
		"shared/env/secret.go",
		`func (Secret) MarshalText() ([]byte, error) { return []byte(mask), nil }`,
		`func (s Secret) MarshalText() ([]byte, error) { return []byte(s.Reveal()), nil }`}}},

	// The connectors.
	{"thoughtindustries: events at a page's border, once", academy, "TestEqualEventsAcrossPages", []edit{{
		"functions/thoughtindustries/events.go",
		`if p.drop[digest] > 0 {`,
		`if false {`}}},
	{"thoughtindustries: events at a page's border, all", academy, "TestEqualEventsAcrossPages", []edit{{
		"functions/thoughtindustries/events.go",
		`return place{End: p.low, Seen: p.seen()}, false, nil`,
		`return place{End: p.low - 1}, false, nil`}}},
	{"thoughtindustries: pages in a circle", academy, "TestPagesInACircle", []edit{{
		"functions/thoughtindustries/lists.go",
		`if !at.Done && used[at.Next] {`,
		`if false {`}}},
	{"ociusage: a file that changed since it was listed", ociusage, "TestBrokenFiles/changed_since", []edit{{
		"functions/ociusage/ociusage.go",
		`http.Header{"If-Match": {o.ETag}}`,
		`nil`}}},
	{"ociusage: MD5 of a file", ociusage, "TestDamageOnTheWayIsNoticed", []edit{{
		"functions/ociusage/ociusage.go",
		`!bytes.Equal(got, want) {`,
		`false {`}}},
	{"ociusage: a list that does not move on", ociusage, "TestListing/token", []edit{{
		"functions/ociusage/ociusage.go",
		`next != "" && next <= start {`,
		`false {`}}},
	{"snowflake: the client asks nobody who we are", "./shared/warehouse/snowflake", "TestClientMindsItsOwnBusiness", []edit{{
		"shared/warehouse/snowflake/snowflake.go",
		`	_ "github.com/millrace-data/millrace/shared/warehouse/snowflake/internal/hush" // before the client
`,
		``}}},
	{"snowflake: no stage is made in a transaction", "./shared/warehouse/snowflake", "TestFillIsFewStatements", []edit{{
		"shared/warehouse/snowflake/session.go",
		`		"CLIENT_STAGE_ARRAY_BINDING_THRESHOLD": "0",
`,
		``}}},
	{"platform: opening that does not come back", "./shared/platform", "TestStuckInvocationEndsTheProcess/opening", []edit{{
		"shared/platform/handle.go",
		`opened := n.guard(ctx, "open", opening)`,
		`opened := func() {}`}}},
	{"platform: an event that does not come back", "./shared/platform", "TestStuckInvocationEndsTheProcess/handling", []edit{{
		"shared/platform/handle.go",
		`defer n.guard(ctx, "handle", time.Until(at)+grace)()`,
		`_ = at`}}},
}
