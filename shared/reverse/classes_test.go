package reverse

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var stocked = []Input{
	{Function: "thoughtindustries", Schema: "thought_industries", Table: "users", Classes: map[string]string{"email": "email", "first_name": "name"}},
	{Function: "clari", Schema: "clari", Table: "forecast_entries", Classes: map[string]string{"forecast_value": "mnpi", "updated_by": "name"}},
	{Function: "zuorarevenue", Schema: "zuora_revenue", Table: "bi3_rc_lns", Classes: map[string]string{"*": "mnpi"}},
	{Function: "accountscore", Schema: "analytics", Table: "account_scores", Classes: map[string]string{}},
}

func TestLeaks(t *testing.T) {
	const (
		email = "column email of thought_industries.users is of class email"
		name  = "column first_name of thought_industries.users is of class name"
		value = "column forecast_value of clari.forecast_entries is of class mnpi"
		by    = "column updated_by of clari.forecast_entries is of class name"
		lines = "every column of zuora_revenue.bi3_rc_lns is of class mnpi"
	)
	for _, c := range []struct {
		name, query, classes string
		want                 []string
	}{
		{"nothing classed", "select id, client from thought_industries.users", "", nil},
		{"a model's table", "select * from analytics.account_scores", "", nil},
		{"a model's column of the same name", "select email from analytics.account_scores", "", nil},
		{"named", "select id, email from thought_industries.users", "", []string{email}},
		{"named and allowed", "select id, email from thought_industries.users", "email", nil},
		{"allowed in other case", "select id, email from thought_industries.users", "Email", nil},
		{"all personal data allowed", "select email, first_name from thought_industries.users", "pii", nil},
		{"personal is not material", "select forecast_value, updated_by from clari.forecast_entries", "pii", []string{value}},
		{"material is not personal", "select forecast_value, updated_by from clari.forecast_entries", "mnpi", []string{by}},
		{"quoted, in other case", `SELECT u."EMAIL" FROM "Thought_Industries"."USERS" u`, "", []string{email}},
		{"three parts", "select email from lake.thought_industries.users", "", []string{email}},
		{"a star", "select * from thought_industries.users", "", []string{email, name}},
		{"a star of one", "select 1, u.* from thought_industries.users u", "", []string{email, name}},
		{"a star without some", "select * exclude (email) from thought_industries.users", "", []string{email, name}},
		{"distinct", "select distinct * from thought_industries.users", "", []string{email, name}},
		{"a star in a function", "select object_construct(*) from thought_industries.users", "", []string{email, name}},
		{"a whole row", "select to_json(u) from thought_industries.users as u", "", []string{email, name}},
		{"a whole row by its table's name", "select users from thought_industries.users", "", []string{email, name}},
		{"counted", "select client, count(*), 2 * 3 from thought_industries.users group by client", "", nil},
		{"only compared", "select id from thought_industries.users where email like '%@example.com' and first_name is not null", "", nil},
		{"only joined", "select a.id from analytics.account_scores a join thought_industries.users u on a.owner = u.email where u.first_name <> ''", "", nil},
		{"only sorted and grouped", "select count(*) from thought_industries.users group by email order by first_name", "", nil},
		{"in a text and a comment", "select id, 'email' /* first_name */ from thought_industries.users -- email", "", nil},
		{"in an expression", "select upper(trim(both ' ' from email)) from thought_industries.users", "", []string{email}},
		{"extracted", "select extract(year from first_name), email from thought_industries.users", "", []string{email, name}},
		{"of another table, by its alias", "select a.email from analytics.account_scores a join thought_industries.users u on a.id = u.id", "", nil},
		{"of another table, by its name", "select account_scores.email from analytics.account_scores join thought_industries.users u on true", "", nil},
		{"without saying of which", "select email from analytics.account_scores a join thought_industries.users u on a.id = u.id", "", []string{email}},
		{"under another name, inside", "with x as (select email as e from thought_industries.users) select e from x", "", []string{email}},
		{"another under its name", "select id as email from thought_industries.users", "", nil},
		{"in a list within WHERE", "select id from analytics.account_scores where o in (select email from thought_industries.users)", "", []string{email}},
		{"after a list within FROM", "select x.id, email from (select 1 as id) x, thought_industries.users", "", []string{email}},
		{"in the second of a union", "select id from analytics.account_scores union all select email from thought_industries.users", "", []string{email}},
		{"after EXCEPT", "select id from analytics.account_scores except select email from thought_industries.users", "", []string{email}},
		{"a table of which everything is classed", "select 1 from zuora_revenue.bi3_rc_lns", "", []string{lines}},
		{"and allowed", "select 1 from zuora_revenue.bi3_rc_lns", "mnpi", nil},
		{"a join without alias", "select u.email from thought_industries.users u left join clari.forecast_entries on true where forecast_value > 0", "", []string{email}},
	} {
		t.Run(c.name, func(t *testing.T) {
			query, err := statement(c.query)
			if err != nil {
				t.Fatal(err)
			}
			job := Job{Query: query}
			if c.classes != "" {
				job.Classes = strings.Split(c.classes, ",")
			}
			var got []string
			for _, l := range job.leaks(stocked) {
				got = append(got, l.String())
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestClassBlocks(t *testing.T) {
	job := Job{Query: "select * from thought_industries.users", Classes: []string{"mnpi", "name"}}
	want := []Block{{Guard: "class email", Observed: "the query may send it: column email of thought_industries.users is of class email", Allowed: "only data of the classes mnpi, name"}}
	if diff := cmp.Diff(want, job.classed(stocked)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	job.Classes = nil
	if got := job.classed(stocked); len(got) != 2 || got[1].Guard != "class name" || got[1].Allowed != "no classes of data" {
		t.Errorf("got %+v", got)
	}
}
