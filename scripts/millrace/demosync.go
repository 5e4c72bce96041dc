package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/millrace-data/millrace/functions/salesforcesync"
	"github.com/millrace-data/millrace/functions/salesforcesync/salesforcetest"
	"github.com/millrace-data/millrace/shared/platform/local"
	"github.com/millrace-data/millrace/shared/reverse"
)

// destination is the demo's Salesforce, and what stood in it before the demo wrote.
type destination struct {
	twin   *salesforcetest.Server
	before map[string]salesforcetest.Record // by key
	env    map[string]string
}

const (
	crmAccounts = 150 // that Salesforce has; the others are to be created
	crmObject   = "Account"
	crmKey      = "DW_Key__c"
)

// openCRM has most of the customers of the other twins, with scores that people gave
// them.
func openCRM(t *twins) (*destination, error) {
	c := &destination{twin: salesforcetest.New(salesforcetest.Options{})}
	c.twin.Seed(crmObject, []string{crmKey, "Name", "Score__c", "Tier__c", "Industry"}, crmAccounts, func(i int, v []string) {
		v[0], v[1], v[2], v[3], v[4] = "C-"+strconv.Itoa(10_001+i), "Client "+strconv.Itoa(i), strconv.Itoa(20+i%60), "silver", "Energy"
	})
	url, err := t.serve(c.twin)
	if err != nil {
		return nil, err
	}
	c.env, c.before = salesforcetest.Env(url), c.accounts()
	return c, nil
}

// accounts is what stands in Salesforce, by key.
func (c *destination) accounts() map[string]salesforcetest.Record {
	out := map[string]salesforcetest.Record{}
	for _, r := range c.twin.Records(crmObject) {
		for _, who := range []string{"SystemModstamp", "LastModifiedDate", "LastModifiedById"} { // not what
			delete(r, who)
		}
		out[r[crmKey]] = r
	}
	return out
}

// wayBack carries the scores into Salesforce, has a guard stop a bad one, and takes
// the good one back.
func (d demo) wayBack(ctx context.Context) error {
	d.say("\n== The way back: scores into Salesforce, whose twin holds %d accounts with scores that people gave them", crmAccounts)
	job, err := d.writeJob()
	if err != nil {
		return err
	}
	d.say("\n$ millrace run accountscore      # a SQL model over what was loaded; in a cloud, the last load starts it")
	if err := d.child(ctx, "", "run", "accountscore"); err != nil {
		return err
	}
	good, err := d.carry(ctx, job)
	if err != nil {
		return err
	}
	if err := d.badRun(ctx, job); err != nil {
		return err
	}
	return d.takeBack(ctx, good)
}

// writeJob puts the example job where a person would have it.
func (d demo) writeJob() (path string, err error) {
	dir := filepath.Join(d.home, "syncs")
	if err = os.MkdirAll(dir, 0o755); err == nil {
		path = filepath.Join(dir, "account_scores.yml")
		err = os.WriteFile(path, salesforcesync.Example, 0o644)
	}
	if err != nil {
		return "", fmt.Errorf("write the demo's job: %w", err)
	}
	return path, nil
}

// carry plans, approves and applies, and dies in between.
func (d demo) carry(ctx context.Context, job string) (plan string, err error) {
	d.say("\n$ millrace sync plan %s      # nothing is written", filepath.Base(job))
	if err = d.child(ctx, "", "sync", "plan", job); err != nil {
		return "", err
	}
	if plan, err = d.newest(ctx); err != nil {
		return "", err
	}
	d.say("\n$ millrace sync approve %s --by dana@example.com", plan)
	if err = d.child(ctx, "", "sync", "approve", plan, "--by", "dana@example.com"); err != nil {
		return "", err
	}
	d.say("\n$ millrace sync apply %s", plan)
	if err = d.child(ctx, crashVariable+"=after_write:1", "sync", "apply", plan); !killed(err) {
		return "", fmt.Errorf("demo: the apply was to die after its first request and did not: %w", err)
	}
	d.say("The process killed itself with SIGKILL: Salesforce had written %d records and nobody had heard its answer.", d.twins.crm.twin.WriteCount())
	d.say("\n$ millrace sync apply %s      # the same command again: it looks before it writes", plan)
	if err = d.child(ctx, "", "sync", "apply", plan); err != nil {
		return "", err
	}
	return plan, d.onceEach()
}

// onceEach holds Salesforce's own log against the plan.
func (d demo) onceEach() error {
	seen := map[string]int{}
	for _, w := range d.twins.crm.twin.Writes() {
		seen[w.Key]++
	}
	for key, n := range seen {
		if n != 1 {
			return fmt.Errorf("demo: account %s was written %d times", key, n)
		}
	}
	d.say("Salesforce's own log: %s records written, each once.", figure(len(seen)))
	return nil
}

// badRun makes a model that says 0 for most accounts, as an empty table upstream
// does, and shows that no zero arrives.
func (d demo) badRun(ctx context.Context, job string) error {
	d.say("\nA bad night: somebody empties a table that the model reads.")
	w, err := local.OpenWarehouse(ctx, local.Places{Warehouse: d.warehouse()})
	if err != nil {
		return err
	}
	_, err = w.DB().ExecContext(ctx, `DELETE FROM "thought_industries"."logins"`)
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("demo: empty the table: %w", err)
	}
	d.say("\n$ millrace run accountscore      # the table is well-formed, so its own gate lets it pass")
	if err := d.child(ctx, "", "run", "accountscore"); err != nil {
		return err
	}
	wrote := d.twins.crm.twin.WriteCount()
	d.say("\n$ millrace sync plan %s", filepath.Base(job))
	if err := d.child(ctx, "", "sync", "plan", job); exited(err) != exitRefused {
		return fmt.Errorf("demo: the guard was to block the plan: %w", err)
	}
	if n := d.twins.crm.twin.WriteCount() - wrote; n > 0 {
		return fmt.Errorf("demo: a blocked plan wrote %d records", n)
	}
	d.say("(exit code %d; nothing was written, and no approval can change that)", exitRefused)
	return nil
}

// takeBack rolls the good plan back, beside what somebody else changed meanwhile.
func (d demo) takeBack(ctx context.Context, plan string) error {
	twin := d.twins.crm.twin
	mine := twin.Get(crmObject, crmKey, "C-10003")
	twin.Edit(crmObject, mine["Id"], "Score__c", "99")
	d.say("\nSales wants the old scores back. Meanwhile somebody set the score of %s to 99 by hand.", mine["Name"])
	d.say("\n$ millrace sync rollback %s", plan)
	if err := d.child(ctx, "", "sync", "rollback", plan); err != nil {
		return err
	}
	undo, err := d.newest(ctx)
	if err != nil {
		return err
	}
	d.say("\n$ millrace sync approve %[1]s --by dana@example.com; millrace sync apply %[1]s", undo)
	if err := d.child(ctx, "", "sync", "approve", undo, "--by", "dana@example.com"); err != nil {
		return err
	}
	if err := d.child(ctx, "", "sync", "apply", undo); err != nil {
		return err
	}
	d.say("\n$ millrace sync history")
	if err := d.child(ctx, "", "sync", "history"); err != nil {
		return err
	}
	return d.restored()
}

// restored compares Salesforce with what stood there before the demo.
func (d demo) restored() error {
	now := d.twins.crm.accounts()
	kept := 0
	for key, was := range d.twins.crm.before {
		switch {
		case key == "C-10003":
			kept++
			if now[key]["Score__c"] != "99" {
				return fmt.Errorf("demo: the hand-made score of %s is %q", key, now[key]["Score__c"])
			}
		case !maps.Equal(was, now[key]):
			return fmt.Errorf("demo: account %s is %v, was %v", key, now[key], was)
		}
	}
	if len(now) != len(d.twins.crm.before) {
		return fmt.Errorf("demo: there are %d accounts, were %d", len(now), len(d.twins.crm.before))
	}
	d.say("\nSalesforce holds what it held before, field by field: %d accounts, and the %d score that somebody set by hand.", len(now), kept)
	return nil
}

// newest is the id of the plan that was made last.
func (d demo) newest(ctx context.Context) (string, error) {
	var out bytes.Buffer
	cmd := d.command(ctx, "", "sync", "history", "--json")
	cmd.Stdout, cmd.Stderr = &out, d.a.err
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("demo: millrace sync history: %w", err)
	}
	var plans []pastPlan
	if err := json.Unmarshal(out.Bytes(), &plans); err != nil || len(plans) == 0 {
		return "", fmt.Errorf("demo: sync history shows no plan: %w", err)
	}
	if slices.ContainsFunc(plans, func(p pastPlan) bool { return p.State == reverse.PlanApplying }) {
		return "", fmt.Errorf("demo: a plan is still being applied")
	}
	return plans[0].Plan, nil
}
