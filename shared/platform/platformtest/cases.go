package platformtest

import (
	loadfunction "github.com/millrace-data/millrace/functions/load"
	"github.com/millrace-data/millrace/functions/salesforcesync"
	"github.com/millrace-data/millrace/functions/thoughtindustries"
	"github.com/millrace-data/millrace/shared/rest/resttest"
	"github.com/millrace-data/millrace/shared/warehouse/snowflake/snowflaketest"
)

// Case is one way to disturb the path.
type Case struct {
	Name         string
	Seed         uint64 // of the order and the repetitions
	Reader, Load string // where the first process of each is killed, POINT:N
	Model, Sync  string // the same
	Users        int    // of the vendor; 0 = a few hundred
	Faults       []snowflaketest.Fault
	CRM          []resttest.Fault
}

// Cases disturb what the promises rest on. Functions do not know of each other's
// deaths, so that one path has one of each: early in what a function does, late, and
// where an answer is lost.
var Cases = []Case{
	{Name: "undisturbed", Seed: 1},
	{Name: "killed while reading, in the transaction, and with Salesforce's answer unheard", Seed: 2,
		Reader: "after_page:2", Load: "in_tx_before_data:2", Sync: "after_write:1"},
	{Name: "killed with the manifest written, after the commit, while computing, and with a job uploaded and not started", Seed: 3,
		Reader: "after_manifest:1", Load: "after_commit_before_publish:1", Model: "after_commit_before_publish:1", Sync: "after_put:1", Users: 2100},
	{Name: "the answer to a commit is lost, and killed with a job's results read and not committed", Seed: 4, Sync: "before_commit:1", Users: 2100, Faults: []snowflaketest.Fault{
		{On: "COMMIT", Kind: snowflaketest.Lose, Skip: 3}, {On: "COMMIT", Kind: snowflaketest.DropAfter, Skip: 2}}},
	{Name: "Snowflake is away for a moment", Seed: 5, Faults: []snowflaketest.Fault{
		{On: "COPY INTO", Kind: snowflaketest.Unavailable}, {On: "COMMIT", Kind: snowflaketest.DropBefore, Skip: 1}}},
}

// kills is where the first process of each function is killed; "" is nowhere.
func (c Case) kills() map[string]string {
	return map[string]string{thoughtindustries.Function.Name: c.Reader, loadfunction.Name: c.Load, learners.Name: c.Model, salesforcesync.Function.Name: c.Sync}
}
