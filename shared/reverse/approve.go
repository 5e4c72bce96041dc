package reverse

import (
	"cmp"
	"context"
	"database/sql"
	"strings"
	"time"
	"unicode"

	"github.com/millrace-data/millrace/shared/fault"
)

// auto is who approves the plans of jobs that need nobody.
const auto = "auto"

// Approve lets a plan be applied, in the name of a person and for exactly what the
// plan says now: where hash is not "", it must be the plan's. Approving again in the
// same name changes nothing.
func (e *Engine) Approve(ctx context.Context, id, by, hash string) (p *Plan, err error) {
	by = strings.TrimSpace(by)
	if by == "" || by == auto || strings.ContainsFunc(by, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return nil, fault.New(fault.Invalid, "plan %s: an approval is in the name of a person, and %q is none", id, by)
	}
	if _, err := e.Get(ctx, id); err != nil {
		return nil, err
	}
	err = e.decide(ctx, "approve plan "+id, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE "millrace"."sync_plans" SET "updated_at" = "updated_at" WHERE "plan" = ?`, id); err != nil { // nobody else changes it meanwhile
			return err
		}
		if p, err = scanPlan(tx.QueryRowContext(ctx, `SELECT `+planColumns+` FROM "millrace"."sync_plans" WHERE "plan" = ?`, id)); err != nil {
			return err
		}
		if p.State == PlanApproved && p.ApprovedBy == by && (hash == "" || hash == p.ApprovedHash) {
			return nil
		}
		if err := e.approvable(p, hash); err != nil {
			return err
		}
		p.State, p.ApprovedBy, p.ApprovedAt, p.ApprovedHash = PlanApproved, by, e.now(), p.Hash
		_, err := tx.ExecContext(ctx, `UPDATE "millrace"."sync_plans" SET "state" = ?, "approved_by" = ?, "approved_at" = ?, "approved_hash" = ?, "updated_at" = ? WHERE "plan" = ?`,
			string(p.State), by, p.ApprovedAt, p.ApprovedHash, p.ApprovedAt, id)
		return err
	})
	return p, err
}

// approvable says why a plan cannot be approved.
func (e *Engine) approvable(p *Plan, hash string) error {
	switch {
	case p.State == PlanBlocked:
		return fault.New(fault.Refused, "plan %s of sync %s is blocked by %s: no approval lifts a guard; correct the rows, or change the guard in the job's file, and plan again", p.ID, p.Sync, blockedBy(p))
	case p.State == PlanStale:
		return outOfDate(p)
	case p.State == PlanApproved:
		return fault.New(fault.Refused, "plan %s of sync %s has been approved by %s", p.ID, p.Sync, p.ApprovedBy)
	case p.State != PlanReady:
		return fault.New(fault.Refused, "plan %s of sync %s is %s: there is nothing left to approve", p.ID, p.Sync, p.State)
	case hash != "" && hash != p.Hash:
		return fault.New(fault.Refused, "plan %s of sync %s has the hash %s, and the approval is for %s: look at the plan again", p.ID, p.Sync, p.Hash, hash)
	case e.expired(p):
		return fault.New(fault.Refused, "plan %s of sync %s is from %s and too old to be approved: plan again", p.ID, p.Sync, p.PlannedAt.Format(time.RFC3339))
	}
	return nil
}

func blockedBy(p *Plan) string {
	var names []string
	for _, b := range p.Blocked {
		names = append(names, b.Guard+" ("+b.Observed+", allowed "+b.Allowed+")")
	}
	return cmp.Or(strings.Join(names, ", "), "a guard")
}

// outOfDate is the refusal of a plan that another one has replaced.
func outOfDate(p *Plan) error {
	why := cmp.Or(p.Error, "a newer plan took its place")
	if p.Next == "" {
		return fault.New(fault.Refused, "plan %s of sync %s is out of date: %s; plan again", p.ID, p.Sync, why)
	}
	return fault.New(fault.Refused, "plan %s of sync %s is out of date: %s; look at plan %s", p.ID, p.Sync, why, p.Next)
}

// expired reports whether a plan is too old to be begun.
func (e *Engine) expired(p *Plan) bool {
	return e.now().Sub(p.PlannedAt) > cmp.Or(p.Job.Expires, Expires)
}

func (e *Engine) now() time.Time { return e.Now().UTC() }
