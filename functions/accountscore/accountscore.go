// Package accountscore is the worked example of a model: one query over tables that
// connectors loaded, whose result is a table like any other, and starts the sync that
// carries it to the people who work with accounts.
//
// It scores accounts from 0 to 100 by what they are worth to us and how much they
// learn at the academy. The score is a sum of three terms, each of which is a column,
// so that everybody can see where it comes from; see accountscore.sql, in which every
// term has its reason. An account in which nobody signs in scores 0.
//
// It runs when one of its inputs was loaded and all of them are. There is no clock in
// it: "lately" is measured from the newest event of the academy.
//
// What it cannot see: amounts are added up as they are, in whatever currency; learners
// without a client belong to no account; a customer is matched to the academy's client
// by the customer number in the client's SKU, and to none where that differs.
package accountscore

import (
	_ "embed"

	"github.com/millrace-data/millrace/shared/follow"
	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/record"
)

//go:embed accountscore.sql
var query string

// Function fills analytics.account_scores.
var Function = follow.Model{
	Name: "accountscore",
	Doc:  "Scores accounts by revenue and learning, from tables of Zuora Revenue and Thought Industries.",
	Table: record.Table{Schema: "analytics", Name: "account_scores", Doc: "Accounts and their scores.",
		Columns: record.Columns[score](), Key: record.Key[score]()},
	Query: query,
	Reads: []string{"zuora_revenue.bi3_rc_lns", "thought_industries.clients", "thought_industries.users",
		"thought_industries.logins", "thought_industries.course_completions"},
	Rules: []gate.Rule{
		gate.AtLeast(1),
		gate.Require("score"), gate.Between("score", "0", "100"),
		gate.Require("tier"), gate.OneOf("tier", "gold", "silver", "bronze"),
		gate.Shrink(7, 50, 10).At(gate.Refuse),
	},
}.Function()

type score struct {
	AccountKey string  `field:"account_key" key:"true" doc:"Customer number."`
	Name       *string `field:"name"`

	Score record.Decimal `field:"score" decimal:"5,2" doc:"0 to 100: the sum of the three points, or 0 where nobody signed in lately."`
	Tier  string         `field:"tier" doc:"gold from 70, silver from 40, else bronze."`

	RevenuePoints  record.Decimal `field:"revenue_points" decimal:"5,2" doc:"0 to 40: the share of other accounts whose contracts are worth less."`
	ActivePoints   record.Decimal `field:"active_points" decimal:"5,2" doc:"0 to 30: the share of learners who signed in lately."`
	LearningPoints record.Decimal `field:"learning_points" decimal:"5,2" doc:"0 to 30: the share of other accounts whose learners completed fewer courses a head."`

	Revenue     record.Decimal `field:"revenue" decimal:"38,2" doc:"Extended selling price of all contract lines."`
	Learners    int64          `field:"learners" doc:"Users at the academy who are not disabled."`
	Active      int64          `field:"active" doc:"Learners who signed in within 30 days before the newest sign-in of all."`
	Completions int64          `field:"completions" doc:"Courses that these learners completed."`
}
