package main

const (
	sync       = "./shared/reverse"
	salesforce = "./functions/salesforcesync/salesforce"
)

// wayBack is what stands between a query and the records of a CRM.
var wayBack = []protection{
	// What becomes a plan.
	{"reverse: a plan exists when all its rows do", sync, "TestPlanKilledHalfWay", []edit{{
		"shared/reverse/store.go",
		`	if err := e.fill(ctx, conn, p, w, changes); err != nil {`,
		`	if err := e.within(ctx, conn, "store plan", func(tx *sql.Tx) error { return publish(ctx, tx, p) }); err != nil {
		return err
	}
	if err := e.fill(ctx, conn, p, w, changes); err != nil {`}}},
	{"reverse: of rows with one key none is written", sync, "TestPlanRejects/DuckDB$", []edit{{
		"shared/reverse/desired.go",
		`HAVING count(*) > 1`,
		`HAVING count(*) > 1000`}}},
	{"reverse: rows without a key are rejects", sync, "TestPlanRejects/DuckDB$", []edit{{
		"shared/reverse/desired.go",
		`WHERE d."key" IS NULL OR %[6]s IN`,
		`WHERE %[6]s IN`}}},
	{"reverse: a null says nothing", sync, "TestPlanNulls", []edit{{
		"shared/reverse/compare.go",
		`return v == nil && !p.blanks()`,
		`return false`}}},
	{"reverse: what others wrote over what was accepted", sync, "TestPlanUpsert/DuckDB$", []edit{{
		"shared/reverse/compare.go",
		`all := c.accepted == nil || p.o.Full`,
		`all := true`}}},
	{"reverse: #N/A is refused", sync, "TestPreflight", []edit{{
		"shared/reverse/preflight.go",
		`if v == "#N/A" {`,
		`if false {`}}},
	{"reverse: what would become 0 is counted", sync, "TestTheSentenceOfTheDesign", []edit{{
		"shared/reverse/guards.go",
		`zeroed := after != nil &&`,
		`zeroed := false &&`}}},
	{"reverse: a guard blocks the plan", sync, "TestPlanIsBlocked", []edit{{
		"shared/reverse/store.go",
		`case len(p.Blocked) > 0:`,
		`case false:`}}},
	{"reverse: a refused input blocks the plan", sync, "TestInputsBlockAPlan/DuckDB$", []edit{{
		"shared/reverse/inputs.go",
		`if err != nil || state == "loaded" {`,
		`if err != nil || state != "failed" {`}}},
	{"reverse: a class that the job does not allow", sync, "TestClassesBlockAPlan", []edit{{
		"shared/reverse/inputs.go",
		`out := job.classed(e.Inputs)`,
		`var out []Block`}}},

	// Who may write, and what.
	{"reverse: no approval lifts a guard", sync, "TestApproval$", []edit{
		{"shared/reverse/approve.go", `case p.State == PlanBlocked:`, `case false:`},
		{"shared/reverse/approve.go", `case p.State != PlanReady:`, `case p.State != PlanReady && p.State != PlanBlocked:`}}},
	{"reverse: an approval is for one hash", sync, "TestApproval$", []edit{{
		"shared/reverse/approve.go",
		`case hash != "" && hash != p.Hash:`,
		`case false:`}}},
	{"reverse: what was approved is what is written", sync, "TestApplyRefuses/approved_another", []edit{{
		"shared/reverse/apply.go",
		`case hash != a.p.Hash || hash != a.p.ApprovedHash:`,
		`case hash != a.p.Hash:`}}},
	{"reverse: stored rows are hashed before the first write", sync, "TestApplyRefuses/row", []edit{{
		"shared/reverse/apply.go",
		`case hash != a.p.Hash || hash != a.p.ApprovedHash:`,
		`case hash == "" || a.p.Hash != a.p.ApprovedHash:`}}},
	{"reverse: an old plan is not begun", sync, "TestApplyRefuses/it_is_too_old", []edit{{
		"shared/reverse/apply.go",
		`case !a.resumed && a.e.expired(a.p):`,
		`case false:`}}},
	{"reverse: records are read again before the first write", sync, "TestApplyRefuses/a_record", []edit{{
		"shared/reverse/apply.go",
		`if err != nil || moved == 0 {`,
		`if err != nil || moved >= 0 {`}}},
	{"reverse: records are read again after a break", sync, "TestResumedApply/bulk", []edit{{
		"shared/reverse/apply.go",
		`	return a.leaveOut(ctx)`,
		`	return nil`}}},
	{"reverse: one writer per object", sync, "TestOneWriterPerObject", []edit{{
		"shared/reverse/claim.go",
		`WHERE "object" = ? AND "lease_until" > ? ORDER BY`,
		`WHERE "object" = ? AND "lease_until" > ? AND FALSE ORDER BY`}}},
	{"reverse: who lost the fence writes nothing", sync, "TestWhoLosesTheFence/bulk", []edit{{
		"shared/reverse/claim.go",
		`err != nil || n == 1 {`,
		`err != nil || n >= 0 {`}}},
	{"reverse: requests are left to people", sync, "TestApplyLeavesPeople/write$", []edit{{
		"shared/reverse/apply.go",
		`b.Used > b.Max*(100-kept)/100 {`,
		`b.Used > b.Max {`}}},

	// Killed anywhere; answers that are lost.
	{"reverse: a job's id is stored before its upload", sync, "TestKilledAnywhere/upsert:bulk:after_close:1", []edit{{
		"shared/reverse/recover.go",
		`	if err := a.mark(ctx, p, partOpen, job); err != nil {
		return err
	}`,
		`	p.State, p.Job = partOpen, job`}}},
	{"reverse: a job that was left is not uploaded to again", sync, "TestKilledAnywhere/upsert:bulk:after_put:1", []edit{{
		"shared/reverse/recover.go",
		`case p.State == partOpen && p.fresh:`,
		`case p.State == partOpen && p.refused == nil:`}}},
	{"reverse: a request is noted before it is made", sync, "TestKilledAnywhere/upsert:write:after_write:1", []edit{{
		"shared/reverse/recover.go",
		`	if err := a.mark(ctx, p, partSending, ""); err != nil {
		return err
	}
`,
		``}}},
	{"reverse: a request without an answer is not made again", sync, "TestLostAnswers/write/write$", []edit{{
		"shared/reverse/recover.go",
		`	case p.Way == wayWrite:
		return a.unknown(ctx, p)`,
		`	case p.Way == wayWrite:
		return a.send(ctx, p)`}}},

	// Results.
	{"reverse: results are joined by our key", sync, "TestApply$/write$", []edit{{
		"shared/reverse/outcome.go",
		`LEFT JOIN ` + "`+resultTable+`" + ` AS x ON x."key" = r."key"`,
		`LEFT JOIN (SELECT *, row_number() OVER () AS "m" FROM ` + "`+resultTable+`" + `) AS x ON x."m" = r."n"`}}},
	{"reverse: results of rows that were not sent", sync, "TestStrangeResults/of_a_row", []edit{{
		"shared/reverse/outcome.go",
		`case strange > 0:`,
		`case false:`}}},
	{"reverse: only what was accepted is remembered", sync, "TestFailedRowsAreRejects/write$", []edit{{
		"shared/reverse/commit.go",
		`AND r."accepted" IS NOT NULL AND o."state" = 'sent'`,
		`AND r."accepted" IS NOT NULL`}}},
	{"reverse: rows of a part balance", sync, "TestRowsThatVanish/before", []edit{{
		"shared/reverse/commit.go",
		`sent+failed+unprocessed != c.p.Rows {`,
		`false {`}}},
	{"reverse: rows of a plan balance", sync, "TestRowsThatVanish/after", []edit{{
		"shared/reverse/apply.go",
		`sum != a.p.Writes() {`,
		`sum < 0 {`}}},

	// Rollback.
	{"reverse: what people changed is not rolled back", sync, "TestRollback$/write$", []edit{{
		"shared/reverse/rollback.go",
		`if !same(o.live[i], f.After) {`,
		`if i < 0 {`}}},
	{"reverse: a record that is people's now is not deleted", sync, "TestRollback$/write$", []edit{{
		"shared/reverse/rollback.go",
		`return back, ours == len(o.c.Fields)`,
		`return back, true`}}},
	{"reverse: a record that others edited is not deleted", sync, "TestRollbackKeepsWhatOthersEdited", []edit{{
		"shared/reverse/rollback.go",
		`ours == len(o.c.Fields) && o.mine`,
		`ours == len(o.c.Fields)`}}},
	{"reverse: nor one that they edited after the plan", sync, "TestRollbackKeepsWhatOthersEdited", []edit{{
		"shared/reverse/apply.go",
		`edits: a.p.Undoes != "" && a.p.Deletes > 0, `,
		``}}},
	{"reverse: a record that was found is not deleted", sync, "TestRollbackOfWhatWasFound", []edit{{
		"shared/reverse/rollback.go",
		` AND r."code" IS NULL`,
		``}}},

	// Salesforce.
	{"salesforce: a write is sent once", salesforce, "TestWriteIsSentOnce", []edit{{
		"functions/salesforcesync/salesforce/write.go",
		`Header: jsonBody(), Once: true}`,
		`Header: jsonBody()}`}}},
	{"salesforce: a session is renewed once", salesforce, "TestSessionIsRenewedOnce", []edit{{
		"functions/salesforcesync/salesforce/login.go",
		`	for fresh := false; ; fresh = true {
`,
		`	for n := 0; ; n++ {
		fresh := n > 1
`}}},
	{"salesforce: results balance with the job's counts", salesforce, "TestResultsThatAreSilent", []edit{{
		"functions/salesforcesync/salesforce/results.go",
		`case sent == j.Processed-j.Failed && failed == j.Failed:`,
		`case true:`}}},
	{"salesforce: #N/A is no text of an upload", salesforce, "TestUploadOfBadRows/marker", []edit{{
		"functions/salesforcesync/salesforce/table.go",
		`case *v.Text == noValue:`,
		`case false:`}}},
	{"salesforce: tokens and rows do not follow redirects", salesforce, "TestRedirectsAreNotFollowed", []edit{{
		"functions/salesforcesync/salesforce/salesforce.go",
		`	resp.Header.Del("Location")
`,
		``}}},
	{"salesforce: a token does not leave https", salesforce, "TestInstanceIsNoLess", []edit{{
		"functions/salesforcesync/salesforce/login.go",
		`if strings.HasPrefix(c.cfg.LoginURL, "https:") &&`,
		`if false && strings.HasPrefix(c.cfg.LoginURL, "https:") &&`}}},
}
